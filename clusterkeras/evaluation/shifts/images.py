"""Images that differ from the nominal set's: what is done to their pixels."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from data_tools.stars.evolution.stellar_photometry import extinction_coefficients
from data_tools.target import Target

#: Error of the zero points in mag, and of the position in pixels.
ZERO_POINT_MAG = 0.1
CENTRE_PX = 2

#: Electrons that fill a pixel of WFC3/UVIS in one exposure, about (WFC3 Instrument
#: Handbook, section 5.4.5: 63,000 to 72,000 over the detector).
FULL_WELL_ELECTRONS = 65_000.0
#: Radius of a saturated core and half-width of its bleeding columns, in pixels.
_CORE_PX, _BLEED_PX = 4.0, 1.0

#: A_V of a dust lane's edge, and over how many pixels it sets in.
LANE_A_V, _EDGE_PX = 1.0, 3.0
#: Light across an image in units of its pixels' scatter.
GRADIENT_SIGMA = 3.0

#: From images (B, px, px, bands) in nJy, the target and a source of randomness to what
#: the model is shown.
ImageChange = Callable[[NDArray, Target, np.random.Generator], NDArray]


def fainter(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Record all bands fainter by `ZERO_POINT_MAG`."""
    return images * 10 ** (-0.4 * ZERO_POINT_MAG)


def first_fainter(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Record the first band alone fainter by `ZERO_POINT_MAG`."""
    factors = np.ones(images.shape[-1])
    factors[0] = 10 ** (-0.4 * ZERO_POINT_MAG)
    return images * factors


def off_centre(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Cut out `CENTRE_PX` beside the position."""
    # what comes in at the edge is not in the record: its mirror image
    missing = images[:, :, CENTRE_PX - 1 :: -1]
    return np.concatenate([missing, images[:, :, :-CENTRE_PX]], axis=2)


def without_sky(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Take away the median of each image."""
    return images - np.median(images, axis=(1, 2), keepdims=True)


def bands_reversed(
    images: NDArray, target: Target, rng: np.random.Generator
) -> NDArray:
    """Put the bands in the wrong order."""
    return images[..., ::-1]


def blank(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Show nothing."""
    return np.zeros_like(images)


def noise(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Show white noise of each image's median and scatter."""
    median = np.median(images, axis=(1, 2), keepdims=True)
    return median + _scatter(images) * rng.standard_normal(images.shape)


def saturated(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Put a saturated star with bleeding columns in the middle."""
    full = [FULL_WELL_ELECTRONS * b.n_exposures * b.electron_njy for b in target.bands]
    side = images.shape[1]
    row, column = np.indices((side, side)) - (side - 1) / 2
    hit = (np.hypot(row, column) < _CORE_PX) | (np.abs(column) < _BLEED_PX)
    return np.where(hit[..., None], full, np.minimum(images, full))


def dust_lane(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Let the edge of a dust lane of A_V `LANE_A_V` cross the position, at any angle.

    The lane is in front of everything: it dims half of the image by the extinction of
    a star of 10,000 K, and leaves the noise that is there.
    """
    side = images.shape[1]
    row, column = np.indices((side, side)) - (side - 1) / 2
    angle = rng.uniform(0, 2 * np.pi, (len(images), 1, 1))
    beyond = row * np.sin(angle) + column * np.cos(angle)
    # the edge is as sharp as the PSF
    share = np.clip(0.5 + beyond / _EDGE_PX, 0, 1)[..., None]
    coefficient = extinction_coefficients(
        np.array([4.0]), np.array([4.0]), target.band_names, target.extinction_law
    )
    return images * 10 ** (-0.4 * LANE_A_V * coefficient * share)


def gradient(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Add light that rises across the image, as a bright star's halo beside it does.

    From nothing at one edge to `GRADIENT_SIGMA` times the scatter of the image's own
    pixels at the other, along any direction, the same in all bands.
    """
    side = images.shape[1]
    row, column = np.indices((side, side)) / (side - 1) - 0.5
    angle = rng.uniform(0, 2 * np.pi, (len(images), 1, 1))
    rise = 0.5 + (row * np.sin(angle) + column * np.cos(angle)) / math.sqrt(2)
    return images + GRADIENT_SIGMA * _scatter(images) * rise[..., None]


def misaligned(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    """Smear the first band over three pixels of a row, as exposures badly aligned do.

    The noise that the smearing takes away is added again, white.
    """
    first = images[..., :1]
    smeared = (first + np.roll(first, 1, 2) + np.roll(first, -1, 2)) / 3
    lost = np.sqrt(np.maximum(_scatter(first) ** 2 - _scatter(smeared) ** 2, 0))
    smeared = smeared + lost * rng.standard_normal(first.shape)
    return np.concatenate([smeared, images[..., 1:]], axis=-1)


def _scatter(images: NDArray) -> NDArray:
    """Return the robust scatter of the pixels of each image and band."""
    low, high = np.quantile(images, [0.25, 0.75], axis=(1, 2), keepdims=True)
    # 1.349: distance of a Gaussian's quartiles in units of sigma
    return (high - low) / 1.349
