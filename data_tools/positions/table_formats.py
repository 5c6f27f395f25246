"""A table from any file: its format is told by what it holds, then by its name."""

from __future__ import annotations

import base64
import functools
import io
import logging
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.table import Column, MaskedColumn, QTable, Table
from numpy.typing import NDArray

from data_tools.foreign.bounds import check_memory, check_text, check_values
from data_tools.foreign.hdf5 import sound_copy
from data_tools.mosaics.stored.fits_file import check_fits
from data_tools.positions.arrow_tables import read_parquet
from data_tools.positions.columns.frames import FRAMES_KEY, votable_frames
from data_tools.positions.columns.names import find_positions
from data_tools.positions.text_tables import read_text_tables

logger = logging.getLogger(__name__)

#: The first bytes of what is read otherwise than as text or XML.
_SIGNS = {b"SIMPLE  =": "FITS", b"PAR1": "Parquet", b"\x89HDF\r\n\x1a\n": "HDF5"}
#: The first bytes of what is not read, what it is, and what to do.
_OTHERS = {
    b"PK\x03\x04": "a ZIP archive, as spreadsheets are: unpack it, or save it as CSV",
    b"\xd0\xcf\x11\xe0": "a spreadsheet: save it as CSV",
    b"%PDF": "a PDF: take the machine-readable table that belongs to it",
    b"\x93NUMPY": "an array of numpy: save it as a table, with names of columns",
    b"ARROW1": "a Feather file: save it as Parquet",
    b"FEA1": "a Feather file: save it as Parquet",
    b"SQLite format 3": "a database: save its table as CSV or Parquet",
    b"\x80": "a pickle, or no table at all: save it as ECSV or Parquet",
}
#: What a file is by its name's word; one of another name may be text.
_PROMISES = {".fits": "FITS", ".fit": "FITS", ".parquet": "Parquet", ".vot": "VOTable"}
_PROMISES |= {".xml": "VOTable", ".hdf5": "HDF5", ".h5": "HDF5"}

#: The table with the header of the image in a file of SExtractor's (FITS_LDAC).
_OF_IMAGE = "Field Header Card"
#: Rows that astropy's reader of VOTables makes room for at once.
_ROWS_AT_ONCE = 512

#: The names of a file's tables, and what reads each.
_Tables = dict[str, Callable[[], Table]]


def read_any_table(path: Path, name: Path, held: int) -> QTable:
    """Read a table; of several in a file the first with positions, else the first.

    Parameters
    ----------
    path : Path
        FITS, VOTable, Parquet, HDF5, or a text of any kind
        (`data_tools.positions.text_tables`).
    name : Path
        What messages call it; beside it a readme may lie.
    held : int
        Bytes of the file that the user has, if that is packed: what bounds the memory.

    Raises
    ------
    Exception
        Whatever the format's reader raises at a file that is damaged or none of these.
    """
    with path.open("rb") as file:
        begin = file.read(4096)
    if not begin:
        raise ValueError("it is empty")
    kind = next((k for sign, k in _SIGNS.items() if begin.startswith(sign)), None)
    if kind is None and re.match(rb"\s*<(\?xml|!--|(\w+:)?VOTABLE)", _narrow(begin)):
        kind = "VOTable"
    other = next((w for sign, w in _OTHERS.items() if begin.startswith(sign)), None)
    if other is not None:
        raise ValueError(f"it is {other}")
    promise = _PROMISES.get(name.suffix.lower())
    if kind is None and promise is not None:
        raise ValueError(f"it is no {promise} file")
    table = _read(kind, path, name, held)
    check_values(table.meta)
    return table


def _read(kind: str | None, path: Path, name: Path, held: int) -> QTable:
    if kind == "Parquet":
        return read_parquet(path, name, held)
    if kind == "FITS":
        _check_fits(path)
        # words as bytes: so astropy tells which are missing
        with fits.open(path, memmap=False, character_as_bytes=True) as hdus:
            return _choose(_in_fits(hdus, held), name)
    if kind == "HDF5":
        with sound_copy(path, held) as file:
            return _choose(_in_hdf5(file), name)
    content = path.read_bytes()
    check_text(content, held)
    if kind == "VOTable":
        return _choose(_in_votable(content, held), name)
    texts = read_text_tables(name, content)
    named = {f"number {i + 1}": lambda t=t: t for i, t in enumerate(texts)}
    return _choose(named, name)


def _narrow(begin: bytes) -> bytes:
    """Drop what marks text as UTF-8 or UTF-16, and every other byte of the latter."""
    return begin.removeprefix(b"\xef\xbb\xbf").lstrip(b"\xff\xfe").replace(b"\0", b"")


def _choose(tables: _Tables, name: Path) -> QTable:
    if not tables:
        raise ValueError("there is no table in it")
    chosen = None
    for title, read in tables.items():
        table = read()
        if chosen is None:
            chosen = title, table
        try:
            find_positions(table)
        except ValueError:
            continue
        chosen = title, table
        break
    assert chosen is not None
    if len(tables) > 1:
        logger.warning(
            "%s: of its %d tables %s is read; the others are %s",
            name,
            len(tables),
            chosen[0],
            ", ".join(t for t in tables if t != chosen[0])[:200],
        )
    return QTable(chosen[1])


def _in_fits(hdus: fits.HDUList, held: int) -> _Tables:
    tables: _Tables = {}
    for i, hdu in enumerate(hdus):
        if not isinstance(hdu, fits.BinTableHDU | fits.TableHDU):
            continue
        if hdu.header.get("ZTABLE"):
            raise ValueError("its table is compressed: unpack it with funpack")
        if [c.lower() for c in hdu.columns.names] != [_OF_IMAGE.lower()]:
            title = f"extension {i}" + (f" ({hdu.name})" if hdu.name else "")
            tables[title] = lambda hdu=hdu: _from_fits(hdu, held)
    return tables


def _check_fits(path: Path) -> None:
    """Refuse a file that is cut short, of which astropy would only warn."""
    try:
        check_fits(path)
    except ValueError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ")) from error


def _from_fits(hdu: fits.BinTableHDU | fits.TableHDU, held: int) -> Table:
    # columns of no width take no room in the file, whatever the number of rows
    check_memory(8.0 * hdu.header["NAXIS2"] * max(1, len(hdu.columns)), held)
    raw = np.asarray(hdu.data)
    for column in hdu.columns:
        lengths = re.match(r"\d*[PQ]([A-Z])", str(column.format))
        if lengths:  # many rows may point to one and the same long array
            check_memory(8.0 * raw[column.name][:, 0].astype(float).sum(), held)
    if isinstance(hdu, fits.TableHDU):
        return _of_text(hdu, raw)
    is_time = any(column.coord_type for column in hdu.columns)
    table = Table.read(hdu, astropy_native=is_time)
    for name in table.colnames:
        if getattr(table[name], "dtype", np.dtype(float)).kind == "S":
            words = Table([table[name]])
            words.convert_bytestring_to_unicode()
            table.replace_column(name, words[name])
    for i, column in enumerate(hdu.columns, 1):
        name = column.name
        if name not in table.colnames:  # a part of a time or of sky coordinates
            continue
        # astropy 8 takes a byte that is neither T nor F for False, and a null of
        # numbers that are scaled for one of them
        null = 0 if column.format == "L" else column.null
        mask = np.zeros(1, bool) if null is None else raw[name] == null
        if mask.any() and raw[name].shape == table[name].shape:
            table[name] = MaskedColumn(table[name], mask=mask)
        info = table[name].info
        info.description = info.description or hdu.header.get(f"TCOMM{i}")
        if f"TUCD{i}" in hdu.header:
            info.meta = {"ucd": hdu.header[f"TUCD{i}"], **(info.meta or {})}
    return table


def _of_text(hdu: fits.TableHDU, raw: NDArray[Any]) -> Table:
    """Read a table of text, whose words for no value astropy 8 takes for numbers."""
    table = Table(meta=dict(hdu.header.items()))
    for column in hdu.columns:
        words = np.char.strip(raw[column.name])
        mask = np.isin(words, [b"", str(column.null or "").strip().encode()])
        values = np.asarray(hdu.data[column.name])
        table[column.name] = MaskedColumn(values, mask=mask) if mask.any() else values
        if column.unit and values.dtype.kind in "iuf":
            table[column.name].unit = u.Unit(column.unit, parse_strict="silent")
    return table


def _in_votable(content: bytes, held: int) -> _Tables:
    from astropy.io import votable

    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if wide else "utf-8", errors="replace")
    if "<!ENTITY" in text:
        raise ValueError("it declares entities, which no VOTable needs")
    if re.search(r"<(\w+:)?STREAM\b[^>]*\bhref\s*=", text):
        raise ValueError("its rows lie in another file: save it as a whole")
    for stream in re.finditer(r"<(?:\w+:)?STREAM\b[^>]*[^>/]>([^<]*)<", text):
        # astropy leaves out what is no base64, and reads the rest from another byte on
        if not re.fullmatch(r"[\w+/=\s]*", stream[1], re.ASCII):
            raise ValueError("its binary rows are damaged: no base64")
        if len("".join(stream[1].split())) % 4:
            raise ValueError("its binary rows are cut short")
    rows = max(_ROWS_AT_ONCE, sum(1 for _ in re.finditer(r"<(?:\w+:)?TR\b", text)))
    rows = max([rows, *map(int, re.findall(r"\bnrows\s*=\s*[\"'](\d+)", text))])
    sizes = re.findall(r"\barraysize\s*=\s*[\"']([\dx]+)", text)
    width = sum(math.prod(float(n) for n in s.split("x") if n) for s in sizes)
    width += len(re.findall(r"<(?:\w+:)?FIELD\b", text))
    check_memory(8.0 * rows * width, held)
    file = votable.parse(io.BytesIO(content), verify="ignore", invalid="mask")
    _check_rows(text, list(file.iter_tables()))
    _check_streams(text, list(file.iter_tables()))
    systems = list(file.iter_coosys())
    tables: _Tables = {}
    for resource in _resources(file.resources):
        meta: dict[str, Any] = {info.name: info.value for info in resource.infos}
        for i, found in enumerate(resource.tables):
            title = found.name or found.ID or f"number {len(tables) + 1}"
            if title in tables:
                title += f" ({i + 1})"
            frames = votable_frames(found, systems)
            said = meta | ({FRAMES_KEY: frames} if frames else {})
            tables[title] = lambda found=found, said=said: _from_votable(found, said)
    return tables


def _check_rows(text: str, tables: list[Any]) -> None:
    """Refuse tables without as many rows as they say: astropy reads what is left."""
    said = re.findall(r"<(?:\w+:)?TABLE\b[^>]*\bnrows\s*=\s*[\"'](\d+)", text)
    expected, there = sum(map(int, said)), sum(len(table.array) for table in tables)
    if len(said) == len(tables) and expected != there:
        raise ValueError(
            f"{expected} rows expected, {there} found: it is cut short, or damaged"
        )


def _check_streams(text: str, tables: list[Any]) -> None:
    """Refuse binary rows with a part of one more: astropy leaves that out.

    Rows that end with a whole one are all there is, as far as anyone can tell.
    """
    if re.search(r"</(?:\w+:)?RESOURCE>\s*<(?:\w+:)?TABLE\b", text):
        return  # astropy gives tables in another order
    for table, (kind, stream) in zip(tables, _streams(text), strict=False):
        if kind is None:
            continue
        rows = io.BytesIO(base64.b64decode(stream))
        length, number = len(rows.getbuffer()), len(table.array)
        is_fixed = not any("*" in str(field.arraysize) for field in table.fields)
        read = functools.partial(_read_exactly, rows)
        for _ in range(min(1, number) if is_fixed else number):
            if kind == "BINARY2":  # a bit a field for what is null
                read((len(table.fields) + 7) // 8)
            for field in table.fields:
                field.converter.binparse(read)
        end = rows.tell() * (number if is_fixed else 1)
        if end != length:
            raise ValueError(
                f"its binary rows are cut short: after {number} rows {length - end} "
                "bytes are left, which are none"
            )


def _streams(text: str) -> list[tuple[str | None, str]]:
    """Return kind and text of each table's binary rows, None where it has none."""
    found: list[tuple[str | None, str]] = []
    kind = None
    plain = re.sub(r"(?s)<!--.*?-->|<!\[CDATA\[|\]\]>", "", text)
    for part in re.finditer(r"<(?:\w+:)?(TABLE|BINARY2?|STREAM)\b[^>]*>([^<]*)", plain):
        if part[1] == "TABLE":
            found.append((None, ""))
        elif part[1] != "STREAM":
            kind = part[1]
        elif found:
            found[-1] = kind, part[2]
    return found


def _read_exactly(stream: io.BytesIO, length: int) -> bytes:
    found = stream.read(length)
    if len(found) != length:
        raise EOFError("its binary rows are cut short")
    return found


def _resources(of: Any) -> Iterator[Any]:
    for resource in of:
        yield resource
        yield from _resources(resource.resources)


def _from_votable(found: Any, meta: dict[str, Any]) -> Table:
    table = found.to_table(use_names_over_ids=True)
    table.meta = meta | table.meta
    return table


def _in_hdf5(file: Any) -> _Tables:
    """Find tables as astropy, h5py and TOPCAT write them, or a column a data set."""
    import h5py

    tables: _Tables = {}
    columns: dict[str, dict[str, Any]] = {}

    def note(title: str, found: Any) -> None:
        if not isinstance(found, h5py.Dataset) or found.ndim == 0:
            return
        if found.dtype.names and found.ndim == 1:
            tables[title] = lambda: Table.read(
                file, format="hdf5", path=title, character_as_bytes=False
            )
        elif not title.endswith("__table_column_meta__"):
            group, _, name = title.rpartition("/")
            columns.setdefault(group, {})[name] = found

    file.visititems(note)
    for group, found in columns.items():
        if len(found) > 1 and len({len(values) for values in found.values()}) == 1:
            tables[group or "/"] = lambda found=found: Table(
                {name: _from_hdf5(values) for name, values in found.items()}
            )
    return tables


def _from_hdf5(values: Any) -> Column:
    import h5py

    is_text = h5py.check_string_dtype(values.dtype) is not None
    read = np.array(values.asstr()[...], np.str_) if is_text else values[...]
    said = {key.lower(): value for key, value in values.attrs.items()}
    unit = said.get("unit", said.get("units"))
    column = Column(read, description=said.get("description"))
    if unit is not None and read.dtype.kind in "iuf":
        column.unit = unit.decode() if isinstance(unit, bytes) else str(unit)
    return column
