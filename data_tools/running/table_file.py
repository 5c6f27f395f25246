"""Write a table as a whole or not at all, in the format its suffix names."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning

from data_tools.running.kept_columns import (
    FORMATS,
    as_format,
    kind_of,
    read_back,
    same,
)
from data_tools.running.output import check_file, whole_path
from data_tools.running.seal import BLANK, KEY

logger = logging.getLogger(__name__)

#: What the writers of formats raise for what these do not hold.
_REFUSALS = TypeError, ValueError, AttributeError, NotImplementedError, AssertionError

#: A column beside what is tried: a row of one empty word is no row in a text.
_ROW = "row_number"

#: Rows of a table by which is tried whether a format holds it; text is tried whole.
_TRIED = 1000


def write_table(table: Table, path: str | Path) -> None:
    """Write a table; what was at the path stays until the new file is complete.

    ECSV and Parquet keep everything. FITS and VOTable keep metadata that are not plain
    as JSON. CSV keeps neither units nor metadata, and a warning says so.

    Parameters
    ----------
    table : Table
        Columns with units and descriptions, and metadata.
    path : str or Path
        The suffix gives the format, one of `FORMATS`; the directory is made.

    Raises
    ------
    ValueError
        If the suffix is unknown or the format cannot hold a column.
    """
    path = check_file(path, "table", FORMATS)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".csv":
        logger.warning(
            "%s: CSV keeps no units, descriptions, flags' meaning or metadata; .ecsv "
            "is as readable and keeps them",
            path.name,
        )
    with whole_path(path) as unfinished:
        _write(table, unfinished, path)


def check_table(table: Table, path: str | Path) -> None:
    """Refuse a format that would not give a table's columns back; write nothing there.

    The columns are written to a temporary directory and read from it, those of words
    and objects whole, of the others the first rows.

    Parameters
    ----------
    table : Table
        Its metadata do not count.
    path : str or Path
        As of `write_table`.

    Raises
    ------
    ValueError
        If the format cannot hold a column, or holds another than what was given.
    """
    path = check_file(path, "table", FORMATS)
    words = [name for name in table.colnames if kind_of(table[name]) in ("O", "U", "S")]
    for rows, names in ((_TRIED, table.colnames), (len(table), words)):
        part = QTable({_ROW: np.arange(min(rows, len(table)))})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            for name in names:
                part[name] = table[name][:rows]
        try:
            _try(part, path)
        except ValueError:
            for name in names:  # which is it?
                _try(part[[_ROW, name]], path, f"column {name!r}")
            raise


def _try(table: QTable, path: Path, what: str = "table") -> None:
    """Refuse a table that a format does not give back."""
    suffix = path.suffix.lower()
    with tempfile.TemporaryDirectory() as directory:
        tried = Path(directory, "tried").with_suffix(suffix)
        try:
            written = _write(table, tried, path, what)
        except OSError as error:
            if not error.errno:
                raise
            raise OSError(
                error.errno,
                f"{os.strerror(error.errno)} while the format of {path} was tried. "
                "Make room there, or set TMPDIR to a directory with room",
                directory,
            ) from error
        try:
            read = read_back(tried)
        except Exception as error:  # a file that its own reader does not know
            raise _unfit(path, what, error) from error
    if read is None:
        return
    if len(read) != len(table) or len(read.columns) != len(written.columns):
        raise _unfit(path, what, "its rows or the columns' names would not remain")
    for name, column in zip(written.colnames, read.columns.values(), strict=True):
        if suffix != ".csv" and not same(written[name], column):
            reason = f"other values, nulls or units of {name!r} would remain"
            raise _unfit(path, what, reason)


def _write(table: Table, unfinished: Path, path: Path, what: str = "table") -> Table:
    """Write a table, and return what of it was written."""
    try:
        with warnings.catch_warnings():
            # of names and units (dex is one of astropy, not of FITS or VOTable), which
            # the columns' descriptions tell
            warnings.simplefilter("ignore", AstropyWarning)
            table = as_format(table, path.suffix.lower(), {KEY: BLANK})
            FORMATS[path.suffix.lower()](table, unfinished)
    except _REFUSALS as error:
        raise _unfit(path, what, error) from error
    return table


def _unfit(path: Path, what: str, reason: Any) -> ValueError:
    return ValueError(
        f"{path}: the {what} does not fit this format: {reason}. Change it, or name "
        "an output with another ending: .ecsv takes most"
    )
