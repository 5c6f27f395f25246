"""What a way of finding finds on mosaics, held to the truth."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterkeras.catalogue.truth.like_m83 import like_m83
from clusterkeras.catalogue.truth.matching import match_selected, reach_px

MATCH_PX = 4.0
P_EDGES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.01)


@dataclass(frozen=True)
class Sources:
    """What a method finds on some mosaics, and which of it is true.

    Attributes
    ----------
    score : (n,) ndarray
        The higher the rather taken.
    mosaic : (n,) ndarray of int
        Number of the mosaic.
    place : (n, 2) ndarray
        x and y in pixels.
    """

    score: NDArray
    mosaic: NDArray
    place: NDArray


def join(parts: list[Sources]) -> Sources:
    """Put the sources of several mosaics together."""
    names = ("score", "mosaic", "place")
    return Sources(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def held_to(
    sources: Sources, truth: dict[str, NDArray], limit: float
) -> tuple[NDArray, NDArray, NDArray]:
    """Match the sources of at least a score with the true clusters.

    Returns
    -------
    found : (clusters,) ndarray of bool
        Which true clusters are found.
    true, piece : (n,) ndarray of bool
        Which sources are a cluster, and which lie within one that another is.
    """
    found = np.zeros(len(truth["x"]), bool)
    true, piece = np.zeros((2, len(sources.score)), bool)
    chosen = sources.score >= limit
    for number in np.unique(truth["mosaic"]):
        rows = np.flatnonzero(chosen & (sources.mosaic == number))
        clusters = np.flatnonzero(truth["mosaic"] == number)
        of = match_selected(
            *(*sources.place[rows].T, np.ones(len(rows), bool)),
            *(truth[k][clusters] for k in "xy"),
            *(MATCH_PX, reach_px(MATCH_PX, truth["half_light_radius_px"][clusters])),
        )
        found[clusters[of.cluster]] = True
        true[rows[of.row]], piece[rows[of.piece]] = True, True
    return found, true, piece


def at_limit(sources: Sources, truth: dict[str, NDArray], limit: float) -> dict:
    """Return completeness and purity of the sources of at least a score."""
    found, true, piece = held_to(sources, truth, limit)
    n, pieces = int(true.sum()), int(piece.sum())
    false = int((sources.score >= limit).sum()) - n - pieces
    return {
        "limit": limit,
        "completeness": float(found.mean()),
        "purity": n / max(n + false, 1),
        "false": false,
        "pieces": pieces,
    }


def at_limit_on(
    sources: Sources, truth: dict[str, NDArray], limit: float, pixels: float
) -> dict:
    """Return the same with the false ones in a million pixels, and for M83's clusters.

    Parameters
    ----------
    sources, truth, limit
        As of `at_limit`.
    pixels : float
        Of all mosaics together.

    Returns
    -------
    dict
        Also ``false_per_million_pixels``, and ``like_m83``; see
        `clusterkeras.catalogue.truth.like_m83`.
    """
    here = at_limit(sources, truth, limit)
    rate = here["false"] / (pixels / 1e6)
    found, _, _ = held_to(sources, truth, limit)
    like = like_m83(truth["log_age"], truth["log_mass"], {"taken": found}, rate)
    return {**here, "false_per_million_pixels": rate, "like_m83": like}


def curve(
    sources: Sources, truth: dict[str, NDArray], points: int = 60
) -> Iterator[tuple[float, float, float]]:
    """Yield limit, completeness and purity at limits from the highest score down."""
    scores = np.sort(sources.score)[::-1]
    if not len(scores):
        return
    # a handful at least: the purity of one says nothing
    first = min(5, len(scores))
    counts = np.unique(np.geomspace(first, len(scores), points).astype(int))
    for limit in scores[counts - 1]:
        here = at_limit(sources, truth, limit)
        yield limit, here["completeness"], here["purity"]


def at_purity(
    points: list[tuple[float, float, float]], purity: float
) -> tuple[float, float]:
    """Return limit and completeness of the most complete point of at least a purity."""
    pure = [(complete, limit) for limit, complete, p in points if p >= purity]
    complete, limit = max(pure, default=(0.0, np.inf))
    return limit, complete


def calibration(sources: Sources, truth: dict[str, NDArray]) -> list[dict]:
    """Return, in bins of p_cluster, the share of our rows that are true clusters.

    Each bin is matched with those above it, so that no row of low probability hides a
    better one; pieces are left out.
    """
    bins = []
    for low, high in itertools.pairwise(P_EDGES):
        _, true, piece = held_to(sources, truth, low)
        rows = (sources.score >= low) & (sources.score < high) & ~piece
        if rows.any():
            bins.append(
                {
                    "low": low,
                    "high": high,
                    "n": int(rows.sum()),
                    "p_cluster": float(sources.score[rows].mean()),
                    "share": float(true[rows].mean()),
                }
            )
    return bins


def shares(found: NDArray, values: NDArray, edges: NDArray) -> list[dict]:
    """Return the share found in bins."""
    bins = []
    for low, high in itertools.pairwise(edges):
        rows = (values >= low) & (values < high)
        if rows.any():
            bins.append(
                {
                    "low": float(low),
                    "high": float(high),
                    "n": int(rows.sum()),
                    "share": float(found[rows].mean()),
                }
            )
    return bins
