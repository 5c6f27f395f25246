"""Which columns of a table hold positions: the names that the field gives them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Table
from numpy.typing import NDArray

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
    ("xpos", "ypos", None),
    ("x_center", "y_center", None),
    ("xcenter", "ycenter", None),
)

#: Sky columns, in any case of letters: plain names, PHANGS-HST, VizieR (what it
#: computed, in degrees, before what the authors gave), Gaia, SExtractor.
SKY_NAMES: tuple[tuple[str, str], ...] = (
    ("ra", "dec"),
    ("phangs_ra", "phangs_dec"),
    ("_raj2000", "_dej2000"),
    ("raj2000", "dej2000"),
    ("raj2000", "decj2000"),
    ("ra_j2000", "dec_j2000"),
    ("_ra_icrs", "_de_icrs"),
    ("ra_icrs", "de_icrs"),
    ("ra_icrs", "dec_icrs"),
    ("_ra", "_de"),
    ("radeg", "dedeg"),
    ("radeg", "decdeg"),
    ("ra_deg", "dec_deg"),
    ("ra_deg", "de_deg"),
    ("ra_d", "dec_d"),
    ("alphawin_j2000", "deltawin_j2000"),
    ("alpha_j2000", "delta_j2000"),
    ("right_ascension", "declination"),
    ("ra_2000", "dec_2000"),
    ("s_ra", "s_dec"),
)

#: Parts of sexagesimal positions, as the tables of journals have them.
_SEXAGESIMAL = (("RAh", "RAm", "RAs"), ("DE-", "DEd", "DEm", "DEs"))

_WORDS_FOR_ANGLE = re.compile(r"^\s*[+-]?\d+\D+\d+(\D+\d|\D*$)")


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
        Degrees, ICRS; NaN where the table has no value.
    """

    names: str
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]


def find_positions(
    table: Table, name: str = "the table"
) -> tuple[list[PixelColumns], SkyColumns | None]:
    """Find all columns of a table that hold positions.

    Parameters
    ----------
    table : Table
        Any table.
    name : str
        What messages call it.

    Returns
    -------
    pixels : list of PixelColumns
        In the order of `PIXEL_NAMES`; empty if there are none.
    sky : SkyColumns or None
        The first of `SKY_NAMES`, of sexagesimal parts, of sky coordinates as astropy
        keeps them, and of columns that their UCDs name.

    Raises
    ------
    ValueError
        If there are neither, or they hold no numbers.
    """
    lower = {column.lower(): column for column in table.colnames}
    of_file = table.meta.get(ORIGIN_KEY)
    pixels = []
    for *pair, origin in PIXEL_NAMES:
        if set(pair) <= set(lower):
            names = lower[pair[0]], lower[pair[1]]
            x, y = (numbers(table, column, u.pix, name) for column in names)
            if of_file is not None:
                origin = of_file
            pixels.append(PixelColumns(names, x, y, origin))
    sky = _find_sky(table, lower, name)
    if not pixels and sky is None:
        raise ValueError(
            f"{name}: expected the columns x and y (pixels) or ra and dec (degrees), "
            f"received {', '.join(table.colnames) or 'none'}; rename its columns"
        )
    return pixels, sky


def _find_sky(table: Table, lower: dict[str, str], name: str) -> SkyColumns | None:
    for pair in SKY_NAMES:
        if set(pair) <= set(lower):
            ra, dec = (lower[part] for part in pair)
            return SkyColumns(f"{ra} and {dec}", *_angles(table, ra, dec, name))
    if set(_SEXAGESIMAL[0] + _SEXAGESIMAL[1][1:]) <= set(table.colnames):
        return SkyColumns("RAh to DEs", *_from_parts(table, name))
    for column in table.colnames:
        if isinstance(table[column], SkyCoord):
            sky = table[column].icrs
            ra, dec = (
                np.ma.filled(np.ma.asarray(a.deg), np.nan) for a in (sky.ra, sky.dec)
            )
            return SkyColumns(column, ra, dec)
    by_ucd = {_first_ucd(table[column]): column for column in reversed(table.colnames)}
    for pair in (("pos.eq.ra", "pos.eq.dec"), ("pos_eq_ra_main", "pos_eq_dec_main")):
        if set(pair) <= set(by_ucd):
            ra, dec = (by_ucd[part] for part in pair)
            return SkyColumns(f"{ra} and {dec}", *_angles(table, ra, dec, name))
    return None


def _first_ucd(column: Any) -> str:
    meta = getattr(getattr(column, "info", None), "meta", None) or {}
    return str(meta.get("ucd", "")).lower().split(";")[0]


def _angles(
    table: Table, ra: str, dec: str, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Read a pair of columns in degrees, another unit of angle, or as hours."""
    if np.asarray(table[ra]).dtype.kind not in "US":
        return numbers(table, ra, u.deg, name), numbers(table, dec, u.deg, name)
    return (
        _words_for_angles(table, ra, u.hourangle, name),
        _words_for_angles(table, dec, u.deg, name),
    )


def _words_for_angles(
    table: Table, column: str, unit: u.UnitBase, name: str
) -> NDArray[np.float64]:
    words = np.ma.masked_array(table[column]).astype(str)
    degrees = np.full(len(words), np.nan)
    given = ~np.ma.getmaskarray(words) & (np.char.strip(words.data) != "")
    try:
        if not all(_WORDS_FOR_ANGLE.match(word) for word in words.data[given]):
            raise ValueError("neither numbers nor sexagesimal")
        if given.any():
            degrees[given] = Angle(words.data[given], unit).deg
    except ValueError as e:
        raise ValueError(
            f"{name}: expected numbers in deg in the column {column}, or all of it "
            f"sexagesimal (13:37:00.9): {e}"
        ) from e
    return degrees


def _from_parts(
    table: Table, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    def sum_of(columns: tuple[str, ...], units: tuple[u.UnitBase, ...]) -> NDArray:
        parts = zip(columns, units, strict=True)
        steps = 1.0, 1 / 60, 1 / 3600
        return sum(
            step * numbers(table, column, unit, name)
            for step, (column, unit) in zip(steps, parts, strict=True)
        )

    hours = sum_of(_SEXAGESIMAL[0], (u.hour, u.min, u.s))
    degrees = sum_of(_SEXAGESIMAL[1][1:], (u.deg, u.arcmin, u.arcsec))
    sign = 1.0
    if "DE-" in table.colnames:
        minus = np.char.strip(np.ma.asarray(table["DE-"]).astype(str).filled("")) == "-"
        sign = np.where(minus, -1.0, 1.0)
    return 15 * hours, sign * degrees


def numbers(
    table: Table, column: str, unit: u.UnitBase, name: str
) -> NDArray[np.float64]:
    """Return a column's numbers in a unit, NaN where it has no value.

    Parameters
    ----------
    table : Table
        Any table.
    column : str
        One of its columns; without a unit it is taken to be in `unit`.
    unit : Unit
        What is wanted.
    name : str
        What messages call the table.

    Returns
    -------
    ndarray of float64, shape (rows,)

    Raises
    ------
    ValueError
        If the column holds no numbers, or in another kind of unit.
    """
    values = table[column]
    given = getattr(values, "unit", None)
    try:
        if given not in (None, u.dimensionless_unscaled):
            values = u.Quantity(values, subok=True).to(unit)
            values = getattr(values, "value", values)
        plain = np.ma.asarray(values).astype(np.float64)
    except (TypeError, ValueError, u.UnitsError) as e:
        raise ValueError(
            f"{name}: expected numbers in {unit} in the column {column}: {e}"
        ) from e
    if plain.ndim != 1:
        raise ValueError(
            f"{name}: expected one number a row in the column {column}, received "
            f"{plain.shape[1:]}"
        )
    return np.ma.filled(plain, np.nan)
