"""What an image is seen through: exposure, sky, read-out, drizzling, PSF."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.compiled import compiled
from data_tools.imaging.detector.charge import spilled, trail_spectra, trapped
from data_tools.imaging.psf import OVERSAMPLING, n_positions, psf_spectra
from data_tools.priors import Priors
from data_tools.target import Target


@dataclass(frozen=True)
class Observation:
    """One observation of a target in all its bands.

    Attributes
    ----------
    electron_njy : (bands,) ndarray
        Flux in nJy of one electron over the exposure.
    white_variance : (bands,) ndarray
        Variance per native pixel of sky, dark current and read-out, nJy2.
    sky_njy : (bands,) ndarray
        Sky (and dark current) in nJy per pixel, which has been subtracted.
    noise_shift_px : (bands,) ndarray
        Sub-pixel shift, 0 to 0.5, by which drizzling correlates the noise of
        neighbours; see `drizzled`.
    psf_position : int
        Which empirical PSF of the detector.
    blur_px : (bands,) ndarray
        Gaussian blur of the PSF by drizzling, sigma in pixels.
    band_shift_px : (bands, 2) ndarray
        Offset (x, y) of each band's image from the common pixel grid.
    zero_point_mag : (bands,) ndarray
        How much brighter, in mag, everything is recorded than it is.
    full_well : float
        Electrons that fill a pixel in one exposure.
    exposures : (bands,) ndarray
        Number of exposures.
    trail : (bands,) ndarray
        Share of the light that trails behind along columns when charge is read out;
        negative for trails towards the first row.
    """

    electron_njy: np.ndarray
    white_variance: np.ndarray
    sky_njy: np.ndarray
    noise_shift_px: np.ndarray
    psf_position: int
    blur_px: np.ndarray
    band_shift_px: np.ndarray
    zero_point_mag: np.ndarray
    full_well: float
    exposures: np.ndarray
    trail: np.ndarray

    def psf(self, target: Target, n: int) -> np.ndarray:
        """Return the Fourier transforms of the PSFs, zero points and trails with them.

        Parameters
        ----------
        target : Target
            What is observed.
        n : int
            Side of the finer grid.

        Returns
        -------
        (bands, n, n // 2 + 1) ndarray of complex64
            As `data_tools.imaging.psf.psf_spectra`.
        """
        spectra = psf_spectra(
            target, n, self.psf_position, self.blur_px, self.band_shift_px
        )
        factor = 10 ** (0.4 * self.zero_point_mag)
        spectra *= factor[:, None, None].astype(np.float32)
        if self.trail.any():
            along_column = np.fft.fftfreq(n) * OVERSAMPLING
            spectra *= trail_spectra(self.trail, along_column)[:, :, None]
        return spectra

    def saturated(
        self, light: np.ndarray, background: np.ndarray | float = 0.0
    ) -> np.ndarray:
        """Return light with what fills pixels in one exposure spilled along columns.

        Columns of the detector are taken as columns of the image, and its pixels as of
        the same size.

        Parameters
        ----------
        light : (rows, columns, bands) ndarray
            Noise-free, nJy per pixel, sky subtracted.
        background : (rows, columns, bands) ndarray, optional
            What else is in the pixels, and stays as it is.
        """
        room = self.full_well * self.exposures * self.electron_njy - self.sky_njy
        room = room.astype(np.float32)
        # all bands at once: along a short last axis it takes a hundred times as long
        if light.max() + np.max(background) <= room.min():
            return light
        return spilled(light, np.maximum(room - background, 0))

    def noise(self, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the photon noise that light adds to an image that has its own.

        Parameters
        ----------
        light : (rows, columns, bands) ndarray
            Noise-free, nJy per pixel.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        (rows, columns, bands) ndarray of float32
            nJy per pixel, mean zero.
        """
        variance = np.maximum(light, 0) * self.electron_njy.astype(np.float32)
        return self._drawn(variance, rng)

    def image(self, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the image of a scene: light with the noise of photons, sky, read-out.

        The noise is Gaussian: with at least one read-out of about 3 electrons its true
        skewness is below 0.15.

        Parameters
        ----------
        light : (rows, columns, bands) ndarray
            Noise-free, nJy per pixel.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        (rows, columns, bands) ndarray of float32
            nJy per pixel, sky subtracted.
        """
        variance = np.maximum(light, 0) * self.electron_njy.astype(np.float32)
        variance += self.white_variance.astype(np.float32)
        return light + self._drawn(variance, rng)

    def _drawn(self, variance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = rng.standard_normal(variance.shape, np.float32)
        noise *= np.sqrt(variance)
        return drizzled(noise, self.noise_shift_px)

    def pixel_variance(self, background: np.ndarray) -> np.ndarray:
        """Return a background's variance per pixel as if its pixels were independent.

        The scatter of the pixels, half the distance of their quartiles in units of a
        Gaussian's, robust against single stars: noise and crowding. Drizzling has
        averaged some of the noise away between neighbours; that part, the noise of
        the white variance and of the median light, is added again.

        Parameters
        ----------
        background : (px, px, bands) ndarray
            nJy per pixel.

        Returns
        -------
        (bands,) ndarray
            nJy2.
        """
        # every fourth row: it says nearly what those beside it say
        bands = background.shape[-1]
        pixels = np.ascontiguousarray(background[::4].reshape(-1, bands).T)
        quarter = pixels.shape[1] // 4
        pixels.sort(axis=1)
        low, median, high = pixels[:, quarter : 3 * quarter + 1 : quarter].T
        # 0.6745: the upper quartile of a Gaussian in units of sigma
        scatter = (high - low) / (2 * 0.6745)
        noise = self.white_variance + np.maximum(median, 0) * self.electron_njy
        return scatter**2 + (1 - variance_factor(self.noise_shift_px)) * noise


def variance_factor(noise_shift_px: np.ndarray) -> np.ndarray:
    """Return the factor by which `drizzled` lowers the variance of a pixel."""
    return (1 - 2 * noise_shift_px * (1 - noise_shift_px)) ** 2


def neighbour_correlation(noise_shift_px: np.ndarray) -> np.ndarray:
    """Return the correlation coefficient that `drizzled` gives neighbours."""
    q = noise_shift_px * (1 - noise_shift_px)
    return q / (1 - 2 * q)


def drizzled(noise: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """Correlate the noise of neighbouring pixels as drizzling does.

    A native pixel of full size (pixfrac 1) that is drizzled onto pixels of its own
    size at a sub-pixel shift d falls on two of them along each axis, 1 - d on the one
    and d on the other (Fruchter & Hook 2002, PASP 114, 144). The mean of exposures at
    several shifts has the same power spectrum along an axis as one at the shift with
    d (1 - d) equal to their mean. Neighbours get the correlation coefficient
    d (1 - d) / (1 - 2 d (1 - d)).

    Parameters
    ----------
    noise : (rows, columns, bands) ndarray
        Independent from pixel to pixel.
    shift_px : (bands,) ndarray
        d, 0 to 0.5.

    Returns
    -------
    (rows, columns, bands) ndarray
        Opposite edges count as neighbours.
    """
    shift = np.asarray(shift_px, noise.dtype)
    return _mixed(np.ascontiguousarray(noise), shift) if shift.any() else noise


@compiled
def _mixed(noise, shift):
    """Mix each pixel with the one before it, along both axes."""
    rows, columns, bands = noise.shape
    out = np.empty_like(noise)
    own = 1 - shift
    for row in range(rows):
        above, here, mixed = noise[row - 1], noise[row], out[row]
        for band in range(bands):
            before = own[band] * here[-1, band] + shift[band] * above[-1, band]
            for column in range(columns):
                now = own[band] * here[column, band] + shift[band] * above[column, band]
                mixed[column, band] = own[band] * now + shift[band] * before
                before = now
    return out


def draw_observation(
    target: Target, priors: Priors, rng: np.random.Generator
) -> Observation:
    """Draw what a field is seen through.

    Parameters
    ----------
    target : Target
        Bands with their exposures and sky.
    priors : Priors
        Ranges around them.
    rng : numpy.random.Generator
        Source of randomness.
    """
    n = len(target.bands)
    exposure = 10 ** rng.uniform(*priors.exposure_factor)
    electron_njy = np.array([b.electron_njy for b in target.bands]) / exposure
    sky = np.array([b.sky_electrons_s * b.exposure_s for b in target.bands])
    sky *= exposure * 10 ** rng.uniform(*priors.sky_factor)
    read_noise = target.read_noise_electrons * rng.uniform(*priors.read_noise_factor)
    reads = np.array([b.n_exposures for b in target.bands])
    return Observation(
        electron_njy=electron_njy,
        white_variance=(sky + reads * read_noise**2) * electron_njy**2,
        sky_njy=sky * electron_njy,
        noise_shift_px=rng.uniform(*priors.noise_shift_px, n),
        psf_position=int(rng.integers(n_positions())),
        blur_px=np.array(
            [rng.uniform(*priors.blur_range(b)) for b in target.band_names]
        ),
        band_shift_px=rng.uniform(-1, 1, (n, 2)) * priors.band_shift_px,
        zero_point_mag=rng.uniform(-1, 1, n) * priors.zero_point_mag,
        full_well=rng.uniform(*priors.full_well),
        exposures=reads,
        # at any distance from the read-out, which is on either side
        trail=trapped(
            rng.uniform(*priors.transfer_loss) * rng.uniform(-1, 1), sky / reads
        ),
    )
