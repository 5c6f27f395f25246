"""Gas that the young stars of a field ionise: H II regions and what lies between."""

from __future__ import annotations

import numpy as np

from data_tools.fields.disc import Disc
from data_tools.fields.history import YOUNG_AGES, History
from data_tools.stars.nebula import gas_light, hot_light, oldest_log_age
from data_tools.stars.population import Population
from data_tools.stars.traits import Traits
from data_tools.target import Target

#: Gaussian sigma in pc of an association's gas, even in its logarithm: H II regions of
#: discs have radii of 10 to 100 pc (Azimlu, Marciniak & Barmby 2011, AJ 142, 139).
_SIGMA_PC = (5.0, 50.0)
#: How deep the hole in its middle is, and sigma of the hole in units of the gas's.
_HOLE, _HOLE_SIGMA = (0.0, 1.0), (0.5, 0.9)
#: Its middle's distance from the association's, in sigma of the gas, along an axis.
_OFF_CENTRE = 0.3
#: Mass in Msun whose few hot stars scatter, by as much as it has, the ionising light.
_SCATTER_MASS = 1000.0
#: Step of the ages that gas is computed at, in dex, and the youngest.
_STEP, _FIRST = 0.05, 6.0
#: Side in cells of the blocks that the map is evaluated in.
_BLOCK = 2


class IonisedGas:
    """Light of gas in fields of one population.

    Parameters
    ----------
    target : Target
        Bands, distance.
    traits : Traits
        Metallicity, covering and ionisation parameter.
    history : History
        When the stars formed.
    youngest : Population
        The youngest stars: their hot ones tell how dust dims the gas.
    foreground_a_v : float
        Extinction by the Milky Way in mag.

    Attributes
    ----------
    extinction : (bands,) ndarray
        A_band / A_V of the gas.
    """

    def __init__(
        self,
        target: Target,
        traits: Traits,
        history: History,
        youngest: Population,
        foreground_a_v: float,
    ) -> None:
        hottest = np.argmax(youngest.number * hot_light(youngest, target))
        self.extinction = youngest.extinction[hottest]
        dimmed = 10 ** (-0.4 * foreground_a_v * self.extinction)
        self._until = np.append(0.0, 10 ** (YOUNG_AGES + 0.05))
        log_ages = np.arange(_FIRST, oldest_log_age() + 1e-9, _STEP)
        self._years = 10**log_ages
        self._light = traits.nebular_covering * np.array(
            [
                dimmed * gas_light(target, age, traits.feh, traits.nebular_log_u)
                for age in log_ages
            ]
        )
        #: Light of what forms at 1 Msun / yr: each age of the stars stands for a span.
        middles = (np.arange(1, 41) - 0.5) / 40
        start, length = self._until[:-1, None], np.diff(self._until)[:, None]
        mean = self.light_of(start + middles * length).mean(1)
        self._at_rate = history.young_span @ mean

    def light_of(self, years: np.ndarray) -> np.ndarray:
        """Return the light (..., bands), in nJy for each Msun, of gas at ages."""
        light = [
            np.interp(years, self._years, band, right=0.0) for band in self._light.T
        ]
        return np.stack(light, axis=-1)

    def draw(
        self, disc: Disc, groups: tuple[np.ndarray, ...], rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw the gas of a patch.

        That of each young association is a Gaussian with a hole, ragged as the young
        stars' map is; that of stars in none lies as they do.

        Parameters
        ----------
        disc : Disc
            Where young stars lie, and how many are in no association.
        groups : tuple of (n,) ndarray
            Column and row in cells, mass in Msun and index into YOUNG_AGES of
            associations.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        density : (n, n) ndarray of float32
            Light in the first band in nJy per cell.
        colour : (bands,) ndarray
            Light in each band over that in the first.
        """
        drawn = disc.properties
        rate = drawn["sfr_density"] * 1e-6 * disc.area_pc2
        loose = (1 - drawn["association_share"]) * rate * self._at_rate
        total = loose.copy()
        density = disc.young * np.float32(loose[0] / disc.young.size)
        column, row, mass, age = groups
        years = self._until[age] + np.diff(self._until)[age] * rng.random(len(age))
        kept = np.flatnonzero(years < self._years[-1])
        if len(kept):
            shape = mass[kept] / _SCATTER_MASS
            light = self.light_of(years[kept]) * mass[kept, None]
            light *= (rng.gamma(shape) / shape)[:, None]
            regions = self._regions(column[kept], row[kept], light[:, 0], disc, rng)
            density = density + regions
            total += light.sum(0)
        return density, total / max(total[0], 1e-30)

    @staticmethod
    def _regions(
        column: np.ndarray,
        row: np.ndarray,
        light: np.ndarray,
        disc: Disc,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Return the light of the associations' gas in each cell, as if edges met."""
        n, number = len(disc.young), len(light)
        low, high = np.log(_SIGMA_PC)
        sigma = np.exp(rng.uniform(low, high, number)) / disc.cell_pc
        inner = rng.uniform(*_HOLE_SIGMA, number)
        missing = rng.uniform(*_HOLE, number) * inner**2
        off = _OFF_CENTRE * sigma * rng.standard_normal((2, number))
        weight = np.concatenate([light, -light * missing]) / np.tile(1 - missing, 2)
        width = np.maximum(np.concatenate([sigma, inner * sigma]), _BLOCK)[:, None]
        axis = np.arange(_BLOCK / 2 - 0.5, n, _BLOCK)

        def along(middle: np.ndarray) -> np.ndarray:
            distance = (
                (axis - np.tile(middle, 2)[:, None] + n / 2) % n - n / 2
            ) / width
            share = np.exp(-0.5 * (distance * distance).astype(np.float32))
            return share / share.sum(1, keepdims=True)

        blocks = (along(row + off[1]) * weight[:, None].astype(np.float32)).T
        blocks = np.maximum(blocks @ along(column + off[0]), 0)
        cells = np.repeat(np.repeat(blocks, _BLOCK, axis=0), _BLOCK, axis=1)
        cells *= np.sqrt(disc.young)
        return cells * np.float32(light.sum() / max(cells.sum(dtype=float), 1e-30))
