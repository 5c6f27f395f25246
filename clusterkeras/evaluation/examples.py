"""Which clusters of a test set are worth a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clusterkeras.diagnostics.metrics.arrays import as_finite

#: S/N of each example, from and to.
SNR = {"degenerate": (10, np.inf), "typical": (10, np.inf), "faint": (3, 10)}


def degeneracy(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return how strongly two parameters trade against each other in each posterior.

    Minus their covariance: large for a long ridge that falls and for two separated
    modes (young and dusty, old and clean), small for a sharp posterior, zero for one
    that knows nothing. A correlation alone would prefer a needle of no extent.

    Parameters
    ----------
    first, second : array_like, shape (N, S)
        Draws of the two parameters, in units of the box's width.

    Returns
    -------
    ndarray, shape (N,)
        At most 1/4, for two points in opposite corners of the box.
    """
    first = as_finite("first", first, 2).astype(np.float64)
    second = as_finite("second", second, 2).astype(np.float64)
    first = first - first.mean(axis=1, keepdims=True)
    second = second - second.mean(axis=1, keepdims=True)
    return -np.mean(first * second, axis=1)


def choose(
    log_snr: ArrayLike, log_prob: ArrayLike, degenerate: ArrayLike
) -> dict[str, int]:
    """Choose three clusters by rule, so that no one picks the prettiest.

    Parameters
    ----------
    log_snr : array_like, shape (N,)
        Visibility in dex.
    log_prob : array_like, shape (N,)
        Log-probability of the truth.
    degenerate : array_like, shape (N,)
        What `degeneracy` gives.

    Returns
    -------
    dict of str to int
        ``degenerate``: the highest degeneracy with S/N > 10. ``typical`` and
        ``faint``: the median log-probability with S/N > 10, and with S/N of 3 to 10.
        Where no such cluster is left, those of the nearest S/N take their place.

    Raises
    ------
    ValueError
        For fewer than three clusters.
    """
    log_snr, log_prob = np.asarray(log_snr), np.asarray(log_prob)
    if len(log_snr) < 3:
        raise ValueError(f"three examples need three clusters; received {len(log_snr)}")
    left = np.ones(len(log_snr), dtype=bool)

    def among(name: str) -> NDArray[np.int64]:
        off = _off(name, log_snr)
        return np.flatnonzero(left & (off == off[left].min()))

    def middle(rows: NDArray[np.int64]) -> int:
        return int(rows[np.argsort(log_prob[rows], kind="stable")[len(rows) // 2]])

    chosen: dict[str, int] = {}
    rows = among("degenerate")
    chosen["degenerate"] = int(rows[np.argmax(np.asarray(degenerate)[rows])])
    left[chosen["degenerate"]] = False
    chosen["typical"] = middle(among("typical"))
    left[chosen["typical"]] = False
    chosen["faint"] = middle(among("faint"))
    return chosen


def describe(name: str, log_snr: float) -> str:
    """Return an example's name and, if its S/N is another, that there was none."""
    low, high = SNR[name]
    if _off(name, np.array(log_snr)) == 0:
        return name
    wanted = f"above {low}" if np.isinf(high) else f"{low} to {high}"
    return f"{name} (none left of S/N {wanted})"


def _off(name: str, log_snr: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return how far visibilities are from those of an example, in dex."""
    low, high = np.log10(SNR[name])
    return np.maximum(np.maximum(low - log_snr, log_snr - high), 0)


def spread(values: ArrayLike, n: int) -> NDArray[np.int64]:
    """Choose objects that stand for all, by rule.

    Each value is replaced by its rank among all; the objects are those nearest to the
    first `n` points of a Halton sequence, which fills the cube of ranks evenly.

    Parameters
    ----------
    values : array_like, shape (N, D)
        Values whose range the choice should span, as age, mass and visibility.
    n : int
        Number of objects.

    Returns
    -------
    ndarray, shape (n,)
        Rows, each once, in the order of the sequence.

    Raises
    ------
    ValueError
        If there are fewer than `n` objects.
    """
    values = as_finite("values", values, 2)
    if len(values) < n:
        raise ValueError(f"{n} examples need as many objects; received {len(values)}")
    ranks = (stats.rankdata(values, axis=0) - 0.5) / len(values)
    points = stats.qmc.Halton(values.shape[1], scramble=False)
    points.fast_forward(1)  # the first point is the corner
    chosen: list[int] = []
    for point in points.random(n):
        distance = np.sum((ranks - point) ** 2, axis=1)
        distance[chosen] = np.inf
        chosen.append(int(np.argmin(distance)))
    return np.array(chosen, dtype=np.int64)
