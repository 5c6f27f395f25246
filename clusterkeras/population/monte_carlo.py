"""How far a finite number of draws and of injected clusters moves the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clusterkeras.population.likelihood import Likelihood

#: Step of finite differences, in sigmas of the posterior.
_STEP = 0.1


@dataclass(frozen=True)
class MonteCarloError:
    """What other injections and other draws would change, to first order.

    Attributes
    ----------
    of_injected, of_draws : ndarray, shape (U, U)
        Covariance of the posterior's middle by either.
    effective_draws : ndarray, shape (n,)
        As many draws of each row, each of the same weight, tell as much.
    """

    of_injected: NDArray[np.float64]
    of_draws: NDArray[np.float64]
    effective_draws: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """By both together."""
        return self.of_injected + self.of_draws


def monte_carlo_error(
    likelihood: Likelihood,
    middle: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> MonteCarloError:
    """Estimate how far the posterior's middle is off by finite sums.

    The gradient of the log-likelihood is a sum of means over injected clusters and over
    draws; the scatter of their terms is that of the gradient, and the posterior's
    covariance times the gradient is how far its middle moves.

    Parameters
    ----------
    likelihood : Likelihood
        Of the catalogue.
    middle : ndarray, shape (U,)
        Of the posterior, as it is sampled.
    covariance : ndarray, shape (U, U)
        Of the posterior.
    """
    steps = _STEP * np.diag(np.sqrt(np.diag(covariance)))
    points = np.vstack([middle + steps, middle - steps, middle])
    width = 2 * np.diag(steps)
    number = likelihood.number(points)
    unknowns, m = len(middle), likelihood.injected

    def gradient(values: NDArray) -> NDArray:
        up, down = values[..., :unknowns], values[..., unknowns:-1]
        return (up - down) / width

    found = likelihood.ratio_of_injected(points)
    slope = gradient(number * found)
    # those that do not count have none
    scatter = slope.T @ slope / m - np.outer(slope.sum(0), slope.sum(0)) / m**2
    of_injected = covariance @ (scatter / m) @ covariance

    ratio = likelihood.ratio_of_draws(points)
    # relative to each row's largest, which may be tiny
    last = ratio[..., -1].astype(float)
    last /= np.maximum(last.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    effective = last.sum(1) ** 2 / np.maximum((last**2).sum(1), np.finfo(float).tiny)
    # of each draw: what it adds to its row's term, relative to the row's likelihood
    p = likelihood.p_cluster[:, None]
    part = p * number / likelihood.flat_number
    mean = ratio.mean(axis=1)
    row = np.exp(likelihood.log_rows(mean, points)[:, -1])
    slope = np.empty((*ratio.shape[:2], unknowns))
    for i in range(len(row)):
        terms = part[i] * ratio[i] / row[i]
        slope[i] = gradient(terms) - gradient(terms.mean(0)) * terms[:, -1:]
    slope -= slope.mean(axis=1, keepdims=True)
    draws = slope.shape[1]
    scatter = np.einsum("isu,isv->uv", slope, slope, optimize=True) / draws**2
    of_draws = covariance @ scatter @ covariance
    return MonteCarloError(of_injected, of_draws, effective)
