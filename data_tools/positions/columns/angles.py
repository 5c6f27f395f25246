"""Numbers and angles of a table's columns, in whatever unit and words they stand."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import Angle
from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

#: Units as people write them, in small letters and without brackets, beside those
#: that astropy knows.
_UNITS = {
    **dict.fromkeys(("deg", "degs", "degree", "degrees", "decimal degrees"), u.deg),
    **dict.fromkeys(("°", "ddeg", "decdeg"), u.deg),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "hourangle"), u.hourangle),
    **dict.fromkeys(("hour angle", "hourangles"), u.hourangle),
    **dict.fromkeys(("rad", "rads", "radian", "radians"), u.rad),
    **dict.fromkeys(("arcminute", "arcminutes", "arcmin", "arcmins", "'"), u.arcmin),
    **dict.fromkeys(("arcsecond", "arcseconds", "arcsec", "arcsecs", "asec"), u.arcsec),
    **dict.fromkeys(('"', "''"), u.arcsec),
    **dict.fromkeys(("milliarcsecond", "milliarcseconds", "milliarcsec"), u.mas),
    **dict.fromkeys(("mas", "marcsec"), u.mas),
    **dict.fromkeys(("pix", "pixs", "pixel", "pixels", "px"), u.pix),
}
#: ... and of sexagesimal words: hours, minutes and seconds; degrees, arcmin and arcsec.
_HOURS = re.compile(r"h+[\s:_]*m+[\s:_]*s+(\.s*)?|hours?:min(ute)?s?:sec(ond)?s?")
_DEGREES = re.compile(
    r"d+[\s:_]*m+[\s:_]*s+(\.s*)?|deg(ree)?s?:(arc)?min(ute)?s?:(arc)?sec(ond)?s?"
)

#: What tables write for no value.
_NO_VALUE = frozenset(
    ("", "nan", "null", "none", "-", "--", "---", "...", "indef", "n/a", "na")
)

#: Characters that mean what a plain one does.
_PLAIN = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-")
    | dict.fromkeys("\u00a0\u2007\u2009\u202f", " ")
    | {"\u2032": "'", "\u2019": "'", "\u2033": '"', "\u201d": '"', "\u00ba": "°"}
)


def plain(words: str) -> str:
    """Return words with the minus signs, spaces and primes that astropy reads."""
    return words.translate(_PLAIN)


def read_unit(unit: Any) -> u.UnitBase | None:
    """Return the unit that is meant by what a column has for one.

    Parameters
    ----------
    unit : Unit, str or None
        What astropy read, known to it or not.

    Returns
    -------
    Unit or None
        Sexagesimal units are hours (of angle) or degrees; None if there is none.

    Raises
    ------
    ValueError
        If it is not known.
    """
    if unit in (None, u.dimensionless_unscaled):
        return None
    # of a VOTable "degrees" is a unit by itself, which nothing converts to
    if isinstance(unit, u.UnitBase) and unit.physical_type != "unknown":
        return unit
    text = plain(str(unit)).strip()
    bare = re.sub(r"""^["']?[\[({]?(.*?)[\])}]?["']?$""", r"\1", text).strip().lower()
    for words in (text.lower(), bare):
        if words in _UNITS:
            return _UNITS[words]
    if bare in _NO_VALUE or bare == "unitless":
        return None
    if _HOURS.fullmatch(bare):
        return u.hourangle
    if _DEGREES.fullmatch(bare):
        return u.deg
    for words in (text, bare):
        try:
            return u.Unit(words)
        except (ValueError, TypeError):
            continue
    raise ValueError(f"the unit {str(unit)!r} is not known")


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
    try:
        values = _as_numbers(cells(table[column]))
        given = read_unit(getattr(table[column], "unit", None))
        return values if given in (None, unit) else given.to(unit, values)
    except (TypeError, ValueError, u.UnitsError) as e:
        raise ValueError(
            f"{name}: expected numbers in {unit} in the column {column}: {e}"
        ) from e


def angles(
    table: Table, column: str, name: str, *, hours: bool = False
) -> NDArray[np.float64]:
    """Return a column's angles in degrees, NaN where it has no value.

    Parameters
    ----------
    table : Table
        Any table.
    column : str
        Numbers, in degrees if it states no unit, or sexagesimal words.
    name : str
        What messages call the table.
    hours : bool
        Whether they are right ascensions: units of time are hours of angle, and so are
        words without a unit.

    Returns
    -------
    ndarray of float64, shape (rows,)

    Raises
    ------
    ValueError
        If the column holds neither, or in another kind of unit.
    """
    try:
        values = cells(table[column])
        unit = read_unit(getattr(table[column], "unit", None))
        if unit is not None and hours and unit.is_equivalent(u.hour):
            unit = unit / u.hour * u.hourangle
        if unit == u.hourangle and not hours:
            raise ValueError("they are hours")
        if isinstance(values, list) and not all(map(_is_number, values)):
            usual = u.hourangle if hours else u.deg
            return _from_words(values, usual if unit is None else unit)
        values = _as_numbers(values)
        return values if unit in (None, u.deg) else unit.to(u.deg, values)
    except (TypeError, ValueError, u.UnitsError) as e:
        raise ValueError(
            f"{name}: expected numbers in deg in the column {column}, or all of it "
            f"sexagesimal (13:37:00.9): {e}"
        ) from e


def cells(values: Any, none: frozenset[str] = _NO_VALUE) -> Any:
    """Return the numbers of a column, or its words.

    Parameters
    ----------
    values : Column, Quantity, Angle or the like, shape (rows,)
        Of numbers, words, bytes, or objects that are some of these.
    none : frozenset of str
        Words, in small letters, that are no value.

    Returns
    -------
    ndarray of float64, shape (rows,), or list of str
        NaN, or None among words, where there is no value.

    Raises
    ------
    ValueError
        If a row has more than one.
    """
    mask = getattr(values, "mask", False)
    bare = getattr(values, "unmasked", values)  # astropy's masked quantities
    bare = np.ma.getdata(getattr(bare, "value", bare))
    if bare.ndim != 1:
        raise ValueError(f"one value a row, received {bare.shape[1:]}")
    mask = np.broadcast_to(mask, bare.shape)
    if bare.dtype.kind not in "OSU":
        return np.where(mask, np.nan, bare.astype(np.float64))
    words = [_word(value) for value in bare.tolist()]
    return [
        None if is_masked or word.lower() in none else word
        for word, is_masked in zip(words, mask, strict=True)
    ]


def _word(value: Any) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    return plain(str("" if value is np.ma.masked else value)).strip()


def _as_numbers(values: Any) -> NDArray[np.float64]:
    if not isinstance(values, list):
        return values
    return np.array([np.nan if v is None else float(v) for v in values], np.float64)


def _is_number(word: str | None) -> bool:
    try:
        return word is None or isinstance(float(word), float)
    except ValueError:
        return False


def _from_words(words: list[str | None], unit: u.UnitBase) -> NDArray[np.float64]:
    if unit not in (u.deg, u.hourangle):
        raise ValueError(f"sexagesimal words are not in {unit}")
    degrees = np.full(len(words), np.nan)
    given = [i for i, word in enumerate(words) if word is not None]
    other = next((words[i] for i in given if _is_number(words[i])), None)
    if other is not None:
        raise ValueError(f"{other!r} is not")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)  # 60 seconds are a minute
        degrees[given] = Angle([words[i] for i in given], unit).deg
    return degrees


def from_parts(
    parts: Sequence[Any], sign: Any = None, *, signed: bool = False
) -> NDArray[np.float64]:
    """Return sexagesimal numbers whose parts are in columns of their own.

    Parameters
    ----------
    parts : sequence of Column
        Hours or degrees, minutes and perhaps seconds.
    sign : Column, optional
        ``-`` or a number below zero, in rows below zero.
    signed : bool
        Whether a number may be below zero. Then a minus before any part is one before
        the whole.

    Returns
    -------
    ndarray of float64, shape (rows,)
        In hours or degrees; NaN where a part has no value, and infinite where it is
        none that a clock shows.

    Raises
    ------
    ValueError
        If a part is no number, a sign is none, or a row has zero degrees as a number
        and no sign, of which -0 cannot be told from 0.
    """
    given = [cells(part) for part in parts]
    values = [_as_numbers(part) for part in given]
    whole = values[0]
    minus = np.any(np.signbit(values), axis=0)
    if sign is not None:
        minus |= _is_minus(sign)
    # of words, and of floats where one has it, "-0" is another than "0"
    told = isinstance(given[0], list) or np.any(np.signbit(whole) & (whole == 0))
    size = sum(np.abs(v) / 60**i for i, v in enumerate(values))
    if (
        signed
        and sign is None
        and not told
        and np.any((whole == 0) & ~minus & (size > 0))
    ):
        raise ValueError("-0 and 0 are one number; give a column DE- of their signs")
    off = np.any([np.abs(v) > 60 for v in values[1:]], axis=0)
    off |= minus if not signed else False
    return np.where(off, np.inf, np.where(minus, -size, size))


def _is_minus(sign: Any) -> NDArray[np.bool_]:
    values = cells(sign, none=frozenset({"", "none", "nan"}))
    if not isinstance(values, list):
        return values < 0
    known = {None: False, "+": False, "1": False, "-": True, "-1": True}
    other = next((v for v in values if v not in known), None)
    if other is not None:
        raise ValueError(f"expected signs to be + or -, received {other!r}")
    return np.array([known[v] for v in values], bool)
