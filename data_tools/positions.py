"""Positions on a mosaic from any table that astropy reads."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: astropy's format by the file's suffix; any other is left to astropy to recognise.
_FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".csv": "ascii.csv",
    ".vot": "votable",
    ".xml": "votable",
    ".txt": "ascii",
    ".dat": "ascii",
}

#: Median distance, in pixels, between pixel and sky positions of one table above
#: which its user is asked about the origin.
_DISAGREEMENT_PX = 0.5


def read_positions(path: str | Path) -> QTable:
    """Read a table: ECSV, FITS, VOTable, Parquet, CSV or plain columns.

    Parameters
    ----------
    path : str or Path
        The suffix gives the format.

    Returns
    -------
    QTable
        All its columns.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not readable as a table.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such table of positions")
    suffix = path.suffix.lower()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            if suffix == ".parquet":
                return _read_parquet(path)
            return QTable.read(path, format=_FORMATS.get(suffix))
    except Exception as e:  # every format's reader has errors of its own
        reason = str(e).strip().split("\n")[0]
        raise ValueError(f"{path}: not readable as a table: {reason}") from e


def _read_parquet(path: Path) -> QTable:
    # astropy reads Parquet through pandas, which nothing else here needs
    from pyarrow import parquet

    columns = parquet.read_table(path)
    names = [n for n in columns.column_names if not n.startswith("__")]
    return QTable({n: columns[n].to_numpy(zero_copy_only=False) for n in names})


def pixel_positions(
    table: Table, wcs: WCS, origin: int, name: str = "the table"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find a table's positions, as 0-based pixels of a mosaic.

    Columns ``x`` and ``y`` are used if they are there, else ``ra`` and ``dec``, in any
    case of letters. Sky positions without a unit are degrees (ICRS).

    Parameters
    ----------
    table : Table
        The table of candidates.
    wcs : WCS
        Coordinates of the mosaic.
    origin : {0, 1}
        What ``x`` and ``y`` call the middle of the first pixel.
    name : str
        What messages call the table.

    Returns
    -------
    x, y : ndarray of float64, shape (rows,)
        0-based pixels; NaN where the table has no value.

    Raises
    ------
    ValueError
        If there are no such columns, or they hold no numbers.
    """
    columns = {column.lower(): column for column in table.colnames}
    has_pixels = {"x", "y"} <= set(columns)
    has_sky = {"ra", "dec"} <= set(columns)
    if not (has_pixels or has_sky):
        raise ValueError(
            f"{name}: expected the columns x and y (pixels) or ra and dec (degrees), "
            f"received {', '.join(table.colnames) or 'none'}; rename its columns"
        )
    if has_sky:
        ra, dec = (_numbers(table, columns[k], u.deg, name) for k in ("ra", "dec"))
        sky_x, sky_y = _world_to_pixel(wcs, ra, dec)
        if not has_pixels:
            return sky_x, sky_y
    x, y = (_numbers(table, columns[k], u.pix, name) - origin for k in ("x", "y"))
    if has_sky:
        distance = np.hypot(x - sky_x, y - sky_y)
        distance = distance[np.isfinite(distance)]
        if distance.size and np.median(distance) > _DISAGREEMENT_PX:
            logger.warning(
                "%s: x, y and ra, dec are %.1f px apart (median); x, y are used, with "
                "the first pixel called %d: is that its origin, and is it of these "
                "mosaics?",
                name,
                np.median(distance),
                origin,
            )
    return x, y


def _numbers(
    table: Table, column: str, unit: u.UnitBase, name: str
) -> NDArray[np.float64]:
    values = table[column]
    given = getattr(values, "unit", None)
    try:
        if given not in (None, u.dimensionless_unscaled):
            values = u.Quantity(values, subok=True).to(unit)
            values = getattr(values, "value", values)
        numbers = np.ma.asarray(values).astype(np.float64)
    except (TypeError, ValueError, u.UnitsError) as e:
        raise ValueError(
            f"{name}: expected numbers in {unit} in the column {column}: {e}"
        ) from e
    return np.ma.filled(numbers, np.nan)


def _world_to_pixel(
    wcs: WCS, ra: NDArray[np.float64], dec: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = np.full((2, len(ra)), np.nan)
    known = np.isfinite(ra) & np.isfinite(dec)
    if known.any():
        x[known], y[known] = wcs.all_world2pix(ra[known], dec[known], 0, quiet=True)
    return x, y
