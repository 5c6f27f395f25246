"""What each format of a table takes, and what a table's columns become in it."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.table.meta import get_yaml_from_table
from astropy.table.serialize import represent_mixins_as_columns
from astropy.time import Time
from numpy.typing import NDArray

#: Kinds of numbers that a format does not have, and the next that holds all of them.
_WIDER = {
    "fits": {"i1": "i2", "f2": "f4"},
    "votable": {"i1": "i2", "u2": "i4", "u4": "i8", "f2": "f4"},
}

#: Kinds of the values in a column of objects that make it a plain one, and what stands
#: in the place of None.
_OF_OBJECTS = (("U", ""), ("b", False), ("iu", 0), ("iuf", np.nan))


def as_format(table: Table, suffix: str, meta: Mapping[str, Any]) -> Table:
    """Return a table as a format holds it; the one that is given stays as it is.

    Parameters
    ----------
    table : Table
        Any columns.
    suffix : str
        One of `FORMATS`.
    meta : mapping of str to str
        Metadata beside the table's own.

    Raises
    ------
    TypeError, ValueError
        If there is no way to hold a column.
    """
    kind = _KINDS.get(suffix)
    made = QTable(table, copy=False)
    made.meta = {**table.meta, **meta}
    for name in made.colnames:
        column = _plain(made[name])
        if suffix == ".csv" and kind_of(column) == "O":
            raise TypeError("its values are objects of several kinds")
        if kind in _WIDER:
            column = _wider(column, _WIDER[kind])
        if kind is not None:
            column = _as_words(column)
        if column is not made[name]:
            made.replace_column(name, column)
    if kind == "votable" or suffix == ".csv":
        made = _without_places(made)
    if kind == "fits":
        _fit_names(made)
    if kind is not None:
        made.meta = {key: as_text(value, kind) for key, value in made.meta.items()}
    return made


def kind_of(column: Any) -> str:
    """Return numpy's letter for a column's kind; none for places and times."""
    return getattr(getattr(column, "dtype", None), "kind", "")


def _plain(column: Any) -> Any:
    """Return a column without objects and bytes, if it has plain values."""
    if isinstance(column, Time):
        column = column.copy()
        column.precision = 9  # of its text, which would be cut to milliseconds
        return column
    kind = kind_of(column)
    unit = getattr(column, "unit", None)
    if kind == "f" and unit is not None and np.any(getattr(column, "mask", False)):
        unit = u.Unit(str(unit), parse_strict="silent")  # VOTable has no dex
        if isinstance(unit, u.FunctionUnitBase):
            # of these astropy reads no masked ones
            values, lost = _values(column)
            filled = np.where(lost, values.dtype.type(np.nan), values)
            plain = u.Quantity(filled, unit, subok=True)
            plain.info.description = column.info.description
            plain.info.meta = column.info.meta
            return plain
    if kind == "S":
        with contextlib.suppress(UnicodeDecodeError):
            return _like(column, np.char.decode(np.ma.getdata(column), "utf-8"))
    if kind != "O" or np.ndim(column) != 1:
        return column
    values = [np.ma.getdata(column)[i] for i in range(len(column))]
    missing = np.array([value is None for value in values], bool)
    given = [np.asarray(value) for value in values if value is not None]
    found = {v.dtype.kind if not v.ndim else "O" for v in given}
    for kinds, empty in _OF_OBJECTS:
        if found and found <= set(kinds):
            plain = np.array([empty if value is None else value for value in values])
            if plain.dtype.kind in kinds:
                return _like(column, plain, missing)
    return column


def _like(column: Any, values: NDArray, missing: Any = False) -> MaskedColumn | Column:
    mask = np.ma.getmaskarray(column) | missing
    about = {"name": column.info.name, "unit": column.info.unit}
    about |= {"description": column.info.description, "meta": column.info.meta}
    if mask.any():
        return MaskedColumn(values, mask=mask, **about)
    return Column(values, **about)


def _wider(column: Any, kinds: Mapping[str, str]) -> Any:
    dtype = getattr(column, "dtype", None)
    if dtype is None or not hasattr(column, "astype"):
        return column
    wanted = kinds.get(dtype.str[1:])
    if dtype.str[1:] == "u8" and "u4" in kinds:
        values = np.asarray(np.ma.filled(np.ma.asarray(column), 0))
        if values.size and values.max() > np.iinfo(np.int64).max:
            raise ValueError("it has whole numbers of 2^63 and above")
        wanted = "i8"
    if wanted is None:
        return column
    wide = column.astype(wanted)
    wide.info.description = column.info.description
    return wide


def _as_words(column: Any) -> Any:
    """Return instants as words, as FITS and VOTable have no kind of their own."""
    about = {"name": column.info.name, "description": column.info.description}
    if isinstance(column, Time):
        about["description"] = about["description"] or column.scale.upper()
        return MaskedColumn(column.isot, mask=column.mask, **about)
    if kind_of(column) == "M":
        lost = np.isnat(column) | np.ma.getmaskarray(column)
        return MaskedColumn(np.datetime_as_string(column), mask=lost, **about)
    return column


def _without_places(table: QTable) -> QTable:
    """Put the coordinates of each place into columns of their own."""
    made = QTable(meta=table.meta)
    for name in table.colnames:
        column = table[name]
        if not isinstance(column, SkyCoord):
            made[name] = column
            continue
        parts = represent_mixins_as_columns(Table({name: column}))
        for part in parts.colnames:
            made[part] = parts[part]
            made[part].info.description = column.info.description or (
                f"{part.rpartition('.')[2]} of {name}, {column.frame.name}"
            )
    return made


def _fit_names(table: QTable) -> None:
    """Tell names apart that FITS, which knows no case of letters, takes for one."""
    taken = {name.lower() for name in table.colnames}
    for i, name in enumerate(table.colnames):
        later = {other.lower() for other in table.colnames[i + 1 :]}
        if name.lower() in later:
            table.rename_column(name, free_name(name, taken))
            taken.add(table.colnames[i].lower())
        description = table.columns[i].info.description
        if description and not description.isascii():
            table.columns[i].info.description = description.encode(
                "ascii", "backslashreplace"
            ).decode()


def free_name(name: str, taken: set[str]) -> str:
    """Return a name for a column of the input whose own is needed.

    Parameters
    ----------
    name : str
        Its own.
    taken : set of str
        In small letters.
    """
    number = 1
    while True:
        free = f"input{'' if number == 1 else number}_{name}"
        if free.lower() not in taken:
            return free
        number += 1


def as_text(value: Any, kind: str) -> str | int | float | bool:
    """Return a value of the metadata as a format keeps it; see `from_text`.

    Parameters
    ----------
    value : plain value
        As JSON has them.
    kind : {"fits", "votable"}
        FITS keeps numbers.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str) and value.isascii() and value.isprintable():
        if from_text(value) == value:
            return value
    elif kind == "fits" and isinstance(value, int | float) and np.isfinite(value):
        return value
    return json.dumps(value)


def from_text(value: Any) -> Any:
    """Return what `as_text` was given."""
    if isinstance(value, str):
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(value)
    return value


def _write_votable(table: Table, path: Path) -> None:
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info

    file = from_table(table)
    for key, value in table.meta.items():
        file.resources[0].infos.append(Info(name=key, value=str(value)))
    file.to_xml(str(path))


def _write_parquet(table: Table, path: Path) -> None:
    """Write nulls as such; astropy's writer leaves what is masked for all to see."""
    import pyarrow as pa
    from pyarrow import parquet

    table = represent_mixins_as_columns(table)
    # where astropy looks for it
    about = {"table_meta_yaml": "\n".join(get_yaml_from_table(table))}
    arrays = []
    for name, column in table.columns.items():
        arrays.append(_as_arrow(column))
        if column.dtype.kind == "U":
            about[f"table::len::{name}"] = str(column.dtype.itemsize // 4)
    schema = pa.schema(
        [(name, a.type) for name, a in zip(table.colnames, arrays, strict=True)],
        metadata=about,
    )
    parquet.write_table(pa.table(arrays, schema=schema), path)


def _as_arrow(column: Any) -> Any:
    import pyarrow as pa

    mask = np.ma.getmaskarray(np.ma.asarray(column))
    values = np.asarray(np.ma.getdata(column))
    if values.dtype.kind == "M":
        mask = mask | np.isnat(values)
    if values.dtype.kind == "O":
        return pa.array(list(values))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    array = pa.array(values.ravel(), mask=mask.ravel())
    for size in reversed(values.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def _writer(name: str) -> Callable[[Table, Path], None]:
    return lambda table, path: table.write(path, format=name)


#: Suffixes of a table, and what writes each.
FORMATS: dict[str, Callable[[Table, Path], None]] = {
    ".ecsv": _writer("ascii.ecsv"),
    ".fits": _writer("fits"),
    ".vot": _write_votable,
    ".xml": _write_votable,
    ".parquet": _write_parquet,
    ".csv": _writer("ascii.csv"),
}

#: Those that keep metadata as words, with astropy's name of each.
_KINDS = {".fits": "fits", ".vot": "votable", ".xml": "votable"}


def read_back(path: Path) -> Table | None:
    """Read what was written, to compare it; None of Parquet.

    Parquet's columns are of the same kinds as a table's, and not read.
    """
    name = {".ecsv": "ascii.ecsv", ".csv": "ascii.csv", **_KINDS}.get(path.suffix)
    if name is None:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return QTable.read(path, format=name)


def same(given: Any, read: Any) -> bool:
    """Say whether a column has come back: its values, what is masked, its unit.

    NaN and a masked number count as one, and so do no text and a masked text, which
    text formats do not tell apart; blanks around a text do not count.
    """
    if not isinstance(given, Column | u.Quantity):
        return type(given) is type(read) and len(given) == len(read)
    (a, a_lost), (b, b_lost) = _values(given), _values(read)
    if a.shape != b.shape or not np.array_equal(a_lost, b_lost):
        return False
    if not _is_same_unit(given.unit, read.unit):
        return False
    if a.dtype.kind in "OV":
        return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool((a == b)[~a_lost].all())


def _values(column: Any) -> tuple[NDArray, NDArray[np.bool_]]:
    """Return plain values, and which are lost."""
    lost = np.broadcast_to(getattr(column, "mask", False), column.shape)
    values = getattr(column, "unmasked", column)
    values = np.asarray(np.ma.getdata(getattr(values, "value", values)))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "replace")
    if values.dtype.kind == "U":
        values = np.char.strip(values)
        return values, lost | (values == "")
    if values.dtype.kind in "fc":
        return values, lost | np.isnan(values)
    if values.dtype.kind in "mM":
        return values, lost | np.isnat(values)
    return values, np.array(lost)


def _is_same_unit(a: Any, b: Any) -> bool:
    a, b = a or "", b or ""
    return str(a) == str(b) or u.Unit(a, parse_strict="silent") == b
