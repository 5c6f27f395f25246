"""Mocks: a cluster, or something that is none, put into a galaxy field."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.special import gammaincinv

from data_tools.field import FieldMaker, GalaxyField, isochrones_of
from data_tools.population import Population, sample
from data_tools.priors import Priors
from data_tools.profile import EFF, King, even_positions, positions
from data_tools.psf import psf_spectra
from data_tools.render import Renderer
from data_tools.schema import KINDS, PARAMETER_NAMES, PIXEL_UNIT_NJY
from data_tools.target import Target

#: Stars of a cluster that are placed one by one, brightest first.
MAX_STARS = 2500
#: Points that stand for the light of all others.
MAX_FAINT_POINTS = 1500

#: log10 S/N of a single star, blend, galaxy or artefact.
_NEGATIVE_LOG_SNR = (0.2, 3.2)
_MARGIN_PX = 16
#: Largest float16; a brighter pixel is far beyond saturation.
_FLOAT16_MAX = 65504.0


def local_variance(background: np.ndarray) -> np.ndarray:
    """Give the variance per pixel of a background, robust against single stars.

    Parameters
    ----------
    background : (px, px, bands) ndarray
        In nJy.

    Returns
    -------
    (bands,) ndarray
        (1.4826 times the median absolute deviation)^2, nJy2: noise and crowding.
    """
    pixels = background.reshape(-1, background.shape[-1])
    deviation = np.abs(pixels - np.median(pixels, axis=0))
    return (1.4826 * np.median(deviation, axis=0)) ** 2


def visibility(
    cluster: np.ndarray, variance: np.ndarray, electron_njy: np.ndarray
) -> float:
    """Give the visibility, log10 S/N of an object against everything else.

    The S/N is that of the optimal sum over pixels and bands (Horne 1986, PASP 98,
    609): S/N^2 = sum c^2 / (sigma^2 + c e), where c is the object's noise-free flux in
    a pixel, sigma^2 the local variance of the field in that band (photons, read-out
    and crowding) and e the flux of one electron, so that c e is the variance of the
    object's own photons.

    Parameters
    ----------
    cluster : (px, px, bands) ndarray
        Noise-free light of the object in nJy.
    variance : (bands,) ndarray
        Local variance per pixel in nJy2.
    electron_njy : (bands,) ndarray
        Flux of one electron in nJy.

    Returns
    -------
    float
        NaN where there is no object (all pixels zero).
    """
    cluster = cluster.astype(float)
    noise = variance + np.maximum(cluster, 0) * electron_njy
    snr2 = float((cluster**2 / noise).sum())
    return 0.5 * np.log10(snr2) if snr2 > 0 else float("nan")


class MockMaker:
    """Make the records of a training set, field by field.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn.
    """

    def __init__(self, target: Target, priors: Priors) -> None:
        self.target = target
        self.priors = priors
        self._fields = FieldMaker(target, priors)
        self._isochrones = isochrones_of(target)
        self._renderer = Renderer(target.cutout_px, _MARGIN_PX)
        self._weight = 1 / np.array([b.electron_njy for b in target.bands])
        kinds = {k: v for k, v in priors.negatives.items() if v > 0}
        self._negative_kinds = tuple(kinds)
        shares = np.array(list(kinds.values()))
        self._negative_shares = shares / max(shares.sum(), 1e-30)
        self._draw_negative: dict[str, Callable] = {
            "empty": self._empty,
            "bright_star": self._bright_star,
            "blend": self._blend,
            "association": self._association,
            "background_galaxy": self._background_galaxy,
            "artefact": self._artefact,
        }
        undrawn = sorted(set(kinds) - set(self._draw_negative))
        if undrawn:
            raise ValueError(
                f"priors: negatives {undrawn} can't be drawn yet; set their shares to 0"
            )

    def make_field(self, rng: np.random.Generator) -> GalaxyField:
        """Draw a synthetic field; see `FieldMaker.make`."""
        return self._fields.make(rng)

    def mocks(
        self,
        field: GalaxyField,
        n: int,
        rng: np.random.Generator,
        field_id: int,
        first_mock_id: int,
    ) -> Iterator[dict[str, np.ndarray | int | float]]:
        """Draw records on one field.

        Parameters
        ----------
        field : GalaxyField
            Where the backgrounds are cut from.
        n : int
            Number of records.
        rng : numpy.random.Generator
            Source of randomness.
        field_id, first_mock_id : int
            Numbers written into the records.

        Yields
        ------
        dict
            The features of `data_tools.schema.FEATURES` but for ``schema_version``.
        """
        px = self.target.cutout_px
        spectra = psf_spectra(
            self.target, self._renderer.grid, field.psf_position, field.blur_px
        )
        for i in range(n):
            row, column = rng.integers(0, len(field.image) - px + 1, 2)
            background = field.image[row : row + px, column : column + px]
            variance = local_variance(background)
            centre = rng.uniform(-1, 1, 2) * self.priors.centre_offset_px
            parameters = np.full(len(PARAMETER_NAMES), np.nan)
            if rng.random() < self.priors.cluster_fraction:
                kind = "cluster"
                parameters = np.array(
                    [rng.uniform(*self.target.box[name]) for name in PARAMETER_NAMES]
                )
                light = self.cluster(parameters, centre, spectra, rng)
            else:
                kind = str(rng.choice(self._negative_kinds, p=self._negative_shares))
                light = self._draw_negative[kind](
                    centre, spectra, variance, field.electron_njy, rng
                )
            # what is stored is what is judged
            stored = np.clip(light / PIXEL_UNIT_NJY, -_FLOAT16_MAX, _FLOAT16_MAX)
            stored = stored.astype(np.float16)
            yield {
                "cluster": stored,
                "background": (background / PIXEL_UNIT_NJY).astype(np.float16),
                "parameters": parameters.astype(np.float32),
                "is_cluster": int(kind == "cluster"),
                "kind": KINDS.index(kind),
                "log_snr": visibility(
                    stored.astype(np.float32) * PIXEL_UNIT_NJY,
                    variance,
                    field.electron_njy,
                ),
                "centre": centre.astype(np.float32),
                "electron_njy": field.electron_njy.astype(np.float32),
                "background_variance": variance.astype(np.float32),
                "field_id": field_id,
                "mock_id": first_mock_id + i,
            }

    def population(self, log_age: float) -> Population:
        """Give the target's population of an age (log10 yr), before dust."""
        isochrone = self._isochrones.at(log_age, self.target.feh)
        return Population.from_isochrone(
            isochrone, self._isochrones.vega_ab, self.target.distance_modulus
        )

    def cluster(
        self,
        parameters: np.ndarray,
        centre: np.ndarray,
        spectra: np.ndarray,
        rng: np.random.Generator,
        renderer: Renderer | None = None,
    ) -> np.ndarray:
        """Draw one cluster.

        Parameters
        ----------
        parameters : (4,) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        centre : (2,) ndarray
            Offset (x, y) in pixels of the centre from the middle of the image.
        spectra : (bands, grid, grid // 2 + 1) ndarray
            PSFs on the renderer's grid.
        rng : numpy.random.Generator
            Source of randomness.
        renderer : Renderer, optional
            To draw on an image of another size than the cutout.

        Returns
        -------
        (px, px, bands) ndarray of float32
            Noise-free light in nJy per pixel.
        """
        x, y, flux = self.cluster_stars(parameters, rng)
        return self._draw(x, y, flux, centre, spectra, renderer)

    def cluster_stars(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw the stars of one cluster, and points for those too many to draw.

        Parameters
        ----------
        parameters : (4,) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        x, y : (n,) ndarray
            Offsets from the centre in pixels.
        flux : (n, bands) ndarray
            In nJy.
        """
        log_age, a_v, log_mass, log_radius = parameters
        stars = sample(
            self.population(log_age),
            10**log_mass,
            a_v,
            rng,
            MAX_STARS,
            self._weight,
        )
        if rng.random() < self.priors.king_fraction:
            profile = King(rng.uniform(*self.priors.king_log_concentration))
        else:
            profile = EFF(rng.uniform(*self.priors.eff_eta))
        radius = 10**log_radius / self.target.pixel_scale_arcsec
        x, y = positions(profile, radius, len(stars.flux), rng)
        if not stars.faint_flux2.any():
            return x, y, stars.flux
        # as many points as equal stars that would give the same light and variance
        n_equal = (stars.faint_flux**2 / stars.faint_flux2).max()
        n_faint = int(np.clip(n_equal, 1, MAX_FAINT_POINTS))
        more_x, more_y = even_positions(profile, radius, n_faint, rng)
        faint = np.repeat(stars.faint_flux[None] / n_faint, n_faint, axis=0)
        return (
            np.concatenate([x, more_x]),
            np.concatenate([y, more_y]),
            np.concatenate([stars.flux, faint]),
        )

    def _draw(
        self,
        x: np.ndarray,
        y: np.ndarray,
        flux: np.ndarray,
        centre: np.ndarray,
        spectra: np.ndarray,
        renderer: Renderer | None = None,
    ) -> np.ndarray:
        renderer = renderer or self._renderer
        middle = (renderer.size_px - 1) / 2
        return renderer.draw(
            x + (middle + centre[0]), y + (middle + centre[1]), flux, spectra
        )

    @staticmethod
    def _scaled(
        light: np.ndarray,
        variance: np.ndarray,
        electron_njy: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Scale light to a drawn S/N, so that negatives are as visible as clusters."""
        log_snr = rng.uniform(*_NEGATIVE_LOG_SNR)
        # the scale that gives it if the object's own photons didn't count, then one
        # Newton step in log space: S/N falls from linear to square root in the scale
        scale = 10.0 ** (log_snr - visibility(light, variance, 0 * electron_njy))
        for _ in range(6):
            scale *= 10.0 ** (
                log_snr - visibility(light * scale, variance, electron_njy)
            )
        return light * scale

    def _star_fluxes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Give (n, bands) fluxes with the colours of real stars, scaled near one."""
        fluxes = []
        for _ in range(n):
            population = self.population(rng.uniform(*self.target.box["log_age"]))
            point = rng.integers(len(population.flux))
            flux = population.flux[point] * 10 ** (
                -0.4 * rng.uniform(0, 2) * population.extinction[point]
            )
            electrons = flux @ self._weight
            fluxes.append(flux * (10 ** rng.uniform(-0.6, 0.6) / electrons))
        return np.array(fluxes)

    def _empty(self, centre, spectra, variance, electron_njy, rng) -> np.ndarray:
        px = self.target.cutout_px
        return np.zeros((px, px, len(self.target.bands)), np.float32)

    def _bright_star(self, centre, spectra, variance, electron_njy, rng) -> np.ndarray:
        flux = self._star_fluxes(1, rng)
        light = self._draw(np.zeros(1), np.zeros(1), flux, centre, spectra)
        return self._scaled(light, variance, electron_njy, rng)

    def _blend(self, centre, spectra, variance, electron_njy, rng) -> np.ndarray:
        n = int(rng.integers(2, 6))
        flux = self._star_fluxes(n, rng)
        x, y = rng.uniform(0.7, 2.5) * rng.standard_normal((2, n))
        light = self._draw(x, y, flux, centre, spectra)
        return self._scaled(light, variance, electron_njy, rng)

    def _association(self, centre, spectra, variance, electron_njy, rng) -> np.ndarray:
        mass = 10 ** rng.uniform(2.5, 4.3)
        stars = sample(
            self.population(rng.uniform(6.6, 8.0)),
            mass,
            rng.uniform(0, 2),
            rng,
            MAX_STARS,
            self._weight,
        )
        # half of a two-dimensional Gaussian lies within 1.177 sigma; a half-light
        # radius above the box's upper end is no cluster
        largest = 10 ** self.target.box["log_half_light_radius"][1]
        radius = largest * rng.uniform(1.3, 3.5) / self.target.pixel_scale_arcsec
        x, y = radius / 1.177 * rng.standard_normal((2, len(stars.flux)))
        return self._draw(x, y, stars.flux, centre, spectra)

    def _background_galaxy(
        self, centre, spectra, variance, electron_njy, rng
    ) -> np.ndarray:
        """Draw a Sersic (1963) galaxy, red by dust, age and redshift."""
        n_points = MAX_FAINT_POINTS
        index = rng.uniform(0.5, 4.0)
        radius = 10 ** rng.uniform(-0.9, 0.1) / self.target.pixel_scale_arcsec
        axis_ratio, angle = rng.uniform(0.2, 1.0), rng.uniform(0, np.pi)
        share = (np.arange(n_points) + 0.5) / n_points
        # R(share) from the Sersic law's enclosed light (Graham & Driver 2005, PASA 22,
        # 118, equation 2)
        b = gammaincinv(2 * index, 0.5)
        along = radius * (gammaincinv(2 * index, share * 0.97) / b) ** index
        turn = rng.uniform(0, 2 * np.pi) + np.pi * (3 - np.sqrt(5)) * np.arange(
            n_points
        )
        u, v = along * np.cos(turn), axis_ratio * along * np.sin(turn)
        x = u * np.cos(angle) - v * np.sin(angle)
        y = u * np.sin(angle) + v * np.cos(angle)
        # AB colour between neighbouring bands, blue star-forming to red and redshifted
        colour = rng.uniform(0.2, 2.2, len(self.target.bands) - 1)
        magnitude = np.concatenate([[0.0], -np.cumsum(colour)])
        flux = np.repeat(10 ** (-0.4 * magnitude)[None] / n_points, n_points, axis=0)
        light = self._draw(x, y, flux, centre, spectra)
        return self._scaled(light, variance, electron_njy, rng)

    def _artefact(self, centre, spectra, variance, electron_njy, rng) -> np.ndarray:
        """Draw a cosmic-ray track or hot pixels, in one band, not seen through a PSF."""
        light = self._empty(centre, spectra, variance, electron_njy, rng)
        px = self.target.cutout_px
        band = rng.integers(light.shape[-1])
        length = int(rng.integers(1, 9))
        angle = rng.uniform(0, 2 * np.pi)
        step = np.arange(length) - (length - 1) / 2
        middle = (px - 1) / 2
        column = np.rint(middle + centre[0] + step * np.cos(angle)).astype(int)
        row = np.rint(middle + centre[1] + step * np.sin(angle)).astype(int)
        light[row, column, band] = rng.exponential(1.0, length) + 0.1
        return self._scaled(light, variance, electron_njy, rng)
