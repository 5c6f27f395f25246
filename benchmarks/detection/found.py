"""What a way of finding finds on mosaics, held to the truth."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterkeras.catalogue.comparison import match

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


def found_of(sources: Sources, truth: dict[str, NDArray], limit: float) -> NDArray:
    """Say which true clusters are found by the sources of at least a score."""
    found = np.zeros(len(truth["x"]), bool)
    for number in np.unique(truth["mosaic"]):
        rows = (sources.mosaic == number) & (sources.score >= limit)
        clusters = np.flatnonzero(truth["mosaic"] == number)
        _, cluster = match(
            *sources.place[rows].T,
            *(truth[k][clusters] for k in "xy"),
            MATCH_PX,
        )
        found[clusters[cluster]] = True
    return found


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
        n = found_of(sources, truth, limit).sum()
        yield limit, n / len(truth["x"]), n / (sources.score >= limit).sum()


def at_purity(
    points: list[tuple[float, float, float]], purity: float
) -> tuple[float, float]:
    """Return limit and completeness of the most complete point of at least a purity."""
    pure = [(complete, limit) for limit, complete, p in points if p >= purity]
    complete, limit = max(pure, default=(0.0, np.inf))
    return limit, complete


def at_limit(sources: Sources, truth: dict[str, NDArray], limit: float) -> dict:
    """Return completeness and purity of the sources of at least a score."""
    n = found_of(sources, truth, limit).sum()
    return {
        "limit": limit,
        "completeness": float(n / len(truth["x"])),
        "purity": float(n / max((sources.score >= limit).sum(), 1)),
    }


def calibration(sources: Sources, truth: dict[str, NDArray]) -> list[dict]:
    """Return, in bins of p_cluster, the share of our rows that are true clusters."""
    is_true = np.zeros(len(sources.score), bool)
    for number in np.unique(truth["mosaic"]):
        rows = np.flatnonzero(sources.mosaic == number)
        clusters = truth["mosaic"] == number
        row, _ = match(
            *sources.place[rows].T, *(truth[k][clusters] for k in "xy"), MATCH_PX
        )
        is_true[rows[row]] = True
    bins = []
    for low, high in itertools.pairwise(P_EDGES):
        rows = (sources.score >= low) & (sources.score < high)
        if rows.any():
            bins.append(
                {
                    "low": low,
                    "high": high,
                    "n": int(rows.sum()),
                    "p_cluster": float(sources.score[rows].mean()),
                    "share": float(is_true[rows].mean()),
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
