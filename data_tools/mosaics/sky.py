"""Pixels of a mosaic to ICRS and back, through the frame that its header names."""

from __future__ import annotations

import logging
import math
import re
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import (
    ICRS,
    BarycentricMeanEcliptic,
    BaseCoordinateFrame,
    Galactic,
    UnitSphericalRepresentation,
)
from astropy.io import fits
from astropy.time import Time
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from astropy.wcs.utils import wcs_to_celestial_frame
from numpy.typing import ArrayLike, NDArray

logger = logging.getLogger(__name__)

#: Keywords of what bends an exposure: polynomials (Shupe et al. 2005, ASP Conf. 347,
#: 491), and tables in extensions, which Hubble's pipeline names so.
_POLYNOMIALS = re.compile(r"[AB]P?_(ORDER|DMAX|\d+_\d+)")
_BENDING_TABLES = re.compile(
    r"(CPDIS|CPERR|CQDIS|CQERR|DP|DQ|D2IM|D2IMDIS|D2IMERR|AXISCORR)\d+(\..*)?"
    r"|D2IMEXT|D2IMFILE|NPOLEXT|NPOLFILE|AXISCORR|DVERR\d*"
)
_TABLE_NAMES = {"WCSDVARR", "D2IMARR"}

#: Keywords of numbers that wcslib takes for zero, or cuts, where it does not read them.
_NUMBERS = re.compile(
    r"(CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC|PV)\d+_\d+|PC0\d\d0\d\d|[AB]P?_\d+_\d+"
    r"|LONPOLE|LATPOLE"
)

#: Years from which an equinox is believed.
_EQUINOX_YEARS = 1800, 2200


def read_wcs(header: fits.Header, hdus: fits.HDUList, path: Path) -> WCS:
    """Return the celestial coordinates of an image.

    A drizzled image is not bent. Where CTYPE does not end in ``-SIP``, polynomials and
    tables in the header are left over from its exposures: they are left out, and the
    log says so; so are tables that the file does not hold.

    Parameters
    ----------
    header : Header
        Of the image.
    hdus : HDUList
        The file, which may hold tables of distortion.
    path : Path
        The file, for messages.

    Raises
    ------
    ValueError
        If they are not readable or not celestial, or their frame is unknown.
    """
    try:
        plain = _as_wcslib_reads(header)
        left_over = _left_over(plain, hdus)
        for key in left_over:
            plain.remove(key, ignore_missing=True, remove_all=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            wcs = WCS(plain, fobj=hdus).celestial
    except Exception as e:  # wcslib has a dozen errors without a common parent
        reason = " ".join(str(e).split())
        raise ValueError(f"{path}: the WCS is not readable: {reason}") from e
    if not wcs.has_celestial:
        raise ValueError(
            f"{path}: expected a celestial WCS (CTYPE1 = 'RA---TAN' and so on) in the "
            "header, found none"
        )
    if left_over:
        logger.warning(
            "%s: the distortion in the header (%s) is left over from exposures: it is "
            "left out, as CTYPE %s says that this image has none",
            path,
            ", ".join(left_over[:3]) + (", ..." if len(left_over) > 3 else ""),
            wcs.wcs.ctype[0],
        )
    try:
        celestial_frame(wcs)
    except ValueError as e:
        raise ValueError(f"{path}: {e}") from None
    return wcs


def _left_over(header: fits.Header, hdus: fits.HDUList) -> list[str]:
    bent = any(str(header.get(f"CTYPE{i}")).strip().endswith("-SIP") for i in (1, 2))
    kinds = [] if bent else [_POLYNOMIALS]
    if not bent or not _TABLE_NAMES & {hdu.name for hdu in hdus}:
        kinds.append(_BENDING_TABLES)
    return [k for k in dict.fromkeys(header) if any(p.fullmatch(k) for p in kinds)]


def _as_wcslib_reads(header: fits.Header) -> fits.Header:
    """Return a copy in which RADESYS is in capitals and EQUINOX no text (``J2000``).

    Numbers are so too, and have no exponent of Fortran (``2.04D+02``).
    """
    header = header.copy()
    for card in [c for c in header.cards if _NUMBERS.fullmatch(c.keyword)]:
        is_text = isinstance(card.value, str)
        if not is_text and "D" not in card.image[10:].partition("/")[0].upper():
            continue
        try:
            number = float(str(card.value).upper().replace("D", "E"))
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError(
                f"expected a number in {card.keyword}; received {card.value!r}"
            )
        del header[card.keyword]
        header[card.keyword] = number
    for key in ("RADESYS", "RADECSYS"):
        if key in header:
            header[key] = str(header[key]).strip().upper()
    for key in ("EQUINOX", "EPOCH"):
        text = header.get(key)
        if not isinstance(text, str):
            continue
        if header.get("RADESYS") == "ICRS" or not text.strip():
            del header[key]  # which needs none
            continue
        try:
            header[key] = float(text.strip().upper().lstrip("JB"))
        except ValueError:
            raise ValueError(
                f"expected {key} to be a year; received {text!r}"
            ) from None
    return header


def read_physical(header: fits.Header, path: Path) -> NDArray[np.float64] | None:
    """Return what turns physical coordinates, of the image it was cut from, to pixels.

    Parameters
    ----------
    header : Header
        Of the image; IRAF's LTM and LTV say it.
    path : Path
        What messages call it.

    Returns
    -------
    ndarray of float64, shape (2, 3), or None
        By which (x, y, 1) is multiplied; both count from 1. None if they are the same.

    Raises
    ------
    ValueError
        If they are no numbers.
    """
    keys = ("LTM1_1", "LTM1_2", "LTV1"), ("LTM2_1", "LTM2_2", "LTV2")
    physical = np.eye(2, 3)
    try:
        for place, key in np.ndenumerate(keys):
            physical[place] = float(header.get(key, physical[place]))
    except (TypeError, ValueError) as e:
        raise ValueError(f"{path}: expected a number in {key}: {e}") from e
    return None if np.array_equal(physical, np.eye(2, 3)) else physical


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
        ra[known], dec[known] = turned(longitude, latitude, frame, ICRS())
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
        sky = turned(ra[known], dec[known], ICRS(), celestial_frame(wcs))
        if wcs.wcs.lng > wcs.wcs.lat:
            sky = sky[::-1]
        x[known], y[known] = wcs.all_world2pix(*sky, 0, quiet=True)
    return x, y


def turned(
    longitude: NDArray[np.float64],
    latitude: NDArray[np.float64],
    frame: BaseCoordinateFrame,
    to: BaseCoordinateFrame,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return degrees of one frame in another; the same frame changes no bit.

    Parameters
    ----------
    longitude, latitude : ndarray of float64, shape (n,)
        Degrees, latitudes within 90; NaN stays NaN.
    frame, to : BaseCoordinateFrame
        What they are in, and are to be.

    Returns
    -------
    longitude, latitude : ndarray of float64, shape (n,)
        Degrees.
    """
    if frame.is_equivalent_frame(to):
        return longitude, latitude
    place = UnitSphericalRepresentation(longitude * u.deg, latitude * u.deg)
    place = frame.realize_frame(place).transform_to(to)
    place = place.represent_as(UnitSphericalRepresentation)
    return place.lon.deg, place.lat.deg
