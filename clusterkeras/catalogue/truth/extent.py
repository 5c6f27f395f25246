"""How large a catalogue's mosaics and their pixels are."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from astropy.coordinates import angular_separation
from numpy.typing import ArrayLike

from data_tools.mosaics.band_image import BandImage
from data_tools.mosaics.mosaic import Mosaics

logger = logging.getLogger(__name__)

#: Where a catalogue's metadata state the area.
PIXELS = "pixels_with_data"

#: The area is judged by so many rows and columns at least: to a per cent or so.
_LOOKS = 128

#: Two rows tell the size of a pixel if they are this far apart, in pixels.
_APART_PX = 10.0


def pixel_scale_arcsec(
    meta: Mapping[str, Any], x: ArrayLike, y: ArrayLike, ra: ArrayLike, dec: ArrayLike
) -> float | None:
    """Return the side of a pixel in arcsec, as metadata or else places tell it.

    Parameters
    ----------
    meta : mapping
        Metadata of a catalogue; formats like CSV have lost them.
    x, y : (rows,) array_like
        Its places in pixels.
    ra, dec : (rows,) array_like
        The same in degrees.

    Returns
    -------
    float or None
        None if neither tells.
    """
    target = meta.get("target")
    stated = target.get("pixel_scale_arcsec") if isinstance(target, Mapping) else None
    if _is_size(stated):
        return float(stated)
    places = np.array([x, y, np.radians(ra), np.radians(dec)], float)
    places = places[:, np.isfinite(places).all(axis=0)]
    one, other = places[:, :-1], places[:, 1:]
    px = np.hypot(*(other - one)[:2])
    far = px >= _APART_PX
    if not far.any():
        return None
    sky = angular_separation(*one[2:, far], *other[2:, far])
    return float(np.degrees(np.median(sky / px[far])) * 3600)


def pixels_with_data(mosaics: Mosaics) -> int:
    """Return how many pixels have data in all bands, by a look at evenly spread ones.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics.
    """
    step = max(min(mosaics.shape) // _LOOKS, 1)
    return round(mosaics.coverage(step).mean() * np.prod(mosaics.shape))


def area_px(
    meta: Mapping[str, Any], images: Mosaics | Sequence[str | Path] | None
) -> int | None:
    """Return the pixels with data of a catalogue's mosaics.

    Parameters
    ----------
    meta : mapping
        Metadata of the catalogue, which state it since they were first asked to.
    images : Mosaics or sequence of str or Path, optional
        Its mosaics, one band at least: they go before the metadata. Of those that were
        closed nothing is known.

    Returns
    -------
    int or None
        None if neither tells.

    Raises
    ------
    FileNotFoundError
        If a mosaic is missing.
    ValueError
        If a mosaic is unreadable, or they are of several sizes.
    """
    if images is None:
        stated = meta.get(PIXELS)
        return int(stated) if _is_size(stated) else None
    if isinstance(images, Mosaics):
        closed = any(plane.closed for plane in images.planes)
        return None if closed else pixels_with_data(images)
    images = [images] if isinstance(images, str | Path) else list(images)
    names = [Path(path).name for path in images]
    if not set(names) <= set(meta.get("images", names)):
        logger.warning(
            "the area is that of %s, and the catalogue is of %s",
            ", ".join(names),
            ", ".join(meta["images"]),
        )
    with ExitStack() as stack:
        planes = [stack.enter_context(closing(BandImage(path))) for path in images]
        sizes = {plane.shape for plane in planes}
        if len(sizes) != 1:
            raise ValueError(
                f"images: expected mosaics on one grid; received {', '.join(names)} of "
                f"{', '.join(f'{n} x {m}' for m, n in sorted(sizes)) or 'no'} pixels"
            )
        return pixels_with_data(Mosaics(planes, names))


def _is_size(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value < np.inf
