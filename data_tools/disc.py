"""Where the dust and the young stars of a disc lie: random maps and shapes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft


@lru_cache(maxsize=8)
def _amplitude(n: int, slope: float) -> np.ndarray:
    """Give the amplitudes of a real map's Fourier coefficients, half of the plane."""
    frequency = np.hypot(np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None, :])
    frequency[0, 0] = np.inf
    amplitude = frequency ** (-slope / 2)
    # a real map keeps half the variance of coefficients that mirror one another
    amplitude[:, 0] *= np.sqrt(2)
    if n % 2 == 0:
        amplitude[:, -1] *= np.sqrt(2)
    amplitude = amplitude.astype(np.float32)
    amplitude.flags.writeable = False
    return amplitude


def gaussian_random_field(n: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Draw a map of zero mean and unit variance with a power-law power spectrum.

    Opposite edges meet.

    Parameters
    ----------
    n : int
        Side.
    slope : float
        Power ~ wavenumber^-slope; the interstellar medium of discs has 2.5 to 3
        (Elmegreen & Scalo 2004, ARA&A 42, 211).
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (n, n) ndarray of float32
    """
    amplitude = _amplitude(n, slope)
    white = rng.standard_normal((*amplitude.shape, 2), np.float32)
    spectrum = white.view(np.complex64)[..., 0] * amplitude
    field = scipy.fft.irfft2(spectrum, (n, n), overwrite_x=True)
    field -= field.mean()
    field /= field.std()
    return field
