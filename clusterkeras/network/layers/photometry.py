"""Aperture photometry of cutouts: what the classical methods know of a cluster.

photutils weighs the pixels, TensorFlow sums them: one layer measures a whole batch, and
the dense network on photometry trains through it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray
from photutils.aperture import CircularAnnulus, CircularAperture

from clusterkeras.network.layers.scaling import asinh, sinh

#: Radii in pixels. 1 and 3 give the concentration index of LEGUS, and 6 the largest of
#: its apertures, on pixels of 0.0396 arcsec (Adamo et al. 2017, ApJ 841, 131); 16,
#: 0.63 arcsec there, is the largest half-light radius that is simulated.
RADII_PX = (1.0, 3.0, 6.0, 16.0)

#: Radii, in pixels, for a network that wants sizes as well: between those above, and
#: each from the one before by some 1.5.
FINE_RADII_PX = (1.0, 2.0, 3.0, 4.5, 6.0, 9.0, 16.0)

#: Inner and outer radius, in pixels, of the ring the local sky is taken from: as far
#: out as a cutout of 64 pixels lets it. That of LEGUS, 7 to 8, lies within the wider
#: clusters, and a dense network on 42,000 mocks loses 0.17 nat by it.
SKY_PX = (20.0, 26.0)

#: Side, in pixels, of the square around the middle in which the object is looked for.
SEARCH_PX = 8

#: Standard deviation, in pixels, of the Gaussian that finds and centres the object; on
#: 42,000 mocks 1.0 is 0.01 nat better than 1.5, and 2.2 is 0.1 worse.
WINDOW_PX = 1.0

#: Sub-pixel centres along a pixel.
_STEPS = 8

#: Steps of the centroid; the wider the source, the slower it gets there.
_CENTRING_STEPS = 12


@keras.saving.register_keras_serializable(package="clusterkeras")
class AperturePhotometry(keras.layers.Layer):
    """Measure the object in the middle of each cutout.

    It is found as the highest pixel near the middle of the sum over bands of
    ``asinh(flux / softening)``, smoothed, and centred there by the centroid under a
    Gaussian window, iterated as SExtractor's ``XWIN_IMAGE`` (Bertin & Arnouts 1996,
    A&AS 117, 393, and its manual), in steps of an eighth of a pixel. The sky is the
    median of a ring around it.

    Parameters
    ----------
    softening : float
        Flux per pixel a few times the noise, in the unit of the images.
    radii_px : sequence of float
        Radii of the apertures, rising.
    sky_px : (float, float)
        Inner and outer radius of the ring of the sky.
    window_px : float
        Standard deviation of the Gaussian that finds and centres the object.

    Raises
    ------
    ValueError
        If a radius is not positive, the radii do not rise, or the ring does not fit
        into the images.
    """

    def __init__(
        self,
        softening: float = 1.0,
        radii_px: tuple[float, ...] = RADII_PX,
        sky_px: tuple[float, float] = SKY_PX,
        window_px: float = WINDOW_PX,
        **kwargs: Any,
    ) -> None:
        # a flux of 1e5 keeps its faint neighbours in float32 only
        super().__init__(**{"dtype": "float32", **kwargs})
        if not softening > 0:
            raise ValueError(
                f"softening: expected a flux above 0; received {softening}"
            )
        named = {"radii_px": radii_px, "sky_px": sky_px, "window_px": (window_px,)}
        for name, radii in named.items():
            if not (np.diff([0.0, *radii]) > 0).all():
                raise ValueError(
                    f"{name}: expected radii that rise from above 0; received "
                    f"{tuple(radii)}"
                )
        self.softening = float(softening)
        self.radii_px = tuple(float(r) for r in radii_px)
        self.sky_px = (float(sky_px[0]), float(sky_px[1]))
        self.window_px = float(window_px)
        self._half = math.ceil(self.radii_px[-1]) + 1
        self._weights = self._aperture_weights()
        self._ring = self._ring_offsets()

    @property
    def areas(self) -> NDArray[np.float32]:
        """Area of each aperture in pixels."""
        return (np.pi * np.square(self.radii_px)).astype(np.float32)

    @property
    def sky_pixels(self) -> int:
        """Number of pixels of the ring."""
        return len(self._ring)

    def _aperture_weights(self) -> NDArray[np.float32]:
        """Return the share of each pixel in each aperture, for each sub-pixel centre.

        Shape (centres, apertures, pixels of the window); centres row by row.
        """
        side = 2 * self._half + 1
        steps = np.arange(-_STEPS // 2, _STEPS // 2 + 1) / _STEPS
        centres = [(self._half + x, self._half + y) for y in steps for x in steps]
        masks = [
            [
                CircularAperture(centre, radius).to_mask().to_image((side, side))
                for radius in self.radii_px
            ]
            for centre in centres
        ]
        return np.asarray(masks, np.float32).reshape(len(centres), -1, side**2)

    def _ring_offsets(self) -> NDArray[np.int32]:
        """Return offsets (row, column) of the pixels whose middle is in the ring."""
        half = math.ceil(self.sky_px[1])
        ring = CircularAnnulus((half, half), *self.sky_px).to_mask(method="center")
        mask = ring.to_image((2 * half + 1, 2 * half + 1))
        return (np.argwhere(mask > 0) - half).astype(np.int32)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that ring and apertures fit into the images."""
        reach = max(self.sky_px[1], self._half) + SEARCH_PX / 2 + 1
        least = 2 * math.ceil(reach)
        if min(input_shape[1:3]) < least:
            raise ValueError(
                f"images: expected at least {least} pixels a side for a sky out to "
                f"{self.sky_px[1]:g} px; received shape {tuple(input_shape)}"
            )
        super().build(input_shape)

    def call(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Measure.

        Parameters
        ----------
        images : tensor (B, rows, columns, bands)
            Flux per pixel; the background may be in it.

        Returns
        -------
        dict of str to float32 tensor
            ``flux`` (B, apertures, bands), sky subtracted; ``sky`` and its
            ``scatter`` (1.4826 times the median absolute deviation) per pixel (B,
            bands); ``centre`` (B, 2), row and column.
        """
        images = tf.cast(images, tf.float32)
        part, first = self._search_area(images)
        centre = self._found(asinh(part / self.softening)) + np.float32(first)
        nearest = tf.cast(tf.round(centre), tf.int32)
        ring = pixels_at(images, nearest, self._ring)
        sky = _median(ring)
        scatter = 1.4826 * _median(tf.abs(ring - sky[:, None]))
        step = tf.round(_STEPS * (centre - tf.cast(nearest, tf.float32)))
        step = tf.cast(step, tf.int32) + _STEPS // 2
        which = step[:, 0] * (_STEPS + 1) + step[:, 1]
        window = pixels_at(images, nearest, _square(self._half))
        flux = tf.matmul(tf.gather(self._weights, which), window)
        return {
            "flux": flux - self.areas[:, None] * sky[:, None],
            "sky": sky,
            "scatter": scatter,
            "centre": centre,
        }

    def centre(self, stretched: tf.Tensor) -> tf.Tensor:
        """Find the object in images that are ``asinh(flux / softening)`` already.

        Returns
        -------
        tensor (B, 2)
            Row and column, nowhere near the images' edge.
        """
        part, first = self._search_area(stretched)
        return self._found(part) + np.float32(first)

    def _search_area(self, images: tf.Tensor) -> tuple[tf.Tensor, list[int]]:
        """Cut out where the object is looked for; return also its first pixel."""
        half = math.ceil(3 * self.window_px)
        first = [(side - SEARCH_PX) // 2 - half - 1 for side in images.shape[1:3]]
        size = SEARCH_PX + 2 * half + 2
        part = images[:, first[0] : first[0] + size, first[1] : first[1] + size]
        return part, first

    def _found(self, stretched: tf.Tensor) -> tf.Tensor:
        """Find the object in the search area: (B, 2) row and column."""
        half = math.ceil(3 * self.window_px)
        signal = tf.reduce_sum(stretched, -1, keepdims=True)
        offset = _square(half).astype(np.float32)
        window = np.exp(-0.5 * np.sum(offset**2, 1) / self.window_px**2)
        kernel = np.float32(window.reshape(2 * half + 1, 2 * half + 1, 1, 1))
        smooth = tf.nn.conv2d(signal, kernel, 1, "VALID")[:, 1:-1, 1:-1]
        peak = tf.argmax(tf.reshape(smooth, (-1, SEARCH_PX**2)), 1, tf.int32)
        peak = tf.stack([peak // SEARCH_PX, peak % SEARCH_PX], 1) + half + 1
        # light below the faintest pixel of the window does not pull the centroid
        around = pixels_at(signal, peak, _square(half))[..., 0]
        around -= tf.reduce_min(around, 1, keepdims=True)
        moved = tf.zeros_like(peak, tf.float32)
        for _ in range(_CENTRING_STEPS):
            distance = offset - moved[:, None]
            weight = around * tf.exp(
                -0.5 * tf.reduce_sum(distance**2, 2) / self.window_px**2
            )
            shift = tf.math.divide_no_nan(
                tf.reduce_sum(weight[..., None] * distance, 1),
                tf.reduce_sum(weight, 1, keepdims=True),
            )
            # a Gaussian under a window of its own width moves half the way
            moved = tf.clip_by_value(moved + 2 * shift, -1.0, 1.0)
        return tf.cast(peak, tf.float32) + moved

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {
            **super().get_config(),
            "softening": self.softening,
            "radii_px": list(self.radii_px),
            "sky_px": list(self.sky_px),
            "window_px": self.window_px,
        }


def flux_error(
    flux: ArrayLike,
    scatter: ArrayLike,
    area: ArrayLike,
    sky_pixels: int,
    electron_njy: ArrayLike,
) -> NDArray[np.float64]:
    """Return the standard error of fluxes by their photons and the sky's scatter.

    sigma^2 = F e + A s^2 (1 + pi / 2 A / n): F the flux, e that of one electron, A the
    area, s the scatter of the n pixels whose median is the sky. As in a catalogue,
    noise that neighbouring pixels share and stars in the aperture are not in it.

    Parameters
    ----------
    flux : array_like (B, n, bands)
        In nJy, sky subtracted.
    scatter : array_like (B, bands)
        Scatter of the sky's pixels in nJy.
    area : array_like (n,)
        Area of each aperture, or ring between two, in pixels.
    sky_pixels : int
        Number of the sky's pixels.
    electron_njy : array_like (bands,)
        Flux of one electron over the exposure.

    Returns
    -------
    ndarray (B, n, bands)
        In nJy.
    """
    photons = np.maximum(np.asarray(flux, float), 0) * electron_njy
    area = np.asarray(area, float)[:, None]
    pixels = area * (1 + np.pi / 2 * area / sky_pixels)
    return np.sqrt(photons + pixels * np.square(np.asarray(scatter, float))[:, None])


@keras.saving.register_keras_serializable(package="clusterkeras")
class PhotometricFeatures(keras.layers.Layer):
    """Measure images scaled by `scaling.JointAsinh`, and scale the results.

    Fluxes and sky become ``asinh(flux / softening) / 4``, as the pixels are; the sky's
    scatter becomes its logarithm.

    Parameters
    ----------
    radii_px, sky_px, window_px
        As for `AperturePhotometry`; a saved model keeps its own.
    """

    def __init__(
        self,
        radii_px: tuple[float, ...] = RADII_PX,
        sky_px: tuple[float, float] = SKY_PX,
        window_px: float = WINDOW_PX,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.apertures = AperturePhotometry(1.0, radii_px, sky_px, window_px)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Check that the apertures fit into the images."""
        self.apertures.build(input_shape)
        super().build(input_shape)

    def call(self, scaled: tf.Tensor) -> tf.Tensor:
        """Return (B, bands x (apertures + 2)) for images (B, rows, columns, bands)."""
        measured = self.apertures(sinh(4 * scaled))
        parts = [
            asinh(measured["flux"]) / 4,
            asinh(measured["sky"])[:, None] / 4,
            tf.math.log(measured["scatter"] + 1e-3)[:, None],
        ]
        bands = scaled.shape[-1]
        n = bands * (len(self.apertures.radii_px) + 2)
        return tf.reshape(tf.concat(parts, axis=1), (-1, n))

    def labels(self, bands: Sequence[str]) -> list[tuple]:
        """Say what each number means: what it is, and of which band."""
        measured = (*self.apertures.radii_px, "sky", "scatter")
        return [(kind, band) for kind in measured for band in bands]

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        own = self.apertures.get_config()
        names = ("radii_px", "sky_px", "window_px")
        return {**super().get_config(), **{name: own[name] for name in names}}


def dense_features(
    scaled: keras.KerasTensor,
    widths: tuple[int, ...],
    radii_px: tuple[float, ...] = RADII_PX,
    more: Sequence[keras.KerasTensor] = (),
) -> keras.KerasTensor:
    """Return what dense layers make of some apertures a band, symbolically.

    Parameters
    ----------
    scaled : tensor (B, height, width, bands)
        Images scaled by `clusterkeras.network.layers.scaling.JointAsinh`.
    widths : tuple of int
        Width of each layer.
    radii_px : tuple of float
        Radii of the apertures, rising.
    more : sequence of tensor (B, n)
        Numbers that they are given beside the apertures.

    Returns
    -------
    tensor (B, last width)

    Raises
    ------
    ValueError
        If the images are too small for the apertures.
    """
    x = PhotometricFeatures(radii_px, name="photometry")(scaled)
    if more:
        x = keras.layers.Concatenate(name="measured", dtype="float32")([x, *more])
    # no batch normalisation: a batch's own statistics of so few numbers are noise, and
    # that would make the network unsure
    for i, width in enumerate(widths):
        layer = keras.layers.Dense(
            width, "gelu", dtype="float32", name=f"photometry_dense{i}"
        )
        x = layer(x)
    return x


def pixels_at(images: tf.Tensor, centre: tf.Tensor, offsets: NDArray) -> tf.Tensor:
    """Take the pixels at offsets from a centre of each image.

    Parameters
    ----------
    images : tensor (B, rows, columns, bands)
    centre : int32 tensor (B, 2)
        Row and column.
    offsets : ndarray (n, 2)
        Of rows and columns; none leaves the image.

    Returns
    -------
    tensor (B, n, bands)
    """
    _, rows, columns, bands = images.shape
    flat = tf.reshape(images, (-1, rows * columns, bands))
    index = centre[:, 0] * columns + centre[:, 1]
    steps = offsets[:, 0] * columns + offsets[:, 1]
    return tf.gather(flat, index[:, None] + steps.astype(np.int32), batch_dims=1)


def _square(half: int) -> NDArray[np.int64]:
    """Return the offsets (row, column) of a square of pixels, row by row."""
    return np.indices((2 * half + 1,) * 2).reshape(2, -1).T - half


def _median(values: tf.Tensor) -> tf.Tensor:
    """Return the median over the second axis: (B, n, bands) to (B, bands)."""
    ordered = tf.sort(tf.transpose(values, (0, 2, 1)))
    n = values.shape[1]
    return 0.5 * (ordered[..., (n - 1) // 2] + ordered[..., n // 2])
