"""How well an object can be seen: its S/N, and how deep an image is."""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

from data_tools.imaging.psf import OVERSAMPLING, n_positions, psf_spectra
from data_tools.target import Target, njy_to_ab

#: Side of the finer grid on which the sharpness of the PSF is summed.
_PSF_GRID = 128


def visibility(
    cluster: np.ndarray, variance: np.ndarray, electron_njy: np.ndarray
) -> float:
    """Return the visibility, log10 S/N of an object against everything else.

    The S/N is that of the optimal sum over pixels and bands (Horne 1986, PASP 98,
    609): S/N^2 = sum c^2 / (sigma^2 + c e), where c is the object's noise-free flux in
    a pixel, sigma^2 the variance per pixel of the field in that band (photons, read-out
    and crowding, as if pixels were independent:
    `data_tools.imaging.observation.Observation.pixel_variance`) and e the flux of one
    electron, so that c e is the variance of the object's own photons.

    Parameters
    ----------
    cluster : (px, px, bands) or (pixels, bands) ndarray
        Noise-free light of the object in nJy.
    variance : (bands,) ndarray
        Variance per pixel in nJy2.
    electron_njy : (bands,) ndarray
        Flux of one electron in nJy.

    Returns
    -------
    float
        NaN where there is no object (all pixels zero).
    """
    cluster = np.asarray(cluster, np.float32)
    noise = np.maximum(cluster, 0)
    noise *= np.asarray(electron_njy, np.float32)
    noise += np.asarray(variance, np.float32)
    np.divide(cluster, noise, out=noise)
    snr2 = float(np.vdot(cluster, noise))
    return 0.5 * math.log10(snr2) if snr2 > 0 else math.nan


def depth(
    target: Target, white_variance: np.ndarray, blur_px: np.ndarray
) -> np.ndarray:
    """Return the AB magnitude of a point source seen at 5 sigma.

    The flux of a star fitted by its PSF has the variance white_variance / sum PSF^2
    (King 1983, PASP 95, 163), here at the mean over places of the star within a pixel.
    Correlated noise counts by its variance before drizzling, which is what it adds
    over the area of a PSF. The PSF is one from the middle of the detector's list.

    Parameters
    ----------
    target : Target
        Bands and PSFs.
    white_variance : (bands,) ndarray
        Variance per native pixel in nJy2.
    blur_px : (bands,) ndarray
        Gaussian blur of the PSF by drizzling, sigma in pixels.

    Returns
    -------
    (bands,) ndarray
        AB magnitude; NaN where the variance is.
    """
    spectra = psf_spectra(target, _PSF_GRID, n_positions() // 2, blur_px)
    psf = scipy.fft.irfft2(spectra, (_PSF_GRID, _PSF_GRID), axes=(1, 2))
    # the pixels of a star are every second sample of the finer grid, along both axes
    sharpness = np.square(psf.astype(float)).sum(axis=(1, 2)) / OVERSAMPLING**2
    flux = 5 * np.sqrt(white_variance / sharpness)
    return njy_to_ab(flux)
