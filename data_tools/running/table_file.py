"""Write a table as a whole or not at all, in the format its suffix names."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

from astropy.table import QTable

from data_tools.running.output import check_file, whole_path
from data_tools.running.seal import BLANK, KEY

logger = logging.getLogger(__name__)

#: Suffixes of a table and astropy's name of each format.
FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
    ".csv": "ascii.csv",
}


def write_table(table: QTable, path: str | Path) -> None:
    """Write a table; what was at the path stays until the new file is complete.

    ECSV and Parquet keep everything. FITS and VOTable keep metadata that is not a
    string or a number as JSON. CSV keeps neither units nor metadata, and a warning
    says so.

    Parameters
    ----------
    table : QTable
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
    suffix = path.suffix.lower()
    if suffix == ".csv":
        logger.warning(
            "%s: CSV keeps no units, descriptions, flags' meaning or metadata; .ecsv "
            "is as readable and keeps them",
            path.name,
        )
    table = table.copy(copy_data=False)
    table.meta = {**table.meta, KEY: BLANK}
    if suffix in (".fits", ".vot", ".xml"):
        table.meta = {key: _plain(value) for key, value in table.meta.items()}
    try:
        with whole_path(path) as unfinished, warnings.catch_warnings():
            # dex is a unit of astropy, not of FITS or VOTable: the descriptions say it
            warnings.filterwarnings("ignore", message=".*could not be saved in native")
            warnings.filterwarnings("ignore", message=".*Invalid unit string")
            warnings.filterwarnings("ignore", message=".*HIERARCH card")
            if FORMATS[suffix] == "votable":
                _write_votable(table, unfinished)
            else:
                table.write(unfinished, format=FORMATS[suffix])
    except (TypeError, ValueError, NotImplementedError) as e:
        raise ValueError(f"{path}: the table does not fit this format: {e}") from e


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)


def _write_votable(table: QTable, path: Path) -> None:
    from astropy.io.votable import from_table
    from astropy.io.votable.tree import Info

    file = from_table(table)
    for key, value in table.meta.items():
        file.resources[0].infos.append(Info(name=key, value=str(value)))
    file.to_xml(str(path))
