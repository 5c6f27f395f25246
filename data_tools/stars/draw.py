"""Draw the stars of a population: the brightest one by one, the rest as their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.stars.population import MAGNITUDE, Population


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
    light += (MAGNITUDE * np.float32(a_v)) * k
    np.exp(light, out=light)
    light *= faint
    own, own_k = flux.take(star, 0), extinction.take(star, 0)
    both = own + light
    extinction[star] = own_k + light / both * (k - own_k)
    flux[star] = both
    return excess
