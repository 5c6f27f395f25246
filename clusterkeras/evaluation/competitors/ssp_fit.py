"""The surveys' method: deterministic populations fitted to aperture photometry.

One aperture of fixed radius, brought to the light within 16 px by the average cluster's
correction, or by that of clusters of the same concentration index (the magnitude within
1 px less that within 3 px); then chi2 over age and A_V of populations whose stars are
always there in their expected numbers, and the mass by which they are scaled. So
LEGUS does it (Adamo et al. 2017, ApJ 841, 131), and says the best values and what has
a chi2 of at most 1 more; PHANGS (Turner et al. 2021, MNRAS 502, 1366) takes
exp(-chi2 / 2) as likelihood under flat priors. Both ways are here.

The published fits have more bands, and no size: it is the concentration index's here.
Aperture, correction, the scatter that is added to the photometry's errors, since no
cluster is a deterministic population, and the prior's share are chosen on the
validation split, and the populations are those whose stars the mocks' are: settings
better than a survey's own can be.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import truncnorm
from tqdm import tqdm

from clusterkeras.evaluation.competitors.ring_photometry import Measured
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.network.layers.photometry import RADII_PX
from data_tools.schema import PARAMETER_NAMES
from data_tools.stars.population import population_of
from data_tools.target import Target

#: Cells of the grid in log age, A_V and log mass, at most so wide.
STEPS = (0.05, 0.1, 0.05)

#: Rings of the aperture, and scatter in mag, to choose among.
_RINGS = (2, 3)
_FLOORS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
#: Bins of the concentration index, of as many clusters each.
_BINS = 12
#: log10 S/N of the clusters from which corrections and sizes are learnt.
_LEAST_SNR = 1.0
#: Least standard deviation of a quantity, in its cells: what a grid can tell.
_LEAST_CELLS = 0.5


@dataclass(frozen=True)
class Populations:
    """Light of deterministic populations, at the middles of a grid's cells.

    Attributes
    ----------
    log_age : ndarray (A,)
        log10 yr.
    a_v : ndarray (V,)
        In mag.
    flux : ndarray (A, V, bands)
        In nJy of one Msun.
    """

    log_age: NDArray[np.float64]
    a_v: NDArray[np.float64]
    flux: NDArray[np.float64]

    @classmethod
    def of(cls, target: Target) -> Populations:
        """Return those of a target's distance, metallicity and extinction law."""
        ages, a_vs = (
            cells(*target.box[name], step)
            for name, step in zip(("log_age", "a_v"), STEPS[:2], strict=True)
        )
        every = (population_of(target, age) for age in ages)
        flux = [[found.mean_flux(a_v) for a_v in a_vs] for found in every]
        return cls(ages, a_vs, np.array(flux))


def cells(low: float, high: float, step: float) -> NDArray[np.float64]:
    """Return the middles of equal cells from low to high, at most `step` wide."""
    n = int(np.ceil((high - low) / step - 1e-9))
    return low + (high - low) / n * (np.arange(n) + 0.5)


@dataclass(frozen=True)
class Settings:
    """How populations are fitted.

    Attributes
    ----------
    rings : int
        Rings that make up the aperture.
    by_index : bool
        Whether the aperture correction goes by the concentration index, or is one.
    floor : float
        Scatter in mag that is added to each band's error.
    prior_share : float
        Share of the prior that is mixed in.
    """

    rings: int
    by_index: bool
    floor: float
    prior_share: float


class _OfIndex:
    """Medians and scatter of quantities by concentration index.

    Parameters
    ----------
    index : ndarray (N,)
        NaN is left out.
    values : ndarray (N, K)
        Quantities.
    """

    def __init__(self, index: NDArray, values: NDArray) -> None:
        known = np.isfinite(index)
        index, values = index[known], values[known]
        parts = np.array_split(np.argsort(index), min(_BINS, max(1, len(index) // 8)))
        self.index = np.array([np.median(index[part]) for part in parts])
        low, self.median, high = (
            np.array([np.quantile(values[part], q, axis=0) for part in parts])
            for q in (0.16, 0.5, 0.84)
        )
        self.scatter = 0.5 * (high - low)

    def at(self, index: NDArray) -> tuple[NDArray, NDArray]:
        """Return medians and scatter (N, K) where the index is (N,)."""
        return tuple(
            np.stack([np.interp(index, self.index, column) for column in of.T], axis=1)
            for of in (self.median, self.scatter)
        )


def concentration(flux: NDArray[np.float64], bands: int) -> NDArray[np.float64]:
    """Return magnitude within 1 px less that within 3 px, NaN without light.

    Parameters
    ----------
    flux : ndarray (N, rings * bands)
        As `Measured.flux`.
    bands : int
        Number of bands; the one in the middle is taken.
    """
    band = flux.reshape(len(flux), -1, bands)[..., bands // 2]
    inner, both = band[:, 0], band[:, :2].sum(axis=1)
    known = (inner > 0) & (both > 0)
    ratio = np.divide(inner, both, out=np.ones_like(inner), where=known)
    return np.where(known, -2.5 * np.log10(ratio), np.nan)


class SspFit:
    """Fit deterministic populations.

    Parameters
    ----------
    populations : Populations
        What is fitted.
    mocks : Measured
        Clusters from which aperture corrections and sizes are learnt.
    box : dict of str to (float, float)
        Least and largest of each parameter.
    settings : Settings
        How.
    best_only : bool
        Whether to take the best value and what has a chi2 of at most 1 more as
        independent normal posteriors (LEGUS), or exp(-chi2 / 2) as likelihood (PHANGS).
    """

    def __init__(
        self,
        populations: Populations,
        mocks: Measured,
        box: dict[str, tuple[float, float]],
        settings: Settings,
        best_only: bool = False,
    ) -> None:
        self.populations, self.settings = populations, settings
        self.best_only = best_only
        self.low, self.high = np.transpose([box[name] for name in PARAMETER_NAMES])
        mass = PARAMETER_NAMES.index("log_mass")
        self.log_mass = cells(self.low[mass], self.high[mass], STEPS[2])
        self.axes = (populations.log_age, populations.a_v, self.log_mass)
        self.widths = np.array([axis[1] - axis[0] for axis in self.axes])
        self._bands = populations.flux.shape[-1]
        seen = mocks.select(mocks.truth["log_snr"] > _LEAST_SNR)
        index = concentration(seen.flux, self._bands)
        self._learnt = {}
        for rings in _RINGS:
            alone = self._by_ring(seen.noise_free)
            factor = np.log10(alone.sum(axis=1) / alone[:, :rings].sum(axis=1))
            self._learnt[rings] = np.median(factor, axis=0), _OfIndex(index, factor)
        size = seen.truth["truth"][:, PARAMETER_NAMES.index("log_half_light_radius")]
        self._size = _OfIndex(index, size[:, None])

    def _by_ring(self, flux: NDArray) -> NDArray:
        return flux.reshape(len(flux), len(RADII_PX), self._bands)

    def photometry(self, objects: Measured) -> tuple[NDArray, NDArray]:
        """Return corrected fluxes (N, bands) in nJy and their errors."""
        k = self.settings
        flux = self._by_ring(objects.flux)[:, : k.rings].sum(axis=1)
        error = np.sqrt(self._by_ring(objects.error**2)[:, : k.rings].sum(axis=1))
        average, by_index = self._learnt[k.rings]
        factor = np.broadcast_to(average, flux.shape)
        if k.by_index:
            index = concentration(objects.flux, self._bands)
            known = np.isfinite(index)[:, None]
            factor = np.where(known, by_index.at(np.nan_to_num(index))[0], factor)
        flux, error = flux * 10**factor, error * 10**factor
        floor = 0.4 * np.log(10) * k.floor * np.maximum(flux, 0)
        return flux, np.hypot(error, floor)

    def chi2(self, flux: NDArray, error: NDArray) -> NDArray[np.float64]:
        """Return chi2 (A, V, M) of an object's fluxes (bands,) with their errors."""
        model = self.populations.flux / error
        wanted = flux / error
        mass = 10**self.log_mass
        square = (model**2).sum(axis=-1)[..., None] * mass**2
        return square - 2 * (model @ wanted)[..., None] * mass + wanted @ wanted

    def posteriors(self, objects: Measured) -> Iterator[_Posterior]:
        """Yield the posterior of each object."""
        flux, error = self.photometry(objects)
        index = concentration(objects.flux, self._bands)
        middle, scatter = self._size.at(np.nan_to_num(index))
        for i in range(len(flux)):
            chi2 = self.chi2(flux[i], error[i])
            size = None
            if np.isfinite(index[i]):
                size = _normal(middle[i, 0], scatter[i, 0], self.low[3], self.high[3])
            yield _Posterior(self, chi2, size)

    def predict(self, objects: Measured, draws: int) -> Predictions:
        """Return the posterior of each object at the truth and at its own draws.

        Draws are seeded by the record's ``mock_id``.
        """
        n, dimensions = objects.truth["truth"].shape
        log_prob = np.empty((n, 1 + draws))
        drawn = np.empty((n, draws, dimensions), np.float32)
        found = tqdm(self.posteriors(objects), "fit of populations", n)
        for i, posterior in enumerate(found):
            rng = np.random.default_rng(int(objects.truth["mock_id"][i]))
            drawn[i] = np.clip(posterior.draw(draws, rng), self.low, self.high)
            at = np.concatenate([objects.truth["truth"][i : i + 1], drawn[i]])
            log_prob[i] = posterior.log_prob(np.clip(at, self.low, self.high))
        return Predictions.of_posterior(
            objects.truth, log_prob[:, 0], drawn, log_prob[:, 1:]
        )


def _normal(middle: float, scatter: float, low: float, high: float):
    """Return a normal distribution cut at the edges of the box."""
    a, b = (low - middle) / scatter, (high - middle) / scatter
    return truncnorm(a, b, loc=middle, scale=scatter)


class _Posterior:
    """What a fit says of an object.

    Parameters
    ----------
    fit : SspFit
        The fit.
    chi2 : ndarray (A, V, M)
        Of the object.
    size : frozen distribution or None
        Of log half-light radius; the flat prior without.
    """

    def __init__(self, fit: SspFit, chi2: NDArray[np.float64], size) -> None:
        self.fit, self.size = fit, size
        chi2 = chi2 - chi2.min()
        if fit.best_only:
            best = np.unravel_index(np.argmin(chi2), chi2.shape)
            within = np.nonzero(chi2 <= 1)
            self.normals = [
                _normal(
                    axis[at],
                    max(0.5 * np.ptp(axis[some]), _LEAST_CELLS * width),
                    low,
                    high,
                )
                for axis, at, some, width, low, high in zip(
                    fit.axes, best, within, fit.widths, fit.low, fit.high, strict=False
                )
            ]
        else:
            self.weights = np.exp(-0.5 * chi2)
            self.weights /= self.weights.sum()

    def log_prob(self, parameters: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the log density at parameters (m, 4) inside the box: (m,)."""
        fit = self.fit
        share = fit.settings.prior_share
        volume = np.log(fit.high - fit.low)
        at = np.asarray(parameters, float)
        with np.errstate(divide="ignore"):
            if fit.best_only:
                logs = [n.logpdf(x) for n, x in zip(self.normals, at.T, strict=False)]
                own = np.sum(logs, axis=0)
            else:
                steps = (at[:, :3] - fit.low[:3]) / fit.widths
                last = np.array(self.weights.shape) - 1
                which = np.clip(steps.astype(int), 0, last)
                own = np.log(self.weights[tuple(which.T)] / np.prod(fit.widths))
            own += -volume[3] if self.size is None else self.size.logpdf(at[:, 3])
            return np.logaddexp(np.log1p(-share) + own, np.log(share) - volume.sum())

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """Draw (n, 4) parameters inside the box."""
        fit = self.fit
        flat = rng.uniform(fit.low, fit.high, (n, len(fit.low)))
        own = flat.copy()
        if fit.best_only:
            for i, normal in enumerate(self.normals):
                own[:, i] = normal.rvs(n, random_state=rng)
        else:
            until = np.cumsum(self.weights)
            cell = np.searchsorted(until, rng.random(n) * until[-1])
            for i, at in enumerate(np.unravel_index(cell, self.weights.shape)):
                own[:, i] = fit.axes[i][at] + fit.widths[i] * rng.uniform(-0.5, 0.5, n)
        if self.size is not None:
            own[:, 3] = self.size.rvs(n, random_state=rng)
        from_prior = rng.random((n, 1)) < fit.settings.prior_share
        return np.where(from_prior, flat, own)


def fit_populations(
    populations: Populations,
    mocks: Measured,
    held_out: Measured,
    box: dict[str, tuple[float, float]],
    best_only: bool,
    n_choose: int = 500,
) -> SspFit:
    """Return the fit whose settings give held-out truths the highest probability.

    Parameters
    ----------
    populations, mocks, box, best_only
        As for `SspFit`.
    held_out : Measured
        Clusters whose truth is known, neither learnt from nor tested.
    n_choose : int
        How many of them are taken, evenly from all.
    """
    n = min(n_choose, len(held_out.flux))
    some = held_out.select(np.linspace(0, len(held_out.flux) - 1, n).astype(int))
    best: tuple[float, Settings] | None = None
    fit = SspFit(populations, mocks, box, Settings(2, False, 0.1, 0.0), best_only)
    truth = np.clip(some.truth["truth"], fit.low, fit.high)
    log_prior = -np.log(fit.high - fit.low).sum()
    choices = list(itertools.product(_RINGS, (False, True), _FLOORS))
    for choice in tqdm(choices, "choice of settings"):
        fit.settings = Settings(*choice, 0.0)
        log_prob = np.array(
            [
                posterior.log_prob(truth[i : i + 1])[0]
                for i, posterior in enumerate(fit.posteriors(some))
            ]
        )

        def loss(share: float, of: NDArray = log_prob) -> float:
            mixed = np.logaddexp(np.log1p(-share) + of, np.log(share) + log_prior)
            return -mixed.mean()

        found = minimize_scalar(loss, bounds=(1e-4, 0.9), method="bounded")
        if best is None or found.fun < best[0]:
            best = found.fun, Settings(*choice, float(found.x))
    fit.settings = best[1]
    return fit


def describe(settings: Settings) -> str:
    """Return the settings in words."""
    said = dataclasses.asdict(settings)
    how = "concentration index" if said["by_index"] else "average"
    return (
        f"aperture of {RADII_PX[settings.rings - 1]:g} px, correction by {how}, "
        f"{settings.floor:g} mag of scatter, {settings.prior_share:.1%} of the prior"
    )
