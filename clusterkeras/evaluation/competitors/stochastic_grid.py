"""The classical method: a posterior from a grid of stochastic models.

Clusters drawn from the prior, star by star, are rendered and measured in the same
apertures as the image; each counts by the likelihood of its fluxes, and a kernel
density estimate turns what is left into a posterior. So do `cluster_slug` (Krumholz et
al. 2015, MNRAS 452, 1447) and de Meulenaer et al. (2013, A&A 550, A20). Aperture
correction and concentration index need no step of their own: the models' light in
rings of 0 to 1, 1 to 3, 3 to 6 and 6 to 16 px holds both, with their scatter.

The kernels are an object's own: they have the covariance of the models that are near
it in what is observed, of fluxes and parameters together (see `kernel.estimate`). One
kernel for all, as `cluster_slug` has it, needs many more models for the same.

It knows what a network that is trained on the same mock set knows: the prior, the noise
and crowding of the training split, and on the validation split it chooses its kernels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from tqdm import tqdm

from clusterkeras.evaluation.competitors import kernel
from clusterkeras.evaluation.competitors.ring_photometry import (
    Measured,
    draw_models,
    error_correlation,
    measure_rings,
)
from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.priors import Priors
from data_tools.records.finished_set import read_set
from data_tools.schema import PARAMETER_NAMES

#: Degrees of freedom of the likelihood, a Student t: stars in the aperture make the
#: errors' tails longer than a Gaussian's. On 42,000 models 5 is 0.13 nat better.
TAILS = 5.0

#: Kernels to choose among, see `Kernels`.
_MAGNITUDES = (0.1, 0.2, 0.4)
_NEIGHBOURS = (25, 50, 100, 200)
_SMOOTHINGS = (0.5, 0.7, 1.0, 1.4)
_FLOORS = (0.015, 0.03)

#: Models less likely than the best by more than this, in nats, do not count.
_MOST_NATS = 15.0
#: Models that are looked at for how far neighbours reach.
_NEAREST = 4000
#: Squared distances within which they are sought, one after the other.
_REACHES = (150.0, 2000.0, np.inf)
#: Most by which a kernel in flux is widened, as a factor of its variance.
_WIDEST = 1e6


@dataclass(frozen=True)
class Kernels:
    """Settings of the kernels.

    Attributes
    ----------
    magnitude : float
        Scatter in mag of each flux within which models are near an object, beside the
        noise.
    neighbours : float
        Effective number of models that must be near; where they are fewer, what is
        near is taken wider.
    smoothing, floor, prior_share : float
        See `kernel.estimate`.
    """

    magnitude: float
    neighbours: float
    smoothing: float
    floor: float
    prior_share: float


class StochasticGrid:
    """Weigh models by the likelihood of an object's fluxes.

    The likelihood is a Student t of `TAILS` degrees of freedom in flux, where noise is
    symmetric and an object may be fainter than nothing. Its covariance is that of the
    errors, plus that of the models near the object, times a factor: without it no model
    of a grid would be near a bright cluster.

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
        Settings.
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
        # in the order of their light, so that a few of many are looked at
        light = flux.sum(axis=1, dtype=float)
        order = np.argsort(light, kind="stable")
        self._light = light[order]
        self.parameters = parameters[order]
        self.flux = flux[order].astype(np.float32)
        self.correlation = correlation
        self.low, self.high = low, high
        self.kernels = kernels

    def near(
        self,
        flux: NDArray[np.float64],
        error: NDArray[np.float64],
        magnitude: float,
        neighbours: float,
        rng: np.random.Generator,
    ) -> kernel.Neighbours:
        """Return the models that are near an object.

        Parameters
        ----------
        flux, error : ndarray (D,)
            As in `Measured`.
        magnitude, neighbours : float
            See `Kernels`.
        rng : numpy.random.Generator
            Source of randomness where they are thinned.
        """
        noise = self.correlation * np.outer(error, error)
        return self._weighed(
            *self._distances(flux, noise, magnitude), flux, noise, neighbours, rng
        )

    def _distances(
        self, flux: NDArray[np.float64], noise: NDArray[np.float64], magnitude: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return models (rows) and their squared distances, of all that may be near."""
        relative = 0.4 * np.log(10) * magnitude * np.maximum(flux, 0)
        covariance = noise + np.diag(relative**2)
        whiten = np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float32)
        scale = np.sqrt(covariance.sum())
        nearest = min(_NEAREST, len(self.flux))
        for reach in _REACHES:
            # a model is at least as far away as its total light is
            far = np.sqrt(reach) * scale
            a, b = np.searchsorted(self._light, flux.sum() + np.array([-far, far]))
            if b - a < nearest:
                continue
            residual = self.flux[a:b] @ whiten.T - whiten @ flux.astype(np.float32)
            chi2 = np.einsum("md,md->m", residual, residual).astype(float)
            if np.partition(chi2, nearest - 1)[nearest - 1] <= reach:
                break
        return np.arange(a, b), chi2

    def _weighed(
        self,
        rows: NDArray[np.int64],
        chi2: NDArray[np.float64],
        flux: NDArray[np.float64],
        noise: NDArray[np.float64],
        neighbours: float,
        rng: np.random.Generator,
    ) -> kernel.Neighbours:
        """Return models as neighbours, so wide that they are as many as is wanted."""
        wide = _widened(chi2, len(flux), neighbours)
        log_weight = _log_weight(chi2 / wide, len(flux))
        kept = np.flatnonzero(log_weight > -_MOST_NATS)
        weights = np.exp(log_weight[kept])
        weights /= weights.sum()
        some, thinned = kernel.thinned(weights, rng)
        rows = rows[kept[some]]
        return kernel.Neighbours(
            kernel.on_line(self.parameters[rows], self.low, self.high),
            self.flux[rows].astype(float) - flux,
            thinned,
            thinned / weights[some],
            noise,
        )

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
        return kernel.estimate(
            self.near(flux, error, k.magnitude, k.neighbours, rng),
            k.smoothing,
            k.floor,
            TAILS,
            k.prior_share,
            self.low,
            self.high,
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


def _log_weight(chi2: NDArray[np.float64], dimensions: int) -> NDArray[np.float64]:
    """Return the log of a Student t, that of the nearest 0."""
    log_weight = -0.5 * (TAILS + dimensions) * np.log1p(chi2 / TAILS)
    return log_weight - log_weight.max()


def _widened(chi2: NDArray[np.float64], dimensions: int, neighbours: float) -> float:
    """Return the factor of the variance with which so many models are near, least 1."""
    nearest = min(_NEAREST, len(chi2))
    chi2 = np.partition(chi2, nearest - 1)[:nearest]

    def more(log_factor: float) -> float:
        weights = np.exp(_log_weight(chi2 / np.exp(log_factor), dimensions))
        return weights.sum() ** 2 / np.sum(weights**2) - neighbours

    if more(0.0) >= 0:
        return 1.0
    if more(np.log(_WIDEST)) <= 0:
        return _WIDEST
    return float(np.exp(brentq(more, 0.0, np.log(_WIDEST), xtol=0.01)))


def choose_kernels(grid: StochasticGrid, objects: Measured, limit: int) -> Kernels:
    """Choose the kernels that give the truth of some objects the highest probability.

    Parameters
    ----------
    grid : StochasticGrid
        The models; its own kernels do not matter.
    objects : Measured
        Objects whose truth is known, neither models nor tested.
    limit : int
        Number of objects, evenly from all: neighbours share their field.
    """
    n = min(limit, len(objects.flux))
    objects = objects.select(np.linspace(0, len(objects.flux) - 1, n).astype(int))
    nears = list(itertools.product(_MAGNITUDES, _NEIGHBOURS))
    shapes = list(itertools.product(_SMOOTHINGS, _FLOORS))
    low, high = grid.low, grid.high
    log_prob = np.empty((len(nears), len(shapes), n))
    for i in tqdm(range(n), "choice of kernels"):
        truth = np.clip(objects.truth["truth"][i : i + 1], low, high)
        flux, error = objects.flux[i], objects.error[i]
        noise = grid.correlation * np.outer(error, error)
        distances = {m: grid._distances(flux, noise, m) for m in _MAGNITUDES}
        for m, (magnitude, neighbours) in enumerate(nears):
            rng = np.random.default_rng(i)
            near = grid._weighed(*distances[magnitude], flux, noise, neighbours, rng)
            for s, shape in enumerate(shapes):
                posterior = kernel.estimate(near, *shape, TAILS, 0.0, low, high)
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
            best = (found.fun, Kernels(*nears[m], *shapes[s], float(found.x)))
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
    models = []
    if n_models:
        priors = Priors(**info.configuration["priors"])
        models.append(draw_models(info.target, priors, n_models, seed))
    return grid_of(mocks, held_out, models, info.target.box, n_choose)


def grid_of(
    mocks: Measured,
    held_out: Measured,
    models: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]],
    box: Mapping[str, tuple[float, float]],
    n_choose: int = 500,
) -> StochasticGrid:
    """Make the grid of clusters that are measured, and of more models.

    Parameters
    ----------
    mocks : Measured
        What is known of the errors of fluxes, and models as well.
    held_out : Measured
        Clusters on which the kernels are chosen.
    models : iterable of (parameters, flux)
        As `draw_models` returns them.
    box : mapping of str to (float, float)
        Least and largest of each parameter.
    n_choose : int
        Clusters on which the kernels are chosen, of those held out.
    """
    parts = [(mocks.truth["truth"], mocks.noise_free), *models]
    parameters, flux = (
        np.concatenate([np.float32(part) for part in column])
        for column in zip(*parts, strict=True)
    )
    low, high = np.transpose([box[name] for name in PARAMETER_NAMES])
    parameters = np.clip(parameters, low, high)
    start = Kernels(0.3, 50, 1.0, 0.06, 0.03)
    args = (parameters, flux, error_correlation(mocks), low, high)
    grid = StochasticGrid(*args, start)
    grid.kernels = choose_kernels(grid, held_out, n_choose)
    return grid
