"""Draw the stars of a population: the brightest one by one, the rest as their sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.compiled import compiled
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
    of_stars = (np.ascontiguousarray(v.T) for v in (flux, population.extinction))
    of_primaries = population.mass, population.edges, population.paired
    faint, faint2, faint_extinction = _faint_light(rest, *of_stars, *of_primaries)
    if population.has_pairs:
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


@compiled
def _faint_light(counts, flux, extinction, mass, edges, paired):
    """Return what `DrawnStars` says of the faint: flux, flux2 and extinction.

    Of stars and their mean companions; the extinction is that of the stars alone.
    `flux` and `extinction` are (bands, n).
    """
    bands, n = flux.shape
    light, light2, reddened = np.zeros(bands), np.zeros(bands), np.zeros(bands)
    # beyond the last of them no star matters
    while n and counts[n - 1] == 0:
        n -= 1
    for band in range(bands):
        alone = below = 0.0
        for i in range(n):
            one = flux[band, i]
            alone += counts[i] * one
            reddened[band] += counts[i] * one * extinction[band, i]
            # q is flat: a companion is any lighter star, and of the primary's own
            # range of masses only what is lighter than the primary
            below += one * (edges[i + 1] - edges[i])
            companion = (below - one * (edges[i + 1] - mass[i])) / mass[i]
            light2[band] += counts[i] * one * (one + 2 * paired[i] * companion)
        reddened[band] /= max(alone, 1e-30)
        light[band] = alone
        # a primary of mass m adds 1 / m companions per Msun at all lower masses
        heavier = 0.0
        for i in range(n - 1, -1, -1):
            own = counts[i] * paired[i] / mass[i]
            companions = heavier * (edges[i + 1] - edges[i]) + own * (
                mass[i] - edges[i]
            )
            heavier += own
            light[band] += companions * flux[band, i]
            light2[band] += companions * flux[band, i] ** 2
    return light, light2, reddened


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
    return _add_companions(
        rng.random((len(point), 2)),
        point,
        MAGNITUDE * np.float32(a_v),
        population.mass,
        population.paired,
        np.ascontiguousarray(population.flux.T),
        np.ascontiguousarray(population.extinction.T),
        flux,
        extinction,
    )


@compiled
def _add_companions(random, point, dimming, mass, paired, flux, k, out, out_k):
    """Do what `_with_companions` does, with a chance and a mass ratio for each star."""
    excess = 0.0
    for star in range(len(point)):
        primary = point[star]
        excess -= 0.5 * paired[primary] * mass[primary]
        if random[star, 0] >= paired[primary]:
            continue
        companion = random[star, 1] * mass[primary]
        excess += companion
        if companion <= mass[0]:  # it does not shine
            continue
        upper = np.searchsorted(mass, companion)
        lower = upper - 1
        part = np.float32((companion - mass[lower]) / (mass[upper] - mass[lower]))
        for band in range(len(flux)):
            faint, bright = flux[band, lower], flux[band, upper]
            dim = k[band, lower] + part * (k[band, upper] - k[band, lower])
            # the logarithm of the flux goes evenly from point to point
            light = faint * np.exp(part * np.log(bright / faint) + dimming * dim)
            both = out[star, band] + light
            out_k[star, band] += light / both * (dim - out_k[star, band])
            out[star, band] = both
    return excess
