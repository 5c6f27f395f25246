"""A mosaic as a picture small enough for a page."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from data_tools.mosaics.mosaic import Mosaics
from data_tools.pictures.colours import as_rgb, colour_planes, scale_of

#: Rows of the mosaic that are read at once, at least.
_STRIP_ROWS = 64


@dataclass(frozen=True)
class MosaicPicture:
    """A mosaic in colour, some of its pixels to one of the picture's.

    Attributes
    ----------
    rgb : ndarray of uint8, shape (rows, columns, 3)
        The mosaic's first row first; black where there are no data.
    step : int
        Pixels of the mosaic along a side of one of the picture's.
    """

    rgb: NDArray[np.uint8]
    step: int


def mosaic_picture(
    mosaics: Mosaics, longest_px: int, *, progress: bool = True
) -> MosaicPicture:
    """Draw a mosaic in colour, no more than so many pixels along its longer side.

    Each pixel of the picture is the mean of a square of the mosaic's, which is read
    in strips of rows.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics.
    longest_px : int
        Pixels of the longer side at most.
    progress : bool
        Whether to show a progress bar.
    """
    rows, columns = mosaics.shape
    step = -(-max(rows, columns) // longest_px)
    strip = step * max(_STRIP_ROWS // step, 1)
    parts = []
    for first in tqdm(
        range(0, rows, strip), desc="map", unit="strip", disable=not progress
    ):
        window = slice(first, min(first + strip, rows))
        parts.append(_binned(mosaics.window(window, slice(0, columns)), step))
    pivots = [c.photplam for c in mosaics.calibrations]
    planes = colour_planes(np.concatenate(parts)[None], pivots)
    return MosaicPicture(as_rgb(planes, scale_of(planes[0]))[0], step)


def _binned(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return mean of squares of an image (rows, columns, bands), without its NaN."""
    rows, columns, bands = image.shape
    pad = [(0, -rows % step), (0, -columns % step), (0, 0)]
    image = np.pad(image, pad, constant_values=np.nan)
    squares = image.reshape(image.shape[0] // step, step, -1, step, bands)
    with warnings.catch_warnings():
        # a square without data
        warnings.filterwarnings("ignore", message="Mean of empty slice")
        return np.nanmean(squares, axis=(1, 3))
