"""Pixels that are no data though they hold a number: marks, and zeros become noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    binary_dilation,
    binary_opening,
    uniform_filter,
)

from data_tools.mosaics.stored.stored_pixels import StoredPixels

#: Where zeros were stored in steps with dithering, half a step from zero is as good as
#: zero. Noise falls there too, but hardly in squares of three pixels, of which so many
#: lie within a window of that side (three by 27 in a strip, however it runs), ...
HALF_A_STEP = 0.5005
_SQUARE_PX, _WINDOW_PX, _LEAST_PX = 3, 27, 81
#: ... or in a row or column of so many. These end so many pixels short of a slanting
#: edge of what they lie in.
_LINE_PX = 41
_EDGE_PX = 4

#: A value is a mark if so many pixels of a sample, and this share of it, have exactly
#: that, ...
_FEWEST, _LEAST_SHARE = 32, 1e-4
#: ... if it is so many spreads from the others' median, ...
_SPREADS = 15.0
#: ... and if there are few others half as far and up to half as far again, in relation
#: to itself: light around what is saturated has every value up to the plateau.
_MOST_NEAR = 0.05
#: Of lossy compression pixels differ from each other by no more than this share.
_LOSSY = 2e-3
#: More different marks are no marks.
_MOST_MARKS = 4
#: As many pixels of an image show it.
_MOST_PIXELS = 500_000


class Mark(NamedTuple):
    """A number that stands for no data.

    Attributes
    ----------
    value : float
        In units of the pixels.
    tolerance : float
        By how much a pixel that has it may differ.
    """

    value: float
    tolerance: float


def rounded_zeros(
    science: StoredPixels, rows: slice, columns: slice
) -> NDArray[np.bool_]:
    """Say where zeros were that lossy compression has turned into noise.

    Parameters
    ----------
    science : StoredPixels
        An image that is stored in steps.
    rows, columns : slice
        Within the image, with start and stop.

    Returns
    -------
    ndarray of bool, shape (rows, columns)
        Whether a pixel lies in a patch of zeros: an area of some 81 pixels that is at
        least three wide, or a part of a row or a column of 41.
    """
    margin = max(_WINDOW_PX, _LINE_PX) + _EDGE_PX
    around = tuple(
        slice(max(s.start - margin, 0), min(s.stop + margin, size))
        for s, size in zip((rows, columns), science.hdu.shape, strict=True)
    )
    pixels, step = science.read(*around), science.step(*around)
    near_zero = np.abs(pixels) <= HALF_A_STEP * step
    empty = np.zeros(pixels.shape, bool)
    if near_zero.any():
        squares = binary_opening(near_zero, np.ones((_SQUARE_PX, _SQUARE_PX)))
        many = uniform_filter(squares.astype(np.float32), _WINDOW_PX, mode="constant")
        empty |= squares & (many * _WINDOW_PX**2 > _LEAST_PX - 0.5)
        for shape in ((1, _LINE_PX), (_LINE_PX, 1)):
            empty |= binary_opening(near_zero, np.ones(shape))
    if empty.any():
        empty = binary_dilation(empty, iterations=_EDGE_PX, mask=near_zero)
    empty |= (pixels == 0) & (step == 0)
    return empty[
        rows.start - around[0].start : rows.stop - around[0].start,
        columns.start - around[1].start : columns.stop - around[1].start,
    ]


def find_marks(sample: NDArray[np.float32]) -> tuple[Mark, ...]:
    """Return the numbers that an image has for no data: -999, 1e30 and the like.

    A mark is one value in many pixels, far outside of all others: no noise, no
    constant sky, and no plateau of saturation, as light around that has every value
    from the sky to the plateau. Lossy compression may have made it a little different
    from pixel to pixel.

    Parameters
    ----------
    sample : ndarray, shape (n,)
        Finite pixels.
    """
    sample = sample[:: 1 + sample.size // _MOST_PIXELS]
    values = _to_three_digits(sample)
    marks: list[Mark] = []
    while len(marks) <= _MOST_MARKS:
        given, counts = np.unique(values, return_counts=True)
        often = counts >= max(_FEWEST, _LEAST_SHARE * sample.size)
        given, counts = given[often], counts[often]
        if not given.size:
            return tuple(marks)
        # of a mark in most pixels the median is that, of one in few it is the sky
        away = np.abs(given - np.median(values))
        first = [np.argsort(-by, kind="stable")[:_MOST_MARKS] for by in (away, counts)]
        candidates = given[np.concatenate(first)]
        found = next((v for v in candidates if _is_far_off(v, values)), None)
        if found is None:
            return tuple(marks)
        marks.append(_exact(float(found), sample))
        values = values[values != found]
    return ()


def _to_three_digits(values: NDArray[np.float32]) -> NDArray[np.float64]:
    values = values.astype(np.float64)
    with np.errstate(divide="ignore"):
        size = np.floor(np.log10(np.abs(values)))
    unit = 10.0 ** np.where(np.isfinite(size), size - 2, 0)
    return np.round(values / unit) * unit


def _is_far_off(value: float, values: NDArray[np.float64]) -> bool:
    others = values[values != value]
    if others.size < _FEWEST:
        return False
    middle = np.median(others)
    spread = np.median(np.abs(others - middle))
    if spread == 0:  # more than half have one value, as in coarse whole numbers
        spread = np.mean(np.abs(others - middle))
        spread = max(spread, np.diff(np.unique(others)).min(initial=np.inf))
    away = abs(value - middle)
    if not 0 < _SPREADS * spread < away:
        return False
    near = np.count_nonzero(np.abs(others - value) < away / 2)
    return near < _MOST_NEAR * (values.size - others.size)


def _exact(value: float, sample: NDArray[np.float32]) -> Mark:
    """Return a mark of three digits with all, if most pixels have exactly the same."""
    rounded = Mark(value, _LOSSY * abs(value))
    given, counts = np.unique(sample[has_mark(sample, (rounded,))], return_counts=True)
    most = counts.argmax()
    return Mark(float(given[most]), 0) if counts[most] > counts.sum() / 2 else rounded


def has_mark(pixels: NDArray[np.float32], marks: Sequence[Mark]) -> NDArray[np.bool_]:
    """Say which pixels hold one of the marks of `find_marks`."""
    found = np.zeros(pixels.shape, bool)
    for mark in marks:
        with np.errstate(over="ignore"):  # from 3e38 to -3e38
            found |= np.abs(pixels - pixels.dtype.type(mark.value)) <= mark.tolerance
    return found
