"""LEGUS's cluster catalogues: `.tab` files without names of columns.

A row of them holds, in this order (the surveys' readme files; Adamo et al. 2017, ApJ
841, 131): number; x and y in pixels that count from 1, twice where there is a frame and
a mosaic; right ascension and declination; magnitude (Vega) and error in each band;
concentration index; age, mass and E(B-V), each the best, the largest and the smallest;
the fit's residual in each band, reduced chi2, Q and number of bands; classes by eye and
how they came about, in as many columns and orders as there were people who looked.
What a file has of it is told by its readme, and without one by its numbers.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable
from numpy.typing import NDArray

from data_tools.positions.columns.names import ORIGIN_KEY
from data_tools.positions.legus_columns import (
    FAINTEST,
    NOT_FITTED,
    count_bands,
    is_count,
    name_bands,
    name_columns,
    names_of_readme,
)

logger = logging.getLogger(__name__)

#: "Not in the field", "not detected" and "no aperture correction", of magnitudes.
SENTINELS = (66.666, 99.999, 44.444)

#: A line of so many words, most of them numbers, is a row.
_FEWEST = 7
#: Fewer pairs of magnitude and error than in any of them: another table.
_FEWEST_BANDS = 3


def read_legus(path: str | Path, text: str | None = None) -> QTable | None:
    """Read a LEGUS catalogue.

    It is told by what it holds: numbers without names, sky positions of one field
    behind pixels of an image, and magnitudes beside their errors. Lines before, between
    and after the rows are skipped, whatever they say, if they are no rows and do not
    name the columns. Sentinels are masked. A line in the log says what was assumed.

    Parameters
    ----------
    path : str or Path
        The file. If it has a readme beside it (``.readme.txt``, ``.readme``), or one as
        its header, that says what is in which column, if it numbers as many as there
        are, and else which bands.
    text : str, optional
        What is in the file; by default it is read.

    Returns
    -------
    QTable or None
        ``id``, ``x``, ``y`` as in the file, of a file with two frames also
        ``x_mosaic``, ``y_mosaic``, ``ra``, ``dec``, then what was recognised,
        ``F336W_mag`` or ``age_best`` or ``class``, and ``column_N`` for the file's N-th
        column where it was not. The metadata say that pixels count from 1 where the
        file's name or head says LEGUS; else the sky positions tell. None if it is no
        such catalogue.

    Raises
    ------
    ValueError
        If its rows are not equally long.
    """
    path = Path(path)
    if text is None:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    header, words = _split(text)
    if not words:
        return None
    rows = np.array([[_number(word) for word in row] for row in words])
    rows[np.isin(rows, SENTINELS)] = np.nan
    frames = _frames(rows)
    if frames is None:
        return None
    for suffix in (".readme.txt", ".readme"):
        readme = path.with_suffix(suffix)
        if readme.is_file():
            header += "\n" + readme.read_text(encoding="utf-8", errors="replace")
    bands = count_bands(rows, 3 + 2 * frames)
    if bands < _FEWEST_BANDS:
        return None
    names, source = names_of_readme(header, rows), "so its readme names them"
    if names is None:
        band_names, source = name_bands(bands, header, path.name)
        names = name_columns(rows, frames, band_names)
    table = _as_table(rows, words, names)
    is_said = "legus" in f"{path.name}\n{header}".lower()
    if is_said:
        table.meta[ORIGIN_KEY] = 1
    unnamed = [name for name in names if name.startswith("column_")]
    logger.warning(
        "%s: read as a LEGUS catalogue of %d rows and %d columns, assuming that x and "
        "y %s%s and that its %d bands are %s (%s); %s masked%s",
        path,
        *rows.shape,
        "count from 1" if is_said else "count as its sky positions tell",
        " in two frames" if frames == 2 else "",
        bands,
        ", ".join(n.removesuffix("_mag") for n in names if n.endswith("_mag")),
        source,
        ", ".join(map(str, SENTINELS)),
        f"; not recognised: {', '.join(unnamed)}" if unnamed else "",
    )
    return table


def _split(text: str) -> tuple[str, list[list[str]]]:
    """Tell rows from other lines, by the number of words and that they are numbers."""
    other, rows, at = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").split()
        is_row = len(words) >= _FEWEST and (
            np.isfinite([_number(word) for word in words]).mean() > 0.5
        )
        if is_row and not line.lstrip().startswith("#"):
            if not rows and _names_columns(other, line):
                return "", []
            rows.append(words)
            at.append(number)
        elif not rows:
            other.append(line)
    if rows:
        width = Counter(map(len, rows)).most_common(1)[0][0]
        for number, row in zip(at, rows, strict=True):
            if len(row) != width:
                raise ValueError(
                    f"line {number} has {len(row)} columns, the others {width}: is the "
                    "file cut short?"
                )
    return "\n".join(other), rows


def _names_columns(before: list[str], row: str) -> bool:
    """Say whether the last line before the rows is cut as a row is, into names."""
    lines = [line.lstrip("# ").rstrip() for line in before if line.strip("# \t\r")]
    return any(
        len(re.split(cut, lines[-1])) == len(re.split(cut, row.strip())) > 1
        for cut in (r"\t", ",", ";", r"\|", r"[\s,]+")
        if lines
    )


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _frames(rows: NDArray[np.float64]) -> int | None:
    """Say in how many frames pixels are given: where the sky positions stand tells."""
    for frames in (1, 2):
        columns = rows[:, 1 : 1 + 2 * frames + 2]
        if columns.shape[1] < 2 * frames + 2 or not np.isfinite(columns).any(0).all():
            continue
        ra, dec = columns[np.isfinite(columns).all(1), -2:].T
        pixels = columns[:, :-2]
        on_sky = (ra >= -180) & (ra <= 360) & (np.abs(dec) <= 90)
        # a galaxy is smaller than a few degrees; its image larger than as many pixels
        if not on_sky.size or not on_sky.all() or np.nanmax(pixels, axis=0).min() <= 90:
            continue
        places = SkyCoord(ra, dec, unit="deg").cartesian.xyz.value
        middle = np.median(places, axis=1, keepdims=True)
        if np.linalg.norm(places - middle, axis=0).max() < np.radians(2.5):
            return frames
    return None


_UNITS = {"x": "pix", "y": "pix", "ra": "deg", "dec": "deg", "mag": "mag", "err": "mag"}
_UNITS |= {"age": "yr", "mass": "solMass", "ebv": "mag", "residual": "mag"}
_FIT = {f"{a}_{b}" for a in ("age", "mass", "ebv") for b in ("best", "max", "min")}
_WHOLE = {"id", "class", "n_bands", "quality", "halpha", "selection"}


def _as_table(
    rows: NDArray[np.float64], words: list[list[str]], names: list[str]
) -> QTable:
    of = dict(zip(names, rows.T, strict=True))
    not_fitted = np.zeros(len(rows), bool)
    if "n_bands" in of:
        not_fitted |= of["n_bands"] == NOT_FITTED
    if "age_best" in of:
        not_fitted |= of["age_best"] == 0
    table = QTable()
    for i, (name, values) in enumerate(of.items()):
        first, _, last = name.rpartition("_")
        if name == "id" and not is_count(values, 2**53):
            table[name] = [row[0] for row in words]
            continue
        mask = np.isnan(values)
        is_quality = name in ("chi2", "q") or last == "residual"
        if name in _FIT or is_quality:
            mask |= not_fitted
        if is_quality or name == "n_bands":
            mask |= values == NOT_FITTED
        if name in _FIT and last in ("max", "min"):  # no limit is 0 yr, or 0 Msun
            limit = of.get(f"age_{last}" if first == "ebv" else name, values)
            mask |= limit == 0
        if last in ("mag", "err", "ci"):  # 99.999 less something
            mask |= values > FAINTEST
        if name in _WHOLE and is_count(values, 2**53):
            values = np.where(mask, 0, values).astype(np.int64)
        unit = None
        for part in (name, *name.split("_")):
            unit = unit or _UNITS.get(part)
        column = MaskedColumn(values, mask=mask) if mask.any() else values
        table[name] = column
        if unit is not None:
            table[name].unit = unit
        table[name].info.description = f"column {i + 1} of the LEGUS file"
    return QTable(table)
