"""A simple stellar population: how many stars of which light, behind how much dust."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from data_tools.compiled import compiled
from data_tools.schema import STELLAR_MODELS
from data_tools.stars.evolution.isochrones import Isochrone, IsochroneGrid
from data_tools.stars.evolution.stellar_photometry import R_V, r_v_change
from data_tools.stars.imf import (
    companions_of_heavier,
    mass_below,
    stars_below,
)
from data_tools.target import AB_ZERO_NJY, Target

#: SSE ends at [Fe/H] 0.17 and MIST at 0.25, in dex.
MOST_FEH_BEYOND = 0.1

#: Ages at which the share of the mass that lives is tabulated.
_LIVING_AGES = 83

#: Natural log of the flux ratio of one magnitude.
MAGNITUDE = np.float32(-0.4 * np.log(10.0))


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
        faintness = isochrone.magnitude * MAGNITUDE
        zero = np.log(AB_ZERO_NJY) + float(MAGNITUDE) * (vega_ab + distance_modulus)
        flux = np.exp(faintness + zero.astype(np.float32))
        # above zero: a last digit, other on another processor, must not decide whether
        # a point of no width takes a random number
        number = np.maximum(np.diff(stars_below(edges)), 1e-300)
        paired = np.zeros(len(mass))
        if binary_fraction:
            widowed = binary_fraction * companions_of_heavier(mass[-1])
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
        return float(self.number @ mass) + mass_below(self.mass[0])

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
        means = np.empty_like(values)
        for column, mean in zip(values.T, means.T, strict=True):
            _average_companions(column, self.mass, self.edges, mean)
        return means

    def reddened(self, a_v: float) -> np.ndarray:
        """Return the flux of each point's star behind dust, (n, bands) in nJy."""
        return self.flux * np.exp(MAGNITUDE * np.float32(a_v) * self.extinction)

    def mean_flux(self, a_v: float = 0.0) -> np.ndarray:
        """Return the expected flux of one Msun of stars, (bands,) in nJy."""
        flux = self.reddened(a_v)
        light = self.number @ flux
        if self.has_pairs:
            light += (self.number * self.paired) @ self.of_companions(flux)
        return light


@compiled
def _average_companions(values, mass, edges, out):
    lighter = 0.0
    for i in range(len(values)):
        lighter += values[i] * (edges[i + 1] - edges[i])
        # of the point's own range only what is lighter than the primary
        out[i] = (lighter - values[i] * (edges[i + 1] - mass[i])) / mass[i]


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
