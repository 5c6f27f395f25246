"""What is not as it should be in a cutout of a mosaic: cosmic rays, missing data."""

from __future__ import annotations

import numpy as np

from data_tools.priors import Priors
from data_tools.streams import streams

#: Fewest electrons that a cosmic ray leaves in an exposure. Half of them leave more
#: than twice as many (WFC3 Instrument Handbook, section 5.4.10: a cut-off near 500 and
#: a median near 1000), which dN/dQ ~ Q^-2 gives.
_LEAST_CHARGE, _MOST_CHARGE = 500.0, 20_000.0
#: log10 of the share of the charge that rejection has left.
_LOG_LEFT = (-1.0, 0.0)
#: Mean length of a track in pixels: most cover four or five pixels (same section).
_LENGTH_PX = 1.5
#: Most tracks in a cutout, and steps that a track is drawn in.
_MOST_TRACKS, _STEPS = 4, 16
#: Width of a strip without data in pixels, from what dithers leave of the gap between
#: the detector's two chips to its 1.2 arcsec (WFC3 Instrument Handbook, section 5.2.2).
_STRIP_PX = (3.0, 31.0)
#: Nearest that missing data come to the middle, where a catalogue asks for some.
_KEPT_PX = 4.0


def cosmic_rays(
    px: int, electron_njy: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Draw what is left of cosmic rays in one band of a cutout.

    Electrons in one exposure count as so many in the whole one, since the mean of the
    exposures' rates is taken. A track is a straight line, without PSF.

    Parameters
    ----------
    px : int
        Side of the cutout.
    electron_njy : (bands,) ndarray
        Flux in nJy of one electron over the whole exposure.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    light : (px, px, bands) ndarray of float32
        In nJy per pixel.
    tracks : int
        How many.
    """
    band = rng.integers(len(electron_njy))
    n = int(rng.integers(1, _MOST_TRACKS + 1))
    charge = np.minimum(_LEAST_CHARGE / (1 - rng.random(n)), _MOST_CHARGE)
    charge *= 10 ** rng.uniform(*_LOG_LEFT, n)
    angle, length = rng.uniform(0, 2 * np.pi, n), rng.exponential(_LENGTH_PX, n)
    along = (np.linspace(-0.5, 0.5, _STEPS) * length[:, None])[None]
    middle = rng.uniform(0, px - 1, (2, n, 1))
    place = middle + along * np.stack([np.sin(angle), np.cos(angle)])[:, :, None]
    light = np.zeros((px, px, len(electron_njy)), np.float32)
    # each point falls on the four pixels around it, as a pixel would that is drizzled
    first = np.floor(place).astype(int)
    part = place - first
    each = np.repeat(charge[:, None] / _STEPS, _STEPS, axis=1) * electron_njy[band]
    for down in (0, 1):
        for right in (0, 1):
            row, column = first[0] + down, first[1] + right
            share = np.abs(1 - down - part[0]) * np.abs(1 - right - part[1])
            inside = (row >= 0) & (row < px) & (column >= 0) & (column < px)
            np.add.at(
                light[..., band], (row[inside], column[inside]), (share * each)[inside]
            )
    return light, n


def missing(px: int, bands: int, rng: np.random.Generator) -> np.ndarray:
    """Draw where a cutout has no data: beyond an edge, or in a strip.

    Parameters
    ----------
    px : int
        Side of the cutout.
    bands : int
        Number of bands: one of them, or all, have the gap.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    (px, px, bands) ndarray of bool
    """
    angle, begin = rng.uniform(0, 2 * np.pi), rng.uniform(_KEPT_PX, px / 2)
    width, is_strip = rng.uniform(*_STRIP_PX), rng.random() < 0.5
    band, in_all = rng.integers(bands), rng.random() < 0.5
    axis = np.arange(px) - (px - 1) / 2
    across = axis * np.cos(angle) + axis[:, None] * np.sin(angle)
    gap = across > begin
    if is_strip:
        gap &= across < begin + width
    return gap[:, :, None] & (in_all | (np.arange(bands) == band))


def blemished(
    background: np.ndarray,
    electron_njy: np.ndarray,
    priors: Priors,
    rng: np.random.Generator,
) -> tuple[np.ndarray, dict[str, float]]:
    """Return a background with blemishes, where any are drawn.

    Parameters
    ----------
    background : (px, px, bands) ndarray
        nJy per pixel; it stays as it is.
    electron_njy : (bands,) ndarray
        Flux of one electron over the exposure.
    priors : Priors
        How often there are any.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    background : (px, px, bands) ndarray
        The very same where it has none; NaN where there are no data.
    properties : dict of str to float
        See `data_tools.schema.FIELD_TRAITS`.
    """
    px, _, bands = background.shape
    properties = {"cosmic_rays": 0.0, "missing": 0.0}
    has_rays, has_gap = rng.random(2) < (
        priors.cosmic_ray_fraction,
        priors.gap_fraction,
    )
    if not has_rays and not has_gap:
        return background, properties
    of_rays, of_gap = streams(rng, 2)
    if has_rays:
        light, tracks = cosmic_rays(px, electron_njy, of_rays)
        background = background + light
        properties["cosmic_rays"] = float(tracks)
    if has_gap:
        gap = missing(px, bands, of_gap)
        background = np.where(gap, np.float32(np.nan), background)
        properties["missing"] = float(gap.mean())
    return background, properties
