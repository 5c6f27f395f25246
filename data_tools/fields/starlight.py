"""The stars of a patch of disc: bright ones one by one, the light of all others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from data_tools.fields.disc import Disc
from data_tools.fields.history import (
    MIDDLE_AGES,
    OLD_AGES,
    YOUNG_AGES,
    History,
    history_of,
)
from data_tools.fields.ionised_gas import IonisedGas
from data_tools.imaging.observation import Observation
from data_tools.stars.population import Population, population_of
from data_tools.stars.traits import Traits, population_with
from data_tools.target import Target

#: Stars for each pixel that stand where they are, and stars that stand in the middle of
#: a cell, where those that are fainter still shine as smooth light: a PSF's area holds
#: one and a half of them.
_EXACT_PER_PX = 0.015
_STARS_PER_PX = 0.15
#: Stars that a matched filter would see at less than this S/N are not placed.
_MIN_SNR = 0.3
#: Pixels of a UVIS PSF: 1 / sum(PSF^2) after drizzling.
_PSF_PX = 10.0

#: Masses of associations in Msun, dN/dM ~ M^-2 (Gouliermis 2018, PASP 130, 072001),
#: and their half-mass radii in pc: loose means far above a cluster's few pc.
_ASSOCIATION_MASS = (10**2.5, 10**4.7)
_ASSOCIATION_RADIUS_PC = (10.0, 60.0)
#: Where more are due, they are fewer and heavier.
_MAX_ASSOCIATIONS = 1000
#: Side in cells of the blocks that associations' faint light is evaluated in.
_BLOCK = 4
#: Rows of a map worked on at a time.
_ROWS = 40

_DISC, _BULGE, _YOUNG, _ASSOCIATION = range(4)
_DIM = np.float32(0.4 * np.log(10))


@dataclass(frozen=True)
class _Associations:
    """Loose Gaussian groups of stars born together.

    Attributes
    ----------
    column, row : (n,) ndarray
        Middles in cells.
    sigma : (n,) ndarray
        In cells.
    mass : (n,) ndarray
        In Msun; those of one age follow one another.
    mass_of_age, number_of_age : (ages,) ndarray
        Sum of the masses of each of YOUNG_AGES, and how many they are.
    """

    column: np.ndarray
    row: np.ndarray
    sigma: np.ndarray
    mass: np.ndarray
    mass_of_age: np.ndarray
    number_of_age: np.ndarray

    def density(self, n: int) -> np.ndarray:
        """Return the mass in each cell of an n x n map, as if edges met."""
        axis = np.arange(_BLOCK / 2 - 0.5, n, _BLOCK)
        sigma = np.maximum(self.sigma, 0.6 * _BLOCK)[:, None]

        def along(middle: np.ndarray) -> np.ndarray:
            distance = ((axis - middle[:, None] + n / 2) % n - n / 2) / sigma
            share = np.exp(-0.5 * (distance * distance).astype(np.float32))
            return share / share.sum(1, keepdims=True)

        mass = self.mass[:, None].astype(np.float32)
        blocks = (along(self.row) * mass).T @ along(self.column)
        return np.repeat(np.repeat(blocks / _BLOCK**2, _BLOCK, axis=0), _BLOCK, axis=1)


class _Places:
    """A map to draw places from in proportion to its values."""

    def __init__(self, density: np.ndarray) -> None:
        self._side = density.shape[1]
        self._density = density.ravel()
        self._cumulative = np.cumsum(density, dtype=float)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n places (column, row), in no order."""
        # neighbours in the list of numbers are neighbours in memory
        share = np.sort(rng.random(n)) * self._cumulative[-1]
        cell = np.searchsorted(self._cumulative[:-1], share, side="right")
        # how far into the cell: a last digit of the map moves nothing across a cell
        within = (self._cumulative[cell] - share) / self._density[cell]
        order = rng.permutation(n)
        row, column = np.divmod(cell[order], self._side)
        return column + 0.5 - within[order], row + rng.random(n) - 0.5


class Starlight:
    """Draw the light of patches of disc at a target.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    foreground_a_v : float
        Extinction by the Milky Way in mag.
    traits : Traits, optional
        Stellar model, metallicity, extinction law and R_V of all stars, which are
        single, and the gas that the young ones ionise; the target's own, and no gas,
        where none are given.
    history : History, optional
        When they formed; at constant rates where none is given.
    """

    def __init__(
        self,
        target: Target,
        foreground_a_v: float,
        traits: Traits | None = None,
        history: History | None = None,
    ) -> None:
        def population(age: float) -> Population:
            if traits is None:
                return population_of(target, age)
            return population_with(target, age, replace(traits, binary_fraction=0.0))

        old = [population(age) for age, _ in OLD_AGES]
        young = [population(age) for age in YOUNG_AGES]
        middle = [population(age) for age in MIDDLE_AGES]
        # every population of the field, one after the other; see `_masses`
        populations = old * 2 + middle + young * 2
        sizes = [len(p.number) for p in populations]
        self._of = np.repeat(np.arange(len(populations)), sizes)
        self._number = np.concatenate([p.number for p in populations])
        extinction = np.concatenate([p.extinction for p in populations])
        self._extinction = extinction.astype(np.float32)
        flux = np.concatenate([p.reddened(foreground_a_v) for p in populations])
        self._flux = flux.astype(np.float32)
        self._history = history or history_of()
        self._gas = None
        if traits is not None and traits.nebular_covering:
            self._gas = IonisedGas(
                target, traits, self._history, young[0], foreground_a_v
            )
        parts = (_DISC, _BULGE, _DISC, _YOUNG, _ASSOCIATION)
        counts = (len(old), len(old), len(middle), len(young), len(young))
        #: Where the stars of each point lie.
        self._part = np.repeat(parts, counts)[self._of]

    def draw(
        self, disc: Disc, observation: Observation, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Draw stars and smooth light.

        The number of stars at each point of each isochrone is a Poisson deviate. The
        stars that stand out most are placed one by one, those after them in the middle
        of a cell. The light of all others is its mean, with a Gaussian deviate in each
        cell whose variance is that of the sum of so many stars. Each star is at its own
        depth in the dust, which is mixed evenly with the stars; the smooth light is
        the mean over depth.

        Parameters
        ----------
        disc : Disc
            Where they lie.
        observation : Observation
            Its noise tells which stars stand out.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        column, row : (stars,) ndarray
            Places in cells, 0 at the middle of the first.
        flux : (stars, bands) ndarray
            In nJy.
        smooth : (bands, n, n) ndarray of float32
            Light of all others in nJy per cell.
        """
        n = len(disc.dust)
        places = {_DISC: _Places(disc.smooth), _YOUNG: _Places(disc.young)}
        if disc.bulge is not None:
            places[_BULGE] = _Places(disc.bulge)
        # each with randomness of its own, and stars in the order of their points: a
        # last digit, other on another processor, moves a star or two and no more
        of_groups, of_numbers, of_depth, of_light, *of_places, of_gas = rng.spawn(9)
        associations = self._associations(disc, places[_YOUNG], of_groups)
        expected = self._masses(disc, associations)[self._of] * self._number

        mean_light = expected @ self._flux / n**2
        noise = observation.white_variance + mean_light * observation.electron_njy
        snr2 = (self._flux**2 / (noise * _PSF_PX)).sum(1)
        order = np.argsort(-snr2, kind="stable")
        until = np.cumsum(expected[order])
        n_bright = min(
            np.searchsorted(until, _STARS_PER_PX * n**2),
            np.searchsorted(-snr2[order], -(_MIN_SNR**2)),
        )
        rank = np.empty(len(order), int)
        rank[order] = np.arange(len(order))
        numbers = of_numbers.poisson(expected)
        numbers[order[n_bright:]] = 0
        star = np.repeat(np.arange(len(numbers)), numbers)
        exact = rank[star] < np.searchsorted(until, _EXACT_PER_PX * n**2)
        expected[order[:n_bright]] = 0

        column, row = np.empty((2, len(star)), np.float32)
        part = self._part[star]
        for name, place in places.items():
            chosen = np.flatnonzero(part == name)
            column[chosen], row[chosen] = place.draw(len(chosen), of_places[name])
        chosen = np.flatnonzero(part == _ASSOCIATION)
        age = self._of[star[chosen]] - (self._of[-1] + 1 - len(YOUNG_AGES))
        column[chosen], row[chosen] = self._members(
            associations, age, n, of_places[_ASSOCIATION]
        )

        cell_row, cell_column = (
            np.clip(np.rint(v), 0, n - 1).astype(np.int32) for v in (row, column)
        )
        cell = cell_row * n + cell_column
        a_v = disc.dust.ravel()[cell] * of_depth.random(len(star), np.float32)
        flux = self._flux[star] * np.exp(-_DIM * a_v[:, None] * self._extinction[star])

        gas = None
        if self._gas is not None:
            ages = np.arange(len(YOUNG_AGES)).repeat(associations.number_of_age)
            groups = (associations.column, associations.row, associations.mass, ages)
            gas = self._gas.draw(disc, groups, of_gas)
        smooth = self._smooth(disc, associations, expected, gas, of_light)
        for band, more in enumerate(flux[~exact].T):
            smooth[band] += np.bincount(cell[~exact], more, n**2).reshape(n, n)
        return column[exact], row[exact], flux[exact], smooth

    def _masses(self, disc: Disc, associations: _Associations) -> np.ndarray:
        """Return the mass formed of each population in Msun."""
        drawn = disc.properties
        rate = drawn["sfr_density"] * 1e-6 * disc.area_pc2
        old = drawn["old_mass_density"] * disc.area_pc2
        bulge = 0 if disc.bulge is None else disc.bulge.sum() * disc.cell_pc**2
        loose = 1 - drawn["association_share"]
        return np.concatenate(
            [
                old * self._history.old_shares,
                bulge * self._history.old_shares,
                rate * self._history.middle_span,
                loose * rate * self._history.young_span,
                associations.mass_of_age,
            ]
        )

    def _associations(
        self, disc: Disc, places: _Places, rng: np.random.Generator
    ) -> _Associations:
        """Draw the associations of a patch."""
        drawn = disc.properties
        rate = drawn["association_share"] * drawn["sfr_density"] * 1e-6 * disc.area_pc2
        low, high = _ASSOCIATION_MASS
        mean_mass = np.log(high / low) / (1 / low - 1 / high)
        expected = rate * self._history.young_span / mean_mass
        heavier = max(1.0, expected.sum() / _MAX_ASSOCIATIONS)
        numbers = rng.poisson(expected / heavier)
        n = numbers.sum()
        mass = heavier / (1 / low - rng.random(n) * (1 / low - 1 / high))
        column, row = places.draw(n, rng)
        # half of a two-dimensional Gaussian lies within 1.177 sigma
        sigma = rng.uniform(*_ASSOCIATION_RADIUS_PC, n) / 1.177 / disc.cell_pc
        age = np.repeat(np.arange(len(numbers)), numbers)
        return _Associations(
            column, row, sigma, mass, np.bincount(age, mass, len(numbers)), numbers
        )

    @staticmethod
    def _members(
        associations: _Associations, age: np.ndarray, n: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Place stars of the given ages in associations of that age."""
        until = np.cumsum(associations.mass_of_age)
        share = until[age] - rng.random(len(age)) * associations.mass_of_age[age]
        home = np.searchsorted(np.cumsum(associations.mass), share)
        home = np.minimum(home, len(associations.mass) - 1)
        sigma = associations.sigma[home]
        return tuple(
            (middle[home] + sigma * rng.standard_normal(len(age)) + 0.5) % n - 0.5
            for middle in (associations.column, associations.row)
        )

    def _smooth(
        self,
        disc: Disc,
        associations: _Associations,
        expected: np.ndarray,
        gas: tuple[np.ndarray, np.ndarray] | None,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return the light of gas and of stars not placed, mixed evenly with dust."""
        n = len(disc.dust)
        young = disc.young * np.float32(
            (1 - disc.properties["association_share"])
            * disc.properties["sfr_density"]
            * 1e-6
            * disc.cell_pc**2
            * self._history.young_span.sum()
        )
        if len(associations.mass):
            young += associations.density(n)
        components = []
        for parts, density in (
            ((_DISC,), disc.smooth),
            ((_BULGE,), disc.bulge),
            ((_YOUNG, _ASSOCIATION), young),
        ):
            number = expected * np.isin(self._part, parts)
            if number.any():
                light = number @ self._flux
                extinction = number @ (self._flux * self._extinction) / light
                variance = number @ self._flux**2
                total = density.sum(dtype=float)
                components.append(
                    (density, light / total, variance / total, _DIM * extinction)
                )

        if gas is not None:
            density, colour = gas
            extinction = _DIM * self._gas.extinction
            components.append((density, colour, np.zeros(len(colour)), extinction))

        smooth = np.zeros((self._flux.shape[1], n, n), np.float32)
        # some rows at a time, which stay in the processor's cache
        for first in range(0, n, _ROWS):
            rows = slice(first, first + _ROWS)
            dust = disc.dust[rows]
            # one deviate for all bands, since the same stars shine in all; a flat one,
            # since the PSF adds up many cells
            deviate = rng.random(dust.shape, np.float32)
            deviate -= np.float32(0.5)
            deviate *= np.float32(np.sqrt(12))
            for band, out in enumerate(smooth[:, rows]):
                variance = np.zeros_like(dust)
                for density, *per_unit in components:
                    light, light2, k = (np.float32(v[band]) for v in per_unit)
                    through, through2 = _through(k * dust)
                    through *= density[rows]
                    through *= light
                    out += through
                    through2 *= density[rows]
                    through2 *= light2
                    variance += through2
                np.sqrt(variance, out=variance)
                variance *= deviate
                out += variance
        return smooth


def _through(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of e^-d and of its square over d from 0 to an optical depth."""
    np.maximum(depth, np.float32(1e-3), out=depth)
    mean = np.exp(-depth)
    np.subtract(1, mean, out=mean)
    mean /= depth
    depth *= mean
    depth *= np.float32(-0.5)
    depth += 1
    depth *= mean
    return mean, depth
