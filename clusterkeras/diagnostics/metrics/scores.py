"""Scores of a posterior and of its point estimate against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clusterkeras.diagnostics.metrics.arrays import as_truth_and_draws
from clusterkeras.diagnostics.metrics.groups import clustered_error

#: Standard deviation of a normal distribution over its median absolute deviation.
SIGMA_PER_MAD = 1.4826

#: Pairs of draws up to so many places apart enter the energy score.
_MOST_APART = 8


@dataclass(frozen=True)
class NegativeLogProbability:
    """Negative log-probability of the truth under N posteriors, in nats.

    Attributes
    ----------
    n : int
        Number of posteriors, those in `n_not_finite` included.
    n_not_finite : int
        Posteriors that give the truth no probability (or NaN); they are left out of
        the numbers below, so anything but 0 here is a fault of the model.
    mean : float
        Mean: the log score. Lower is better; the prior's own is `box_log_volume`.
    standard_error : float
        Standard error of the mean, by the scatter of groups where they are given.
    median : float
        Median; far below the mean where a few truths lie far out.
    """

    n: int
    n_not_finite: int
    mean: float
    standard_error: float
    median: float


def negative_log_probability(
    log_prob: ArrayLike, group: ArrayLike | None = None
) -> NegativeLogProbability:
    """Summarise the log-probability of the truth.

    Parameters
    ----------
    log_prob : array_like, shape (N,)
        Natural log of the posterior's density at the truth, in the parameters' units.
    group : array_like of int, shape (N,), optional
        Name of each posterior's group, whose posteriors err together.
    """
    log_prob = np.asarray(log_prob, dtype=np.float64)
    counts = np.isfinite(log_prob)
    loss = -log_prob[counts]
    n = loss.size
    groups = None if group is None else np.asarray(group)[counts]
    return NegativeLogProbability(
        n=log_prob.size,
        n_not_finite=log_prob.size - n,
        mean=float(loss.mean()) if n else np.nan,
        standard_error=float(clustered_error(loss, groups)),
        median=float(np.median(loss)) if n else np.nan,
    )


def box_log_volume(low: ArrayLike, high: ArrayLike) -> float:
    """Return the negative log-probability, in nats, of a flat prior in a box.

    A posterior above this number knows less than nothing.

    Parameters
    ----------
    low, high : array_like, shape (P,)
        Edges of the box.
    """
    width = np.asarray(high, dtype=np.float64) - np.asarray(low, dtype=np.float64)
    if np.any(width <= 0):
        raise ValueError(f"box must have low < high; received widths {width}")
    return float(np.log(width).sum())


def bias(truth: ArrayLike, estimate: ArrayLike) -> NDArray[np.float64]:
    """Return the median of estimate - truth over the first axis (NaN for no rows)."""
    residual = _residual(truth, estimate)
    if not len(residual):
        return np.full(residual.shape[1:], np.nan)
    return np.median(residual, axis=0)


def robust_scatter(truth: ArrayLike, estimate: ArrayLike) -> NDArray[np.float64]:
    """Return 1.4826 MAD of estimate - truth over the first axis (NaN for no rows).

    MAD is the median absolute deviation from the median residual, so the scatter does
    not hold the bias; the factor makes it the standard deviation of normal residuals.
    """
    residual = _residual(truth, estimate)
    if not len(residual):
        return np.full(residual.shape[1:], np.nan)
    return SIGMA_PER_MAD * np.median(
        np.abs(residual - np.median(residual, axis=0)), axis=0
    )


def catastrophic_fraction(
    truth: ArrayLike, estimate: ArrayLike, threshold: ArrayLike
) -> NDArray[np.float64]:
    """Return the share of rows with |estimate - truth| > threshold (NaN for no rows).

    Parameters
    ----------
    truth, estimate : array_like, shape (N,) or (N, P)
        True values and point estimates.
    threshold : array_like, scalar or shape (P,)
        Largest difference that is not a catastrophe, in the parameter's unit.
    """
    residual = _residual(truth, estimate)
    if not len(residual):
        return np.full(residual.shape[1:], np.nan)
    return np.mean(np.abs(residual) > threshold, axis=0)


def crps(truth: ArrayLike, draws: ArrayLike) -> NDArray[np.float64]:
    """Return the continuous ranked probability score of each marginal.

    E|x - truth| - E|x - x'| / 2 with x, x' independent draws of the posterior, in the
    parameter's unit; for a point estimate it is the absolute error. The second mean
    runs over pairs of different draws (the "fair" score of Ferro 2014, Q. J. R.
    Meteorol. Soc. 140, 1917), so the number of draws does not bias it. Lower is better.

    Parameters
    ----------
    truth : array_like, shape (N, P)
        True parameters.
    draws : array_like, shape (N, S, P)
        Draws of each posterior.

    Returns
    -------
    ndarray, shape (N, P)
    """
    truth, draws = as_truth_and_draws(truth, draws)
    n_draws = draws.shape[1]
    # the sum of |x_i - x_j| over all pairs is a weighted sum of the sorted draws
    weight = 2.0 * np.arange(1, n_draws + 1) - n_draws - 1
    spread = np.einsum("nsp,s->np", np.sort(draws, axis=1), weight)
    error = np.abs(draws - truth[:, None, :]).mean(axis=1, dtype=np.float64)
    return error - spread / (n_draws * (n_draws - 1))


def energy_score(
    truth: ArrayLike, draws: ArrayLike, scale: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Return the energy score of each joint posterior, the CRPS in several dimensions.

    E|x - truth| - E|x - x'| / 2 with Euclidean distances (Gneiting & Raftery 2007, JASA
    102, 359, eq. 22); lower is better. It needs draws only, where the log-probability
    needs a density, and says little of correlations. As in `crps`, the second mean runs
    over pairs of different draws; of these, over the pairs up to eight places apart in
    the order of the draws, which must not matter.

    Parameters
    ----------
    truth : array_like, shape (N, P)
        True parameters.
    draws : array_like, shape (N, S, P)
        Draws of each posterior, independent of each other.
    scale : array_like, scalar or shape (P,)
        Unit of the distance along each parameter, e.g. the box's width.

    Returns
    -------
    ndarray, shape (N,)
    """
    truth, draws = as_truth_and_draws(truth, draws)
    scale = np.asarray(scale, dtype=np.float64)
    if np.any(scale <= 0):
        raise ValueError(f"scale must be positive; received {scale}")
    truth, draws = truth / scale, draws / scale
    error = np.linalg.norm(draws - truth[:, None, :], axis=-1).mean(axis=1)
    apart = range(1, max(1, min(_MOST_APART, (draws.shape[1] - 1) // 2)) + 1)
    spread = sum(
        np.linalg.norm(draws - np.roll(draws, k, axis=1), axis=-1).mean(axis=1)
        for k in apart
    )
    return error - spread / (2 * len(apart))


def interval_length(draws: ArrayLike, level: float) -> NDArray[np.float64]:
    """Return the length of each marginal's central interval, in the parameter's unit.

    Parameters
    ----------
    draws : array_like, shape (N, S, P)
        Draws of each posterior.
    level : float
        Share of the posterior inside, between 0 and 1.

    Returns
    -------
    ndarray, shape (N, P)
    """
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return high - low


def _residual(truth: ArrayLike, estimate: ArrayLike) -> NDArray[np.float64]:
    truth = np.asarray(truth, dtype=np.float64)
    estimate = np.asarray(estimate, dtype=np.float64)
    if truth.shape != estimate.shape:
        raise ValueError(
            "truth and estimate must have one shape; received "
            f"{truth.shape} and {estimate.shape}"
        )
    return estimate - truth
