"""Positions on a mosaic from whatever holds them: tables, catalogues, regions."""

from __future__ import annotations

import logging
import math
import warnings
from pathlib import Path

import numpy as np
from astropy.table import QTable, Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from numpy.typing import NDArray

from data_tools.mosaics.sky import to_pixels
from data_tools.positions.bounds import unpacked
from data_tools.positions.columns import PixelColumns, find_positions
from data_tools.positions.regions import SUFFIXES, read_regions
from data_tools.positions.table_formats import read_any_table

logger = logging.getLogger(__name__)

#: Median distance, in pixels, between pixel and sky positions of one table above
#: which its user is asked about the origin ...
_DISAGREEMENT_PX = 0.5
#: ... and above which the pixels are those of another image.
_OTHER_IMAGE_PX = 5.0


def read_positions(path: str | Path) -> QTable:
    """Read a table of positions.

    FITS (PHANGS-HST's catalogues for one; SExtractor's FITS_LDAC), VOTable, Parquet,
    HDF5 (`data_tools.positions.table_formats`); text: ECSV, CSV, plain columns,
    VizieR's, IPAC's and SExtractor's, the machine-readable tables of journals
    (`data_tools.positions.text_tables`), LEGUS's ``.tab``
    (`data_tools.positions.legus`); regions of DS9 and CASA by their ending
    (`data_tools.positions.regions.read_regions`); each of them also packed by gzip,
    bzip2 or xz.

    Parameters
    ----------
    path : str or Path
        What is in it tells the format.

    Returns
    -------
    QTable
        All its columns; `data_tools.positions.columns.find_positions` knows which of
        them hold the positions.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not readable as a table, or asks for much more memory than it holds
        numbers (`data_tools.positions.bounds`).

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
                if name.suffix.lower() in SUFFIXES:
                    return read_regions(inside, SUFFIXES[name.suffix.lower()])
                return read_any_table(inside, name, held)
    except Exception as e:  # every format's reader has errors of its own
        reason = str(e).strip().split("\n")[0] or type(e).__name__
        raise ValueError(f"{path}: not readable as a table: {reason}") from e


def pixel_positions(
    table: Table, wcs: WCS, origin: int | None = None, name: str = "the table"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find a table's positions, as 0-based pixels of a mosaic.

    Which columns hold them is told by their names, in any case of letters; see
    `data_tools.positions.columns`. Where a table has pixels and sky positions, pixels
    are used if both agree to 5 px on this mosaic, in rows that have them; else the
    pixels are those of another image, and sky positions are used. What is not as plain
    as ``x`` and ``y``, or ``ra`` and ``dec``, is told in the log.

    Parameters
    ----------
    table : Table
        The table of candidates.
    wcs : WCS
        Coordinates of the mosaic.
    origin : {0, 1}, optional
        What the pixel columns call the middle of the first pixel. Without it: what the
        format of the file or the name of the column says, else that of the two which
        is nearer the sky positions, else 0.
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
    pixels, sky = find_positions(table, name)
    if sky is None:
        return _only_pixels(pixels[0], origin, name)
    on_sky = to_pixels(wcs, sky.ra, sky.dec)
    has_sky = np.isfinite(sky.ra) & np.isfinite(sky.dec)
    if not pixels:
        if sky.names.lower() != "ra and dec":
            logger.warning("%s: positions from the columns %s", name, sky.names)
        return on_sky
    chosen, used, distance = _nearest(pixels, on_sky, has_sky, origin)
    names = ", ".join(chosen.names)
    if distance > _OTHER_IMAGE_PX:
        logger.warning(
            "%s: %s are %.1f px (median) away from %s on these mosaics, so they are "
            "pixels of another image: the sky positions are used",
            name,
            names,
            distance,
            sky.names,
        )
        return on_sky
    if distance > _DISAGREEMENT_PX:
        logger.warning(
            "%s: %s and %s are %.1f px apart (median); %s are used, with the first "
            "pixel called %d: is that its origin, and is it of these mosaics?",
            name,
            names,
            sky.names.replace(" and ", ", "),
            distance,
            names,
            used,
        )
    elif origin is None and (used or names.lower() != "x, y"):
        logger.warning(
            "%s: positions from the columns %s, with the first pixel called %d",
            name,
            names,
            used,
        )
    x, y = chosen.x - used, chosen.y - used
    unknown = ~(np.isfinite(x) & np.isfinite(y))
    return np.where(unknown, on_sky[0], x), np.where(unknown, on_sky[1], y)


def _only_pixels(
    pixels: PixelColumns, origin: int | None, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    used = next(o for o in (origin, pixels.origin, 0) if o is not None)
    names = ", ".join(pixels.names)
    if origin is None and (used or names.lower() != "x, y"):
        logger.warning(
            "%s: positions from the columns %s, with the first pixel called %d",
            name,
            names,
            used,
        )
    return pixels.x - used, pixels.y - used


def _nearest(
    pixels: list[PixelColumns],
    on_sky: tuple[NDArray[np.float64], NDArray[np.float64]],
    has_sky: NDArray[np.bool_],
    origin: int | None,
) -> tuple[PixelColumns, int, float]:
    """Choose the columns and the origin that are nearest the sky positions."""
    found = []
    for columns in pixels:
        known = columns.origin if origin is None else origin
        for used in (0, 1) if known is None else (known,):
            apart = np.hypot(columns.x - used - on_sky[0], columns.y - used - on_sky[1])
            # what is on the other side of the sky has no place on the mosaic at all
            apart[np.isnan(on_sky[0]) & has_sky] = math.inf
            apart = apart[~np.isnan(apart)]
            distance = float(np.median(apart)) if apart.size else math.nan
            found.append((columns, used, distance))
    told = [f for f in found if not math.isnan(f[2])]
    return min(told, key=lambda f: f[2]) if told else (*found[0][:2], 0.0)
