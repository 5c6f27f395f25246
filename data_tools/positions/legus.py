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

import itertools
import logging
import re
from collections import Counter
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable
from numpy.typing import NDArray

from data_tools.positions.columns.names import ORIGIN_KEY

logger = logging.getLogger(__name__)

#: "Not in the field", "not detected" and "no aperture correction", of magnitudes.
SENTINELS = (66.666, 99.999, 44.444)
#: "Not fitted", of all that the fit gives; some files say 0 for it.
_NOT_FITTED = 200.0
#: What is made of a sentinel, as a concentration index of 99.999 - 25, is none.
_BRIGHTEST, _FAINTEST = 5.0, 40.0

#: Fields with ACS's F435W in place of F438W, or F606W in place of F555W (the lists of
#: StarcNet's code; Perez et al. 2021, ApJ 907, 100).
_F435W = {"ngc1313-e", "ngc1313-w", "ngc4449", "ngc5194-ngc5195-mosaic", "ngc5253"}
_F435W |= {"ngc628-c", "ngc628-e"}
_F606W = {"ic4247", "ngc3738", "ngc5238", "ngc5474", "ngc5477", "ugc1249", "ugc685"}
_F606W |= {"ugc7408", "ugca281"}
#: With ACS in their name, but not for these two bands.
_UVIS = {"ngc3351", "ngc4395-s", "ngc7793-w", "ugc4305", "ugc4459", "ugc5139"}

_BAND = re.compile(r"\bF\d{3}(?:W|LP|M|N|X)\b", re.IGNORECASE)
_FIELD = re.compile(r"hlsp_legus_hst_[\w-]+?_([a-z0-9-]+)_multiband")

#: What a readme's line of a column begins with or holds, and our name of it.
_README: tuple[tuple[str, str], ...] = (
    (r"source id", "id"),
    (r"x coord.*mosaic frame", "x_mosaic"),
    (r"y coord.*mosaic frame", "y_mosaic"),
    (r"x coord", "x"),
    (r"y coord", "y"),
    (r"RA\b", "ra"),
    (r"DEC\b", "dec"),
    (r".*total mag\b.*?(F\d{3}\w+)", "{}_mag"),
    (r".*photometric error\b.*?(F\d{3}\w+)", "{}_err"),
    (r"CI\b", "ci"),
    (r"(best|max|min) age", "age_{}"),
    (r"(best|max|min) mass", "mass_{}"),
    (r"(best|max|min) E\(B-V\)", "ebv_{}"),
    (r".*residual in (F\d{3}\w+)", "{}_residual"),
    (r"reduced chi2", "chi2"),
    (r"Q\b", "q"),
    (r"number of filter", "n_bands"),
    (r".*applying the mean", "class_mean"),
    (r".*\bpost-reclassification", "class_4_again"),
    (r".*verified the ML", "class_ml_verified"),
    (r".*machine learning", "class_ml"),
    (r"method of visual", "class_method"),
    (r"final morphological flag", "class"),
    (r".*(applying the mode|mode value|visual classification)", "class"),
    (r"quality flag", "quality"),
    (r"halpha", "halpha"),
    (r"flag indicates", "selection"),
)

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
    bands = _count_bands(rows, 3 + 2 * frames)
    if bands < _FEWEST_BANDS:
        return None
    names, source = _names_of_readme(header, rows), "so its readme names them"
    if names is None:
        band_names, source = _name_bands(bands, header, path.name)
        names = _name_columns(rows, frames, band_names)
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


def _names_of_readme(text: str, rows: NDArray[np.float64]) -> list[str] | None:
    """Name the columns as a readme numbers them, if it numbers as many as there are."""
    parts = re.findall(
        r"(?ms)^\W*(\d+)\.\s+(.*?)(?=^\W*\d+\.\s|\Z)", text.replace("\r", "")
    )
    said = {int(number): " ".join(what.split()) for number, what in parts}
    if sorted(said) != list(range(1, rows.shape[1] + 1)):
        return None
    names: list[str] = []
    for number, what in sorted(said.items()):
        name = f"column_{number}"
        for pattern, ours in _README:
            found = re.match(pattern, what, re.IGNORECASE)
            if found:
                part = found.group(1) if "{}" in ours else ""
                part = part.upper() if ours.startswith("{}") else part.lower()
                name = ours.format(part)
                break
        names.append(f"column_{number}" if name in names else name)
    return names if {"id", "x", "y", "ra", "dec"} <= set(names) else None


def _is_magnitudes(values: NDArray[np.float64]) -> bool:
    known = values[np.isfinite(values) & (values < _FAINTEST)]
    return not known.size or bool(
        np.median(known) > 8 and (known > _BRIGHTEST).mean() > 0.9
    )


def _count_bands(rows: NDArray[np.float64], first: int) -> int:
    """Count the pairs of columns that can be magnitudes and their errors."""
    count = 0
    while first + 2 * count + 1 < rows.shape[1]:
        pair = rows[:, first + 2 * count : first + 2 * count + 2]
        mag, error = (column[np.isfinite(column)] for column in pair.T)
        if not _is_magnitudes(mag):
            break
        if error.size and not ((error >= 0).mean() > 0.9 and np.median(error) < 100):
            break
        count += 1
    return count


def _name_bands(count: int, header: str, file_name: str) -> tuple[list[str], str]:
    """Name the bands by the header or readme, the field, or the survey's usual."""
    said = list(dict.fromkeys(band.upper() for band in _BAND.findall(header)))
    if count and len(said) == count:
        return said, "so its header or readme names them"
    if count != 5:
        return [f"band{i + 1}" for i in range(count)], "it does not name them"
    found = _FIELD.search(file_name.lower())
    field = found.group(1) if found else ""
    is_known = field in _F435W | _F606W | _UVIS
    is_acs = field in _F435W or (not is_known and "acs" in file_name.lower())
    bands = ["F275W", "F336W", "F435W" if is_acs else "F438W"]
    bands += ["F606W" if field in _F606W else "F555W", "F814W"]
    if is_known:
        return bands, "as this field was observed"
    return bands, "the survey's usual; the file does not name them"


def _name_columns(
    rows: NDArray[np.float64], frames: int, bands: list[str]
) -> list[str]:
    """Name each column by what it holds; where that is not clear, by its place."""
    names = [f"column_{i + 1}" for i in range(rows.shape[1])]
    start = ["id", "x", "y", *(["x_mosaic", "y_mosaic"] if frames == 2 else [])]
    start += ["ra", "dec"]
    start += [f"{band}_{what}" for band in bands for what in ("mag", "err")]
    at = len(start)
    names[:at] = start
    ci = rows[:, at] if at < len(names) else np.array([])
    if np.isfinite(ci).any() and 0 < np.nanmedian(ci) < 8 and not _is_count(ci, 9):
        names[at] = "ci"
        at += 1
    for begin in range(at, len(names) - 8):
        fit = _name_fit(rows[:, begin : begin + 9])
        if fit:
            names[begin : begin + 9] = fit
            end = _name_quality(rows, begin + 9, bands, names)
            if end is not None:
                _name_classes(rows, end, names)
            return names
    if at < len(names) and _is_number_of_bands(rows[:, at], len(bands)):
        names[at] = "n_bands"
        at += 1
    rest = rows[:, at:]
    if np.all((rest >= 0) & (rest <= 5)):
        _name_classes(rows, at, names)
    return names


#: What is in a row with a fit; of ages in yr, masses in Msun and E(B-V) in mag.
_RANGES = {"age": (5e5, 2e10), "mass": (1.0, 1e10), "ebv": (0.0, 10.0)}


def _name_fit(columns: NDArray[np.float64]) -> list[str]:
    """Name nine columns, if they are age, mass and E(B-V) with their limits."""
    triples = np.split(columns, 3, axis=1)
    kinds = []
    for triple in triples:
        known = triple[np.isfinite(triple) & (triple != _NOT_FITTED)]
        kind = next(
            (
                kind
                for kind, (low, high) in _RANGES.items()
                for values in [known[known > 0] if kind != "ebv" else known]
                if kind not in kinds
                and values.size
                and ((values >= low) & (values <= high)).mean() > 0.95
            ),
            None,
        )
        if kind is None:
            return []
        kinds.append(kind)
    # a limit of 0 is none, and what was not fitted has limits all the same
    fitted = np.ones(len(columns), bool)
    for kind, triple in zip(kinds, triples, strict=True):
        fitted &= ((triple != _NOT_FITTED) & ((triple > 0) | (kind == "ebv"))).all(1)

    def agreement(order: tuple[str, ...]) -> float:
        best, most, least = (order.index(end) for end in ("best", "max", "min"))
        return sum(
            float(np.mean((t[:, least] <= t[:, best]) & (t[:, best] <= t[:, most])))
            for t in (triple[fitted] for triple in triples)
        )

    if not fitted.any():
        return []
    order = max(itertools.permutations(("best", "max", "min")), key=agreement)
    if agreement(order) < 2:
        return []
    return [f"{kind}_{end}" for kind in kinds for end in order]


def _name_quality(
    rows: NDArray[np.float64], at: int, bands: list[str], names: list[str]
) -> int | None:
    """Name residuals, chi2, Q and number of bands; say where what follows begins."""
    usual = len(bands)
    for n in (usual, *(n for n in range(usual + 3) if n != usual)):
        if at + n + 3 > len(names):
            continue
        chi2, q, number = rows[:, at + n : at + n + 3].T
        shares = [
            np.mean((v >= 0) & (v <= high) | (v == _NOT_FITTED) | np.isnan(v))
            for v, high in ((chi2, np.inf), (q, 1))
        ]
        if min(shares) > 0.95 and _is_number_of_bands(number, usual):
            if n == usual:
                names[at : at + n] = [f"{band}_residual" for band in bands]
            names[at + n : at + n + 3] = ["chi2", "q", "n_bands"]
            return at + n + 3
    return None


def _name_classes(rows: NDArray[np.float64], at: int, names: list[str]) -> None:
    """Name the column with the classes by eye, and that with their mean.

    Beside them stand flags of how an object was found (0 to 2), and how sure its class
    is (1 to 3), which is 0 where there is no class.
    """
    counts = [
        i
        for i in range(at, len(names))
        if _is_count(rows[:, i], 5) and (rows[:, i] > 0).any()
    ]

    def are_alike(i: int, j: int) -> bool:
        return np.array_equal(rows[:, i] > 0, rows[:, j] > 0)

    def is_mean(i: int, j: int) -> bool:
        """Say whether a column is the mean of what another is the mode of."""
        if j >= len(names) or not are_alike(i, j) or _is_count(rows[:, j], 5):
            return False
        chosen = rows[:, i] > 0
        return bool(np.median(np.abs(rows[chosen, j] - rows[chosen, i])) < 1)

    with_mean = [i for i in counts if is_mean(i, i + 1)]
    large = [i for i in counts if rows[:, i].max() >= 3]
    if with_mean:
        found = with_mean[0]
        names[found + 1] = "class_mean"
    elif large:
        found = next(i for i in counts if are_alike(i, large[0]))
    elif len(counts) == 1:
        found = counts[0]
    else:
        return
    names[found] = "class"


def _is_count(values: NDArray[np.float64], most: int) -> bool:
    known = values[np.isfinite(values)]
    return bool(np.all((known == np.round(known)) & (known >= 0) & (known <= most)))


def _is_number_of_bands(values: NDArray[np.float64], most: int) -> bool:
    """Say whether these can be numbers of bands: a fit takes three or more."""
    known = values[np.isfinite(values) & (values != _NOT_FITTED)]
    return bool(
        np.isin(known, [0, *range(3, most + 1)]).all() and known.max(initial=0) > 0
    )


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
        not_fitted |= of["n_bands"] == _NOT_FITTED
    if "age_best" in of:
        not_fitted |= of["age_best"] == 0
    table = QTable()
    for i, (name, values) in enumerate(of.items()):
        first, _, last = name.rpartition("_")
        if name == "id" and not _is_count(values, 2**53):
            table[name] = [row[0] for row in words]
            continue
        mask = np.isnan(values)
        is_quality = name in ("chi2", "q") or last == "residual"
        if name in _FIT or is_quality:
            mask |= not_fitted
        if is_quality or name == "n_bands":
            mask |= values == _NOT_FITTED
        if name in _FIT and last in ("max", "min"):  # no limit is 0 yr, or 0 Msun
            limit = of.get(f"age_{last}" if first == "ebv" else name, values)
            mask |= limit == 0
        if last in ("mag", "err", "ci"):  # 99.999 less something
            mask |= values > _FAINTEST
        if name in _WHOLE and _is_count(values, 2**53):
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
