"""Which columns of a table hold positions: the names that the field gives them."""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, BaseCoordinateFrame, ConvertError, SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

from data_tools.mosaics.sky import turned
from data_tools.positions.columns.angles import (
    angles,
    cells,
    from_parts,
    numbers,
    plain,
)
from data_tools.positions.columns.frames import frame_of

logger = logging.getLogger(__name__)

#: Key of a table's metadata with what its pixel columns call the middle of the first
#: pixel, where the format of its file says it.
ORIGIN_KEY = "pixel_origin"

#: Pixel columns, in any case of letters, and what they call the middle of the first
#: pixel, None if that is the writer's choice: PHANGS-HST, photutils, SExtractor (its
#: manual: "the centre of the first pixel is (1, 1)"), and plain names.
PIXEL_NAMES: tuple[tuple[str, str, int | None], ...] = (
    ("x", "y", None),
    ("phangs_x", "phangs_y", 0),
    ("xcentroid", "ycentroid", 0),
    ("x_centroid", "y_centroid", 0),
    ("xwin_image", "ywin_image", 1),
    ("x_image", "y_image", 1),
    ("x_fit", "y_fit", 0),
    ("x_mosaic", "y_mosaic", None),
    ("x_pix", "y_pix", None),
    ("xpix", "ypix", None),
    ("x_pixel", "y_pixel", None),
    ("x_pixels", "y_pixels", None),
    ("xpos", "ypos", None),
    ("x_center", "y_center", None),
    ("xcenter", "ycenter", None),
)

#: Pixels of DS9's physical coordinates, which a mosaic's LTM and LTV turn into its own.
PHYSICAL_NAMES = ("x_physical", "y_physical")

#: Sky columns, in any case of letters, and what their names say of their frame
#: (`data_tools.positions.columns.frames.frame_of`): plain names, PHANGS-HST, VizieR
#: (what it computed, in degrees, before what the authors gave), Gaia, SExtractor; then
#: other frames.
SKY_NAMES: tuple[tuple[str, str, str | None], ...] = (
    ("ra", "dec", "equatorial"),
    ("phangs_ra", "phangs_dec", "equatorial"),
    ("_raj2000", "_dej2000", "J2000"),
    ("raj2000", "dej2000", "J2000"),
    ("raj2000", "decj2000", "J2000"),
    ("ra_j2000", "dec_j2000", "J2000"),
    ("ra_j2000", "de_j2000", "J2000"),
    ("_ra_icrs", "_de_icrs", "ICRS"),
    ("ra_icrs", "de_icrs", "ICRS"),
    ("ra_icrs", "dec_icrs", "ICRS"),
    ("_ra", "_de", "equatorial"),
    ("radeg", "dedeg", "equatorial"),
    ("radeg", "decdeg", "equatorial"),
    ("ra_deg", "dec_deg", "equatorial"),
    ("ra_deg", "de_deg", "equatorial"),
    ("ra_d", "dec_d", "equatorial"),
    ("alphawin_j2000", "deltawin_j2000", "J2000"),
    ("alpha_j2000", "delta_j2000", "J2000"),
    ("right_ascension", "declination", "equatorial"),
    ("ra_2000", "dec_2000", "J2000"),
    ("ra2000", "dec2000", "J2000"),
    ("ra2000", "de2000", "J2000"),
    ("s_ra", "s_dec", "equatorial"),
    ("ra_fk5", "dec_fk5", "FK5"),
    ("ra_fk5", "de_fk5", "FK5"),
    ("ra_fk4", "dec_fk4", "B1950"),
    ("ra_fk4", "de_fk4", "B1950"),
    ("_rab1950", "_deb1950", "B1950"),
    ("rab1950", "deb1950", "B1950"),
    ("rab1950", "decb1950", "B1950"),
    ("ra_b1950", "dec_b1950", "B1950"),
    ("ra_b1950", "de_b1950", "B1950"),
    ("ra1950", "dec1950", "B1950"),
    ("ra1950", "de1950", "B1950"),
    ("ra_1950", "dec_1950", "B1950"),
    ("ra_1950", "de_1950", "B1950"),
    ("alphawin_b1950", "deltawin_b1950", "B1950"),
    ("alpha_b1950", "delta_b1950", "B1950"),
    ("glon", "glat", "galactic"),
    ("_glon", "_glat", "galactic"),
    ("gal_lon", "gal_lat", "galactic"),
    ("gal_l", "gal_b", "galactic"),
    ("lii", "bii", "galactic"),
    ("sgl", "sgb", "supergalactic"),
    ("sglon", "sglat", "supergalactic"),
    ("elon", "elat", "ecliptic"),
    ("_elon", "_elat", "ecliptic"),
    ("ecl_lon", "ecl_lat", "ecliptic"),
    ("lon", "lat", None),
    ("longitude", "latitude", None),
)

#: Unified content descriptors of pairs of sky columns, of version 1+ and 1.
_UCDS = (
    ("pos.eq.ra", "pos.eq.dec", "equatorial"),
    ("pos_eq_ra_main", "pos_eq_dec_main", "equatorial"),
    ("pos.galactic.lon", "pos.galactic.lat", "galactic"),
    ("pos_gal_lon", "pos_gal_lat", "galactic"),
    ("pos.supergalactic.lon", "pos.supergalactic.lat", "supergalactic"),
    ("pos.ecliptic.lon", "pos.ecliptic.lat", "ecliptic"),
    ("pos_ec_lon", "pos_ec_lat", "ecliptic"),
)

#: Parts of sexagesimal positions, as the tables of journals have them: ``RAh``,
#: ``DE-``, ``DEd``, ``RABm`` of B1950.
_PART = re.compile(
    r"(ra|de)c?_?([bj])?(?:1950|2000)?_?"
    r"(?:(h)(?:r|ours?)?|(d)(?:eg)?|(m)(?:in)?|(s)(?:ec)?|(-|sign|sgn))|(sign|sgn)"
)
#: ... and what the last group of that is.
_PART_KINDS = {3: "h", 4: "d", 5: "m", 6: "s", 7: "-", 8: "-"}

#: Units that columns of positions have without a word.
_USUAL_UNITS = ("deg", "degree", "degrees", "pix", "pixel", "pixels", "px")

#: All names of columns of positions.
_OF_POSITIONS = {
    name for pair in (*PIXEL_NAMES, *SKY_NAMES) for name in pair[:2] if name
} | set(PHYSICAL_NAMES)

#: Frames whose sexagesimal longitudes are hours.
_IN_HOURS = ("icrs", "fk5", "fk4", "fk4noeterms")


class PixelColumns(NamedTuple):
    """A pair of pixel columns.

    Attributes
    ----------
    names : (str, str)
        As the table has them.
    x, y : ndarray of float64, shape (rows,)
        As the table has them; NaN where it has no value.
    origin : int or None
        What they call the middle of the first pixel; None if that is not known.
    """

    names: tuple[str, str]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    origin: int | None


class SkyColumns(NamedTuple):
    """Right ascension and declination.

    Attributes
    ----------
    names : str
        The columns, as messages call them.
    ra, dec : ndarray of float64, shape (rows,)
        Degrees, ICRS; NaN where the table has no value or an impossible one.
    impossible : ndarray of bool, shape (rows,)
        Where it has a value that is no place on the sky.
    """

    names: str
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    impossible: NDArray[np.bool_]


def find_positions(
    table: Table, name: str | None = None
) -> tuple[list[PixelColumns], SkyColumns | None]:
    """Find all columns of a table that hold positions.

    Parameters
    ----------
    table : Table
        Any table.
    name : str, optional
        What messages call it; without it nothing is told in the log.

    Returns
    -------
    pixels : list of PixelColumns
        In the order of `PIXEL_NAMES`, then `PHYSICAL_NAMES`; empty if there are none.
        Columns of those names that are no pixels are none, beside sky positions.
    sky : SkyColumns or None
        The first of `SKY_NAMES`, of sexagesimal parts, of sky coordinates as astropy
        keeps them, of columns that their UCDs name, and of ``l`` and ``b``; in any
        frame that `data_tools.positions.columns.frames.frame_of` knows.

    Raises
    ------
    ValueError
        If there are neither, or they hold no numbers, or are in a unit or a frame that
        is not known.
    """
    is_told, name = name is not None, name or "the table"
    lower = _by_key(table, name, is_told)
    of_file = table.meta.get(ORIGIN_KEY)
    pixels, refused = [], []
    for *pair, origin in (*PIXEL_NAMES, (*PHYSICAL_NAMES, None)):
        if set(pair) <= set(lower):
            names = lower[pair[0]], lower[pair[1]]
            try:
                x, y = (numbers(table, column, u.pix, name) for column in names)
            except ValueError as e:
                refused.append(e)
                continue
            if of_file is not None:
                origin = of_file
            pixels.append(PixelColumns(names, x, y, origin))
    sky = _find_sky(table, lower, bool(pixels), name)
    if refused and not pixels and sky is None:
        raise refused[0]
    for error in refused if is_told else ():
        logger.warning("%s; its numbers are not used", error)
    if not pixels and sky is None:
        raise ValueError(
            f"{name}: expected the columns x and y (pixels) or ra and dec (degrees), "
            f"received {', '.join(table.colnames) or 'none'}; rename its columns"
        )
    return pixels, sky


def _by_key(table: Table, name: str, is_told: bool) -> dict[str, str]:
    """Return columns by their names in small letters.

    Of two that go by one name of positions that of a pair in small letters counts, as
    catalogues of this package have it; else numbers count before words, which are the
    same in sexagesimal. Two of different numbers are an error otherwise.
    """
    exact = set(table.colnames)
    pairs = [set(pair[:2]) for pair in (*PIXEL_NAMES, *SKY_NAMES)]
    plain_names = set().union(*(pair for pair in pairs if pair <= exact))
    found: dict[str, str] = {}
    differ = []
    for column in table.colnames:
        key = _key(column)
        other = found.setdefault(key, column)
        if other == column or key not in _OF_POSITIONS:
            continue
        try:
            same = _agree(cells(table[other]), cells(table[column]))
        except ValueError:
            same = True  # one is no column of numbers at all
        if not same and key not in plain_names:
            raise ValueError(
                f"{name}: two of its columns go by the name of {key}, {other} and "
                f"{column}, and differ: rename one"
            )
        if not same:
            differ.append(f"{key} of {other} and {column}")
        if key in plain_names:
            found[key] = key
        elif getattr(table[other], "dtype", np.dtype(object)).kind in "OSU":
            found[key] = column
    if differ and is_told:
        logger.warning("%s: columns differ, used is %s", name, ", ".join(differ))
    return found


def _agree(a: Any, b: Any) -> bool:
    """Say whether columns hold the same numbers, as far as both hold any."""
    if isinstance(a, list) or isinstance(b, list):
        return True
    return bool(np.allclose(a, b, rtol=0, atol=1e-4, equal_nan=True))


def _key(column: str) -> str:
    """Return a column's name in small letters: ``ra_j2000`` of ``RA (J2000) [deg]``."""
    bare, *inside = re.split(r"\s*[\[(]", plain(column).lower().strip())
    inside = [part.strip(" )]") for part in inside]
    return "_".join([bare, *(part for part in inside if part not in _USUAL_UNITS)])


def _find_sky(
    table: Table, lower: dict[str, str], has_pixels: bool, name: str
) -> SkyColumns | None:
    for *pair, named in SKY_NAMES:
        if set(pair) <= set(lower):
            sky = _from_pair(table, (lower[pair[0]], lower[pair[1]]), named, name)
            if sky is not None:
                return sky
    sky = _from_parts(table, lower, name)
    if sky is not None:
        return sky
    for column in table.colnames:
        if isinstance(table[column], SkyCoord):
            return _from_coordinates(table, column, name)
    by_ucd = _columns_by_ucd(table)
    for *pair, named in _UCDS:
        if set(pair) <= set(by_ucd):
            return _from_pair(table, (by_ucd[pair[0]], by_ucd[pair[1]]), named, name)
    # beside pixels they are as likely a luminosity and a magnitude
    if not has_pixels and {"l", "b"} <= set(lower):
        return _from_pair(table, (lower["l"], lower["b"]), "galactic", name)
    return None


def _from_pair(
    table: Table, columns: tuple[str, str], named: str | None, name: str
) -> SkyColumns | None:
    frame = _frame_of(table, columns, named, name)
    if frame is None:
        return None
    lon = angles(table, columns[0], name, hours=frame.name in _IN_HOURS)
    lat = angles(table, columns[1], name)
    return _on_sky(" and ".join(columns), named, frame, lon, lat)


def _frame_of(
    table: Table, columns: tuple[str, str], named: str | None, name: str
) -> BaseCoordinateFrame | None:
    try:
        return frame_of(table, columns, named)
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from e


def _on_sky(
    names: str,
    named: str | None,
    frame: BaseCoordinateFrame,
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
) -> SkyColumns:
    # 155 degrees west is a place; 400 degrees are a slip of the pen
    off = (lon < -180) | (lon > 360) | (np.abs(lat) > 90)
    lon, lat = (np.where(off, np.nan, values) for values in (lon, lat))
    equinox = getattr(frame, "equinox", None)
    if frame.name != "icrs":
        names += f" ({frame.name}{f', {equinox.value}' if equinox else ''})"
    elif named == "J2000":
        names += " (J2000, taken for ICRS)"
    return SkyColumns(names, *turned(lon, lat, frame, ICRS()), off)


def _from_coordinates(table: Table, column: str, name: str) -> SkyColumns:
    try:
        sky = table[column].icrs
    except (ConvertError, AttributeError, ValueError, u.UnitsError) as e:
        raise ValueError(
            f"{name}: expected sky coordinates that turn to ICRS in the column "
            f"{column}, received {table[column].frame.name}"
        ) from e
    ra, dec = (np.ma.filled(np.ma.asarray(a.deg), np.nan) for a in (sky.ra, sky.dec))
    return SkyColumns(column, ra, dec, np.zeros(len(ra), bool))


def _columns_by_ucd(table: Table) -> dict[str, str]:
    """Return columns by their first UCD: of several the main one, else the first."""
    found = {}
    for of_main in (False, True):
        for column in reversed(table.colnames):
            meta = getattr(getattr(table[column], "info", None), "meta", None) or {}
            first, *others = str(meta.get("ucd", "")).lower().split(";")
            if not of_main or "meta.main" in others:
                found[first] = column
    return found


def _from_parts(table: Table, lower: dict[str, str], name: str) -> SkyColumns | None:
    groups: dict[str | None, dict[str, str]] = {}
    for key, column in lower.items():
        part = _PART.fullmatch(key)
        if part:
            kind = (part[1] or "de") + _PART_KINDS[part.lastindex]
            groups.setdefault(part[2], {})[kind] = column
    for equinox, found in groups.items():
        if not {"rah", "ram", "ded", "dem"} <= set(found):
            continue
        ra, dec = (
            [found[axis + kind] for kind in kinds if axis + kind in found]
            for axis, kinds in (("ra", "hms"), ("de", "dms"))
        )
        sign = table[found["de-"]] if "de-" in found else None
        try:
            hours = from_parts([table[column] for column in ra])
            degrees = from_parts([table[column] for column in dec], sign, signed=True)
        except (TypeError, ValueError) as e:
            raise ValueError(
                f"{name}: expected parts of sexagesimal positions in the columns "
                f"{', '.join(ra + dec)}: {e}"
            ) from e
        named = {"b": "B1950", "j": "J2000", None: "equatorial"}[equinox]
        frame = _frame_of(table, (ra[0], dec[0]), named, name)
        return _on_sky(f"{ra[0]} to {dec[-1]}", named, frame, 15 * hours, degrees)
    return None
