"""Stars of a simple stellar population: IMF sampling, photometry, extinction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from data_tools.schema import STELLAR_MODELS
from data_tools.stars.isochrones import Isochrone, IsochroneGrid
from data_tools.stars.stellar_photometry import R_V, r_v_change
from data_tools.target import AB_ZERO_NJY, Target

#: Break masses and slopes of the initial mass function, dN/dm ~ m^-alpha (Kroupa
#: 2001, MNRAS 322, 231, equation 2), from the hydrogen-burning limit to 120 Msun.
IMF_BREAKS = np.array([0.08, 0.5, 120.0])
IMF_SLOPES = np.array([1.3, 2.3])

#: SSE ends at [Fe/H] 0.17 and MIST at 0.25, in dex.
MOST_FEH_BEYOND = 0.1

#: Ages at which the share of the mass that lives is tabulated.
_LIVING_AGES = 83

#: Natural log of the flux ratio of one magnitude.
_MAGNITUDE = np.float32(-0.4 * np.log(10.0))


def _segment_integral(
    low: np.ndarray, high: np.ndarray, power: np.ndarray
) -> np.ndarray:
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


def _mass_below(mass: float) -> float:
    """Return the mass of stars lighter than a mass, per Msun of stars formed."""
    edges = np.minimum(IMF_BREAKS, mass)
    return float(
        _IMF_FACTORS @ _segment_integral(edges[:-1], edges[1:], 1 - IMF_SLOPES)
    )


def _companions_of_heavier(mass: float) -> float:
    """Return how many companions per Msun of their own mass heavier stars have.

    A primary of mass m adds 1 / m at all lower masses; per Msun of primaries formed.
    """
    edges = np.maximum(IMF_BREAKS, mass)
    return float(
        _IMF_FACTORS @ _segment_integral(edges[:-1], edges[1:], -IMF_SLOPES - 1)
    )


@lru_cache(maxsize=16)
def _load_tables(bands: tuple[str, ...], law: str, model: str) -> IsochroneGrid:
    return IsochroneGrid.from_tables(bands, law, model)


@lru_cache(maxsize=4)
def _load_file(
    path: str, file_format: str, bands: tuple[str, ...], law: str
) -> IsochroneGrid:
    if file_format == "parsec":
        return IsochroneGrid.from_parsec(path, bands, law)
    return IsochroneGrid.from_mist_cmd(path, bands, law)


def isochrones_of(
    target: Target, law: str | None = None, model: str = STELLAR_MODELS[0]
) -> IsochroneGrid:
    """Return the isochrones a target names, or else those of a model; loaded once.

    Parameters
    ----------
    target : Target
        Names bands and extinction law, and perhaps a file of isochrones.
    law : str, optional
        Extinction law, if not the target's.
    model : str
        One of `STELLAR_MODELS`; where the target names a file, it is the file's.
    """
    law = law or target.extinction_law
    if target.isochrones is None:
        return _load_tables(target.band_names, law, model)
    return _load_file(
        target.isochrones,
        target.isochrones_format,
        target.band_names,
        law,
    )


@dataclass(frozen=True)
class Population:
    """A simple stellar population as seen at the target, before dust.

    Attributes
    ----------
    number : (n,) ndarray
        Expected stars at each point of an isochrone per Msun of stars formed; a star
        and its companion, which are seen as one, count once.
    flux : (n, bands) ndarray
        Flux of one of them in nJy, without companion and extinction.
    extinction : (n, bands) ndarray
        A_band / A_V of it.
    mass, mass_current : (n,) ndarray
        Its initial and its present mass in Msun; the first never falls.
    edges : (n + 1,) ndarray
        Initial masses in Msun between which the points stand for all stars.
    paired : (n,) ndarray
        Share of the stars of each point that have a companion.
    """

    number: np.ndarray
    flux: np.ndarray
    extinction: np.ndarray
    mass: np.ndarray
    mass_current: np.ndarray
    edges: np.ndarray
    paired: np.ndarray

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

        The IMF is that of single stars and of primaries. A companion's mass is q times
        its primary's, q flat in (0, 1] at all masses, as among stars like the Sun
        (Raghavan et al. 2010, ApJS 190, 1, section 5.3.1; Duchene & Kraus 2013, ARA&A
        51, 269). One that is lighter than the isochrone's first star counts with its
        mass and gives no light. One whose primary has died is a single star; nothing
        passes from one to the other.

        Parameters
        ----------
        isochrone : Isochrone
            Masses in Msun, absolute Vega magnitudes.
        vega_ab : (bands,) array_like
            AB magnitude of Vega in each band.
        distance_modulus : float
            In mag.
        binary_fraction : float
            Share of the stars of the IMF that have a companion.
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
        paired = np.zeros(len(mass))
        if binary_fraction:
            widowed = binary_fraction * _companions_of_heavier(mass[-1])
            primaries = binary_fraction * number
            number += widowed * np.diff(edges)
            paired = primaries / number
            # companions add half of their primaries' mass in the mean
            number /= 1 + 0.5 * binary_fraction
        return cls(
            number,
            flux,
            isochrone.extinction,
            mass,
            isochrone.mass_current,
            edges,
            paired,
        )

    @cached_property
    def span(self) -> np.ndarray:
        """Range of initial masses in Msun that each point stands for, (n,)."""
        return self.edges[1:] - self.edges[:-1]

    @property
    def has_pairs(self) -> bool:
        """Whether any star has a companion."""
        return bool(self.paired[0])

    @property
    def living_mass(self) -> float:
        """Mass of the stars that live, in Msun per Msun of stars formed.

        What winds have taken and remnants hold is not in it; stars lighter than the
        isochrone's first live all.
        """
        mass = self.mass_current
        if self.has_pairs:
            light = 0.5 * self.mass[0] ** 2 / self.mass
            light += self.of_companions(mass[:, None])[:, 0]
            mass = mass + self.paired * light
        return float(self.number @ mass) + _mass_below(self.mass[0])

    def of_companions(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of values of stars over each point's companions.

        Companions lighter than the first point count as zero.

        Parameters
        ----------
        values : (m, k) ndarray
            Of the first m points, all of them or fewer.

        Returns
        -------
        (m, k) ndarray
        """
        columns, kind, n = values.T, values.dtype, len(values)
        total = np.cumsum(columns * self.span[:n].astype(kind), axis=1)
        # of the point's own range only what is lighter than the primary
        total -= columns * (self.edges[1:] - self.mass)[:n].astype(kind)
        total /= self.mass[:n].astype(kind)
        return total.T

    def reddened(self, a_v: float) -> np.ndarray:
        """Return the flux of each point's star behind dust, (n, bands) in nJy."""
        return self.flux * np.exp(_MAGNITUDE * np.float32(a_v) * self.extinction)

    def mean_flux(self, a_v: float = 0.0) -> np.ndarray:
        """Return the expected flux of one Msun of stars, (bands,) in nJy."""
        flux = self.reddened(a_v)
        light = self.number @ flux
        if self.has_pairs:
            light += (self.number * self.paired) @ self.of_companions(flux)
        return light


def population_of(
    target: Target,
    log_age: float,
    binary_fraction: float = 0.0,
    *,
    feh: float | None = None,
    law: str | None = None,
    r_v: float = R_V,
    model: str = STELLAR_MODELS[0],
) -> Population:
    """Return a target's population of an age.

    Parameters
    ----------
    target : Target
        Names isochrones, metallicity, extinction law and distance.
    log_age : float
        log10 of the age in years.
    binary_fraction : float
        Share of the stars of the IMF that have a companion.
    feh : float, optional
        [Fe/H], if not the target's.
    law : str, optional
        Extinction law, if not the target's.
    r_v : float
        A_V / E(B-V) of the dust.
    model : str
        One of `STELLAR_MODELS`; where the target names a file, it is the file's. A
        [Fe/H] up to `MOST_FEH_BEYOND` beyond another than the first is taken at its
        end.

    Raises
    ------
    ValueError
        If the isochrones do not reach that age or metallicity.
    """
    law = law or target.extinction_law
    grid = isochrones_of(target, law, model)
    feh = target.feh if feh is None else feh
    if model != STELLAR_MODELS[0] and target.isochrones is None:
        nearest = min(max(feh, grid.fehs[0]), grid.fehs[-1])
        if abs(nearest - feh) <= MOST_FEH_BEYOND:
            feh = float(nearest)
    isochrone = grid.at(log_age, feh)
    if r_v != R_V:
        shift, slope = r_v_change(target.band_names, law, r_v)
        extinction = isochrone.extinction * slope.astype(np.float32)
        extinction += shift.astype(np.float32)
        isochrone = replace(isochrone, extinction=extinction)
    return Population.from_isochrone(
        isochrone, grid.vega_ab, target.distance_modulus, binary_fraction
    )


@lru_cache(maxsize=4)
def living_share(feh: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ages and how much of the mass formed lives at each: the models' mean.

    Binaries change it by less than a per cent.

    Parameters
    ----------
    feh : float
        [Fe/H] in dex; the nearest that a model has stands for what is beyond.

    Returns
    -------
    log_age : (n,) ndarray
        log10 of years, evenly rising.
    log_share : (n,) ndarray
        log10 of the mass in living stars over the initial one.
    """
    # the band does not matter
    grids = [_load_tables(("F814W",), "CCM89", model) for model in STELLAR_MODELS]
    log_age = np.linspace(
        max(grid.log_ages[0] for grid in grids),
        min(grid.log_ages[-1] for grid in grids),
        _LIVING_AGES,
    )
    shares = [
        [
            Population.from_isochrone(
                grid.at(age, float(np.clip(feh, *grid.fehs[[0, -1]]))), grid.vega_ab, 0
            ).living_mass
            for age in log_age
        ]
        for grid in grids
    ]
    return log_age, np.log10(np.mean(shares, axis=0))


@dataclass(frozen=True)
class DrawnStars:
    """The stars of one population, drawn.

    Attributes
    ----------
    flux : (n, bands) ndarray
        Flux of the bright stars in nJy, dust applied; the star that would be brightest
        without companions first.
    extinction : (n, bands) ndarray
        A_band / A_V of each.
    faint_flux : (bands,) ndarray
        Summed flux of all the others, which are too many to place one by one.
    faint_flux2 : (bands,) ndarray
        Sum of their squared fluxes, nJy2: the variance of their light.
    faint_extinction : (bands,) ndarray
        A_band / A_V of their summed light.
    mass : float
        Initial mass in Msun as drawn, companions counted; what has died, or is lighter
        than the isochrone's first star, in expectation.
    number : float
        Stars of the isochrone drawn, a star and its companion counted once.
    counts : (n,) ndarray of int
        How many of them at each point of the population.
    """

    flux: np.ndarray
    extinction: np.ndarray
    faint_flux: np.ndarray
    faint_flux2: np.ndarray
    faint_extinction: np.ndarray
    mass: float
    number: float
    counts: np.ndarray


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
    with companions of their own, the rest as summed light with that of a mean
    companion.

    Parameters
    ----------
    population : Population
        What to draw from.
    mass : float
        Initial mass in Msun, companions counted, reached in expectation.
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
    expected = mass * population.number
    counts = rng.poisson(expected)
    flux = population.reddened(a_v)
    # not by the linear-algebra library: its single-precision kernel for few columns
    # computes with what lies beside them (a stray warning on some processors), and
    # which stars stand alone must not hang on a processor's last digits
    brightness = np.einsum("nb,b->n", flux, np.asarray(weight, np.float32))
    bright = np.flatnonzero((brightness > least) & (counts > 0))
    bright = bright[np.argsort(-brightness[bright], kind="stable")]
    bright = bright[: np.searchsorted(np.cumsum(counts[bright]), max_stars, "right")]
    point = np.repeat(bright, counts[bright])
    own, extinction = flux.take(point, 0), population.extinction.take(point, 0)
    rest = counts.astype(float)
    rest[bright] = 0.0
    in_all = population.mass * (1 + 0.5 * population.paired)
    drawn_mass = mass + float((counts - expected) @ in_all)
    flux2 = flux**2
    faint, faint2 = rest @ flux, rest @ flux2
    faint_extinction = rest @ (flux * population.extinction) / np.maximum(faint, 1e-30)
    if population.has_pairs:
        of_faint = _companions_of(population, rest, flux, flux2)
        faint, faint2 = faint + of_faint[0], faint2 + of_faint[1]
        drawn_mass += _with_companions(population, a_v, point, own, extinction, rng)
    return DrawnStars(
        own,
        extinction,
        faint,
        faint2,
        faint_extinction,
        drawn_mass,
        float(counts.sum()),
        counts,
    )


def _companions_of(
    population: Population, counts: np.ndarray, flux: np.ndarray, flux2: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the expected light of the companions of so many stars of each point.

    And what they add to the sum of squared fluxes: theirs, and twice the product with
    their primaries'.
    """
    # beyond the last of them no star matters
    last = np.flatnonzero(counts)
    end = last[-1] + 1 if len(last) else 0
    mass, lower = population.mass[:end], population.edges[:end]
    pairs = (counts * population.paired)[:end]
    flux, flux2 = flux[:end], flux2[:end]
    # a primary of mass m adds 1 / m companions per Msun at all lower masses
    density = pairs / mass
    heavier = np.cumsum(density[::-1])[::-1] - density
    companions = heavier * population.span[:end] + density * (mass - lower)
    both = pairs @ (flux * population.of_companions(flux))
    return companions @ flux, companions @ flux2 + 2 * both


def _with_companions(
    population: Population,
    a_v: float,
    point: np.ndarray,
    flux: np.ndarray,
    extinction: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """Add the light of companions to stars, in place.

    Returns what their companions are heavier than expected, in Msun.
    """
    chance, ratio = rng.random((len(point), 2)).T
    mass, paired = population.mass, population.paired[point]
    star = np.flatnonzero(chance < paired)
    companion = ratio[star] * mass[point[star]]
    excess = companion.sum() - 0.5 * float(paired @ mass[point])
    shines = companion > mass[0]
    star, companion = star[shines], companion[shines]
    upper = np.searchsorted(mass, companion)
    lower = upper - 1
    below = mass[lower]
    part = ((companion - below) / (mass[upper] - below)).astype(np.float32)[:, None]
    k = population.extinction.take(lower, 0)
    k += part * (population.extinction.take(upper, 0) - k)
    # the logarithm of the flux goes evenly from point to point
    faint = population.flux.take(lower, 0)
    light = np.log(population.flux.take(upper, 0) / faint)
    light *= part
    light += (_MAGNITUDE * np.float32(a_v)) * k
    np.exp(light, out=light)
    light *= faint
    own, own_k = flux.take(star, 0), extinction.take(star, 0)
    both = own + light
    extinction[star] = own_k + light / both * (k - own_k)
    flux[star] = both
    return excess
