"""Stars of a simple stellar population: IMF sampling, photometry, extinction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_tools.isochrones import Isochrone, IsochroneGrid
from data_tools.target import AB_ZERO_NJY, Target

#: Break masses and slopes of the initial mass function, dN/dm ~ m^-alpha (Kroupa
#: 2001, MNRAS 322, 231, equation 2), from the hydrogen-burning limit to 120 Msun.
IMF_BREAKS = np.array([0.08, 0.5, 120.0])
IMF_SLOPES = np.array([1.3, 2.3])


def _segment_integral(low: np.ndarray, high: np.ndarray, power: float) -> np.ndarray:
    """Integrate m^power from low to high (power is not -1 for this IMF)."""
    return (high ** (power + 1) - low ** (power + 1)) / (power + 1)


def _imf_coefficients() -> np.ndarray:
    """Give the factor of each segment: continuous, one Msun formed in all."""
    factors = np.ones(len(IMF_SLOPES))
    for i in range(1, len(IMF_SLOPES)):
        jump = IMF_SLOPES[i] - IMF_SLOPES[i - 1]
        factors[i] = factors[i - 1] * IMF_BREAKS[i] ** jump
    mass = sum(
        f * _segment_integral(IMF_BREAKS[i], IMF_BREAKS[i + 1], 1 - IMF_SLOPES[i])
        for i, f in enumerate(factors)
    )
    return factors / mass


_IMF_FACTORS = _imf_coefficients()


def stars_below(mass: np.ndarray) -> np.ndarray:
    """Give the number of stars lighter than a mass, per Msun of stars formed.

    Parameters
    ----------
    mass : ndarray
        Initial mass in Msun; clipped to the range of the IMF.

    Returns
    -------
    ndarray
        Number per Msun, shape of `mass`.
    """
    mass = np.clip(np.asarray(mass, float), IMF_BREAKS[0], IMF_BREAKS[-1])
    number = np.zeros_like(mass)
    for i, (factor, slope) in enumerate(zip(_IMF_FACTORS, IMF_SLOPES, strict=True)):
        upper = np.clip(mass, IMF_BREAKS[i], IMF_BREAKS[i + 1])
        number += factor * _segment_integral(IMF_BREAKS[i], upper, -slope)
    return number


@lru_cache(maxsize=4)
def _load(
    path: str | None, file_format: str, bands: tuple[str, ...], law: str
) -> IsochroneGrid:
    if path is None:
        return IsochroneGrid.from_tables(bands, law)
    if file_format == "parsec":
        return IsochroneGrid.from_parsec(path, bands, law)
    return IsochroneGrid.from_mist_cmd(path, bands, law)


def isochrones_of(target: Target) -> IsochroneGrid:
    """Give the isochrones a target names, or the shipped ones; loaded once."""
    return _load(
        target.isochrones,
        target.isochrones_format,
        target.band_names,
        target.extinction_law,
    )


@dataclass(frozen=True)
class Population:
    """A simple stellar population as seen at the target, before dust.

    Attributes
    ----------
    number : (n,) ndarray
        Expected stars at each point of the isochrone per Msun of stars formed.
    flux : (n, bands) ndarray
        Flux of one such star in nJy, without extinction.
    extinction : (n, bands) ndarray
        A_band / A_V of such a star.
    """

    number: np.ndarray
    flux: np.ndarray
    extinction: np.ndarray

    @classmethod
    def from_isochrone(
        cls, isochrone: Isochrone, vega_ab: np.ndarray, distance_modulus: float
    ) -> Population:
        """Weigh an isochrone by the IMF and put it at a distance.

        A point stands for the initial masses half-way to its neighbours. Stars beyond
        the last point are remnants and give no light.

        Parameters
        ----------
        isochrone : Isochrone
            Masses in Msun, absolute Vega magnitudes.
        vega_ab : (bands,) array_like
            AB magnitude of Vega in each band.
        distance_modulus : float
            In mag.
        """
        mass = isochrone.mass_initial
        edges = np.empty(len(mass) + 1)
        edges[1:-1] = 0.5 * (mass[1:] + mass[:-1])
        edges[0], edges[-1] = mass[0], mass[-1]
        ab = isochrone.magnitude + (np.asarray(vega_ab) + distance_modulus)
        flux = AB_ZERO_NJY * np.power(10.0, -0.4 * ab)
        return cls(np.diff(stars_below(edges)), flux, isochrone.extinction)

    def reddened(self, a_v: float) -> np.ndarray:
        """Give the flux of each point behind dust, (n, bands) in nJy."""
        return self.flux * np.exp(-0.4 * np.log(10.0) * a_v * self.extinction)

    def mean_flux(self, a_v: float = 0.0) -> np.ndarray:
        """Give the expected flux of one Msun of stars, (bands,) in nJy."""
        return self.number @ self.reddened(a_v)


@dataclass(frozen=True)
class Stars:
    """The stars of one population, drawn.

    Attributes
    ----------
    point : (n,) ndarray
        Index of each bright star's point on the isochrone, brightest first.
    flux : (n, bands) ndarray
        Flux of the bright stars in nJy, dust applied.
    faint_flux : (bands,) ndarray
        Summed flux of all the others, which are too many to place one by one.
    faint_flux2 : (bands,) ndarray
        Sum of their squared fluxes, nJy2: the variance of their light.
    """

    point: np.ndarray
    flux: np.ndarray
    faint_flux: np.ndarray
    faint_flux2: np.ndarray


def sample(
    population: Population,
    mass: float,
    a_v: float,
    rng: np.random.Generator,
    max_stars: int,
    weight: np.ndarray,
) -> Stars:
    """Draw the stars of a population of a given expected mass.

    The number of stars at each point of the isochrone is a Poisson deviate, so all
    sums (and their stochastic scatter) are those of a cluster drawn star by star
    (Cerviño & Luridiana 2006, A&A 451, 475). The brightest are returned one by one,
    the rest as summed light.

    Parameters
    ----------
    population : Population
        What to draw from.
    mass : float
        Initial mass in Msun, reached in expectation.
    a_v : float
        Extinction of all stars in mag.
    rng : numpy.random.Generator
        Source of randomness.
    max_stars : int
        At most about so many stars are returned one by one.
    weight : (bands,) ndarray
        Brightness is the sum over bands of flux times this; one over the flux of an
        electron makes it the number of electrons.
    """
    counts = rng.poisson(mass * population.number)
    alive = np.flatnonzero(counts)
    flux = population.flux[alive] * np.exp(
        (-0.4 * np.log(10.0) * a_v) * population.extinction[alive]
    )
    counts = counts[alive]
    order = np.argsort(-(flux @ weight))
    n_bright = int(np.searchsorted(np.cumsum(counts[order]), max_stars, side="right"))
    bright, faint = order[:n_bright], order[n_bright:]
    index = np.repeat(bright, counts[bright])
    return Stars(
        alive[index],
        flux[index],
        counts[faint] @ flux[faint],
        counts[faint] @ flux[faint] ** 2,
    )
