"""Coverage of the whole joint posterior from its draws alone (TARP).

Lemos, Coogan, Hezaveh & Perreault-Levasseur 2023, ICML (arXiv:2302.03026): around a
random reference point lies a ball that just reaches the truth; for a perfect posterior
the share of draws in that ball is uniform. The expected coverage probability (ECP) of
level alpha is the share of objects whose ball holds less than alpha of the draws.

With references drawn without regard to the image, a posterior that is always the prior
passes too: read it beside the negative log-probability, never alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clusterkeras.diagnostics.metrics.arrays import as_finite, as_truth_and_draws
from clusterkeras.diagnostics.metrics.coverage import check_uniform, cumulative
from clusterkeras.diagnostics.metrics.groups import (
    clustered_error,
    resampled_deviations,
)

#: Standard deviation of `area_to_curve` of one uniform value: sqrt(1/6 - (3/8)^2).
_AREA_SIGMA = np.sqrt(1 / 6 - 9 / 64)


@dataclass(frozen=True)
class TarpCheck:
    """Expected coverage of the joint beside that of a perfect posterior.

    Attributes
    ----------
    n : int
        Number of objects.
    max_deviation, max_deviation_noise : float
        Largest abs(ECP - alpha) and what a perfect posterior stays below with the
        stated confidence.
    area, area_noise : float
        `area_to_curve` (negative: over-confident) and what a perfect posterior's
        absolute value stays below.
    p_value : float
        Share of perfect posteriors with a larger deviation.
    ok : bool
        Whether `max_deviation` is at most its noise.
    """

    n: int
    max_deviation: float
    max_deviation_noise: float
    area: float
    area_noise: float
    p_value: float
    ok: bool


def reference_points(
    n: int, low: ArrayLike, high: ArrayLike, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw reference points evenly in a box.

    Parameters
    ----------
    n : int
        Number of objects.
    low, high : array_like, shape (P,)
        Edges of the box.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray, shape (n, P)
    """
    low = as_finite("low", low, 1)
    high = as_finite("high", high, 1)
    return rng.uniform(low, high, size=(n, len(low)))


def tarp_fractions(
    truth: ArrayLike, draws: ArrayLike, references: ArrayLike, scale: ArrayLike = 1.0
) -> NDArray[np.float64]:
    """Return the share of draws closer to the reference point than the truth.

    Parameters
    ----------
    truth : array_like, shape (N, P)
        True parameters.
    draws : array_like, shape (N, S, P)
        Draws of each posterior.
    references : array_like, shape (N, P)
        One reference point an object, chosen without knowledge of its truth.
    scale : array_like, scalar or shape (P,)
        Unit of the Euclidean distance along each parameter, e.g. the box's width.

    Returns
    -------
    ndarray, shape (N,)
        (number closer + 1/2) / (S + 1), uniform in (0, 1) for a perfect posterior.
    """
    truth, draws = as_truth_and_draws(truth, draws)
    references = as_finite("references", references, 2)
    if references.shape != truth.shape:
        raise ValueError(
            "references must have the shape of truth; received "
            f"{references.shape} and {truth.shape}"
        )
    scale = np.asarray(scale, dtype=np.float64)
    if np.any(scale <= 0):
        raise ValueError(f"scale must be positive; received {scale}")
    radius = np.sum(((truth - references) / scale) ** 2, axis=-1)
    distance = np.sum(((draws - references[:, None, :]) / scale) ** 2, axis=-1)
    closer = np.count_nonzero(distance < radius[:, None], axis=1)
    return (closer + 0.5) / (draws.shape[1] + 1)


def expected_coverage(fractions: ArrayLike, alpha: ArrayLike) -> NDArray[np.float64]:
    """Return the expected coverage probability at each level alpha, shape (L,)."""
    return cumulative(fractions, alpha)


def bootstrap_coverage(
    fractions: ArrayLike,
    alpha: ArrayLike,
    confidence: float = 0.95,
    group: ArrayLike | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the range of the expected coverage if other objects had been drawn.

    Parameters
    ----------
    fractions : array_like, shape (N,)
        What `tarp_fractions` gives.
    alpha : array_like, shape (L,)
        Levels, rising, in [0, 1].
    confidence : float
        Share of the repeated draws inside the range, level by level.
    group : array_like of int, shape (N,), optional
        Name of each object's group; whole groups are drawn again.

    Returns
    -------
    low, high : ndarray, shape (L,)
    """
    strayed = resampled_deviations(fractions, alpha, group)
    tail = (1 - confidence) / 2
    low, high = np.quantile(strayed, [tail, 1 - tail], axis=0)
    curve = expected_coverage(fractions, alpha)
    return np.maximum(curve + low, 0), np.minimum(curve + high, 1)


def area_to_curve(fractions: ArrayLike) -> float:
    """Return the integral of ECP - alpha over alpha in (0.5, 1).

    Negative for an over-confident posterior, positive for one that is too wide.
    """
    fractions = np.asarray(fractions, dtype=np.float64)
    return float(np.minimum(0.5, 1 - fractions).mean() - 3 / 8)


def check_tarp(
    fractions: ArrayLike, confidence: float = 0.95, group: ArrayLike | None = None
) -> TarpCheck:
    """Compare the expected coverage with a perfect posterior's.

    Parameters
    ----------
    fractions : array_like, shape (N,)
        What `tarp_fractions` gives.
    confidence : float
        Share of perfect posteriors that pass.
    group : array_like of int, shape (N,), optional
        Name of each object's group, see `coverage.check_uniform`.
    """
    uniform = check_uniform(fractions, confidence, group)
    sigma = _AREA_SIGMA / np.sqrt(uniform.n)
    if group is not None:
        above = np.minimum(0.5, 1 - np.asarray(fractions))
        sigma = np.fmax(sigma, clustered_error(above, group))
    return TarpCheck(
        n=uniform.n,
        max_deviation=uniform.max_deviation,
        max_deviation_noise=uniform.noise,
        area=area_to_curve(fractions),
        area_noise=float(stats.norm.ppf(0.5 + confidence / 2) * sigma),
        p_value=uniform.p_value,
        ok=uniform.ok,
    )
