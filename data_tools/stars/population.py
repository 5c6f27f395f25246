"""Stars of a simple stellar population: IMF sampling, photometry, extinction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from data_tools.stars.isochrones import Isochrone, IsochroneGrid
from data_tools.target import AB_ZERO_NJY, Target

#: Break masses and slopes of the initial mass function, dN/dm ~ m^-alpha (Kroupa
#: 2001, MNRAS 322, 231, equation 2), from the hydrogen-burning limit to 120 Msun.
IMF_BREAKS = np.array([0.08, 0.5, 120.0])
IMF_SLOPES = np.array([1.3, 2.3])

#: Natural log of the flux ratio of one magnitude.
_MAGNITUDE = np.float32(-0.4 * np.log(10.0))

#: Companions stand at so many mass ratios (Gauss-Legendre): light and its variance are
#: within 1 and 2 % of a fine integral's.
_MASS_RATIOS = 5


def _segment_integral(low: np.ndarray, high: np.ndarray, power: float) -> np.ndarray:
    """Integrate m^power from low to high (power is not -1 for this IMF)."""
    return (high ** (power + 1) - low ** (power + 1)) / (power + 1)


def _imf_coefficients() -> np.ndarray:
    """Return the factor of each segment: continuous, one Msun formed in all."""
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
#: Stars lighter than m in a segment are _BELOW + _GROWTH m ** _POWERS.
_POWERS = 1 - IMF_SLOPES
_GROWTH = _IMF_FACTORS / _POWERS
_BELOW = np.cumsum(
    np.concatenate([[0.0], _GROWTH[:-1] * IMF_BREAKS[1:-1] ** _POWERS[:-1]])
    - _GROWTH * IMF_BREAKS[:-1] ** _POWERS
)


def stars_below(mass: np.ndarray) -> np.ndarray:
    """Return the number of stars lighter than a mass, per Msun of stars formed.

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
    segment = np.searchsorted(IMF_BREAKS[1:-1], mass)
    return _BELOW[segment] + _GROWTH[segment] * mass ** _POWERS[segment]


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
    """Return the isochrones a target names, or the shipped ones; loaded once."""
    return _load(
        target.isochrones,
        target.isochrones_format,
        target.band_names,
        target.extinction_law,
    )


@dataclass(frozen=True)
class Population:
    """A simple stellar population as seen at the target, before dust.

    A point is a star of the isochrone, or a pair of stars that are seen as one.

    Attributes
    ----------
    number : (n,) ndarray
        Expected stars or pairs at each point per Msun of stars formed.
    flux : (n, bands) ndarray
        Flux of one of them in nJy, without extinction.
    extinction : (n, bands) ndarray
        A_band / A_V of it.
    """

    number: np.ndarray
    flux: np.ndarray
    extinction: np.ndarray

    @classmethod
    def from_isochrone(
        cls,
        isochrone: Isochrone,
        vega_ab: np.ndarray,
        distance_modulus: float,
        binary_fraction: float = 0.0,
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
        binary_fraction : float
            Share of the stars of the IMF that have a companion; see `_paired`.
        """
        mass = isochrone.mass_initial
        edges = np.empty(len(mass) + 1)
        edges[1:-1] = 0.5 * (mass[1:] + mass[:-1])
        edges[0], edges[-1] = mass[0], mass[-1]
        # in single precision throughout: its exponential is several times faster
        faintness = isochrone.magnitude * _MAGNITUDE
        zero = np.log(AB_ZERO_NJY) + float(_MAGNITUDE) * (vega_ab + distance_modulus)
        flux = np.exp(faintness + zero.astype(np.float32))
        # above zero: a last digit, other on another processor, must not decide whether
        # a point of no width takes a random number
        number = np.maximum(np.diff(stars_below(edges)), 1e-300)
        single = cls(number, flux, isochrone.extinction)
        if binary_fraction == 0:
            return single
        return _paired(single, mass, np.diff(edges), binary_fraction)

    def reddened(self, a_v: float) -> np.ndarray:
        """Return the flux of each point behind dust, (n, bands) in nJy."""
        return self.flux * np.exp(_MAGNITUDE * np.float32(a_v) * self.extinction)

    def mean_flux(self, a_v: float = 0.0) -> np.ndarray:
        """Return the expected flux of one Msun of stars, (bands,) in nJy."""
        return self.number @ self.reddened(a_v)


def _paired(
    single: Population, mass: np.ndarray, span: np.ndarray, fraction: float
) -> Population:
    """Return a share of a population's stars unresolved companions of the same age.

    The IMF is that of the primaries. The companion's mass is q times the primary's, q
    flat in (0, 1] at all masses, as among stars like the Sun (Raghavan et al. 2010,
    ApJS 190, 1, section 5.3.1; Duchene & Kraus 2013, ARA&A 51, 269). A companion that
    is lighter than the isochrone's first star counts with its mass and gives no light.
    One whose primary has died is a single star; nothing passes from one to the other.

    Parameters
    ----------
    single : Population
        Of single stars, in the isochrone's order.
    mass, span : (n,) ndarray
        Initial mass of its points and the range each stands for, in Msun.
    fraction : float
        Share of the primaries with a companion, in (0, 1].

    Returns
    -------
    Population
        Per Msun of stars formed, companions counted.
    """
    # a primary of mass m adds 1/m to the density of companions at all lower masses
    widowed = sum(
        factor * _segment_integral(low, high, -slope - 1)
        for factor, slope, low, high in zip(
            _IMF_FACTORS,
            IMF_SLOPES,
            np.maximum(IMF_BREAKS[:-1], mass[-1]),
            np.maximum(IMF_BREAKS[1:], mass[-1]),
            strict=True,
        )
    )
    numbers = [(1 - fraction) * single.number + fraction * widowed * span]
    fluxes, extinctions = [single.flux], [single.extinction]
    log_flux = np.log(single.flux)
    nodes, weights = np.polynomial.legendre.leggauss(_MASS_RATIOS)
    for ratio, share in zip(0.5 * (1 + nodes), 0.5 * weights, strict=True):
        flux, extinction = (
            np.stack([np.interp(ratio * mass, mass, x, left=low) for x in column.T], 1)
            for column, low in ((log_flux, -np.inf), (single.extinction, 0.0))
        )
        flux = np.exp(flux)
        both = single.flux + flux
        numbers.append(fraction * share * single.number)
        fluxes.append(both)
        extinctions.append((single.flux * single.extinction + flux * extinction) / both)
    # companions add half of their primaries' mass in the mean
    return Population(
        np.concatenate(numbers) / (1 + 0.5 * fraction),
        np.concatenate(fluxes),
        np.concatenate(extinctions),
    )


def population_of(
    target: Target, log_age: float, binary_fraction: float = 0.0
) -> Population:
    """Return a target's population of an age.

    Parameters
    ----------
    target : Target
        Names isochrones, metallicity and distance.
    log_age : float
        log10 of the age in years.
    binary_fraction : float
        Share of the stars of the IMF that have a companion.

    Raises
    ------
    ValueError
        If the isochrones do not reach that age or the target's metallicity.
    """
    grid = isochrones_of(target)
    return Population.from_isochrone(
        grid.at(log_age, target.feh),
        grid.vega_ab,
        target.distance_modulus,
        binary_fraction,
    )


@dataclass(frozen=True)
class DrawnStars:
    """The stars of one population, drawn.

    Attributes
    ----------
    point : (n,) ndarray
        Index of each bright star's point in the population, brightest first.
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
    least: float = 0.0,
) -> DrawnStars:
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
        At most so many stars are returned one by one.
    weight : (bands,) ndarray
        Brightness is the sum over bands of flux times this; one over the flux of an
        electron makes it the number of electrons.
    least : float
        Stars of no more than this brightness are not returned one by one.
    """
    counts = rng.poisson(mass * population.number)
    alive = np.flatnonzero(counts)
    counts = counts[alive]
    flux = population.flux[alive] * np.exp(
        _MAGNITUDE * np.float32(a_v) * population.extinction[alive]
    )
    brightness = flux @ np.asarray(weight, np.float32)
    bright = np.flatnonzero(brightness > least)
    bright = bright[np.argsort(-brightness[bright], kind="stable")]
    bright = bright[: np.searchsorted(np.cumsum(counts[bright]), max_stars, "right")]
    index = np.repeat(bright, counts[bright])
    rest = counts.astype(float)
    rest[bright] = 0.0
    return DrawnStars(
        alive[index], flux.take(index, axis=0), rest @ flux, rest @ flux**2
    )
