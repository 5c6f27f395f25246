"""Calibration of posteriors: coverage of intervals, ranks, highest-density regions.

For a perfect posterior the rank of the truth among its draws is uniform, and so is the
share of draws with a higher density. Every verdict here states what such a posterior
would show by chance for the same number of objects. Where their groups are given, it
is what chance does to objects of a group that err together, as those of one field do
(`clusterkeras.diagnostics.metrics.groups`), and never less than to independent ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clusterkeras.diagnostics.metrics.arrays import (
    as_finite,
    as_probabilities,
    as_truth_and_draws,
)
from clusterkeras.diagnostics.metrics.groups import (
    clustered_error,
    resampled_deviations,
)

LEVELS: tuple[float, ...] = (0.68, 0.95)

#: Where a distribution function is looked at for what groups do to it.
_GRID = np.arange(1, 200) / 200


@dataclass(frozen=True)
class UniformityCheck:
    """How far a sample is from uniform, beside a perfect posterior's own distance.

    Attributes
    ----------
    n : int
        Number of objects.
    max_deviation : float
        Largest distance between the empirical distribution function and the diagonal
        (the Kolmogorov-Smirnov statistic).
    noise : float
        The distance that a perfect posterior stays below with the stated confidence.
    p_value : float
        Share of perfect posteriors that are further away.
    ok : bool
        Whether `max_deviation` is at most `noise`.
    """

    n: int
    max_deviation: float
    noise: float
    p_value: float
    ok: bool


def ranks(truth: ArrayLike, draws: ArrayLike) -> NDArray[np.int64]:
    """Count the draws below the truth, for each object and parameter.

    Uniform on 0 … S for a perfect posterior (Talts et al. 2018, arXiv:1804.06788).

    Parameters
    ----------
    truth : array_like, shape (N, P)
        True parameters.
    draws : array_like, shape (N, S, P)
        Draws of each posterior.

    Returns
    -------
    ndarray of int, shape (N, P)
    """
    truth, draws = as_truth_and_draws(truth, draws)
    return np.count_nonzero(draws < truth[:, None, :], axis=1)


def pit(truth: ArrayLike, draws: ArrayLike) -> NDArray[np.float64]:
    """Return the probability integral transform of the truth, in (0, 1).

    (rank + 1/2) / (S + 1): without the bias of intervals cut at empirical quantiles,
    which cover (S - 1) / (S + 1) of what they say.

    Parameters
    ----------
    truth, draws : array_like, shape (N, P) and (N, S, P)
        As in `ranks`.

    Returns
    -------
    ndarray, shape (N, P)
    """
    return (ranks(truth, draws) + 0.5) / (np.shape(draws)[1] + 1)


def hpd_levels(
    log_prob: ArrayLike, log_prob_draws: ArrayLike, seed: int = 0
) -> NDArray[np.float64]:
    """Return the highest-density region on whose border the truth lies, in (0, 1).

    The share of draws with a density above the truth's: a test of the whole joint,
    since the region has the posterior's own shape, several modes included. Where the
    density is flat, as the prior's is, the truth takes any place among its equals.

    Parameters
    ----------
    log_prob : array_like, shape (N,)
        Log density at the truth; -inf is allowed.
    log_prob_draws : array_like, shape (N, S)
        Log density at draws of the same posterior.
    seed : int
        Seed of the places among equals.

    Returns
    -------
    ndarray, shape (N,)
    """
    log_prob = np.asarray(log_prob)
    log_prob_draws = as_finite("log_prob_draws", log_prob_draws, 2)
    if np.isnan(log_prob).any():
        raise ValueError(
            f"log_prob must not be NaN; received {np.isnan(log_prob).sum()} NaN"
        )
    if log_prob.shape != log_prob_draws.shape[:1]:
        raise ValueError(
            "log_prob must be (N,) for log_prob_draws of (N, S); received "
            f"{log_prob.shape} and {log_prob_draws.shape}"
        )
    above = np.count_nonzero(log_prob_draws > log_prob[:, None], axis=1)
    equal = np.count_nonzero(log_prob_draws == log_prob[:, None], axis=1)
    above += np.random.default_rng(seed).integers(0, equal, endpoint=True)
    return (above + 0.5) / (log_prob_draws.shape[1] + 1)


def central_coverage(
    pit: ArrayLike, levels: Sequence[float] | NDArray[np.float64] = LEVELS
) -> NDArray[np.float64]:
    """Return the share of truths inside the central interval of each level.

    Parameters
    ----------
    pit : array_like, shape (N, ...)
        Probability integral transform of the truth.
    levels : sequence of float, length L
        Nominal coverage, in (0, 1).

    Returns
    -------
    ndarray, shape (L, ...)
        NaN for no objects.
    """
    pit = as_probabilities("pit", pit)
    levels = as_probabilities("levels", levels)
    if not len(pit):
        return np.full((len(levels), *pit.shape[1:]), np.nan)
    return np.stack([np.mean(in_central(pit, level), axis=0) for level in levels])


def in_central(pit: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Return whether each truth lies in the central interval of a level."""
    return 2 * np.abs(np.asarray(pit) - 0.5) <= level


def cumulative(uniform: ArrayLike, levels: ArrayLike) -> NDArray[np.float64]:
    """Return the share of values at or below each level; the diagonal if uniform.

    Parameters
    ----------
    uniform : array_like, shape (N,)
        Values in [0, 1], e.g. of `hpd_levels`.
    levels : array_like, shape (L,)
        In [0, 1].
    """
    uniform = np.sort(as_probabilities("uniform", uniform))
    return np.searchsorted(uniform, levels, side="right") / max(len(uniform), 1)


def coverage_noise(n: int, level: ArrayLike) -> NDArray[np.float64]:
    """Return the standard deviation of the coverage of a perfect posterior.

    sqrt(level (1 - level) / n), the binomial's; NaN for no objects.
    """
    level = as_probabilities("level", level)
    return np.sqrt(level * (1 - level) / n) if n else np.full(level.shape, np.nan)


def coverage_error(
    inside: ArrayLike, level: ArrayLike, group: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the standard error of a coverage: at least a perfect posterior's noise.

    Parameters
    ----------
    inside : array_like of bool, shape (N, ...)
        Whether the truth lies in an object's region.
    level : array_like
        Nominal coverage, broadcast against the shape without N.
    group : array_like of int, shape (N,), optional
        Name of each object's group.
    """
    noise = coverage_noise(len(np.asarray(inside)), level)
    return np.fmax(noise, clustered_error(inside, group))


def coverage_sigmas(
    coverage: ArrayLike, level: ArrayLike, error: ArrayLike
) -> NDArray[np.float64]:
    """Return how unlikely a coverage is for a perfect posterior, as normal sigmas.

    The exact two-sided binomial probability for as many independent objects as have
    this error (Kish 1965, Survey Sampling, section 8.2), turned into the deviation of
    a normal distribution, with the sign of coverage - level; at most 37 in size.

    Parameters
    ----------
    coverage : array_like
        Share of truths inside an interval.
    level : array_like
        Nominal coverage, broadcast against `coverage`.
    error : array_like
        What `coverage_error` or `coverage_noise` gives, broadcast against `coverage`.
    """
    coverage, level, error = np.broadcast_arrays(coverage, level, error)
    n = np.maximum(np.rint(level * (1 - level) / error**2), 1)
    inside = np.rint(coverage * n)
    tail = np.minimum(
        stats.binom.cdf(inside, n, level), stats.binom.sf(inside - 1, n, level)
    )
    sigmas = stats.norm.isf(np.clip(tail, 1e-300, 0.5))
    return np.sign(coverage - level) * sigmas


def check_uniform(
    uniform: ArrayLike, confidence: float = 0.95, group: ArrayLike | None = None
) -> UniformityCheck:
    """Compare values that a perfect posterior makes uniform with the diagonal.

    The noise is the exact quantile of the Kolmogorov-Smirnov distance for N values,
    near 1.36 / sqrt(N) at 95 %; for values that come in steps of 1 / (S + 1) it is a
    little too generous. In groups it is the distance by which the distribution function
    strays where groups are drawn again, if that is more.

    Parameters
    ----------
    uniform : array_like, shape (N,)
        Values in [0, 1] of `pit` (one parameter), `hpd_levels` or
        `tarp.tarp_fractions`.
    confidence : float
        Share of perfect posteriors that pass.
    group : array_like of int, shape (N,), optional
        Name of each object's group.
    """
    uniform = as_probabilities("uniform", uniform)
    if uniform.ndim != 1 or not len(uniform):
        raise ValueError(
            f"uniform must be (N,), N at least 1; received shape {uniform.shape}"
        )
    test = stats.kstest(uniform, "uniform")
    noise = float(stats.kstwo.ppf(confidence, len(uniform)))
    statistic, p_value = float(test.statistic), float(test.pvalue)
    if group is not None:
        strayed = np.abs(resampled_deviations(uniform, _GRID, group)).max(axis=1)
        noise = max(noise, float(np.quantile(strayed, confidence)))
        p_value = max(p_value, float(np.mean(strayed >= statistic)))
    return UniformityCheck(
        n=len(uniform),
        max_deviation=statistic,
        noise=noise,
        p_value=p_value,
        ok=statistic <= noise,
    )
