"""How well an object can be seen: its S/N, and how deep an image is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.fft

from data_tools.compiled import compiled
from data_tools.imaging.field_spectrum import FieldSpectrum, rings
from data_tools.imaging.psf import OVERSAMPLING, n_positions, psf_spectra
from data_tools.target import Target, njy_to_ab

#: Side of the finer grid on which the sharpness of the PSF is summed.
_PSF_GRID = 128
#: Least share of a band's power that the others don't tell of: more than the estimates
#: of how much they do are good for.
_LEAST_OWN = 0.01
#: Where between once and twice a missing S/N a brightness is looked for.
_TRIED = np.linspace(1, 2, 9)


@dataclass(frozen=True)
class Signal:
    """What an object brings that can be told from its field.

    Attributes
    ----------
    power : (rings, bands, bands) ndarray
        Sum over each ring of frequencies (`field_spectrum.rings`) of the products of
        two bands' Fourier coefficients, nJy2.
    photons : (bands,) ndarray
        Variance per pixel of the object's own photon noise, nJy2, where its light is.
    """

    power: np.ndarray
    photons: np.ndarray

    def log_snr(
        self, spectrum: FieldSpectrum, factor: float | np.ndarray = 1.0
    ) -> np.ndarray:
        """Return the visibility of the object, made brighter by a factor.

        Parameters
        ----------
        spectrum : FieldSpectrum
            Of the field that it stands in.
        factor : float or (n,) ndarray
            By which all its light is multiplied.

        Returns
        -------
        () or (n,) ndarray
            log10 S/N; NaN where there is no object.
        """
        noise = np.ascontiguousarray(spectrum.power)
        factors = np.array(factor, float, ndmin=1)
        snr2 = _whitened(self.power, noise, self.photons, factors)
        snr2 = snr2.reshape(np.shape(factor))
        return 0.5 * np.log10(snr2, where=snr2 > 0, out=np.full_like(snr2, np.nan))


@compiled
def _whitened(signal, noise, photons, factor):
    """Return S/N^2 by factor: over all rings, the trace of signal divided by noise.

    Band by band: what a band adds is what the bands before it don't tell of it. So no
    library's matrix product is used, whose last digits differ between processors.
    """
    total = np.zeros(len(factor))
    rings, bands, _ = signal.shape
    for i in range(len(factor)):
        for ring in range(rings):
            s, n = signal[ring].copy(), noise[ring].copy()
            for band in range(bands):
                n[band, band] += factor[i] * photons[band]
            least = _LEAST_OWN * np.diag(n)
            for band in range(bands):
                own = max(n[band, band], least[band])
                total[i] += factor[i] ** 2 * s[band, band] / own
                for row in range(band + 1, bands):
                    slope = n[row, band] / own
                    for column in range(band + 1, bands):
                        other = n[column, band] / own
                        n[row, column] -= slope * n[band, column]
                        s[row, column] += (
                            slope * other * s[band, band]
                            - slope * s[band, column]
                            - other * s[row, band]
                        )
    return total


def signal(light: np.ndarray, electron_njy: np.ndarray) -> Signal:
    """Return what can be seen of an object's light.

    The light is tapered to zero at the edges of the cutout (von Hann), so that what is
    cut off there, or goes on beyond, makes no edge. The mean is no part of it: that of
    the field is not known.

    Parameters
    ----------
    light : (px, px, bands) ndarray
        Noise-free light of the object in nJy.
    electron_njy : (bands,) ndarray
        Flux of one electron in nJy.
    """
    px = len(light)
    bands = [light[..., i] for i in range(light.shape[-1])]
    light = np.stack(bands, dtype=np.float32, casting="same_kind") * _taper(px)
    ring = rings(px)
    modes = scipy.fft.rfft2(light).reshape(len(light), -1)
    power = _ring_powers(modes, ring.order, ring.weight, ring.first) / px**2
    positive = np.maximum(light, 0)
    total = positive.sum(axis=(1, 2))
    mean = np.square(positive).sum(axis=(1, 2)) / np.where(total > 0, total, 1)
    return Signal(power, mean * electron_njy)


@compiled
def _ring_powers(modes, order, weight, first):
    """Sum the products of bands' modes over rings (`field_spectrum.Rings`)."""
    bands = len(modes)
    power = np.zeros((len(first), bands, bands))
    ring = -1
    for k in range(len(order)):
        if ring + 1 < len(first) and first[ring + 1] == k:
            ring += 1
        for i in range(bands):
            one = modes[i, order[k]]
            for j in range(i, bands):
                other = modes[j, order[k]]
                power[ring, i, j] += weight[k] ** 2 * (
                    one.real * other.real + one.imag * other.imag
                )
    for i in range(bands):
        for j in range(i):
            power[:, i, j] = power[:, j, i]
    return power


@lru_cache(maxsize=4)
def _taper(px: int) -> np.ndarray:
    wave = np.sin(np.pi * (np.arange(px) + 0.5) / px) ** 2
    return (wave[:, None] * wave).astype(np.float32)


def visibility(
    light: np.ndarray, spectrum: FieldSpectrum, electron_njy: np.ndarray
) -> float:
    """Return the visibility, log10 S/N of an object against everything else.

    The S/N is that of the matched filter (Turin 1960, IRE Trans. Inf. Theory 6, 311)
    in all bands: S/N^2 = sum over frequencies k of c_k^H (P_k + N)^-1 c_k. c_k are the
    Fourier coefficients of the object's noise-free light in the bands (`signal`), P_k
    the field's power spectrum, noise and crowding together
    (`field_spectrum.measure_spectrum`), so that the same filter has a scatter of one
    over the field. N is the noise of the object's own photons, white, in each band that
    where the object's light is: sum c^2 / sum c times the flux of one electron. So a
    faint object is limited by the field, and S/N of a bright one is the root of its
    electrons.

    Parameters
    ----------
    light : (px, px, bands) ndarray
        Noise-free light of the object in nJy.
    spectrum : FieldSpectrum
        Of the field, for cutouts of that side.
    electron_njy : (bands,) ndarray
        Flux of one electron in nJy.

    Returns
    -------
    float
        NaN where there is no object (all pixels zero).
    """
    return float(signal(light, electron_njy).log_snr(spectrum))


def brightness_at(
    log_snr: float,
    light: np.ndarray,
    spectrum: FieldSpectrum,
    electron_njy: np.ndarray,
) -> float:
    """Return the factor by which light has to be multiplied to be so visible.

    Parameters
    ----------
    log_snr : float
        Visibility asked for, log10 S/N.
    light, spectrum, electron_njy
        As for `visibility`.
    """
    there = signal(light, electron_njy)
    faint = Signal(there.power, 0 * there.photons)
    # what gives it if the object's own photons didn't count; as S/N goes from linear to
    # square root in the factor, what is missing takes once to twice as much more
    least = log_snr - faint.log_snr(spectrum)
    missing = log_snr - there.log_snr(spectrum, 10.0**least)
    tried = least + missing * _TRIED
    return float(
        10.0 ** np.interp(log_snr, there.log_snr(spectrum, 10.0**tried), tried)
    )


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
