"""A kernel density estimate as joint posterior in the prior's box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri
from scipy.stats import norm

from clusterkeras.network.posteriors.transforms import EDGE

#: Kernels of an estimate; more points than this are thinned to so many of one weight.
MAX_KERNELS = 2000


@dataclass(frozen=True)
class KernelPosterior:
    """Gaussian kernels on the real line, where the flat prior is a standard normal.

    A share of the prior is mixed in, so that no truth is ruled out. All in float64.

    Attributes
    ----------
    centres : ndarray (n, P)
        Where the kernels stand.
    weights : ndarray (n,)
        Their shares; sum 1.
    cholesky : ndarray (P, P)
        Lower Cholesky factor of every kernel's covariance.
    prior_share : float
        Share of the prior, in [0, 1).
    low, high : ndarray (P,)
        Edges of the box.
    """

    centres: NDArray[np.float64]
    weights: NDArray[np.float64]
    cholesky: NDArray[np.float64]
    prior_share: float
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def log_prob(self, parameters: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the log density at parameters (m, P), in their own units: (m,)."""
        share = (np.asarray(parameters, float) - self.low) / (self.high - self.low)
        inside = ((share >= 0) & (share <= 1)).all(axis=1)
        line = ndtri(np.clip(share, EDGE, 1 - EDGE))
        whiten = np.linalg.inv(self.cholesky).T
        points, centres = line @ whiten, self.centres @ whiten
        # squared distances as a matrix product: (m, n)
        distance = (points**2).sum(1)[:, None] - 2 * points @ centres.T
        distance += (centres**2).sum(1)
        log_kernels = logsumexp(-0.5 * distance, axis=1, b=self.weights)
        log_kernels -= np.log(np.diag(self.cholesky)).sum()
        log_kernels -= 0.5 * line.shape[1] * np.log(2 * np.pi)
        log_prior = -np.log(self.high - self.low).sum()
        log_kernels += log_prior - norm.logpdf(line).sum(axis=1)
        with np.errstate(divide="ignore"):
            mixed = np.logaddexp(
                np.log1p(-self.prior_share) + log_kernels,
                np.log(self.prior_share) + log_prior,
            )
        return np.where(inside, mixed, -np.inf)

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw (n, P) parameters in their own units, inside the box."""
        dimensions = len(self.low)
        line = self.centres[rng.choice(len(self.weights), n, p=self.weights)]
        line = line + rng.standard_normal((n, dimensions)) @ self.cholesky.T
        share = np.where(
            rng.random((n, 1)) < self.prior_share,
            rng.random((n, dimensions)),
            ndtr(line),
        )
        return self.low + (self.high - self.low) * share


def estimate(
    parameters: NDArray[np.floating],
    weights: NDArray[np.floating],
    smoothing: float,
    floor: float,
    prior_share: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
    rng: np.random.Generator,
) -> KernelPosterior:
    """Estimate a density from weighted points.

    The kernels' covariance is that of the points times ``smoothing^2 N^(-2 / (P +
    4))``, N the effective number of points (Scott 1992, Multivariate Density
    Estimation), plus ``floor^2`` along each axis.

    Parameters
    ----------
    parameters : ndarray (n, P)
        The points, in their own units, inside the box.
    weights : ndarray (n,)
        At least 0, not all 0.
    smoothing : float
        Factor of Scott's rule.
    floor : float
        Least standard deviation of a kernel, where the prior's is 1.
    prior_share : float
        Share of the prior that is mixed in.
    low, high : ndarray (P,)
        Edges of the box.
    rng : numpy.random.Generator
        Source of randomness where points are thinned.
    """
    weights = weights / weights.sum()
    if len(weights) > MAX_KERNELS:
        # evenly spaced steps through the cumulated weights
        steps = (np.arange(MAX_KERNELS) + rng.random()) / MAX_KERNELS
        last = len(weights) - 1
        chosen = np.minimum(np.searchsorted(np.cumsum(weights), steps), last)
        chosen, counts = np.unique(chosen, return_counts=True)
        parameters, weights = parameters[chosen], counts / MAX_KERNELS
    share = (np.asarray(parameters, float) - low) / (high - low)
    line = ndtri(np.clip(share, EDGE, 1 - EDGE))
    dimensions = line.shape[1]
    residual = line - weights @ line
    covariance = (residual * weights[:, None]).T @ residual
    effective = 1 / np.sum(weights**2)
    covariance *= smoothing**2 * effective ** (-2 / (dimensions + 4))
    covariance += floor**2 * np.eye(dimensions)
    cholesky = np.linalg.cholesky(covariance)
    return KernelPosterior(line, weights, cholesky, prior_share, low, high)
