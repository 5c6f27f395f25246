"""A patch of galaxy disc: resolved stars, smooth light, dust, loose associations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.disc import gaussian_random_field
from data_tools.observation import Observation, draw_observation
from data_tools.population import Population, Stars, population_of, sample
from data_tools.priors import Priors
from data_tools.psf import psf_spectra
from data_tools.render import Renderer
from data_tools.target import Target

#: Ages (log yr) that stand for the old disc, and their shares of its mass: a constant
#: star-formation rate between 1 and 12 Gyr, in three steps.
OLD_AGES = ((9.2, 0.15), (9.6, 0.35), (9.95, 0.50))
#: Steps in log age of the young disc, which formed at a constant rate.
YOUNG_AGES = np.arange(6.7, 8.95, 0.25)

#: Stars placed one by one in each age step of a field.
_MAX_STARS = 8_000
#: The same for one association, and the points that stand for all its other stars.
_ASSOCIATION_STARS = 150
_ASSOCIATION_FAINT_POINTS = 30
#: Share of the stars younger than 100 Myr in loose associations, and the associations'
#: half-mass radius in pc: loose means far above a cluster's few pc (Gouliermis 2018,
#: PASP 130, 072001).
_ASSOCIATION_SHARE = 0.4
_ASSOCIATION_RADIUS_PC = (10.0, 60.0)
_ASSOCIATION_LOG_MASS = (2.5, 4.3)


@dataclass(frozen=True)
class GalaxyField:
    """One synthetic field as it was observed.

    Attributes
    ----------
    image : (px, px, bands) ndarray of float32
        Noisy image in nJy per pixel, mean sky subtracted.
    observation : Observation
        What it was seen through.
    properties : dict of str to float
        What was drawn: surface densities, dust.
    corners : (n, 2) ndarray of int, optional
        First pixels (row, column) at which a cutout may be taken; None for anywhere.
    """

    image: np.ndarray
    observation: Observation
    properties: dict[str, float]
    corners: np.ndarray | None = None


class _Density:
    """A map of surface density to draw places from, in cells."""

    def __init__(self, density: np.ndarray) -> None:
        self.share = (density / density.sum()).astype(np.float32)
        self._cumulative = np.cumsum(density, dtype=float)

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Draw n places (x, y)."""
        total = self._cumulative[-1]
        cell = np.searchsorted(self._cumulative, rng.random(n) * total, side="right")
        row, column = np.divmod(
            np.minimum(cell, self.share.size - 1), self.share.shape[1]
        )
        return column + rng.random(n) - 0.5, row + rng.random(n) - 0.5


class FieldMaker:
    """Draw synthetic fields of a target.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        Ranges of what is drawn.
    """

    def __init__(self, target: Target, priors: Priors) -> None:
        self.target = target
        self.priors = priors
        self._old = [(population_of(target, age), share) for age, share in OLD_AGES]
        self._young = [(age, population_of(target, age)) for age in YOUNG_AGES]
        self._renderer = Renderer(priors.field_px, 0)
        self._weight = 1 / np.array([b.electron_njy for b in target.bands])

    def make(self, rng: np.random.Generator, split: str = "train") -> GalaxyField:
        """Draw one field: stars and dust, PSF, exposure, noise.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness; the same state gives the same field.
        split : str
            Part of the set; synthetic fields do not differ by it.
        """
        priors = self.priors
        old_density = 10 ** rng.uniform(*priors.field_old_mass_density)
        sfr_density = 10 ** rng.uniform(*priors.field_sfr_density)
        dust_a_v = 10 ** rng.uniform(*priors.field_dust_a_v)
        observation = draw_observation(self.target, priors, rng)

        stars, smooth = self._sources(old_density, sfr_density, dust_a_v, rng)
        spectra = psf_spectra(
            self.target,
            self._renderer.grid,
            observation.psf_position,
            observation.blur_px,
            observation.band_shift_px,
        )
        light = self._renderer.convolve(stars, spectra, smooth)
        image = observation.image(light, rng)
        residual = priors.sky_residual * rng.uniform(-1, 1, len(observation.sky_njy))
        image -= (residual * observation.sky_njy).astype(np.float32)
        return GalaxyField(
            image,
            observation,
            {
                "old_mass_density": old_density,
                "sfr_density": sfr_density,
                "dust_a_v": dust_a_v,
            },
        )

    def _sources(
        self,
        old_density: float,
        sfr_density: float,
        dust_a_v: float,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Give the stars of a field, spread, and its smooth light."""
        renderer = self._renderer
        n_cells = renderer.canvas_px
        cell_pc = self.target.pixel_scale_arcsec * self.target.pc_per_arcsec
        area_pc2 = (n_cells * cell_pc) ** 2
        dust = dust_a_v * np.exp(
            rng.uniform(0.4, 1.0) * gaussian_random_field(n_cells, 2.8, rng)
        )
        axis = np.linspace(-1, 1, n_cells)
        slope_x, slope_y = rng.uniform(-0.3, 0.3, 2)
        gradient = np.exp(slope_x * axis[None, :] + slope_y * axis[:, None])
        clumps = np.exp(1.2 * gaussian_random_field(n_cells, 2.5, rng))
        smooth, clumpy = _Density(gradient), _Density(gradient * clumps)

        x, y, flux = [], [], []
        faint = np.zeros((len(self.target.bands), n_cells, n_cells), np.float32)
        faint2 = np.zeros_like(faint)

        def add(population: Population, mass: float, density: _Density) -> None:
            stars = sample(population, mass, 0.0, rng, _MAX_STARS, self._weight)
            column, row = density.draw(len(stars.point), rng)
            self._place(
                population,
                stars.point,
                stars.flux,
                column,
                row,
                dust,
                rng,
                (x, y, flux),
            )
            self._smooth(population, stars, density, dust, faint, faint2)

        for population, share in self._old:
            add(population, share * old_density * area_pc2, smooth)
        for i, (age, population) in enumerate(self._young):
            older, younger = 10 ** (age + 0.125), 10 ** (age - 0.125)
            span = older - (younger if i else 0.0)
            mass = sfr_density * 1e-6 * area_pc2 * span
            if age > 8:
                add(population, mass, clumpy)
                continue
            add(population, (1 - _ASSOCIATION_SHARE) * mass, clumpy)
            self._associations(
                population, _ASSOCIATION_SHARE * mass, clumpy, dust, rng, (x, y, flux)
            )

        grid = renderer.source_grid(
            np.concatenate(x), np.concatenate(y), np.concatenate(flux)
        )
        # light of stars too many to place: its mean, and its own fluctuations, one
        # deviate a cell for all bands since the same stars shine in all
        fluctuation = rng.standard_normal((n_cells, n_cells), np.float32)
        cells = faint + np.sqrt(faint2) * fluctuation
        return grid, cells

    def _place(
        self,
        population: Population,
        point: np.ndarray,
        flux: np.ndarray,
        column: np.ndarray,
        row: np.ndarray,
        dust: np.ndarray,
        rng: np.random.Generator,
        out: tuple[list, list, list],
    ) -> None:
        """Put stars at a place, each at its own depth in the dust."""
        n = len(dust)
        cell_column = np.clip(np.rint(column), 0, n - 1).astype(int)
        cell_row = np.clip(np.rint(row), 0, n - 1).astype(int)
        a_v = dust[cell_row, cell_column] * rng.random(len(column))
        a_v += self.priors.foreground_a_v
        through = 10 ** (-0.4 * a_v[:, None] * population.extinction[point])
        for values, more in zip(out, (column, row, flux * through), strict=True):
            values.append(more)

    def _smooth(
        self,
        population: Population,
        stars: Stars,
        density: _Density,
        dust: np.ndarray,
        faint: np.ndarray,
        faint2: np.ndarray,
    ) -> None:
        """Add the light of unplaced stars, mixed evenly with the dust along depth."""
        light = population.number[:, None] * population.flux
        coefficient = (light * population.extinction).sum(0) / light.sum(0)
        for band, k in enumerate(coefficient):
            depth = (0.4 * np.log(10) * k * dust).astype(np.float32)
            foreground = 10 ** (-0.4 * k * self.priors.foreground_a_v)
            # means over depth of e^-d and of its square
            through = -np.expm1(-depth) / depth
            through2 = through * (1 - 0.5 * depth * through)
            through *= density.share
            through2 *= density.share
            faint[band] += np.float32(foreground * stars.faint_flux[band]) * through
            faint2[band] += (
                np.float32(foreground**2 * stars.faint_flux2[band]) * through2
            )

    def _associations(
        self,
        population: Population,
        mass: float,
        density: _Density,
        dust: np.ndarray,
        rng: np.random.Generator,
        out: tuple[list, list, list],
    ) -> None:
        """Share mass among loose Gaussian associations until it is used up."""
        cell_pc = self.target.pixel_scale_arcsec * self.target.pc_per_arcsec
        while mass > 0:
            one = 10 ** rng.uniform(*_ASSOCIATION_LOG_MASS)
            if one > mass and rng.random() > mass / one:
                return
            mass -= one
            stars = sample(population, one, 0.0, rng, _ASSOCIATION_STARS, self._weight)
            point, flux = stars.point, stars.flux
            if stars.faint_flux.any() and len(point):
                # dust dims the rest as it does the faintest star that is placed
                n = _ASSOCIATION_FAINT_POINTS
                point = np.concatenate([point, np.repeat(point[-1], n)])
                flux = np.concatenate(
                    [flux, np.repeat(stars.faint_flux[None] / n, n, 0)]
                )
            # half of a two-dimensional Gaussian lies within 1.177 sigma
            sigma = rng.uniform(*_ASSOCIATION_RADIUS_PC) / 1.177 / cell_pc
            middle = density.draw(1, rng)
            column, row = (m + sigma * rng.standard_normal(len(point)) for m in middle)
            self._place(population, point, flux, column, row, dust, rng, out)
