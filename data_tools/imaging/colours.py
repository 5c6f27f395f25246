"""Bands to colours: the longest wavelength red, the shortest blue."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from astropy.visualization import make_lupton_rgb
from numpy.typing import ArrayLike, NDArray

#: Linear part and softening of the stretch (Lupton et al. 2004, PASP 116, 133).
_STRETCH, _Q = 0.7, 8

#: Percentile of the pixels, in their brightest plane, that is drawn near white.
_BRIGHT = 99.0


def colour_planes(images: ArrayLike, pivots: Sequence[float]) -> NDArray[np.float32]:
    """Return the red, green and blue plane of images, without their background.

    The band of the longest wavelength is red, the middle one green, the shortest blue;
    of two bands, green is the mean. The median of each image and plane is taken off.

    Parameters
    ----------
    images : array_like, shape (n, rows, columns, bands)
        nJy per pixel; NaN where there are no data.
    pivots : sequence of float
        Pivot wavelength of each band, in any unit.

    Returns
    -------
    ndarray of float32, shape (n, rows, columns, 3)
        nJy per pixel; NaN where a band that is shown has no data.
    """
    images = np.asarray(images, np.float32)[..., np.argsort(pivots)]
    bands = images.shape[-1]
    planes = images[..., [bands - 1, bands // 2 if bands > 2 else 0, 0]]
    known = np.isfinite(planes).all(axis=-1, keepdims=True)
    planes = np.where(known, planes, np.nan)
    # an image that has no data at all has no median either
    some = known.any(axis=(1, 2, 3))
    planes[some] -= np.nanmedian(planes[some], axis=(1, 2), keepdims=True)
    if bands == 2:
        planes[..., 1] = (planes[..., 0] + planes[..., 2]) / 2
    return planes


def brightness(planes: NDArray[np.float32]) -> float:
    """Return the flux of a pixel, in nJy, that is to be drawn near white."""
    highest = planes.max(axis=-1)
    known = highest[np.isfinite(highest)]
    bright = float(np.percentile(known, _BRIGHT)) if known.size else 0.0
    return bright if bright > 0 else 1.0


def as_rgb(planes: NDArray[np.float32], bright: float) -> NDArray[np.uint8]:
    """Draw planes with one asinh stretch, so that the images can be compared.

    White is the same flux per frequency in the three bands.

    Parameters
    ----------
    planes : ndarray, shape (n, rows, columns, 3)
        As `colour_planes` gives them.
    bright : float
        As `brightness` gives it.

    Returns
    -------
    ndarray of uint8, shape (n, rows, columns, 3)
        Black where there are no data.
    """
    with np.errstate(invalid="ignore"):  # astropy divides by a total of zero
        return np.stack(
            [
                make_lupton_rgb(*np.moveaxis(image, -1, 0), stretch=_STRETCH, Q=_Q)
                for image in np.nan_to_num(planes / np.float32(bright))
            ]
        )
