"""LEGUS's cluster catalogues: `.tab` files without names of columns.

A row of them is, in this order (the surveys' readme files; Adamo et al. 2017, ApJ 841,
131): number; x and y in pixels that count from 1, twice where there is a frame and a
mosaic; right ascension and declination; magnitude (Vega) and error in each band;
concentration index; age, mass and E(B-V), each the best, the largest and the smallest;
the fit's residual in each band, reduced chi2, Q and number of bands; classes by eye.
What a file has of it is told by its numbers.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.table import MaskedColumn, QTable
from numpy.typing import NDArray

from data_tools.positions.columns import ORIGIN_KEY

logger = logging.getLogger(__name__)

#: "Not in the field" and "not detected", of magnitudes, errors and what follows.
SENTINELS = (66.666, 99.999)
#: "Not fitted", of all that the fit gives.
_NOT_FITTED = 200.0

#: Bands by their number, where the file does not name them, with the WFC3 alone and
#: with the ACS too (Calzetti et al. 2015, AJ 149, 51, Table 1).
_BANDS = {
    False: ("F275W", "F336W", "F438W", "F555W", "F814W"),
    True: ("F275W", "F336W", "F435W", "F555W", "F814W"),
}
_BAND = re.compile(r"\bF\d{3}(?:W|LP|M|N|X)\b", re.IGNORECASE)

#: A line of so many words, most of them numbers, is a row.
_FEWEST = 7


def read_legus(path: str | Path) -> QTable | None:
    """Read a LEGUS catalogue.

    Lines before, between and after the rows are skipped, whatever they say, if they
    are no rows. Sentinels are masked. A line in the log says what was assumed.

    Parameters
    ----------
    path : str or Path
        The file. If it has a readme beside it (``.readme.txt``, ``.readme``) the bands
        are taken from there, as they are from the file's own header.

    Returns
    -------
    QTable or None
        ``id``, ``x``, ``y`` as in the file (counted from 1, which the metadata say), of
        a file with two frames also ``x_mosaic``, ``y_mosaic``, ``ra``, ``dec``, then
        what was recognised, ``F336W_mag`` or ``age_best`` or ``class``, and
        ``column_N`` for the file's N-th column where it was not. None if it is no such
        catalogue.

    Raises
    ------
    ValueError
        If its rows are not equally long.
    """
    path = Path(path)
    header, words = _split(path.read_text(encoding="utf-8", errors="replace"))
    if not words:
        return None
    rows = np.array([[_number(word) for word in row] for row in words])
    rows[np.isin(rows, SENTINELS)] = np.nan
    frames = _frames(rows)
    if frames is None:
        return None
    first = 1 + 2 * frames + 2
    bands = _count_bands(rows, first)
    names = ["id", "x", "y", *(["x_mosaic", "y_mosaic"] if frames == 2 else [])]
    names += ["ra", "dec"]
    band_names, source = _name_bands(bands, header, path)
    for band in band_names:
        names += [f"{band}_mag", f"{band}_err"]
    fit = _name_fit(rows[:, len(names) :], band_names)
    names += fit
    names += [f"column_{i + 1}" for i in range(len(names), rows.shape[1])]
    table = _as_table(rows, words, names)
    unnamed = [name for name in names if name.startswith("column_")]
    logger.warning(
        "%s: read as a LEGUS catalogue of %d rows and %d columns, assuming that x and "
        "y count from 1%s and that its %d bands are %s (%s); %s and %s masked%s",
        path,
        *rows.shape,
        " in two frames" if frames == 2 else "",
        bands,
        ", ".join(band_names) or "none",
        source,
        *SENTINELS,
        f"; not recognised: {', '.join(unnamed)}" if unnamed else "",
    )
    return table


def _split(text: str) -> tuple[str, list[list[str]]]:
    """Tell rows from other lines, by the number of words and that they are numbers."""
    other, rows, at = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace(",", " ").split()
        values = [_number(word) for word in words]
        is_row = len(words) >= _FEWEST and np.isfinite(values).mean() > 0.5
        if is_row and not line.lstrip().startswith("#"):
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
        ra, dec = columns[:, -2:].T
        pixels = columns[:, :-2]
        apart = max(np.nanmax(ra) - np.nanmin(ra), np.nanmax(dec) - np.nanmin(dec))
        in_range = np.nanmin(ra) >= 0 and np.nanmax(ra) < 360
        in_range &= np.nanmax(np.abs(dec)) <= 90
        # a galaxy is smaller than a few degrees; its image larger than as many pixels
        if in_range and apart < 5 and np.nanmax(pixels, axis=0).min() > 90:
            return frames
    return None


def _count_bands(rows: NDArray[np.float64], first: int) -> int:
    """Count the pairs of columns that can be magnitudes and their errors."""
    count = 0
    while first + 2 * count + 1 < rows.shape[1]:
        pair = rows[:, first + 2 * count : first + 2 * count + 2]
        mag, error = (column[np.isfinite(column)] for column in pair.T)
        if mag.size and not (np.median(mag) > 8 and np.all(np.abs(mag) < 50)):
            break
        if error.size and not (np.all(error >= 0) and np.median(error) < 5):
            break
        count += 1
    return count


def _name_bands(count: int, header: str, path: Path) -> tuple[list[str], str]:
    """Name the bands by the header, a readme beside the file, or the survey's usual."""
    for suffix in (".readme.txt", ".readme"):
        readme = path.with_suffix(suffix)
        if readme.is_file():
            header += "\n" + readme.read_text(encoding="utf-8", errors="replace")
    said = list(dict.fromkeys(band.upper() for band in _BAND.findall(header)))
    if count and len(said) == count:
        return said, "so its header or readme names them"
    usual = _BANDS["acs" in path.name.lower()]
    if count == len(usual):
        return list(usual), "the survey's usual; the file does not name them"
    return [f"band{i + 1}" for i in range(count)], "it does not name them"


def _name_fit(rows: NDArray[np.float64], bands: list[str]) -> list[str]:
    """Name what follows the magnitudes, as far as it is what is expected."""
    names = [
        "ci",
        *(
            f"{what}_{end}"
            for what in ("age", "mass")
            for end in ("best", "max", "min")
        ),
        *(f"ebv_{end}" for end in ("best", "max", "min")),
        *(f"{band}_residual" for band in bands),
        "chi2",
        "q",
        "n_bands",
    ]
    n = len(names)
    if rows.shape[1] < n:
        only_ci = rows.shape[1] and np.nanmedian(rows[:, 0]) < 8
        return ["ci"] if only_ci else []
    fitted = rows[:, n - 1] != _NOT_FITTED
    checks = (
        np.nanmedian(rows[:, 1]) >= 1e5,  # ages in yr
        np.nanmedian(rows[:, 4]) >= 10,  # masses
        np.all((rows[fitted, 7] >= 0) & (rows[fitted, 7] < 10)),  # E(B-V)
        _is_count(rows[fitted, n - 1], len(bands)),
    )
    if not all(checks):
        return ["ci"] if np.nanmedian(rows[:, 0]) < 8 else []
    classes = rows[:, n:]
    if classes.shape[1] and _is_count(classes[:, 0], 9):
        names.append("class")
        chosen = classes[:, 0] > 0
        # of three people's classes the mean is near the commonest
        if classes.shape[1] > 1 and chosen.any():
            apart = np.abs(classes[chosen, 1] - classes[chosen, 0])
            if np.nanmedian(apart) < 1:
                names.append("class_mean")
    return names


def _is_count(values: NDArray[np.float64], most: int) -> bool:
    known = values[np.isfinite(values)]
    return bool(np.all((known == np.round(known)) & (known >= 0) & (known <= most)))


_UNITS = {"x": "pix", "y": "pix", "ra": "deg", "dec": "deg", "mag": "mag", "err": "mag"}
_UNITS |= {"age": "yr", "mass": "solMass", "ebv": "mag", "residual": "mag"}


def _as_table(
    rows: NDArray[np.float64], words: list[list[str]], names: list[str]
) -> QTable:
    fit = [i for i, name in enumerate(names) if name in _FIT or "_residual" in name]
    not_fitted = np.zeros(len(rows), bool)
    if "n_bands" in names:
        not_fitted = rows[:, names.index("n_bands")] == _NOT_FITTED
    table = QTable(meta={ORIGIN_KEY: 1})
    for i, name in enumerate(names):
        values = rows[:, i]
        if name == "id" and not _is_count(values, 2**53):
            table[name] = [row[0] for row in words]
            continue
        mask = np.isnan(values)
        if i in fit:
            mask |= not_fitted
        if name in ("chi2", "q") or name.endswith("_residual"):
            mask |= values == _NOT_FITTED
        whole = name in ("id", "class", "n_bands")
        if whole:
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


_FIT = {f"{a}_{b}" for a in ("age", "mass", "ebv") for b in ("best", "max", "min")}
_FIT |= {"chi2", "q", "n_bands"}
