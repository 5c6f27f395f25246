"""Simultaneous bands: how far a perfect posterior's whole curve strays by chance.

Ranks of the truth (simulation-based calibration), regions of highest density and TARP
all give values that are uniform for a perfect posterior. A band that holds the
empirical distribution function at one level in 95 of 100 samples is left somewhere by
far more; here it is widened until whole curves stay inside as often as stated
(Säilynoja, Bürkner & Vehtari 2022, Stat. Comput. 32, 32, section 2.2, by simulation).
Where objects of one group err together, the curves that stay inside are those of groups
drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from clusterkeras.diagnostics.metrics.arrays import as_finite, as_probabilities
from clusterkeras.diagnostics.metrics.coverage import coverage_noise, cumulative
from clusterkeras.diagnostics.metrics.groups import resampled_deviations

#: Perfect samples that are drawn: the stated confidence holds to 0.35 % at 95 %.
_SIMULATIONS = 4000


@dataclass(frozen=True)
class BandCheck:
    """An empirical distribution function beside the band of a perfect posterior's.

    Attributes
    ----------
    n : int
        Number of objects.
    levels : ndarray, shape (L,)
        Where it is looked at; also its value there for a perfect posterior.
    share : ndarray, shape (L,)
        Share of the values at or below each level.
    low, high : ndarray, shape (L,)
        Band in which a perfect posterior's whole curve stays with the stated
        confidence.
    worst_level : float
        Level at which the curve is least likely.
    p_value : float
        Share of perfect posteriors with a point that is less likely still.
    ok : bool
        Whether the whole curve lies in the band.
    """

    n: int
    levels: NDArray[np.float64]
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    worst_level: float
    p_value: float
    ok: bool


def rank_levels(n_draws: int, most: int = 100) -> NDArray[np.float64]:
    """Return levels between the possible values of (rank + 1/2) / (n_draws + 1).

    There the distribution function of uniform ranks equals the level exactly.

    Parameters
    ----------
    n_draws : int
        Draws of each posterior, at least 1.
    most : int
        At most so many steps from 0 to 1.

    Returns
    -------
    ndarray, shape (L,)
        Rising, in (0, 1).
    """
    steps = n_draws + 1
    return np.unique(np.rint(np.linspace(0, steps, min(most, steps) + 1)))[1:-1] / steps


def simultaneous_band(
    levels: ArrayLike, n: int, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the band that holds the whole distribution function of n uniform values.

    Parameters
    ----------
    levels : array_like, shape (L,)
        Where the function is looked at: rising, in (0, 1).
    n : int
        Number of values, at least 1.
    confidence : float
        Share of samples that stay inside at every level.

    Returns
    -------
    low, high : ndarray, shape (L,)
        Shares of the values; the band includes its edges.
    """
    levels = _checked(levels, n)
    tail = _limit(_least_likely(tuple(levels), n), confidence) / 2
    low, high = stats.binom.ppf(tail, n, levels), stats.binom.isf(tail, n, levels)
    return low / n, high / n


def check_band(
    uniform: ArrayLike,
    levels: ArrayLike,
    confidence: float = 0.95,
    group: ArrayLike | None = None,
) -> BandCheck:
    """Compare a whole distribution function with a perfect posterior's.

    Sharper than `coverage.check_uniform` near 0 and 1, where ranks of over-confident
    posteriors pile up and the Kolmogorov-Smirnov distance hardly sees them.

    Parameters
    ----------
    uniform : array_like, shape (N,)
        Values in [0, 1] that a perfect posterior makes uniform: of `coverage.pit` (one
        parameter), `coverage.hpd_levels` or `tarp.tarp_fractions`.
    levels : array_like, shape (L,)
        Where to look; `rank_levels` for values that come from ranks among draws.
    confidence : float
        Share of perfect posteriors that pass.
    group : array_like of int, shape (N,), optional
        Name of each object's group. The band is then so many standard deviations wide
        at every level, each at least that of independent objects.
    """
    uniform = as_probabilities("uniform", uniform)
    if uniform.ndim != 1 or not len(uniform):
        raise ValueError(
            f"uniform must be (N,), N at least 1; received shape {uniform.shape}"
        )
    n = len(uniform)
    levels = _checked(levels, n)
    share = cumulative(uniform, levels)
    if group is not None:
        strayed = resampled_deviations(uniform, levels, group, _SIMULATIONS)
        return _check_in_groups(levels, share, n, strayed, confidence)
    low, high = simultaneous_band(levels, n, confidence)
    chance = _chance(np.rint(share * n), n, levels)
    least = _least_likely(tuple(levels), n)
    less = np.searchsorted(least, chance.min(), side="right")
    return BandCheck(
        n=n,
        levels=levels,
        share=share,
        low=low,
        high=high,
        worst_level=float(levels[np.argmin(chance)]),
        p_value=float((1 + less) / (1 + len(least))),
        ok=bool(chance.min() >= _limit(least, confidence)),
    )


def _check_in_groups(
    levels: NDArray[np.float64],
    share: NDArray[np.float64],
    n: int,
    strayed: NDArray[np.float64],
    confidence: float,
) -> BandCheck:
    sigma = np.maximum(strayed.std(axis=0), coverage_noise(n, levels))
    furthest = np.sort(np.max(np.abs(strayed) / sigma, axis=1))
    limit = furthest[int(confidence * len(furthest))]
    distance = np.abs(share - levels) / sigma
    more = len(furthest) - np.searchsorted(furthest, distance.max(), side="left")
    return BandCheck(
        n=n,
        levels=levels,
        share=share,
        low=np.maximum(levels - limit * sigma, 0),
        high=np.minimum(levels + limit * sigma, 1),
        worst_level=float(levels[np.argmax(distance)]),
        p_value=float((1 + more) / (1 + len(furthest))),
        ok=bool(distance.max() <= limit),
    )


def _checked(levels: ArrayLike, n: int) -> NDArray[np.float64]:
    levels = as_finite("levels", levels, 1).astype(np.float64)
    inside = len(levels) and levels[0] > 0 and levels[-1] < 1
    if not inside or np.any(np.diff(levels) <= 0) or n < 1:
        raise ValueError(
            "a band needs at least one value and levels that rise inside (0, 1); "
            f"received n {n} and levels {levels}"
        )
    return levels


def _chance(
    count: NDArray[np.float64], n: int, level: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return twice the binomial chance of a count or one further out on its side."""
    below = special.bdtr(count, n, level)
    above = special.bdtrc(count - 1, n, level)
    return 2 * np.minimum(below, above)


def _limit(least: NDArray[np.float64], confidence: float) -> float:
    """Return the chance above which every point of so many simulated curves lies."""
    return float(least[int((1 - confidence) * len(least))])


@lru_cache(maxsize=32)
def _least_likely(levels: tuple[float, ...], n: int) -> NDArray[np.float64]:
    """Return the chance of the least likely point of each simulated curve, rising."""
    edges = np.array([0.0, *levels, 1.0])
    rng = np.random.default_rng(0)
    counts = rng.multinomial(n, np.diff(edges), _SIMULATIONS).cumsum(axis=1)[:, :-1]
    # few pairs of level and count are different
    pairs = np.arange(len(levels)) * (n + 1) + counts
    found, where = np.unique(pairs, return_inverse=True)
    level, count = np.divmod(found, n + 1)
    chance = _chance(count.astype(np.float64), n, edges[1:-1][level])
    return np.sort(chance[where.reshape(pairs.shape)].min(axis=1))
