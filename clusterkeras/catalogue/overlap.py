"""Rows that describe the same cluster, and the share of each kind among the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clusterkeras.network.presence import (
    at_shares,
    estimate_shares,
    or_not,
    with_empty_places,
)
from data_tools.priors import NEIGHBOUR_PX
from data_tools.schema import FLAGS, KINDS, PARAMETER_NAMES

if TYPE_CHECKING:
    from clusterkeras.catalogue.asking.settings import InferenceSettings

#: A row is an overlap within so many half-light radii of a likelier cluster ...
RADII = 2.0
#: ... or within so many pixels, if that is more: in training no second cluster is
#: closer, so that what the network sees there is that one, beside its place.
SMALLEST_PX = NEIGHBOUR_PX[0]
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
) -> NDArray[np.float64]:
    """Bring ``p_cluster`` to the shares of kinds at hand and flag overlaps.

    The shares are those of rows that are no overlaps, which can only be told once there
    are shares: so it is settled in two rounds.

    Parameters
    ----------
    columns : dict of str to ndarray
        What `clusterkeras.catalogue.measurement.answer` gives, of all rows:
        ``p_cluster`` and ``flags`` are changed, ``other_kind`` and ``p_other_kind``
        added, the likeliest kind but cluster; an empty word and NaN where there is
        none, or the model does not tell kinds apart.
    x, y : ndarray, shape (n,)
        0-based pixels.
    settings : InferenceSettings
        Gives the size of a pixel, the shares of kinds in the model's training set, and
        those at hand, or that these are to be estimated.

    Returns
    -------
    ndarray, shape (K,)
        The share of each of `data_tools.schema.KINDS` among the rows, or those of
        clusters and of the rest.
    """
    config, names = settings.config, KINDS[1:]
    empty = None
    if "kinds" in columns:
        found, trained = columns["kinds"], np.asarray(settings.kind_shares)
        empty = KINDS.index("empty")
        others = config.other_shares and [
            config.other_shares.get(k, 0.0) for k in names
        ]
    else:
        found, trained = or_not(columns["p_cluster"]), or_not(settings.cluster_share)
        others = None
    size = PARAMETER_NAMES.index("log_half_light_radius")
    radius = 10.0 ** columns["median"][:, size] / settings.target.pixel_scale_arcsec
    overlap = np.zeros(len(found), bool)
    for _ in range(2):
        known = config.cluster_share
        shares = estimate_shares(found[~overlap], trained, known, others, empty)
        weights = shares if empty is None else with_empty_places(shares, empty)
        p = at_shares(found, trained, weights)
        overlap = overlapping(x, y, p[:, 0], radius)
    columns["flags"][overlap] |= FLAGS["overlap"][0]
    columns["p_cluster"] = p[:, 0]
    rest = p[:, 1:] if "kinds" in columns else np.full((len(p), 1), np.nan)
    likeliest = np.array(names)[np.argmax(rest, axis=1)]
    columns["p_other_kind"] = rest.max(axis=1)
    columns["other_kind"] = np.where(np.isnan(columns["p_other_kind"]), "", likeliest)
    return shares
