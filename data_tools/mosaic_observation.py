"""What mocks put on a real mosaic are seen through: its own depth and noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_tools.imaging.observation import Observation, draw_observation
from data_tools.mosaic import Mosaics
from data_tools.noise import BandNoise
from data_tools.priors import Priors
from data_tools.target import AB_ZERO_NJY, Target


def electron_njy(mosaics: Mosaics, target: Target) -> np.ndarray:
    """Give the flux of one electron over each band's exposure.

    Parameters
    ----------
    mosaics : Mosaics
        PHOTFLAM, PHOTPLAM and EXPTIME of their headers are used.
    target : Target
        Gives the exposure where a header has no EXPTIME.

    Returns
    -------
    (bands,) ndarray
        nJy.
    """
    return np.array(
        [
            AB_ZERO_NJY
            * 10 ** (-0.4 * c.zero_point)
            / (c.exposure_s if c.exposure_s > 0 else band.exposure_s)
            for c, band in zip(mosaics.calibrations, target.bands, strict=True)
        ]
    )


def observe(
    target: Target,
    priors: Priors,
    electron_njy: np.ndarray,
    noise: Sequence[BandNoise],
    depth: np.ndarray,
    rng: np.random.Generator,
) -> Observation:
    """Draw what is not known of a mosaic's observation; take the rest from it.

    PSF, blur, the bands' offsets and zero points are drawn from the priors, and so is
    the noise of a band where none can be seen.

    Parameters
    ----------
    target : Target
        Bands and read-out.
    priors : Priors
        Ranges of what is drawn.
    electron_njy : (bands,) ndarray
        From `electron_njy`.
    noise : sequence of BandNoise
        From `data_tools.noise.measure_noise`.
    depth : (bands,) ndarray
        Exposure at the place over that of the mosaic.
    rng : numpy.random.Generator
        Source of randomness.
    """
    drawn = draw_observation(target, priors, rng)
    electron_njy = electron_njy / depth
    reads = np.array([b.n_exposures for b in target.bands], float)
    reads *= (target.read_noise_electrons * electron_njy) ** 2
    # photons of the sky and of light, and read-outs, all add up with the exposure
    measured = np.array([n.white_variance for n in noise]) / depth
    light = np.maximum([n.sky_njy for n in noise], 0) * electron_njy
    white = np.maximum(measured - light, np.minimum(measured, reads))
    shift = np.array([n.noise_shift_px for n in noise])
    seen = np.isfinite(white)
    white = np.where(seen, white, drawn.white_variance)
    return dataclasses.replace(
        drawn,
        electron_njy=electron_njy,
        white_variance=white,
        sky_njy=np.maximum(white - reads, 0) / electron_njy,
        noise_shift_px=np.where(seen, shift, drawn.noise_shift_px),
    )
