"""How well an object can be seen: S/N against everything else in the image."""

from __future__ import annotations

import math

import numpy as np


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
