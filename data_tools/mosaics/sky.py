"""Pixels of a mosaic to ICRS and back, through the frame that its header names."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy.coordinates import (
    ICRS,
    BarycentricMeanEcliptic,
    BaseCoordinateFrame,
    Galactic,
    UnitSphericalRepresentation,
)
from astropy.time import Time
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import ArrayLike, NDArray

#: Years from which an equinox is believed.
_EQUINOX_YEARS = 1800, 2200


def celestial_frame(wcs: WCS) -> BaseCoordinateFrame:
    """Return the frame of a mosaic's longitudes and latitudes.

    RADESYS and EQUINOX name it, with the defaults of the FITS standard (version 4.0,
    section 8.3): without both ICRS, with an equinox alone FK4 before 1984 and FK5
    since. Galactic and ecliptic coordinates are told by CTYPE; the ecliptic is the mean
    one of the equinox, by the IAU's precession of 2006.

    Parameters
    ----------
    wcs : WCS
        Celestial coordinates.

    Raises
    ------
    ValueError
        If astropy knows no frame of the sky by that name.
    """
    kind = wcs.wcs.ctype[wcs.wcs.lng][:4]
    radesys, equinox = wcs.wcs.radesys, wcs.wcs.equinox
    if kind == "GLON":
        return Galactic()
    if np.isnan(equinox) or _EQUINOX_YEARS[0] <= equinox <= _EQUINOX_YEARS[1]:
        if kind == "ELON" and radesys in ("ICRS", "FK5"):
            # astropy would call it ICRS
            year = 2000.0 if np.isnan(equinox) else equinox
            return BarycentricMeanEcliptic(equinox=Time(year, format="jyear"))
        if kind == "RA--" and radesys in ("ICRS", "FK5", "FK4", "FK4-NO-E"):
            return wcs_to_celestial_frame(wcs)
    raise ValueError(
        "expected RADESYS to be ICRS, FK5 or FK4 with CTYPE RA and DEC, or CTYPE GLON "
        f"and GLAT or ELON and ELAT; received RADESYS {radesys!r}, EQUINOX {equinox:g} "
        f"and CTYPE {wcs.wcs.ctype[0]}, {wcs.wcs.ctype[1]}; drizzle to ICRS"
    )


def to_icrs(
    wcs: WCS, x: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return right ascension and declination of pixels.

    Parameters
    ----------
    wcs : WCS
        Celestial coordinates of the mosaic, in any frame of `celestial_frame`.
    x, y : array-like of float, shape (n,)
        0-based pixels.

    Returns
    -------
    ra, dec : ndarray of float64, shape (n,)
        ICRS in degrees; NaN where a pixel is not finite.
    """
    x, y = (np.asarray(v, float) for v in (x, y))
    ra, dec = np.full((2, *x.shape), np.nan)
    known = np.isfinite(x) & np.isfinite(y)
    if known.any():
        world = wcs.all_pix2world(x[known], y[known], 0)
        longitude, latitude = world[wcs.wcs.lng], world[wcs.wcs.lat]
        frame = celestial_frame(wcs)
        ra[known], dec[known] = _turned(longitude, latitude, frame, ICRS())
    return ra, dec


def to_pixels(
    wcs: WCS, ra: ArrayLike, dec: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixels of right ascensions and declinations.

    Parameters
    ----------
    wcs : WCS
        Celestial coordinates of the mosaic, in any frame of `celestial_frame`.
    ra, dec : array-like of float, shape (n,)
        ICRS in degrees.

    Returns
    -------
    x, y : ndarray of float64, shape (n,)
        0-based pixels; NaN where a position is not finite, or has no place on the
        mosaic's plane.
    """
    ra, dec = (np.asarray(v, float) for v in (ra, dec))
    x, y = np.full((2, *ra.shape), np.nan)
    known = np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)
    if known.any():
        sky = _turned(ra[known], dec[known], ICRS(), celestial_frame(wcs))
        if wcs.wcs.lng > wcs.wcs.lat:
            sky = sky[::-1]
        x[known], y[known] = wcs.all_world2pix(*sky, 0, quiet=True)
    return x, y


def _turned(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    frame: BaseCoordinateFrame,
    to: BaseCoordinateFrame,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bring degrees from one frame to another; the same frame changes no bit."""
    if frame.is_equivalent_frame(to):
        return longitude, latitude
    place = UnitSphericalRepresentation(longitude * u.deg, latitude * u.deg)
    place = frame.realize_frame(place).transform_to(to)
    place = place.represent_as(UnitSphericalRepresentation)
    return place.lon.deg, place.lat.deg
