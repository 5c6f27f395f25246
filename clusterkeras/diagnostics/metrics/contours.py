"""Two methods' posteriors in one plane: how far they agree, and a picture of both.

A method that sees more than another, as a network that sees the image sees more than
photometry, has the narrower posterior of the two, and lies inside the other's. What
must not happen is that it lies elsewhere: if both are calibrated and one knows what the
other knows, then 95 % of its probability lies in the other's 95 % regions, on average
over clusters (the truth does, and the truth is one more draw of its posterior).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from clusterkeras.diagnostics.metrics.arrays import as_finite

#: Shares of the probability that contours enclose.
SHARES = (0.68, 0.95)

#: Cells of a side of the box: 0.018 dex of age and 0.02 mag of A_V in M83's.
CELLS = 200

#: Standard deviations of the kernels, in cells.
_WIDTHS = np.array([1.0, 1.5, 2.2, 3.3, 5.0, 7.5, 11.0, 16.0])

#: Most by which a kernel is wider than the one for all.
_MOST_WIDER = 2.0

#: Share of a flat density in a half of the draws that is held to the other half, so
#: that a lone draw far from all others does not set the width of the kernel.
_FLAT = 0.01


@dataclass(frozen=True)
class Agreement:
    """How two posteriors of one object compare in a plane; see `agreement_of`.

    Attributes
    ----------
    overlap : float
        Integral of the smaller of both densities: 1 for the same, 0 for posteriors
        that have no place in common.
    inside : float
        Share of the second's probability inside the first's 95 % region.
    area_ratio : float
        Area of the second's 68 % region over that of the first's.
    first_level, second_level : float
        Share of the probability at higher density than the truth's, of each: the
        truth is in the 68 % region below 0.68.
    """

    overlap: float
    inside: float
    area_ratio: float
    first_level: float
    second_level: float


def density(
    draws: ArrayLike, low: ArrayLike, high: ArrayLike, cells: int = CELLS
) -> NDArray[np.float64]:
    """Turn draws in a plane into the probability of each cell of a box.

    A histogram smoothed by Gaussians, reflected at the box's edges. First by one width,
    that with which either half of the draws gives the other the highest probability
    (Scott's rule, which takes a density for one mode, would fill the gap between two).
    Then by more of it where that density is low, and less where it is high, as the
    inverse square root (Abramson 1982, Ann. Statist. 10, 1217).

    Parameters
    ----------
    draws : array_like, shape (S, 2)
        Draws inside the box.
    low, high : array_like, shape (2,)
        Edges of the box.
    cells : int
        Number of cells along each side.

    Returns
    -------
    ndarray, shape (cells, cells)
        Sum 1; the first axis is the first parameter.

    Raises
    ------
    ValueError
        If a draw is not finite or lies outside the box.
    """
    places = _cells(draws, low, high, cells)
    halves = np.zeros((2, cells, cells))
    for i, half in enumerate(halves):
        np.add.at(half, tuple(places[i::2].T), 1)
    kernels = _kernels(cells)
    smooth = _smoothed(halves, kernels[:, None])
    smooth += _FLAT * smooth.mean((-2, -1), keepdims=True)
    best = np.sum(halves[::-1] * np.log(smooth), (1, 2, 3)).argmax()
    counts, width = halves.sum(0), _WIDTHS[best]
    pilot = _smoothed(counts, kernels[best])
    typical = np.exp(np.sum(counts * np.log(pilot + 1e-9)) / counts.sum())
    factor = np.sqrt(typical / (pilot + 1e-9))
    wanted = width * np.minimum(factor, _MOST_WIDER)
    nearest = np.abs(np.log(wanted[..., None] / _WIDTHS)).argmin(axis=-1)
    of_width = nearest == np.arange(len(_WIDTHS))[:, None, None]
    smooth = _smoothed(of_width * counts, kernels).sum(0)
    return smooth / smooth.sum()


@lru_cache(maxsize=4)
def _kernels(cells: int) -> NDArray[np.float64]:
    """Return the matrix (cells, cells) that smooths a column, for each width."""
    one = np.eye(cells)
    smooth = [gaussian_filter1d(one, w, axis=0, mode="reflect") for w in _WIDTHS]
    return np.stack(smooth)


def _smoothed(
    maps: NDArray[np.float64], kernels: NDArray[np.float64]
) -> NDArray[np.float64]:
    return kernels @ maps @ kernels.swapaxes(-1, -2)


def levels(
    probability: NDArray[np.float64], draws: ArrayLike, low: ArrayLike, high: ArrayLike
) -> NDArray[np.float64]:
    """Return for each cell the share of the draws that lie in denser cells.

    The region of highest density with a share q is ``levels < q``. The share is that
    of the draws and not of the smoothed density, which would enclose more than q.

    Parameters
    ----------
    probability : ndarray, shape (cells, cells)
        What `density` gives.
    draws, low, high
        What it was given.
    """
    at_draws = probability[tuple(_cells(draws, low, high, len(probability)).T)]
    denser = np.searchsorted(np.sort(at_draws), probability.ravel(), side="right")
    return 1 - denser.reshape(probability.shape) / len(at_draws)


def agreement_of(
    first: ArrayLike,
    second: ArrayLike,
    truth: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
) -> Agreement:
    """Compare two posteriors of one object in a plane.

    Parameters
    ----------
    first, second : array_like, shape (S, 2)
        Draws of both, the second from the method that sees more.
    truth : array_like, shape (2,)
        Where the truth is.
    low, high : array_like, shape (2,)
        Edges of the box.
    """
    p, q = density(first, low, high), density(second, low, high)
    p_levels, q_levels = levels(p, first, low, high), levels(q, second, low, high)
    (at_truth,) = _cells(np.reshape(truth, (1, 2)), low, high, CELLS)
    at_second = tuple(_cells(second, low, high, CELLS).T)
    return Agreement(
        overlap=float(np.minimum(p, q).sum()),
        inside=float(np.mean(p_levels[at_second] < SHARES[1])),
        area_ratio=float(
            np.count_nonzero(q_levels < SHARES[0])
            / np.count_nonzero(p_levels < SHARES[0])
        ),
        first_level=float(p_levels[tuple(at_truth)]),
        second_level=float(q_levels[tuple(at_truth)]),
    )


def _cells(
    draws: ArrayLike, low: ArrayLike, high: ArrayLike, cells: int
) -> NDArray[np.int64]:
    """Return the cell (S, 2) of each draw."""
    draws = as_finite("draws", draws, 2)
    low, high = np.asarray(low, float), np.asarray(high, float)
    share = (draws - low) / (high - low)
    # float32 draws may lie a rounding error outside
    if np.abs(share - 0.5).max(initial=0) > 0.5 + 1e-5:
        raise ValueError(
            f"draws must lie in the box from {low} to {high}; received values from "
            f"{draws.min(axis=0)} to {draws.max(axis=0)}"
        )
    return np.clip((share * cells).astype(int), 0, cells - 1)
