"""Positions on a mosaic from whatever holds them: tables, catalogues, regions."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

from data_tools.foreign.bounds import unpacked
from data_tools.positions.places import find_places
from data_tools.positions.regions import SUFFIXES, read_regions, told_layout
from data_tools.positions.table_formats import read_any_table

logger = logging.getLogger(__name__)


def read_positions(path: str | Path) -> QTable:
    """Read a table of positions.

    FITS (PHANGS-HST's catalogues for one; SExtractor's FITS_LDAC), VOTable, Parquet,
    HDF5 (`data_tools.positions.table_formats`); text: ECSV, CSV, plain columns,
    VizieR's, IPAC's and SExtractor's, the machine-readable tables of journals
    (`data_tools.positions.text_tables`), LEGUS's ``.tab``
    (`data_tools.positions.legus`); regions of DS9 and CASA by their
    ending or their first line (`data_tools.positions.regions.read_regions`); each of
    them also packed by gzip, bzip2 or xz.

    Parameters
    ----------
    path : str or Path
        What is in it tells the format.

    Returns
    -------
    QTable
        All its columns; `data_tools.positions.columns.names.find_positions` knows which
        of them hold the positions.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not readable as a table, or asks for much more memory than it holds
        numbers (`data_tools.foreign.bounds`).

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from astropy.table import QTable
    >>> from data_tools import read_positions
    >>> with TemporaryDirectory() as directory:
    ...     path = Path(directory, "clusters.csv")
    ...     QTable({"x": [12.5, 80.0], "y": [40.0, 3.5]}).write(path)
    ...     len(read_positions(path))
    2
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table of positions")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            with unpacked(path) as (inside, held):
                name = path.with_name(inside.name)
                layout = SUFFIXES.get(name.suffix.lower()) or told_layout(inside)
                if layout is not None:
                    return read_regions(inside, layout)
                return read_any_table(inside, name, held)
    except Exception as e:  # every format's reader has errors of its own
        reason = str(e).strip().split("\n")[0] or type(e).__name__
        raise ValueError(f"{path}: not readable as a table: {reason}") from e


def pixel_positions(
    table: Table,
    wcs: WCS,
    origin: int | None = None,
    name: str = "the table",
    physical: NDArray[np.float64] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return x and y of `data_tools.positions.places.find_places` alone."""
    places = find_places(table, wcs, origin, name, physical)
    return places.x, places.y
