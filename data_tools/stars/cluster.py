"""One mock cluster: parameters to stars, with their places and fluxes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from data_tools.priors import Priors
from data_tools.stars.draw import DrawnStars, sample
from data_tools.stars.nebula import draw_gas
from data_tools.stars.population import Population, population_of
from data_tools.stars.profile import EFF, King, half_radii, positions, smooth_positions
from data_tools.stars.traits import (
    Traits,
    as_numbers,
    draw_traits,
    population_with,
)
from data_tools.streams import streams
from data_tools.target import Target

#: Stars of a cluster that are placed one by one, brightest first, at most.
MAX_STARS = 1000
#: Fewest electrons, in all bands over the target's exposure, of a star that is placed:
#: some 2 in a band's brightest pixel, a third of the noise of an empty one.
LEAST_ELECTRONS = 25.0
#: Equal points that give the light of all others the clumping it has, at most.
MAX_CLUMPS = 500
#: Points that give the rest of that light smoothly, at most; fewest electrons of one;
#: and their least distance in pixels.
MAX_FAINT_POINTS = 1500
_POINT_ELECTRONS = 100.0
_SPACING_PX = 1.2

#: Points that give the light where it is expected, at most, and how far they go from
#: the centre, in sides of the cutout: no light of those beyond gets far into it.
MAX_EXPECTED_POINTS = 1500
_EXPECTED_REACH = 0.55

#: Share of the stars that are placed that stand closer to the middle.
_SEGREGATED = 0.2

#: The extinction of the mean star is drawn again where it would have to be changed by
#: more than this factor to be the cluster's; after so many tries there is no scatter.
_MOST_CHANGE = 2.0
_TRIES = 20
#: Extinctions that stand for those of the stars that are not placed: Gauss-Hermite, for
#: the logarithm; light and colour are within 0.01 mag of a fine integral's.
_DEPTHS, _OF_DEPTHS = np.polynomial.hermite_e.hermegauss(7)
_OF_DEPTHS = _OF_DEPTHS / _OF_DEPTHS.sum()
#: Rings for each factor e in radius, to measure that of half the light.
_LOG_BINS = 50
_DIM = -0.4 * np.log(10)


@dataclass(frozen=True)
class Points:
    """Points of light.

    Attributes
    ----------
    x, y : (n,) ndarray
        Offsets from the centre in pixels.
    flux : (n, bands) ndarray
        In nJy.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray

    def within(self, reach_px: float) -> Points:
        """Return the points of a square about the centre, so far to each side."""
        near = np.maximum(abs(self.x), abs(self.y)) < reach_px
        return Points(self.x[near], self.y[near], self.flux[near])

    def __add__(self, other: Points) -> Points:
        """Return the points of both."""
        return Points(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            np.concatenate([self.flux, other.flux]),
        )


@dataclass(frozen=True)
class Expected:
    """Points of light of a few colours.

    Attributes
    ----------
    x, y : (n,) ndarray
        Offsets from the centre in pixels.
    share : (n, k) ndarray
        Share of each point in the light of each colour.
    colours : (k, bands) ndarray
        That light in nJy.
    """

    x: np.ndarray
    y: np.ndarray
    share: np.ndarray
    colours: np.ndarray

    @property
    def flux(self) -> np.ndarray:
        """Flux of each point, (n, bands) in nJy."""
        return self.share @ self.colours

    def within(self, reach_px: float) -> Expected:
        """Return the points of a square about the centre, so far to each side."""
        near = np.maximum(abs(self.x), abs(self.y)) < reach_px
        return Expected(self.x[near], self.y[near], self.share[near], self.colours)

    def beside(self, other: Points) -> Expected:
        """Return these and other points, which all have the same colour."""
        total = other.flux.sum(0)
        share = np.zeros((len(self.x) + len(other.x), len(self.colours) + 1))
        share[: len(self.x), :-1] = self.share
        share[len(self.x) :, -1] = other.flux.sum(1) / total.sum()
        return Expected(
            np.concatenate([self.x, other.x]),
            np.concatenate([self.y, other.y]),
            share,
            np.concatenate([self.colours, total[None]]),
        )


@dataclass(frozen=True)
class Cluster(Points):
    """One cluster as points of light.

    Attributes
    ----------
    x, y, flux
        See `Points`.
    expected : Expected
        The same light where it is expected in a cutout: that of the stars spread evenly
        over the profile with the cluster's half-light radius, since nobody knows
        beforehand where each of them stands.
    traits : dict of str to float
        The numbers of `data_tools.schema.TRAITS`, by name.
    population : Population
        What its stars were drawn from.
    """

    expected: Expected
    traits: dict[str, float]
    population: Population


@dataclass(frozen=True)
class _Placed:
    """A cluster's points (see `Cluster`), log10 of radii in units of the label's."""

    drawn: Points
    expected: Expected
    log_radius_drawn: float
    log_number_radius: float


def _flattened(
    x: np.ndarray, y: np.ndarray, axis_ratio: float, turn: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return a round cluster's places in an ellipse of the same area, turned."""
    if axis_ratio == 1:
        return x, y
    long = axis_ratio**-0.5
    x, y = long * x, y / long
    cos, sin = math.cos(turn), math.sin(turn)
    return cos * x - sin * y, sin * x + cos * y


def _log_half_light_radius(radius: np.ndarray, light: np.ndarray) -> float:
    """Return log10 of the radius that holds half of the light of points, to 1 %."""
    place = np.log(np.maximum(radius, 1e-4).astype(np.float32))
    place = (place * np.float32(_LOG_BINS) + np.float32(10 * _LOG_BINS)).astype(int)
    until = np.cumsum(np.bincount(np.minimum(place, 15 * _LOG_BINS), light))
    half = 0.5 * until[-1]
    i = int(np.searchsorted(until, half))
    before = until[i - 1] if i else 0.0
    within = (half - before) / max(until[i] - before, 1e-30)
    return ((i + within) / _LOG_BINS - 10) / math.log(10)


class ClusterMaker:
    """Draw the stars of clusters at a target.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        Profiles are drawn from these.

    Raises
    ------
    ValueError
        If the isochrones do not reach the target's ages or metallicity.
    """

    def __init__(self, target: Target, priors: Priors) -> None:
        self.target = target
        self.priors = priors = priors.fixed_by(target)
        models = [name for name, share in priors.stellar_models.items() if share]
        if target.isochrones:
            models = [""]
        for model in models:
            for log_age in target.box["log_age"]:
                population_of(target, log_age, model=model)
        #: (bands,) electrons that one nJy gives over the target's exposure.
        self.electrons_per_njy = 1 / np.array([b.electron_njy for b in target.bands])

    def population(self, log_age: float) -> Population:
        """Return the target's population of an age (log10 yr), before dust."""
        return population_of(self.target, log_age)

    def drawn_population(
        self, log_age: float, rng: np.random.Generator
    ) -> tuple[Population, dict[str, float]]:
        """Draw stars of an age (log10 yr) as clusters have them, and their traits.

        Of a stellar model, metallicity and extinction law by chance, before dust; see
        `data_tools.stars.traits.as_numbers`.
        """
        traits = draw_traits(self.target, self.priors, rng, log_age)
        return population_with(self.target, log_age, traits), as_numbers(traits)

    def draw(self, parameters: np.ndarray, rng: np.random.Generator) -> Cluster:
        """Draw one cluster: its stars, points for those too many to draw, and gas.

        Traits, stars, dust and places have randomness of their own: two clusters that
        differ in one of them are alike in the others.

        Parameters
        ----------
        parameters : (4,) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        rng : numpy.random.Generator
            Source of randomness.
        """
        of_traits, of_stars, of_places, of_dust, of_gas = streams(rng, 5)
        log_age, a_v, log_mass, log_radius = parameters
        traits = draw_traits(self.target, self.priors, of_traits, log_age)
        population = population_with(self.target, log_age, traits)
        stars = sample(
            population,
            10**log_mass,
            a_v,
            of_stars,
            MAX_STARS,
            self.electrons_per_njy,
            LEAST_ELECTRONS,
        )
        stars, a_v_seen, screens = self._unevenly_dimmed(stars, a_v, traits, of_dust)
        placed = self._placed(stars, traits, log_radius, of_places)
        measured = {
            "host_log_mass": math.nan,
            "a_v_seen": a_v_seen,
            "log_mass_drawn": math.log10(max(stars.mass, 1e-3)),
            "log_mass_current": log_mass + math.log10(population.living_mass),
            "log_half_light_radius_drawn": log_radius + placed.log_radius_drawn,
            "log_half_number_radius": log_radius + placed.log_number_radius,
        }
        points, expected = placed.drawn, placed.expected
        numbers = as_numbers(traits)
        gas = draw_gas(
            self.target,
            self.priors,
            parameters,
            numbers,
            population,
            stars.counts,
            of_gas,
            screens,
        )
        if gas is not None:
            points, expected = points + Points(*gas), expected.beside(Points(*gas))
        expected = expected.within(_EXPECTED_REACH * self.target.cutout_px)
        return Cluster(
            *(points.x, points.y, points.flux), expected, numbers | measured, population
        )

    def _unevenly_dimmed(
        self, stars: DrawnStars, a_v: float, traits: Traits, rng: np.random.Generator
    ) -> tuple[DrawnStars, float, tuple[np.ndarray, np.ndarray]]:
        """Give each star an A_V of its own.

        Their mean, by light without dust, is the cluster's: that of the stars that are
        placed as drawn, that of the others in expectation. Returned are also the mean
        by light with dust, and A_V that stand for those of the stars with the share of
        each.
        """
        scatter, front = traits.a_v_scatter, traits.a_v_front
        screen = min(self.priors.foreground_a_v, a_v)
        behind = a_v - screen
        even = (np.array([a_v]), np.ones(1))
        if behind == 0 or scatter == front == 0:
            return stars, a_v, even
        weight = self.electrons_per_njy
        light = (stars.flux * np.exp(-_DIM * a_v * stars.extinction)) @ weight
        faint = stars.faint_flux * np.exp(-_DIM * a_v * stars.faint_extinction)
        faint = float(faint @ weight)
        # of a log-normal factor of mean one
        sigma = math.sqrt(math.log1p(scatter**2))
        needed = float(light.sum()) + faint
        for _ in range(_TRIES):
            # row by row: a star more, by a last digit, changes no other's
            depth, place = rng.random((len(light), 2)).T
            factor = np.exp(sigma * ndtri(depth) - 0.5 * sigma**2)
            factor[place < front] = 0.0
            drawn = float(light @ factor) + faint * (1 - front)
            if needed < _MOST_CHANGE * drawn and drawn < _MOST_CHANGE * needed:
                break
        else:
            return stars, a_v, even
        change = needed / drawn
        more = behind * (change * factor - 1)
        flux = stars.flux * np.exp(
            stars.extinction * (_DIM * more).astype(np.float32)[:, None]
        )
        depths = change * np.exp(sigma * _DEPTHS - 0.5 * sigma**2)
        faint_more = behind * (np.append(depths, 0.0) - 1)
        shares = np.append((1 - front) * _OF_DEPTHS, front)
        left = np.exp(_DIM * faint_more[:, None] * stars.faint_extinction)
        faint_flux = stars.faint_flux * (shares @ left)
        seen, faint_seen = flux @ weight, (stars.faint_flux * left) @ weight * shares
        excess = (seen @ more + faint_seen @ faint_more) / (
            seen.sum() + faint_seen.sum()
        )
        dimmed = replace(
            stars,
            flux=flux,
            faint_flux=faint_flux,
            faint_flux2=stars.faint_flux2 * (shares @ left**2),
        )
        return dimmed, a_v + float(excess), (a_v + faint_more, shares)

    def _placed(
        self,
        stars: DrawnStars,
        traits: Traits,
        log_radius: float,
        rng: np.random.Generator,
    ) -> _Placed:
        """Place stars and what stands for the others."""
        if rng.random() < self.priors.king_fraction:
            profile = King(rng.uniform(*self.priors.king_log_concentration))
        else:
            profile = EFF(rng.uniform(*self.priors.eff_eta))
        turn = rng.uniform(0, np.pi)
        label = 10**log_radius / self.target.pixel_scale_arcsec
        clumps, smooth = self._faint(stars)
        flux = np.concatenate([stars.flux, clumps])
        electrons = flux @ self.electrons_per_njy
        smooth_electrons = smooth @ self.electrons_per_njy
        inner, ratio = round(_SEGREGATED * len(stars.flux)), traits.segregation
        total = electrons.sum() + smooth_electrons
        share = electrons[:inner].sum() / total if total > 0 else 0.0
        half_light, half_number = half_radii(
            profile, (share, inner / max(stars.number, 1)), ratio
        )
        radius = label / half_light
        x, y = positions(profile, radius, len(flux), rng)
        x[:inner] *= ratio
        y[:inner] *= ratio
        if smooth_electrons > 0:
            even_x, even_y, part = smooth_positions(
                profile,
                radius,
                min(_POINT_ELECTRONS / smooth_electrons, 1.0),
                _SPACING_PX,
                MAX_FAINT_POINTS,
                rng,
            )
            x, y = np.concatenate([x, even_x]), np.concatenate([y, even_y])
            flux = np.concatenate([flux, part[:, None] * smooth])
            electrons = np.concatenate([electrons, part * smooth_electrons])
        drawn = _log_half_light_radius(np.sqrt(x * x + y * y) / label, electrons)
        most = MAX_EXPECTED_POINTS
        sought_x, sought_y, share = smooth_positions(
            profile, label, 1 / most, _SPACING_PX, most, rng
        )
        shape = (traits.axis_ratio, turn)
        return _Placed(
            Points(*_flattened(x, y, *shape), flux),
            Expected(
                *_flattened(sought_x, sought_y, *shape),
                share[:, None],
                flux.sum(0)[None],
            ),
            drawn,
            math.log10(half_number / half_light),
        )

    def _faint(self, stars: DrawnStars) -> tuple[np.ndarray, np.ndarray]:
        """Split the light of the stars not placed in clumps and smooth light.

        Stars placed at random, of fluxes f, give a variance from place to place that
        goes as sum f^2, in each band. Equal clumps with that sum give the same, and
        what light is left over is smooth.
        """
        light, light2 = stars.faint_flux, stars.faint_flux2
        n = min(MAX_CLUMPS, int(light @ self.electrons_per_njy / LEAST_ELECTRONS))
        if n == 0:
            return np.empty((0, len(light))), light
        # as many equal stars have that light and variance: one at least
        n = max(1, min(n, int((light**2 / light2).min())))
        clumps = np.repeat(np.sqrt(light2 / n)[None], n, axis=0)
        return clumps, np.maximum(light - clumps.sum(0), 0)
