"""Which row is which true cluster, and which rows are only pieces of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: A cluster reaches no further than half the side of a cutout: what lies beyond its
#: edge the network has not seen.
LARGEST_PX = 32.0


@dataclass(frozen=True)
class Matches:
    """Rows and the true clusters that they are.

    Attributes
    ----------
    row, cluster : (pairs,) ndarray of int
        Indices of each pair, in the order of the clusters; no row and no cluster is in
        two.
    taken : (pairs,) ndarray of bool
        Whether the row is one of those that count as clusters.
    piece : (pieces,) ndarray of int
        Further rows that count as clusters and lie within a true cluster that is taken:
        neither false nor clusters of their own.
    """

    row: NDArray[np.int64]
    cluster: NDArray[np.int64]
    taken: NDArray[np.bool_]
    piece: NDArray[np.int64]


def reach_px(match_px: float, half_light_radius_px: NDArray) -> NDArray[np.float64]:
    """Return how far a true cluster reaches: to its half-light radius, or further.

    Parameters
    ----------
    match_px : float
        It reaches as far at least.
    half_light_radius_px : (clusters,) ndarray
        Up to `LARGEST_PX` of it; NaN, where it is not known, is none.

    Returns
    -------
    (clusters,) ndarray
        Pixels.
    """
    return np.fmax(match_px, np.minimum(half_light_radius_px, LARGEST_PX))


def match_selected(
    x: NDArray,
    y: NDArray,
    selected: NDArray[np.bool_],
    true_x: NDArray,
    true_y: NDArray,
    match_px: float,
    reach: NDArray,
) -> Matches:
    """Pair the rows that count as clusters with true ones, then the others.

    A finder breaks a large cluster into its stars: a nearer row that does not count as
    a cluster must not hide one that does, and what lies within a cluster belongs to it.
    The other rows are so many that chance puts one near any place: they count as found
    within the smallest distance alone.

    Parameters
    ----------
    x, y : (rows,) ndarray
        Positions in pixels; NaN matches nothing.
    selected : (rows,) ndarray of bool
        Which rows count as clusters.
    true_x, true_y : (clusters,) ndarray
        True positions in pixels; NaN matches nothing.
    match_px : float
        Largest distance in pixels of a row that does not count as a cluster.
    reach : (clusters,) ndarray
        That of a row that does; see `reach_px`.

    Returns
    -------
    Matches
        Pairs, and the rows that are pieces.
    """
    chosen, others = np.flatnonzero(selected), np.flatnonzero(~selected)
    row, cluster = match(x[chosen], y[chosen], true_x, true_y, reach)
    # a row within reach of clusters that is none of them came after a nearer one
    piece = np.setdiff1d(_pairs(x[chosen], y[chosen], true_x, true_y, reach)[0], row)
    left = np.setdiff1d(np.arange(len(true_x)), cluster)
    other, missed = match(x[others], y[others], true_x[left], true_y[left], match_px)
    clusters = np.concatenate([cluster, left[missed]])
    order = np.argsort(clusters)
    return Matches(
        np.concatenate([chosen[row], others[other]])[order],
        clusters[order],
        np.repeat([True, False], [len(row), len(other)])[order],
        chosen[piece],
    )


def match(
    x: NDArray,
    y: NDArray,
    true_x: NDArray,
    true_y: NDArray,
    reach_px: float | NDArray,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair rows with clusters, the nearest first.

    Parameters
    ----------
    x, y : (rows,) ndarray
        Positions in the catalogue in pixels; NaN matches nothing.
    true_x, true_y : (clusters,) ndarray
        True positions in pixels; NaN matches nothing.
    reach_px : float or (clusters,) ndarray
        Largest distance of a pair.

    Returns
    -------
    row, cluster : (pairs,) ndarray of int
        Indices of each pair, in the order of the clusters; no row and no cluster is in
        two. Of equal distances the first cluster and the first row come first.
    """
    paired = np.full(len(true_x), -1)
    free = np.ones(len(x), bool)
    for row, cluster in zip(*_pairs(x, y, true_x, true_y, reach_px), strict=True):
        if free[row] and paired[cluster] < 0:
            paired[cluster], free[row] = row, False
    found = np.flatnonzero(paired >= 0)
    return paired[found], found


def _pairs(
    x: NDArray,
    y: NDArray,
    true_x: NDArray,
    true_y: NDArray,
    reach_px: float | NDArray,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return all rows and clusters within reach of each other, the nearest first."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    placed = np.flatnonzero(np.isfinite(true_x) & np.isfinite(true_y))
    if not len(known) or not len(placed):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = np.column_stack([x[known], y[known]])
    clusters = np.column_stack([true_x[placed], true_y[placed]])
    reach = np.broadcast_to(reach_px, len(true_x))[placed]
    near = cKDTree(rows).query_ball_point(clusters, reach, return_sorted=True)
    row = np.concatenate([np.array(one, np.int64) for one in near])
    cluster = np.repeat(np.arange(len(placed)), [len(one) for one in near])
    distance = np.hypot(*(rows[row] - clusters[cluster]).T)
    order = np.argsort(distance, kind="stable")
    return known[row[order]], placed[cluster[order]]
