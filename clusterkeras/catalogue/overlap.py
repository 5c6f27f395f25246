"""Rows of a catalogue that describe the same cluster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

#: A row is an overlap within so many half-light radii of a likelier cluster ...
RADII = 2.0
#: ... or within so many pixels, if that is more.
SMALLEST_PX = 3.0
#: Rows below this probability are no clusters that others could be pieces of.
P_CLUSTER = 0.5


def overlapping(
    x: NDArray[np.floating],
    y: NDArray[np.floating],
    p_cluster: NDArray[np.floating],
    half_light_radius_px: NDArray[np.floating],
) -> NDArray[np.bool_]:
    """Find rows that stand within a likelier cluster.

    A finder breaks a large cluster into its brightest stars, and the network sees the
    same cluster from each. Going from the likeliest row down, each row that is no
    overlap itself claims all less likely ones within `RADII` of its half-light radii.

    Parameters
    ----------
    x, y : (n,) ndarray
        Positions in pixels.
    p_cluster : (n,) ndarray
        Probability of a cluster; NaN neither claims nor is claimed.
    half_light_radius_px : (n,) ndarray
        Size of each row's cluster in pixels.

    Returns
    -------
    (n,) ndarray of bool
        True for rows that are claimed.
    """
    p = np.asarray(p_cluster, float)
    overlap = np.zeros(len(p), bool)
    known = np.flatnonzero(np.isfinite(p) & np.isfinite(x) & np.isfinite(y))
    if not len(known):
        return overlap
    places = np.column_stack([x, y])
    tree = cKDTree(places[known])
    for row in known[np.argsort(-p[known], kind="stable")]:
        if p[row] < P_CLUSTER:
            break
        if overlap[row]:
            continue
        radius = max(RADII * half_light_radius_px[row], SMALLEST_PX)
        near = known[tree.query_ball_point(places[row], radius)]
        less_likely = (p[near] < p[row]) | ((p[near] == p[row]) & (near > row))
        overlap[near[less_likely]] = True
    return overlap
