"""Whether part of a mosaic is saturated: by its pixels, data quality and weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from data_tools.plane import Plane

#: Where exposures saturated the drizzle leaves them out: a pixel with less than this
#: share of the cutout's median weight, at one of at least this share of the limit.
LOST_WEIGHT, NEAR_LIMIT = 0.5, 0.5


def is_saturated(
    image: NDArray[np.float32],
    planes: Sequence[Plane],
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
    planes : sequence of Plane
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
    # most cutouts end here, and their weights are not read again
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
