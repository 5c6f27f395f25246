"""The classical method: a posterior from a grid of stochastic models.

Clusters drawn from the prior, star by star, are rendered and measured in the same
apertures as the image; each counts by the likelihood of its fluxes, and a kernel
density estimate turns what is left into a posterior. So do `cluster_slug` (Krumholz et
al. 2015, MNRAS 452, 1447) and de Meulenaer et al. (2013, A&A 550, A20). Aperture
correction and concentration index need no step of their own: the models' light in
rings of 0 to 1, 1 to 3, 3 to 6 and 6 to 16 px holds both, with their scatter.

It knows what a network that is trained on the same mock set knows: the prior, the noise
and crowding of the training split, and on the validation split it chooses its kernels.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from tqdm import tqdm

from clusterkeras.evaluation.competitors import kernel
from clusterkeras.evaluation.competitors.ring_photometry import (
    Measured,
    draw_models,
    error_correlation,
    measure_rings,
)
from clusterkeras.evaluation.summary import Predictions
from data_tools.priors import Priors
from data_tools.records.finished_set import read_set
from data_tools.schema import PARAMETER_NAMES

#: Degrees of freedom of the likelihood, a Student t: stars in the aperture make the
#: errors' tails longer than a Gaussian's. On 42,000 models 5 is 0.13 nat better.
TAILS = 5.0

#: Kernels to choose among: of the fluxes in mag, and of the density, see
#: `kernel.estimate`.
_MAGNITUDES = (0.05, 0.1, 0.2, 0.3, 0.45, 0.7)
_SMOOTHINGS = (0.4, 0.6, 0.8, 1.1, 1.5)
_FLOORS = (0.03, 0.06, 0.12)

#: Models less likely than the best by more than this, in nats, do not count.
_MOST_NATS = 15.0


@dataclass(frozen=True)
class Kernels:
    """Widths of the kernels; see `StochasticGrid` and `kernel.estimate`."""

    magnitude: float
    smoothing: float
    floor: float
    prior_share: float


class StochasticGrid:
    """Weigh models by the likelihood of an object's fluxes.

    The likelihood is a Student t of `TAILS` degrees of freedom in flux, where noise is
    symmetric and an object may be fainter than nothing. Its covariance is that of the
    errors, plus a kernel of a constant share of each flux, without which no model of
    a grid would be near a bright cluster.

    Parameters
    ----------
    parameters : ndarray (M, P)
        Parameters of the models, drawn from the flat prior in the box.
    flux : ndarray (M, D)
        Fluxes of the models, without noise.
    correlation : ndarray (D, D)
        Covariance of fluxes in units of their stated errors, see
        `error_correlation`.
    low, high : ndarray (P,)
        Edges of the box.
    kernels : Kernels
        Widths of the kernels.
    """

    def __init__(
        self,
        parameters: NDArray[np.floating],
        flux: NDArray[np.floating],
        correlation: NDArray[np.float64],
        low: NDArray[np.float64],
        high: NDArray[np.float64],
        kernels: Kernels,
    ) -> None:
        if len(parameters) != len(flux) or flux.shape[1:] != correlation.shape[1:]:
            raise ValueError(
                "models: expected parameters (M, P), flux (M, D) and correlation (D, "
                f"D); received {parameters.shape}, {flux.shape}, {correlation.shape}"
            )
        self.parameters = parameters
        self.flux = flux.astype(np.float32)
        self.correlation = correlation
        self.low, self.high = low, high
        self.kernels = kernels

    def weigh(
        self, flux: NDArray[np.float64], error: NDArray[np.float64], magnitude: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the models (rows) that an object's fluxes (D,) allow, and weights."""
        relative = 0.4 * np.log(10) * magnitude * np.maximum(flux, 0)
        covariance = self.correlation * np.outer(error, error) + np.diag(relative**2)
        whiten = np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float32)
        residual = self.flux @ whiten.T - whiten @ flux.astype(np.float32)
        chi2 = np.einsum("md,md->m", residual, residual).astype(float)
        log_weight = -0.5 * (TAILS + len(flux)) * np.log1p(chi2 / TAILS)
        log_weight -= log_weight.max()
        rows = np.flatnonzero(log_weight > -_MOST_NATS)
        return rows, np.exp(log_weight[rows])

    def posterior(
        self,
        flux: NDArray[np.float64],
        error: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> kernel.KernelPosterior:
        """Return the posterior of an object.

        Parameters
        ----------
        flux, error : ndarray (D,)
            As in `Measured`.
        rng : numpy.random.Generator
            Source of randomness where the models are thinned.
        """
        k = self.kernels
        rows, weights = self.weigh(flux, error, k.magnitude)
        return kernel.estimate(
            self.parameters[rows],
            weights,
            k.smoothing,
            k.floor,
            k.prior_share,
            self.low,
            self.high,
            rng,
        )

    def predict(self, objects: Measured, draws: int) -> Predictions:
        """Return the posterior of each object at the truth and at its own draws.

        Draws are seeded by the record's ``mock_id``.
        """
        n, dimensions = objects.truth["truth"].shape
        log_prob = np.empty((n, 1 + draws))
        drawn = np.empty((n, draws, dimensions), np.float32)
        for i in tqdm(range(n), "stochastic grid"):
            rng = np.random.default_rng(int(objects.truth["mock_id"][i]))
            posterior = self.posterior(objects.flux[i], objects.error[i], rng)
            drawn[i] = np.clip(posterior.draw(draws, rng), self.low, self.high)
            at = np.concatenate([objects.truth["truth"][i : i + 1], drawn[i]])
            log_prob[i] = posterior.log_prob(np.clip(at, self.low, self.high))
        return Predictions.of_posterior(
            objects.truth, log_prob[:, 0], drawn, log_prob[:, 1:]
        )


def choose_kernels(grid: StochasticGrid, objects: Measured, limit: int) -> Kernels:
    """Choose the kernels that give the truth of some objects the highest probability.

    Parameters
    ----------
    grid : StochasticGrid
        The models; its own kernels do not matter.
    objects : Measured
        Objects whose truth is known, neither models nor tested.
    limit : int
        Number of objects, the first of them.
    """
    n = min(limit, len(objects.flux))
    shapes = list(itertools.product(_SMOOTHINGS, _FLOORS))
    low, high = grid.low, grid.high
    log_prob = np.empty((len(_MAGNITUDES), len(shapes), n))
    for i in tqdm(range(n), "choice of kernels"):
        truth = np.clip(objects.truth["truth"][i : i + 1], low, high)
        for m, magnitude in enumerate(_MAGNITUDES):
            rows, weights = grid.weigh(objects.flux[i], objects.error[i], magnitude)
            for s, shape in enumerate(shapes):
                rng = np.random.default_rng(i)
                posterior = kernel.estimate(
                    grid.parameters[rows], weights, *shape, 0.0, low, high, rng
                )
                log_prob[m, s, i] = posterior.log_prob(truth)[0]
    log_prior = -np.log(high - low).sum()

    def loss(share: float, of: NDArray[np.float64]) -> float:
        return -np.logaddexp(np.log1p(-share) + of, np.log(share) + log_prior).mean()

    best: tuple[float, Kernels] | None = None
    for m, s in np.ndindex(log_prob.shape[:2]):
        found = minimize_scalar(
            loss, bounds=(1e-4, 0.5), args=(log_prob[m, s],), method="bounded"
        )
        if best is None or found.fun < best[0]:
            best = (found.fun, Kernels(_MAGNITUDES[m], *shapes[s], float(found.x)))
    return best[1]


def fit_grid(
    data: str | Path,
    n_models: int = 0,
    limit: int | None = None,
    n_choose: int = 500,
    seed: int = 0,
) -> StochasticGrid:
    """Make the grid of a mock set: the clusters of its training split, and more.

    Parameters
    ----------
    data : str or Path
        The mock set.
    n_models : int
        Models drawn from the set's target and priors beside its own clusters.
    limit : int, optional
        Only the first so many records of the training split.
    n_choose : int
        Clusters of the validation split on which the kernels are chosen.
    seed : int
        Seed of the models that are drawn.

    Raises
    ------
    ValueError
        If the training split has too few clusters to know the errors of their fluxes,
        the validation split none, or cutouts are too small for the apertures.
    """
    info = read_set(data)
    mocks = measure_rings(data, "train", limit)
    held_out = measure_rings(data, "validation")
    least = mocks.flux.shape[1] + 1
    if len(mocks.flux) < least or not len(held_out.flux):
        raise ValueError(
            f"{data}: expected {least} clusters or more in the split train and one in "
            f"validation; received {len(mocks.flux)} and {len(held_out.flux)}"
        )
    parameters, flux = mocks.truth["truth"].astype(float), mocks.noise_free
    if n_models:
        priors = Priors(**info.configuration["priors"])
        more, more_flux = draw_models(info.target, priors, n_models, seed)
        parameters = np.concatenate([parameters, more])
        flux = np.concatenate([flux, more_flux])
    low, high = np.transpose([info.target.box[name] for name in PARAMETER_NAMES])
    parameters = np.clip(parameters, low, high)
    start = Kernels(0.2, 0.8, 0.06, 0.03)
    args = (parameters, flux, error_correlation(mocks), low, high)
    kernels = choose_kernels(StochasticGrid(*args, start), held_out, n_choose)
    return StochasticGrid(*args, kernels)
