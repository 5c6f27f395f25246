"""Draws of the populations that a catalogue allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import emcee
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

#: Points of the ensemble: four times the unknowns at the most.
_WALKERS = 32
#: Parts of it that are held to each other.
_PARTS = 4
#: Of the steps, this share is left out at the beginning.
_BURN_IN = 0.25
#: Step of finite differences, in widths of the prior.
_STEP = 1e-3
#: The optimiser's first step is one unit long: a twentieth of the prior, not all of it,
#: or it may land where everything is taken for contaminants, and stay there.
_UNITS = 20.0

LogDensity = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Samples:
    """Draws and how good they are.

    Attributes
    ----------
    draws : ndarray, shape (k, U)
        As they are sampled.
    effective : ndarray, shape (U,)
        As many independent draws tell as much of each unknown.
    r_hat : ndarray, shape (U,)
        Split R-hat (Gelman et al. 2013, Bayesian Data Analysis, section 11.4) of four
        parts of the ensemble, early and late: 1 where they agree.
    """

    draws: NDArray[np.float64]
    effective: NDArray[np.float64]
    r_hat: NDArray[np.float64]


def best_fit(
    log_likelihood: LogDensity, bounds: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the likeliest point in a flat prior, and the covariance around it.

    Parameters
    ----------
    log_likelihood : callable
        Of points (k, U); gives (k,).
    bounds : ndarray, shape (U, 2)
        Ends of the prior.

    Returns
    -------
    best : ndarray, shape (U,)
    covariance : ndarray, shape (U, U)
        Of the normal distribution of the same curvature, no wider than the prior.
    """
    low, width = bounds[:, 0], np.ptp(bounds, axis=1)
    steps = _STEP * np.eye(len(low))

    def loss(unit: NDArray) -> tuple[float, NDArray]:
        points = np.vstack([unit, unit + steps, unit - steps])
        value, up, down = np.split(
            -log_likelihood(low + width * points), [1, 1 + len(low)]
        )
        return value[0], (up - down) / (2 * _STEP)

    def scaled(point: NDArray) -> tuple[float, NDArray]:
        value, slope = loss(point / _UNITS)
        return value, slope / _UNITS

    inside = [(2 * _STEP * _UNITS, (1 - 2 * _STEP) * _UNITS)] * len(low)
    middle = np.full(len(low), _UNITS / 2)
    found = minimize(scaled, middle, jac=True, bounds=inside, method="L-BFGS-B")
    best = found.x / _UNITS
    curvature = np.stack(
        [(loss(best + s)[1] - loss(best - s)[1]) / (2 * _STEP) for s in steps]
    )
    # a flat prior has a variance of 1/12
    values, vectors = np.linalg.eigh((curvature + curvature.T) / 2)
    covariance = (vectors / np.maximum(values, 12.0)) @ vectors.T
    return low + width * best, covariance * np.outer(width, width)


def sample(
    log_likelihood: LogDensity,
    bounds: NDArray[np.float64],
    steps: int,
    seed: int,
    progress: bool = False,
) -> Samples:
    """Draw from the posterior in a flat prior, with emcee.

    An ensemble that moves by differences of its points (ter Braak & Vrugt 2008;
    Foreman-Mackey et al. 2013, PASP 125, 306), started about the best fit.

    Parameters
    ----------
    log_likelihood, bounds
        As of `best_fit`.
    steps : int
        Of each point of the ensemble; a quarter is left out.
    seed : int
        The same seed gives the same.
    progress : bool
        Whether to show a progress bar.
    """
    low, high = bounds.T

    def log_posterior(points: NDArray) -> NDArray:
        inside = ((points > low) & (points < high)).all(axis=1)
        found = np.full(len(points), -np.inf)
        if inside.any():
            found[inside] = log_likelihood(points[inside])
        return found

    best, covariance = best_fit(log_likelihood, bounds)
    rng = np.random.default_rng(seed)
    edge = 1e-3 * (high - low)
    first = rng.multivariate_normal(best, covariance, _WALKERS)
    moves = [(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)]
    sampler = emcee.EnsembleSampler(
        *(_WALKERS, len(best), log_posterior), moves=moves, vectorize=True
    )
    sampler.random_state = np.random.RandomState(seed % 2**32).get_state()
    sampler.run_mcmc(
        np.clip(first, low + edge, high - edge),
        steps,
        progress=progress,
        progress_kwargs={"desc": "population"},
    )
    chains = sampler.get_chain(discard=int(_BURN_IN * steps))
    with np.errstate(invalid="ignore"):
        time = emcee.autocorr.integrated_time(chains, tol=0)
    # a point that never moved has none: all its steps are one draw
    time = np.nan_to_num(time, nan=float(len(chains)))
    draws = chains.reshape(-1, len(best))
    return Samples(draws, len(draws) / np.maximum(time, 1), _split_r_hat(chains))


def _split_r_hat(chains: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R-hat (U,) of chains (steps, walkers, U).

    One walker's steps are too few independent ones to be held to another's.
    """
    half, unknowns = len(chains) // 2, chains.shape[2]
    parts = chains[: 2 * half].reshape(2, half, _PARTS, -1, unknowns)
    parts = np.moveaxis(parts, 2, 1).reshape(2 * _PARTS, -1, unknowns)
    n = parts.shape[1]
    within = parts.var(axis=1, ddof=1).mean(axis=0)
    between = parts.mean(axis=1).var(axis=0, ddof=1)
    return np.sqrt((n - 1) / n + between / within)
