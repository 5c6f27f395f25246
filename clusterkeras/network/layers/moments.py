"""Moments of the pixels in rings: what smooth light and single stars differ in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from clusterkeras.network.layers.photometry import pixels_at

#: Outer radii of the rings in pixels.
RADII_PX = (2.0, 4.5, 8.0, 14.0)

#: A variance of nothing, in scaled flux: far below the noise of any exposure.
_LEAST_VARIANCE = 1e-6


@keras.saving.register_keras_serializable(package="clusterkeras")
class RingMoments(keras.layers.Layer):
    """Measure how the pixels of rings about the object scatter.

    A cluster's few bright stars make its pixels scatter, and its bands go together or
    not, where its mean light says nothing of that. Of each ring and band the logarithm
    of the variance and the maximum, of each pair of bands the correlation, all of
    scaled fluxes.

    Parameters
    ----------
    radii_px : sequence of float
        Outer radii of the rings, rising.
    """

    def __init__(self, radii_px: tuple[float, ...] = RADII_PX, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.radii_px = tuple(float(r) for r in radii_px)
        half = int(self.radii_px[-1])
        square = np.indices((2 * half + 1,) * 2).reshape(2, -1).T - half
        ring = np.searchsorted(self.radii_px, np.hypot(*square.T))
        #: Offsets (row, column) of the pixels, ring by ring, and how many each has.
        order = np.argsort(ring, kind="stable")
        order = order[np.sort(ring) < len(self.radii_px)]
        self._offsets = square[order]
        self._counts = np.bincount(ring[order])
        self.built = True

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Measure.

        Parameters
        ----------
        inputs : (tensor (B, rows, columns, bands), tensor (B, 2))
            Images scaled by `clusterkeras.network.layers.scaling.JointAsinh`, and row
            and column of the objects.

        Returns
        -------
        tensor (B, rings x (2 bands + bands (bands - 1) / 2))
        """
        images, centre = inputs
        nearest = tf.cast(tf.round(centre), tf.int32)
        pixels = pixels_at(images, nearest, self._offsets)
        bands, found = images.shape[-1], []
        for ring in tf.split(pixels, self._counts, axis=1):
            found.append(tf.reduce_max(ring, axis=1))
            centred = ring - tf.reduce_mean(ring, axis=1, keepdims=True)
            variance = tf.reduce_mean(centred**2, axis=1) + _LEAST_VARIANCE
            found.append(0.5 * tf.math.log(variance))
            for a in range(bands):
                for b in range(a):
                    product = tf.reduce_mean(centred[..., a] * centred[..., b], axis=1)
                    scale = tf.sqrt(variance[:, a] * variance[:, b])
                    found.append((product / scale)[:, None])
        return tf.concat(found, axis=-1)

    def labels(self, bands: Sequence[str]) -> list[tuple]:
        """Say what each number means: ring, what it is, and of which bands."""
        found: list[tuple] = []
        for ring in self.radii_px:
            found += [
                (ring, kind, band) for kind in ("maximum", "log") for band in bands
            ]
            for a, one in enumerate(bands):
                found += [(ring, frozenset((one, other))) for other in bands[:a]]
        return found

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape."""
        (rows, *_, bands), _ = input_shape
        return (rows, len(self.radii_px) * (2 * bands + bands * (bands - 1) // 2))

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "radii_px": list(self.radii_px)}
