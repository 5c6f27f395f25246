"""What the network is shown of places: cutouts, their seeds, their flags."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clusterkeras.catalogue.asking.context import context_of
from clusterkeras.config import InferenceConfig
from data_tools.mosaics.mosaic import Mosaics
from data_tools.schema import FLAGS

if TYPE_CHECKING:
    from data_tools.mosaics.cutout import Cutout
    from data_tools.target import Target


#: How well an exposure is known, in dex.
_EXPOSURE_DEX = 0.01


@dataclass(frozen=True)
class Cutouts:
    """What the network is shown of some places.

    Attributes
    ----------
    usable : ndarray of bool, shape (n,)
        Where there are data in the middle.
    images : ndarray of float32, shape (usable, px, px, bands)
        nJy per pixel, without gaps.
    seeds : ndarray of int32, shape (usable,)
        Of the place alone: no other row, nor their order, changes a row's draws.
    covered : ndarray of float32, shape (n,)
        Share of the pixels with data in all bands.
    flags : ndarray of int32, shape (n,)
        Bits of `data_tools.schema.FLAGS` that the image alone decides.
    context : dict of str to ndarray (usable, ...)
        What is known beside the pixels; see `context_of`.
    """

    usable: NDArray[np.bool_]
    images: NDArray[np.float32]
    seeds: NDArray[np.int32]
    covered: NDArray[np.float32]
    flags: NDArray[np.int32]
    context: dict[str, NDArray]


def cut_out(
    mosaics: Mosaics,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    target: Target,
    config: InferenceConfig,
) -> Cutouts:
    """Cut places out of mosaics.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the target's bands.
    x, y : ndarray, shape (n,)
        0-based pixels; anywhere, or NaN.
    target : Target
        Gives the size of the cutouts.
    config : InferenceConfig
        Gives the limit of saturation, the seed, and what is known beside the pixels.

    Returns
    -------
    Cutouts
        One row a place.
    """
    limits = mosaics.pixel_limits(
        config.saturation_electrons, [band.n_exposures for band in target.bands]
    )
    px = target.cutout_px
    cutouts = [mosaics.cutout(*place, px, limits) for place in zip(x, y, strict=True)]
    good = [cutout for cutout in cutouts if cutout.usable]
    images = np.empty((len(good), px, px, len(target.bands)), np.float32)
    for image, cutout in zip(images, good, strict=True):
        image[:] = cutout.filled()
    flags = np.array([_cutout_flags(c) for c in cutouts], np.int32)
    exposures = np.array([mosaics.exposure(*place) for place in zip(x, y, strict=True)])
    flags[_of_other_depth(exposures, target, config)] |= FLAGS["depth"][0]
    if mosaics.of_other_instruments(target):
        flags |= FLAGS["other_instrument"][0]
    usable = np.array([c.usable for c in cutouts], bool)
    return Cutouts(
        usable=usable,
        images=images,
        seeds=np.array([_seed(c, config.seed) for c in good], np.int32),
        covered=np.array([c.covered for c in cutouts], np.float32),
        flags=flags,
        context=context_of(exposures.reshape(-1, len(target.bands))[usable], config),
    )


def _of_other_depth(
    exposures: NDArray[np.float64], target: Target, config: InferenceConfig
) -> NDArray[np.bool_]:
    """Say of exposures (n, bands) in seconds whether one is outside the training's."""
    usual = [band.exposure_s for band in target.bands]
    factor = np.log10(exposures.reshape(-1, len(usual)) / usual)
    low, high = config.exposure_factor
    outside = (factor < low - _EXPOSURE_DEX) | (factor > high + _EXPOSURE_DEX)
    return outside.any(axis=1)


def _seed(cutout: Cutout, seed: int) -> int:
    key = struct.pack("<qqq", seed, cutout.x0, cutout.y0)
    return zlib.crc32(key) & 0x7FFFFFFF


def _cutout_flags(cutout: Cutout) -> int:
    said = {
        "edge": cutout.edge,
        "missing": cutout.covered < 1,
        "saturated": cutout.saturated,
        "no_data": not cutout.usable,
    }
    return sum(FLAGS[name][0] for name, is_so in said.items() if is_so)
