"""Readers of isochrone files that a user downloads: PARSEC and MIST.

They check what a file says about itself (columns, magnitude system, extinction)
and return plain arrays; ``data_tools.stars.evolution.isochrones`` makes a grid of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.foreign.reading import reading
from data_tools.stars.evolution.phases import parsec_stages
from data_tools.tables import load_tables

LAST_MIST_EEP = 1409  # end of the post-AGB; the white dwarf follows
LAST_PARSEC_STAGE = 8  # thermally pulsing AGB; 9 is what comes after
#: Of a file: all ages and metallicities of PARSEC's web form take 100 MB.
MOST_BYTES = 1_000_000_000
FAINTEST_MAGNITUDE = 50.0  # PARSEC writes 99.999 where it has no magnitude


#: [Fe/H], log age, phase, initial and current mass, log L, log T and log g that a star
#: may have, in the units of `FileIsochrone`.
_POSSIBLE = (
    *((-5, 2), (4, 10.5), (-10, LAST_MIST_EEP), (0, 1000), (0, 1000)),
    *((-10, 10), (2, 7), (-10, 15)),
)


@dataclass(frozen=True)
class FileIsochrone:
    """One isochrone as a file gives it, in order of evolution.

    Attributes
    ----------
    feh : float
        [Fe/H] (MIST) or [M/H] (PARSEC), initial, in dex.
    log_age : float
        log10 of the age in years.
    phase : ndarray of int, shape (n,)
        EEP (MIST) or evolutionary stage (PARSEC, column ``label``).
    mass_initial, mass_current : ndarray, shape (n,)
        In solar masses; the first never falls.
    log_l, log_teff, log_g : ndarray, shape (n,)
        log10 of luminosity in suns, temperature in K, gravity in cm/s2.
    magnitude : ndarray, shape (n, bands)
        Absolute Vega magnitudes.
    """

    feh: float
    log_age: float
    phase: np.ndarray
    mass_initial: np.ndarray
    mass_current: np.ndarray
    log_l: np.ndarray
    log_teff: np.ndarray
    log_g: np.ndarray
    magnitude: np.ndarray


def read_mist_cmd(path: Path, bands: Sequence[str]) -> list[FileIsochrone]:
    """Read a MIST ``.iso.cmd`` file.

    Parameters
    ----------
    path : Path
        One metallicity, any number of ages, no extinction, Vega magnitudes.
    bands : sequence of str
        Read from the columns ``WFC3_UVIS_<band>``.

    Raises
    ------
    ValueError
        If a column is missing, or the file is reddened or not in Vega
        magnitudes.
    """
    header, names, values = _rows_by_header(path, "EEP")
    _refuse_extinction(path, header, r"(?:Av value|Av, Rv)\s*=\s*(\d*\.?\d+)")
    system = re.search(r"photometric system\s*=\s*(.*)", header)
    if system and "vega" not in system.group(1).lower():
        raise ValueError(
            f"{path} is in the system '{system.group(1).strip()}'; expected HST_WFC3 "
            "(Vega). Ask for Vega magnitudes."
        )
    in_years = "isochrone_age_yr" in names
    age = "isochrone_age_yr" if in_years else "log10_isochrone_age_yr"
    wanted = ["[Fe/H]_init", age, "EEP", "initial_mass", "star_mass"]
    wanted += ["log_L", "log_Teff", "log_g"]
    wanted += [f"WFC3_UVIS_{band}" for band in bands]
    table = values[:, _columns(path, names, wanted)]
    if in_years:
        table[:, 1] = np.log10(table[:, 1])
    return _split(_checked(path, table[table[:, 2] <= LAST_MIST_EEP], wanted))


def read_parsec(
    path: Path, bands: Sequence[str], system: str | None = None
) -> list[FileIsochrone]:
    """Read the output of the PARSEC CMD 3.x web form.

    Rows without magnitudes and stages after the AGB are left out.

    Parameters
    ----------
    path : Path
        "Isochrone tables", any number of metallicities and ages, no extinction.
    bands : sequence of str
        Read from the columns ``<band>mag``.
    system : {"Vega", "AB"}, optional
        Magnitude system. Needed where the header does not say.

    Raises
    ------
    ValueError
        If a column is missing, the file is reddened, or its magnitude system is
        unknown or not the one passed.
    """
    header, names, values = _rows_by_header(path, "Zini")
    _refuse_extinction(path, header, r"includes extinction of Av\s*=\s*(\d*\.?\d+)")
    offset = _vega_offset(path, header, bands, system)
    wanted = ["MH", "logAge", "label", "Mini", "Mass", "logL", "logTe", "logg"]
    wanted += [f"{band}mag" for band in bands]
    table = values[:, _columns(path, names, wanted)]
    usable = (table[:, 2] <= LAST_PARSEC_STAGE) & (
        table[:, 8:].max(axis=1) < FAINTEST_MAGNITUDE
    )
    table = _checked(path, table[usable], wanted)
    table[:, 8:] -= offset
    return _split(table, stages=True)


def _checked(path: Path, table: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return columns (feh, log age, phase, mass, ...) if stars can have them."""
    if not len(table):
        raise ValueError(
            f"{path}: expected rows of stars that shine; found none. Ask for "
            "isochrones of other ages"
        )
    for k, (low, high) in enumerate(_POSSIBLE):
        column = table[:, k]
        if not ((low <= column) & (column <= high)).all():
            odd = column[~((low <= column) & (column <= high))][0]
            raise ValueError(
                f"{path}: expected {names[k]} from {low:g} to {high:g}; found {odd:g}. "
                "The file is damaged or in other units"
            )
    if not np.isfinite(table).all():
        k = np.flatnonzero(~np.isfinite(table).all(axis=0))[0]
        raise ValueError(f"{path}: expected numbers in {names[k]}; found another")
    return table


def _split(table: np.ndarray, stages: bool = False) -> list[FileIsochrone]:
    """Cut a table of columns (feh, log age, phase, ...) into isochrones."""
    keys = np.round(table[:, :2], 4)
    found = []
    for feh, log_age in sorted({tuple(key) for key in keys.tolist()}):
        rows = table[(keys[:, 0] == feh) & (keys[:, 1] == log_age)]
        phase = rows[:, 2].astype(int)
        mass = np.maximum.accumulate(rows[:, 3])
        found.append(
            FileIsochrone(
                feh=feh,
                log_age=log_age,
                phase=parsec_stages(phase, mass) if stages else phase,
                mass_initial=mass,
                mass_current=rows[:, 4],
                log_l=rows[:, 5],
                log_teff=rows[:, 6],
                log_g=rows[:, 7],
                magnitude=rows[:, 8:],
            )
        )
    return found


def _rows_by_header(path: Path, first: str) -> tuple[str, list[str], np.ndarray]:
    """Return the comments, the column names and the numbers of a text table.

    The names stand in a line, mostly a comment, whose first word is ``first``; they may
    be repeated before every isochrone.
    """
    comments: list[str] = []
    names: list[str] = []
    rows: list[str] = []
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no such file of isochrones; name one that PARSEC's or MIST's "
            "web page gave"
        )
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(
            f"{path}: expected at most {MOST_BYTES / 1e6:g} MB of isochrones; it has "
            f"{size / 1e6:.3g} MB. Is it the right file?"
        )
    # what is no text at all has no names of columns either, and is told so
    with path.open(errors="replace") as lines:
        for line in lines:
            words = line.lstrip("# ").split()
            # those who pass files on take away the mark before the names
            if line.startswith("#") or words[:1] == [first]:
                comments.append(line)
                if words and words[0] == first:
                    if names and words != names:
                        raise ValueError(
                            f"{path}: its isochrones have different columns; expected "
                            "one photometric system in a file."
                        )
                    names = words
            elif words:
                rows.append(line)
    if not names or not rows:
        raise ValueError(
            f"{path}: expected a comment line of column names that begins with "
            f"'{first}', then rows of numbers; found "
            f"{'no rows' if names else 'no names'}. Is it the right kind of file?"
        )
    with reading(path, "a whole file of isochrones"):
        values = np.loadtxt(rows, ndmin=2)
    if values.shape[1] != len(names):
        raise ValueError(
            f"{path}: {len(names)} column names but {values.shape[1]} columns of "
            "numbers. Is the file complete?"
        )
    return "".join(comments), names, values


def _columns(path: Path, names: list[str], wanted: Sequence[str]) -> list[int]:
    """Return where the wanted columns are."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ValueError(
            f"{path} lacks the columns {', '.join(missing)}; it has "
            f"{', '.join(names)}. Ask for the HST WFC3/UVIS system."
        )
    return [names.index(name) for name in wanted]


def _refuse_extinction(path: Path, header: str, pattern: str) -> None:
    """Raise if the header says that magnitudes are reddened."""
    a_v = re.search(pattern, header)
    if a_v and float(a_v.group(1)) != 0.0:
        raise ValueError(
            f"{path} was made with A_V = {a_v.group(1)}; expected 0. Extinction is "
            "added here, star by star: ask for A_V = 0."
        )


def _vega_offset(
    path: Path, header: str, bands: Sequence[str], system: str | None
) -> np.ndarray:
    """Return what to subtract from a file's magnitudes to get Vega magnitudes."""
    stated = {
        name
        for name, pattern in (("Vega", r"vega\s*-?mag"), ("AB", r"\bab\s*-?mag"))
        if re.search(pattern, header, re.IGNORECASE)
    }
    if system is None:
        if len(stated) != 1:
            raise ValueError(
                f"{path}: its header does not say whether magnitudes are Vega or AB. "
                "Pass system='Vega' or system='AB'; the web form shows which beside "
                "the photometric system."
            )
        system = stated.pop()
    elif system not in ("Vega", "AB"):
        raise ValueError(f"system must be 'Vega' or 'AB'; received {system!r}.")
    elif len(stated) == 1 and system not in stated:
        raise ValueError(
            f"{path}: its header says {stated.pop()} magnitudes, system={system!r} was "
            "passed. Leave system out to believe the header."
        )
    vega_ab = load_tables(tuple(bands)).vega_ab
    return vega_ab if system == "AB" else np.zeros(len(vega_ab))
