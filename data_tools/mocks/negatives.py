"""What is no cluster and might pass for one, in the middle of a cutout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import gammaincinv

from data_tools.fields.disc import gaussian_random_field
from data_tools.imaging.field_spectrum import FieldSpectrum
from data_tools.imaging.render import Filters, Renderer
from data_tools.imaging.visibility import brightness_at
from data_tools.mocks.surroundings import scattered, with_gas
from data_tools.stars.cluster import MAX_FAINT_POINTS, MAX_STARS, ClusterMaker
from data_tools.stars.draw import sample
from data_tools.stars.nebula import draw_gas, lone_star
from data_tools.stars.population import Population, isochrones_of

#: Light as drawn, and where it is expected; see `NegativeMaker.with_expected`.
Pair = tuple[np.ndarray, np.ndarray]

#: log10 S/N of a single star, blend, galaxy, dust edge or artefact.
_LOG_SNR = (0.2, 3.2)
#: log10 of the half-light radius in arcsec of the compact part of a lone star's gas.
_STAR_GAS = -1.2
#: log10 of the A_V of a dust lane's middle in mag, and its flat inner radius in pixels.
_LANE_LOG_A_V = (-0.3, 0.5)
_LANE_RADIUS_PX = (1.5, 8.0)


class NegativeMaker:
    """Draw the light of objects that are no clusters.

    Parameters
    ----------
    clusters : ClusterMaker
        Gives the populations that stars are taken from.
    renderer : Renderer
        Draws them.
    """

    def __init__(self, clusters: ClusterMaker, renderer: Renderer) -> None:
        self._clusters = clusters
        self._renderer = renderer
        self._box = clusters.target.box
        self._pixel_scale = clusters.target.pixel_scale_arcsec
        self._n_bands = len(clusters.target.bands)
        self._blue_to_red = np.argsort([b.photplam for b in clusters.target.bands])
        self._makers: dict[str, Callable] = {
            "empty": self._empty,
            "field_peak": self._empty,
            "bright_star": self._bright_star,
            "blend": self._blend,
            "association": self._association,
            "background_galaxy": self._background_galaxy,
            "dust_edge": self._dust_edge,
            "artefact": self._artefact,
        }

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds that can be drawn, of `data_tools.schema.KINDS`."""
        return tuple(self._makers)

    def draw(
        self,
        kind: str,
        centre: np.ndarray,
        psf: np.ndarray | Filters,
        spectrum: FieldSpectrum,
        electron_njy: np.ndarray,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Draw one object.

        Parameters
        ----------
        kind : str
            One of `kinds`.
        centre : (2,) ndarray
            Offset (x, y) in pixels from the middle of the image.
        psf : (bands, grid, grid // 2 + 1) ndarray or Filters
            PSFs, as for `data_tools.imaging.render.Renderer.draw`.
        spectrum, electron_njy
            Of the field, as for `data_tools.imaging.visibility.visibility`.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        (px, px, bands) ndarray
            Noise-free light in nJy per pixel.
        """
        return self.with_expected(kind, centre, psf, spectrum, electron_njy, rng)[0]

    def with_expected(
        self,
        kind: str,
        centre: np.ndarray,
        psf: np.ndarray | Filters,
        spectrum: FieldSpectrum,
        electron_njy: np.ndarray,
        rng: np.random.Generator,
    ) -> Pair:
        """Draw one object, and its light where it is expected.

        That is another only of an association: as of a cluster, nobody knows beforehand
        where each of its stars stands.

        Parameters
        ----------
        kind, centre, psf, spectrum, electron_njy, rng
            As for `draw`.

        Returns
        -------
        light, expected : (px, px, bands) ndarray
            In nJy per pixel; the very same array where they don't differ.
        """
        return self._makers[kind](centre, psf, spectrum, electron_njy, rng)

    def _light(self, x, y, flux, centre, psf) -> np.ndarray:
        middle = (self._renderer.size_px - 1) / 2
        return self._renderer.draw(
            x + (middle + centre[0]), y + (middle + centre[1]), flux, psf
        )

    def _away(self, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the canvas's pixels are from a place, in x and in y."""
        middle = self._renderer.margin_px + (self._renderer.size_px - 1) / 2
        axis = np.arange(self._renderer.canvas_px) - middle
        return axis[None, :] - centre[0], axis[:, None] - centre[1]

    @staticmethod
    def _scaled(
        light: np.ndarray,
        spectrum: FieldSpectrum,
        electron_njy: np.ndarray,
        rng: np.random.Generator,
    ) -> Pair:
        """Scale light to a drawn S/N, so that negatives are as visible as clusters."""
        log_snr = rng.uniform(*_LOG_SNR)
        light = light * brightness_at(log_snr, light, spectrum, electron_njy)
        return light, light

    def _star(
        self, rng: np.random.Generator
    ) -> tuple[float, float, Population, int, dict[str, float]]:
        """Draw a star: log age, A_V, population and point in it, traits."""
        log_age = rng.uniform(*self._box["log_age"])
        population, traits = self._clusters.drawn_population(log_age, rng)
        point = int(rng.integers(len(population.flux)))
        return log_age, rng.uniform(0, 2), population, point, traits

    def _star_fluxes(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Return (n, bands) fluxes with the colours of real stars, scaled near one."""
        fluxes = []
        for _ in range(n):
            _, a_v, population, point, _ = self._star(rng)
            flux = population.reddened(a_v)[point]
            electrons = flux @ self._clusters.electrons_per_njy
            fluxes.append(flux * (10 ** rng.uniform(-0.6, 0.6) / electrons))
        return np.array(fluxes)

    def _nothing(self) -> np.ndarray:
        px = self._renderer.size_px
        return np.zeros((px, px, self._n_bands), np.float32)

    def _empty(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        return self._nothing(), self._nothing()

    def _bright_star(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        """Draw a star; a hot young one lies in gas as a cluster does."""
        log_age, a_v, population, point, traits = self._star(rng)
        points = (np.zeros(1), np.zeros(1), population.reddened(a_v)[point][None])
        target, priors = self._clusters.target, self._clusters.priors
        parameters = np.array([log_age, a_v, np.nan, _STAR_GAS])
        alone = lone_star(population, point, target)
        gas = draw_gas(target, priors, parameters, traits, population, alone, rng)
        if gas is not None:
            points = (np.concatenate(both) for both in zip(points, gas, strict=True))
        light = self._light(*points, centre, psf)
        return self._scaled(light, spectrum, electron_njy, rng)

    def _blend(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        n = int(rng.integers(2, 6))
        flux = self._star_fluxes(n, rng)
        x, y = rng.uniform(0.7, 2.5) * rng.standard_normal((2, n))
        light = self._light(x, y, flux, centre, psf)
        return self._scaled(light, spectrum, electron_njy, rng)

    def _association(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        mass = 10 ** rng.uniform(2.5, 4.3)
        youngest = isochrones_of(self._clusters.target).log_ages[0]
        log_age, a_v = max(rng.uniform(6.0, 8.0), youngest), rng.uniform(0, 2)
        population, traits = self._clusters.drawn_population(log_age, rng)
        stars = sample(
            population,
            mass,
            a_v,
            rng,
            MAX_STARS,
            self._clusters.electrons_per_njy,
        )
        # half of a two-dimensional Gaussian lies within 1.177 sigma; a half-light
        # radius above the box's upper end is no cluster
        largest = 10 ** self._box["log_half_light_radius"][1]
        radius = largest * rng.uniform(1.3, 3.5) / self._pixel_scale
        sigma = radius / 1.177
        placed = scattered(stars, sigma, rng)
        reach = self._renderer.size_px / 2 + self._renderer.margin_px
        points = with_gas(
            placed,
            self._clusters,
            (log_age, a_v, sigma),
            traits,
            (population, stars),
            rng,
            (*-centre, reach),
        )
        flux = placed[2]
        light = self._light(*placed, centre, psf)
        expected = self._nothing()
        if len(points[2]) > len(flux):
            expected = self._light(*(p[len(flux) :] for p in points), centre, psf)
            light += expected
        x, y = self._away(centre)
        even = np.exp(-0.5 * (x**2 + y**2) / sigma**2) / (2 * np.pi * sigma**2)
        even = (flux.sum(0)[:, None, None] * even).astype(np.float32)
        return light, expected + self._renderer.convolve(None, psf, even)

    def _background_galaxy(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        """Draw a Sersic (1963) galaxy, red by dust, age and redshift."""
        n_points = MAX_FAINT_POINTS
        index = rng.uniform(0.5, 4.0)
        radius = 10 ** rng.uniform(-0.9, 0.1) / self._pixel_scale
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
        colour = rng.uniform(0.2, 2.2, self._n_bands - 1)
        magnitude = np.zeros(self._n_bands)
        magnitude[self._blue_to_red[1:]] = -np.cumsum(colour)
        flux = np.repeat(10 ** (-0.4 * magnitude)[None] / n_points, n_points, axis=0)
        light = self._light(x, y, flux, centre, psf)
        return self._scaled(light, spectrum, electron_njy, rng)

    def _dust_edge(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        """Draw smooth light of the disc beside a dust lane or between two.

        Of the light behind the dust only what exceeds its minimum is kept: the rest
        is even, and the background it is laid on has an even part of its own.
        """
        side = self._renderer.canvas_px
        x, y = self._away(centre)
        angle = rng.uniform(0, 2 * np.pi)
        across = x * np.cos(angle) + y * np.sin(angle)
        along = y * np.cos(angle) - x * np.sin(angle)
        across += rng.uniform(-0.01, 0.01) * along**2
        # column density of a filament (Arzoumanian et al. 2011, A&A 529, L6, eq. 1)
        slope = rng.uniform(1.5, 4.0)

        def lane(distance: np.ndarray) -> np.ndarray:
            radius = rng.uniform(*_LANE_RADIUS_PX)
            # near the steepest part of the profile
            place = distance + rng.uniform(0.7, 1.3) * radius
            profile = (1 + (place / radius) ** 2) ** (-(slope - 1) / 2)
            return 10 ** rng.uniform(*_LANE_LOG_A_V) * profile

        if rng.random() < 0.5:
            a_v = lane(across)
        else:
            gap = rng.uniform(0, 3)
            a_v = lane(gap + across) + lane(gap - across)
        a_v *= np.exp(rng.uniform(0.2, 0.8) * gaussian_random_field(side, 2.8, rng))
        populations = [
            self._clusters.drawn_population(rng.uniform(*ages), rng)[0]
            for ages in ((9.2, 9.95), (7.0, 8.5))
        ]
        mass = np.array([1.0, 10 ** rng.uniform(-3, -1)])
        light = np.zeros((self._n_bands, side, side), np.float32)
        for population, part in zip(populations, mass, strict=True):
            flux = part * population.number[:, None] * population.flux
            brightness = flux.sum(0)
            k = (flux * population.extinction).sum(0) / brightness
            light += brightness[:, None, None] * 10 ** (
                -0.4 * k[:, None, None] * a_v
            ).astype(np.float32)
        image = self._renderer.convolve(None, psf, light)
        image -= image.min((0, 1))
        return self._scaled(image, spectrum, electron_njy, rng)

    def _artefact(self, centre, psf, spectrum, electron_njy, rng) -> Pair:
        """Draw a cosmic-ray track or a hot pixel in one band, without PSF."""
        light = self._nothing()
        px = self._renderer.size_px
        band = rng.integers(light.shape[-1])
        length = int(rng.integers(1, 9))
        angle = rng.uniform(0, 2 * np.pi)
        step = np.arange(length) - (length - 1) / 2
        middle = (px - 1) / 2
        column = np.rint(middle + centre[0] + step * np.cos(angle)).astype(int)
        row = np.rint(middle + centre[1] + step * np.sin(angle)).astype(int)
        light[row, column, band] = rng.exponential(1.0, length) + 0.1
        return self._scaled(light, spectrum, electron_njy, rng)
