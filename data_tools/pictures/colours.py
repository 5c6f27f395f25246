"""Bands to colours, by one rule for every picture.

The longest wavelength is red, the shortest blue, and green is the light half way
between them, interpolated between the two bands beside it. Fluxes are divided by those
of Vega, so that a star of type A0, whose colours are zero by definition, is white.
(Equal AB magnitudes are those of no star: without the light below the Balmer jump all
would be yellow.) Brightness is drawn by Lupton et al.'s (2004, PASP 116, 133) asinh:
linear in the noise, logarithmic above it, and of the same hue at any brightness.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.stats import mad_std
from astropy.visualization import make_lupton_rgb
from numpy.typing import ArrayLike, NDArray

from data_tools.tables import FILES, load_tables

#: Share of each colour that is the brightness: old clusters are orange, no red lamps.
_PALE = 0.4

#: In units of the noise: up to where the stretch is linear, and the faintest white.
_LINEAR, _FAINTEST_WHITE = 2.0, 40.0

#: What white is brighter than the noise at most.
_MOST = 1e4

#: The sky's level above black, in units of the brightness up to which all is linear.
_SKY = 0.4

#: Share of the pixels, in brightness, that is below white.
_BELOW_WHITE = 99.8

#: Flux of a star of magnitude zero, in nJy.
_VEGA_NJY = 3631e9


@dataclass(frozen=True)
class Scale:
    """How bright is how bright in a picture, in nJy per pixel as `colour_planes`'s.

    Attributes
    ----------
    linear : float
        Brightness up to which the stretch is linear.
    white : float
        Brightness that is drawn white.
    """

    linear: float
    white: float

    def white_mag(self, pixel_scale_arcsec: float) -> float:
        """Return the surface brightness of white in Vega mag/arcsec2, of any band."""
        return -2.5 * math.log10(self.white / pixel_scale_arcsec**2 / _VEGA_NJY)


def colour_planes(images: ArrayLike, pivots: Sequence[float]) -> NDArray[np.float32]:
    """Return the red, green and blue plane of images, without their background.

    The median of each image and plane is taken off.

    Parameters
    ----------
    images : array_like, shape (n, rows, columns, bands)
        nJy per pixel; NaN where there are no data.
    pivots : sequence of float
        Pivot wavelength of each band, in Angstrom.

    Returns
    -------
    ndarray of float32, shape (n, rows, columns, 3)
        nJy per pixel over Vega's flux in units of 3631 Jy, so that a star of type A0
        is as bright in all three; NaN where a band that is shown has no data.
    """
    images = np.asarray(images, np.float32)
    mix = (_mix(pivots) * 10 ** (0.4 * _vega_ab(pivots))).astype(np.float32)
    shown = mix.any(axis=0)
    # float32 throughout: the map of a mosaic comes through here too
    planes = images[..., shown] @ mix[:, shown].T
    # an image that has no data at all has no median either
    some = np.isfinite(planes[..., 0]).any(axis=(1, 2))
    planes[some] -= np.nanmedian(planes[some], axis=(1, 2), keepdims=True)
    return planes


def say_colours(bands: Sequence[str], pivots: Sequence[float]) -> str:
    """Return which band is which colour, in a few words."""
    words = [
        " + ".join(bands[i] for i in np.argsort(pivots) if weights[i])
        for weights in _mix(pivots)
    ]
    named = zip(("red", "green", "blue"), words, strict=True)
    return ", ".join(f"{colour} {word}" for colour, word in named)


def scale_of(planes: NDArray[np.float32], middle: float = 1.0) -> Scale:
    """Return the scale that shows an image's faint light and its bright.

    Parameters
    ----------
    planes : ndarray, shape (rows, columns, 3)
        As `colour_planes` gives them.
    middle : float
        Share of the sides, about the middle, that sets what is white: an object is
        seen although its neighbours outshine it.
    """
    cut = tuple(
        slice(k := round(n * (1 - middle) / 2), n - k) for n in planes.shape[:2]
    )
    light, brightest = planes.mean(axis=-1), planes[cut].max(axis=-1)
    light, brightest = light[np.isfinite(light)], brightest[np.isfinite(brightest)]
    noise = float(mad_std(light)) if light.size else 0.0
    white = float(np.percentile(brightest, _BELOW_WHITE)) if brightest.size else 0.0
    # a picture without noise has that of its numbers
    noise = max(noise, white / _MOST) or 1.0
    return Scale(_LINEAR * noise, max(white, _FAINTEST_WHITE * noise))


def as_rgb(planes: NDArray[np.float32], scale: Scale) -> NDArray[np.uint8]:
    """Draw planes with one stretch, so that the images can be compared.

    Parameters
    ----------
    planes : ndarray, shape (n, rows, columns, 3)
        As `colour_planes` gives them.
    scale : Scale
        As `scale_of` gives it.

    Returns
    -------
    ndarray of uint8, shape (n, rows, columns, 3)
        Black where there are no data.
    """
    black = ~np.isfinite(planes).all(axis=-1)
    planes = np.nan_to_num(planes)
    planes = planes + np.float32(_PALE) * (planes.mean(-1, keepdims=True) - planes)
    # astropy's parameters of a stretch that is linear up to one, and one at the other
    q = 10 * math.sinh(math.asinh(scale.white / scale.linear) / 10)
    stretch = {"Q": q, "stretch": q * scale.linear, "minimum": -_SKY * scale.linear}
    with np.errstate(invalid="ignore"):  # astropy divides by a total of zero
        rgb = np.stack(
            [make_lupton_rgb(*np.moveaxis(image, -1, 0), **stretch) for image in planes]
        )
    rgb[black] = 0
    return rgb


def _mix(pivots: Sequence[float]) -> NDArray[np.float64]:
    """Return the share of each band in red, green and blue, (3, bands)."""
    where = np.log(np.asarray(pivots, float))
    order = np.argsort(where)
    wanted = (where.max(), (where.max() + where.min()) / 2, where.min())
    shares = [
        np.interp(wanted, where[order], unit[order]) for unit in np.eye(len(order))
    ]
    return np.transpose(shares)


def _vega_ab(pivots: Sequence[float]) -> NDArray[np.float64]:
    """Return Vega's AB magnitude in bands: the tables', interpolated between theirs.

    Of their wide bands, as in a narrow one (N) Vega has a line.
    """
    held = (band for bands in FILES.values() for band in bands)
    tables = load_tables(tuple(band for band in held if not band.endswith("N")))
    order = np.argsort(tables.pivot)
    return np.interp(pivots, tables.pivot[order], tables.vega_ab[order])
