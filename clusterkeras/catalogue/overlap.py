"""Rows that describe the same cluster, and the share of clusters among the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clusterkeras.network.presence import at_share, estimate_share
from data_tools.schema import FLAGS, PARAMETER_NAMES

if TYPE_CHECKING:
    from clusterkeras.catalogue.table import InferenceSettings

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


def settle_presence(
    columns: dict[str, NDArray],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    settings: InferenceSettings,
) -> float:
    """Bring ``p_cluster`` to the share of clusters at hand and flag overlaps.

    The share is that of rows that are no overlaps, which can only be told once there
    is a share: so it is settled in two rounds.

    Parameters
    ----------
    columns : dict of str to ndarray
        What `clusterkeras.catalogue.measurement.answer` gives, of all rows:
        ``p_cluster`` and ``flags`` are changed.
    x, y : ndarray, shape (n,)
        0-based pixels.
    settings : InferenceSettings
        Gives the size of a pixel, the share of clusters in the model's training set
        and that at hand, or that this one is to be estimated.

    Returns
    -------
    float
        The share of clusters among the rows.
    """
    trained, share = columns["p_cluster"], settings.config.cluster_share
    size = PARAMETER_NAMES.index("log_half_light_radius")
    radius = 10.0 ** columns["median"][:, size] / settings.target.pixel_scale_arcsec
    overlap = np.zeros(len(trained), bool)
    for _ in range(2):
        if settings.config.cluster_share is None:
            share = estimate_share(trained[~overlap], settings.cluster_share)
        columns["p_cluster"] = at_share(trained, settings.cluster_share, share)
        overlap = overlapping(x, y, columns["p_cluster"], radius)
    columns["flags"][overlap] |= FLAGS["overlap"][0]
    return share
