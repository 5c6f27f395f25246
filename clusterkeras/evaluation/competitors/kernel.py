"""A kernel density estimate as joint posterior in the prior's box."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr, ndtri
from scipy.stats import norm

from clusterkeras.network.posteriors.transforms import EDGE

#: Kernels of an estimate; more points than this are thinned to so many.
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


def on_line(
    parameters: NDArray[np.floating],
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Carry parameters (n, P) of the box to where the flat prior is a normal one."""
    share = (np.asarray(parameters, float) - low) / (high - low)
    return ndtri(np.clip(share, EDGE, 1 - EDGE))


def thinned(
    weights: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return `MAX_KERNELS` points or fewer that stand for all, and their weights.

    Evenly spaced steps through the cumulated weights (n,).
    """
    if len(weights) <= MAX_KERNELS:
        return np.arange(len(weights)), weights / weights.sum()
    steps = (np.arange(MAX_KERNELS) + rng.random()) / MAX_KERNELS
    until = np.cumsum(weights)
    rows = np.searchsorted(until, steps * until[-1])
    rows, counts = np.unique(np.minimum(rows, len(weights) - 1), return_counts=True)
    return rows, counts / MAX_KERNELS


@dataclass(frozen=True)
class Neighbours:
    """Models near an object in what is observed of it.

    Attributes
    ----------
    line : ndarray (n, P)
        Their parameters, see `on_line`.
    offset : ndarray (n, D)
        What would be observed of them, less what is of the object.
    weights : ndarray (n,)
        How near they are; sum 1.
    number : ndarray (n,)
        For how many models each of them stands.
    noise : ndarray (D, D)
        Covariance of the observation.
    """

    line: NDArray[np.float64]
    offset: NDArray[np.float64]
    weights: NDArray[np.float64]
    number: NDArray[np.float64]
    noise: NDArray[np.float64]

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Their scatter (D + P, D + P), of observations and parameters together."""
        both = np.hstack([self.offset, self.line])
        both = both - self.weights @ both
        return (both * self.weights[:, None]).T @ both


def estimate(
    near: Neighbours,
    smoothing: float,
    floor: float,
    tails: float,
    prior_share: float,
    low: NDArray[np.float64],
    high: NDArray[np.float64],
) -> KernelPosterior:
    """Estimate the posterior of an object from the models that are near it.

    The density of observations and parameters together is a sum of normal kernels, one
    a model, of the covariance H: that of the neighbours themselves times ``smoothing^2
    N^(-2 / (P + 4))``, N their effective number (Scott 1992, Multivariate Density
    Estimation). Where the object is, each kernel leaves a normal one of the parameters:
    moved by the regression of parameters on observations, which is H's, with what it
    leaves of H as covariance (so the local regression of Beaumont et al. 2002, Genetics
    162, 2025), and weighted by how likely the object's observation is under H and the
    noise together.

    Parameters
    ----------
    near : Neighbours
        The models.
    smoothing : float
        Factor of Scott's rule.
    floor : float
        Least standard deviation of a kernel, where the prior's is 1.
    tails : float
        Degrees of freedom of the Student t by which models are weighted.
    prior_share : float
        Share of the prior that is mixed in.
    low, high : ndarray (P,)
        Edges of the box.
    """
    dimensions, observed = near.line.shape[1], near.offset.shape[1]
    effective = 1 / np.sum(near.weights**2)
    scott = smoothing**2 * effective ** (-2 / (dimensions + 4))
    kernel = scott * near.covariance
    across = kernel[:observed, observed:]
    seen = near.noise + kernel[:observed, :observed]
    slope = np.linalg.solve(seen, across)
    whiten = np.linalg.inv(np.linalg.cholesky(seen))
    chi2 = np.square(near.offset @ whiten.T).sum(axis=1)
    log_weight = -0.5 * (tails + observed) * np.log1p(chi2 / tails)
    weights = near.number * np.exp(log_weight - log_weight.max())
    left = kernel[observed:, observed:] - across.T @ slope
    left += floor**2 * np.eye(dimensions)
    return KernelPosterior(
        near.line - near.offset @ slope,
        weights / weights.sum(),
        np.linalg.cholesky(left),
        prior_share,
        low,
        high,
    )
