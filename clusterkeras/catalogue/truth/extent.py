"""How large a pixel of a catalogue's mosaics is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.coordinates import angular_separation
from numpy.typing import ArrayLike

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
    if isinstance(stated, int | float) and 0 < stated < np.inf:
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
