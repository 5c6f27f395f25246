"""What the columns of a LEGUS catalogue hold: by its readme, else by their numbers."""

from __future__ import annotations

import itertools
import re

import numpy as np
from numpy.typing import NDArray

#: "Not fitted", of all that the fit gives; some files say 0 for it.
NOT_FITTED = 200.0
#: What is made of a sentinel, as a concentration index of 99.999 - 25, is none.
_BRIGHTEST, FAINTEST = 5.0, 40.0

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


def names_of_readme(text: str, rows: NDArray[np.float64]) -> list[str] | None:
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
    known = values[np.isfinite(values) & (values < FAINTEST)]
    return not known.size or bool(
        np.median(known) > 8 and (known > _BRIGHTEST).mean() > 0.9
    )


def count_bands(rows: NDArray[np.float64], first: int) -> int:
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


def name_bands(count: int, header: str, file_name: str) -> tuple[list[str], str]:
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


def name_columns(rows: NDArray[np.float64], frames: int, bands: list[str]) -> list[str]:
    """Name each column by what it holds; where that is not clear, by its place."""
    names = [f"column_{i + 1}" for i in range(rows.shape[1])]
    start = ["id", "x", "y", *(["x_mosaic", "y_mosaic"] if frames == 2 else [])]
    start += ["ra", "dec"]
    start += [f"{band}_{what}" for band in bands for what in ("mag", "err")]
    at = len(start)
    names[:at] = start
    ci = rows[:, at] if at < len(names) else np.array([])
    if np.isfinite(ci).any() and 0 < np.nanmedian(ci) < 8 and not is_count(ci, 9):
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
        known = triple[np.isfinite(triple) & (triple != NOT_FITTED)]
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
        fitted &= ((triple != NOT_FITTED) & ((triple > 0) | (kind == "ebv"))).all(1)

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
            np.mean((v >= 0) & (v <= high) | (v == NOT_FITTED) | np.isnan(v))
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
        if is_count(rows[:, i], 5) and (rows[:, i] > 0).any()
    ]

    def are_alike(i: int, j: int) -> bool:
        return np.array_equal(rows[:, i] > 0, rows[:, j] > 0)

    def is_mean(i: int, j: int) -> bool:
        """Say whether a column is the mean of what another is the mode of."""
        if j >= len(names) or not are_alike(i, j) or is_count(rows[:, j], 5):
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


def is_count(values: NDArray[np.float64], most: int) -> bool:
    """Say whether a column holds whole numbers from 0 to the most."""
    known = values[np.isfinite(values)]
    return bool(np.all((known == np.round(known)) & (known >= 0) & (known <= most)))


def _is_number_of_bands(values: NDArray[np.float64], most: int) -> bool:
    """Say whether these can be numbers of bands: a fit takes three or more."""
    known = values[np.isfinite(values) & (values != NOT_FITTED)]
    return bool(
        np.isin(known, [0, *range(3, most + 1)]).all() and known.max(initial=0) > 0
    )
