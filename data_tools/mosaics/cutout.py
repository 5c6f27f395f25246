"""A square cut out of the mosaics of one field, and what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from data_tools.mosaics.band_image import BandImage

#: A position has no data if some band has none in a box of this side around it.
CORE_PX = 5


class Cutout(NamedTuple):
    """A square cut out of all bands.

    Attributes
    ----------
    image : ndarray of float32, shape (px, px, bands)
        nJy per pixel; NaN where there are no data.
    x0, y0 : int
        0-based mosaic pixel of the cutout's first pixel.
    edge : bool
        Whether it crosses the edge of the array.
    covered : float
        Share of pixels with data in every band, in [0, 1].
    saturated : bool
        Whether a pixel is above the stated limit, or saturated by the data-quality or
        the weight map, where there is one.
    usable : bool
        Whether every band has data within `CORE_PX` around the position.
    """

    image: NDArray[np.float32]
    x0: int
    y0: int
    edge: bool
    covered: float
    saturated: bool
    usable: bool

    def filled(self) -> NDArray[np.float32]:
        """Return the image with missing pixels at the median of their band.

        Returns
        -------
        ndarray of float32, shape (px, px, bands)
            nJy per pixel; zero in a band that has no data at all.
        """
        missing = np.isnan(self.image)
        if not missing.any():
            return self.image
        image = self.image.copy()
        for band in range(image.shape[-1]):
            gap = missing[..., band]
            if gap.any():
                known = image[..., band][~gap]
                image[gap, band] = np.median(known) if known.size else 0.0
        return image


#: Where exposures saturated the drizzle leaves them out: a pixel with less than this
#: share of the cutout's median weight, at one of at least this share of the limit.
LOST_WEIGHT, NEAR_LIMIT = 0.5, 0.5


def is_saturated(
    image: NDArray[np.float32],
    planes: Sequence[BandImage],
    rows: slice,
    columns: slice,
    limits: NDArray[np.float32] | None,
) -> bool:
    """Say whether a pixel of some band is saturated.

    It is by the data-quality map, where there is one; above the limit; or where the
    weight map has lost weight at a bright peak.

    Parameters
    ----------
    image : ndarray of float32, shape (rows, columns, bands)
        nJy per pixel; NaN where there are no data.
    planes : sequence of BandImage
        The bands.
    rows, columns : slice
        Where in the mosaic the image lies.
    limits : ndarray, shape (bands,) or None
        nJy per pixel above which a pixel is saturated; None for data quality alone.
    """
    if any(p.saturated(rows, columns).any() for p in planes if p.has_quality):
        return True
    if limits is None:
        return False
    # one number for all bands is compared faster than one a band: most cutouts end here
    if not (image > NEAR_LIMIT * np.fmin.reduce(limits)).any():
        return False
    # or here, and their weights are not read again
    bright = image > NEAR_LIMIT * limits
    if not bright.any():
        return False
    if (image > limits).any():
        return True
    for band, plane in enumerate(planes):
        if not (plane.has_weight and bright[..., band].any()):
            continue
        weight = plane.weight(rows, columns)
        lost = weight < LOST_WEIGHT * np.median(weight[weight > 0])
        if (lost & binary_dilation(bright[..., band], np.ones((3, 3)))).any():
            return True
    return False
