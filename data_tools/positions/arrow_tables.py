"""Parquet tables, of astropy and of other programs, with all that their columns say."""

from __future__ import annotations

import io
import logging
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.table.meta import get_header_from_yaml
from astropy.table.serialize import _construct_mixins_from_columns
from astropy.time import Time
from numpy.typing import NDArray

from data_tools.foreign.bounds import check_memory

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

#: Where astropy's writer keeps units, descriptions and metadata.
_ASTROPY = b"table_meta_yaml"
#: Where TOPCAT and others keep them, as a VOTable without rows (the VOParquet note).
_VOTABLE = b"IVOA.VOTable-Parquet.content"
#: Metadata of the schema that say how its writer read it, not what it is.
_OF_WRITERS = ("ARROW:", "pandas", "org.", "IVOA.", "table::len", "huggingface", "geo")

#: Bytes of a value by Parquet's physical type.
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}


def read_parquet(path: Path, name: Path, held: int) -> QTable:
    """Read a Parquet table.

    A value that is null is masked, whatever its kind; whole numbers stay exact; a
    dictionary's words are text, a structure's parts are columns ``whole.part``, lists
    of one length are vectors; decimals are whole numbers or floats where these hold
    all digits, else text; instants are times. Units, descriptions and metadata are
    those of astropy, of a VOTable within (TOPCAT) or of the fields themselves. What no
    table can hold is left out, and the log says so.

    astropy's own reader is not used: it needs pandas and loses masks of whole numbers.

    Parameters
    ----------
    path : Path
        The file.
    name : Path
        What messages call it.
    held : int
        Bytes of the file that the user has, if that is packed: what bounds the memory.

    Raises
    ------
    ValueError
        If it is damaged, or would unfold to much more than what is in it.
    """
    import pyarrow as pa
    from pyarrow import parquet

    # words are kept once, as the file does: a long one in each row would fill memory
    leaves = parquet.ParquetFile(path).schema
    leaves = [leaves.column(i) for i in range(len(leaves))]
    text = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    file = parquet.ParquetFile(path, read_dictionary=text)
    names = file.schema_arrow.names
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two of its columns are named {twice[0]}: rename one")
    # sizes of single columns are not asked: pyarrow 25 aborts where they are damaged
    groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    if rows != file.metadata.num_rows:
        raise ValueError("its number of rows is not that of its parts")
    width = sum(_WIDTHS.get(leaf.physical_type, leaf.length or 4) for leaf in leaves)
    needed = rows * width + sum(group.total_byte_size for group in groups)
    check_memory(needed, held)
    if not groups or all(leaf.max_repetition_level == 0 for leaf in leaves):
        return _as_table(file.read(), held, name)
    parts = []
    for i in range(file.num_row_groups):  # nothing says how long its lists are
        parts.append(file.read_row_group(i))
        check_memory(sum(part.nbytes for part in parts), held)
    return _as_table(pa.concat_tables(parts), held, name)


def _as_table(read: pa.Table, held: int, path: Path) -> QTable:
    import pyarrow as pa

    said = read.schema.metadata or {}
    while any(pa.types.is_struct(field.type) for field in read.schema):
        read = read.flatten()
    table, left_out = Table(), []
    for name, column in zip(read.column_names, read.columns, strict=True):
        if name.startswith("__index_level_"):  # pandas' number of the row
            continue
        values = _values(column, held)
        if values is None:
            left_out.append(name)
            continue
        table[name] = values
        _describe(table, name, read.schema.field(name).metadata or {})
    if left_out:
        logger.warning(
            "%s: left out, as no table can hold them: %s", path, ", ".join(left_out)
        )
    if _ASTROPY in said:
        return QTable(_with_astropy(table, said[_ASTROPY].decode()))
    if _VOTABLE in said:
        _with_votable(table, said[_VOTABLE])
    table.meta |= {
        key.decode(errors="replace"): value.decode(errors="replace")
        for key, value in said.items()
        if not key.decode(errors="replace").startswith(_OF_WRITERS)
    }
    return QTable(table)


def _describe(table: Table, name: str, said: dict[bytes, bytes]) -> None:
    """Give a column what its field's metadata say of it."""
    words = {k.decode().lower(): v.decode(errors="replace") for k, v in said.items()}
    info = table[name].info
    info.description = words.get("description", words.get("comment"))
    unit = words.get("unit", words.get("units"))
    if unit is not None and table[name].dtype.kind in "iuf":
        info.unit = u.Unit(unit, parse_strict="silent")
    if "ucd" in words:
        info.meta = {"ucd": words["ucd"]}


def _with_astropy(table: Table, header: str) -> Table:
    """Give a table back what astropy's writer has taken apart."""
    written = get_header_from_yaml(header.split("\n"))
    for column in written["datatype"]:
        if column["name"] not in table.colnames:
            continue
        info = table[column["name"]].info
        for key in ("description", "format", "unit", "meta"):
            if key in column:
                setattr(info, key, column[key])
    table.meta.update(written.get("meta", {}))
    return _construct_mixins_from_columns(table)


def _with_votable(table: Table, header: bytes) -> None:
    """Give a table what a VOTable without rows says of its columns."""
    from astropy.io.votable import parse

    for field in parse(io.BytesIO(header), verify="ignore").get_first_table().fields:
        name = field.name if field.name in table.colnames else field.ID
        if name not in table.colnames:
            continue
        info = table[name].info
        info.description = field.description or info.description
        if field.unit is not None and table[name].dtype.kind in "iuf":
            info.unit = field.unit
        if field.ucd:
            info.meta = {"ucd": field.ucd}


def _values(column: pa.ChunkedArray, held: int) -> Any:
    """Return a column as astropy has it, masked where it is null."""
    import pyarrow as pa

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        column = pa.chunked_array([c.storage for c in column.chunks], kind.storage_type)
        kind = column.type
    is_null = np.asarray(column.is_null())
    if pa.types.is_null(kind):
        return MaskedColumn(np.full(len(column), np.nan), mask=is_null)
    if pa.types.is_dictionary(kind):
        return _values_of_words(column, is_null, held)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _times(column, is_null)
    if pa.types.is_duration(kind):
        seconds = column.cast(pa.int64()).fill_null(0).to_numpy()
        seconds = seconds * float(u.Unit(kind.unit).to(u.s))
        return MaskedColumn(seconds, mask=is_null, unit=u.s)
    if pa.types.is_decimal(kind):
        return _decimals(column, is_null)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        values = column.fill_null(False if pa.types.is_boolean(kind) else 0).to_numpy()
    elif pa.types.is_floating(kind):
        if pa.types.is_float16(kind):  # no format to write holds it
            column = column.cast(pa.float32())
        values = column.to_numpy()
    elif isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        return _lists(column, is_null, held)
    elif pa.types.is_time(kind):
        return _text([t and str(t) for t in column.to_pylist()], is_null)
    elif _is_text(kind):
        return _values_of_words(column.dictionary_encode(), is_null, held)
    else:
        return None
    return MaskedColumn(values, mask=is_null) if is_null.any() else Column(values)


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    tests = ("string", "large_string", "binary", "large_binary", "fixed_size_binary")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in tests)


def _values_of_words(
    column: pa.ChunkedArray, is_null: NDArray[np.bool_], held: int
) -> Any:
    """Return a column of a dictionary: each row names one of its values."""
    import pyarrow as pa

    column = column.unify_dictionaries()
    if not column.num_chunks:
        return Column(np.array([], np.str_))
    of_rows = np.concatenate(
        [np.asarray(c.indices.fill_null(0), np.intp) for c in column.chunks]
    )
    words = column.chunk(0).dictionary
    if _is_text(words.type):
        try:
            words = [_decoded(word) for word in words.to_pylist()] or [""]
        except UnicodeDecodeError:
            return None
        # a column of text is as wide as its longest word
        check_memory(4 * max(map(len, words)) * (len(of_rows) + len(words)), held)
        words = np.array(words, np.str_)
    else:
        values = _values(pa.chunked_array([words]), held)
        if not isinstance(values, Column):
            return None
        words = np.asarray(values) if len(values) else np.zeros(1)
    values = words[of_rows]
    if words.dtype.kind == "U":
        values[is_null] = ""
    return MaskedColumn(values, mask=is_null) if is_null.any() else Column(values)


def _decoded(word: str | bytes | None) -> str:
    return word.decode() if isinstance(word, bytes) else word or ""


def _text(words: list[str | None], is_null: NDArray[np.bool_]) -> Column | MaskedColumn:
    values = np.array([word or "" for word in words], np.str_)
    return MaskedColumn(values, mask=is_null) if is_null.any() else Column(values)


def _times(column: pa.ChunkedArray, is_null: NDArray[np.bool_]) -> Time:
    instants = column.to_numpy()
    filled = np.where(is_null, np.datetime64("2000-01-01"), instants)
    times = Time(filled.astype(instants.dtype), format="datetime64", scale="utc")
    times.format = "isot"
    if is_null.any():
        times[is_null] = np.ma.masked
    return times


def _decimals(
    column: pa.ChunkedArray, is_null: NDArray[np.bool_]
) -> Column | MaskedColumn:
    given = [value or Decimal(0) for value in column.to_pylist()]
    most = max(map(abs, given), default=Decimal(0))
    if all(value == value.to_integral_value() for value in given) and most < 2**63:
        values = np.array([int(value) for value in given], np.int64)
    elif all(Decimal(repr(float(value))) == value for value in given):
        values = np.array([float(value) for value in given])
    else:
        return _text([str(value) for value in given], is_null)
    return MaskedColumn(values, mask=is_null) if is_null.any() else Column(values)


def _lists(column: pa.ChunkedArray, is_null: NDArray[np.bool_], held: int) -> Any:
    """Return a vector a row, or arrays of different lengths as objects."""
    import pyarrow as pa
    from pyarrow import compute

    lengths = compute.list_value_length(column).fill_null(0).to_numpy()
    flat = pa.chunked_array([chunk.flatten() for chunk in column.chunks] or [[]])
    inner = _values(flat, held)
    if not isinstance(inner, Column):
        return None
    mask, inner = np.ma.getmaskarray(np.ma.asarray(inner)), np.asarray(inner)
    if len(set(lengths[~is_null])) > 1:
        if mask.any() or is_null.any():
            return None
        values = np.empty(len(lengths), object)
        values[:] = np.split(inner, np.cumsum(lengths)[:-1])
        return Column(values)
    shape = (len(lengths), lengths.max(initial=0), *inner.shape[1:])
    values, masked = np.zeros(shape, inner.dtype), np.ones(shape, bool)
    given = (np.count_nonzero(~is_null), *shape[1:])
    values[~is_null] = inner.reshape(given)
    masked[~is_null] = mask.reshape(given)
    return MaskedColumn(values, mask=masked) if masked.any() else Column(values)
