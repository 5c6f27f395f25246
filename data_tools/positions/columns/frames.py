"""The frame of the sky that a table's columns are in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from astropy.coordinates import (
    BaseCoordinateFrame,
    frame_transform_graph,
)
from astropy.table import Table

from data_tools.positions.columns.comments import (
    FIRST_OF_FK5,
    comment_lines,
    equinox_year,
    mentioned_frame,
    stated_frames,
)

#: Key of a table's metadata with the frames that its format states of columns by their
#: names, and of all others by None.
FRAMES_KEY = "frames_of_columns"

#: Names of frames in FITS, VOTables (COOSYS) and in use, in small letters, as astropy
#: has them: rotations of ICRS, which need no observer.
_NAMES = {
    **{
        name: name
        for name in (
            *("icrs", "fk5", "fk4", "fk4noeterms", "galactic", "supergalactic"),
            *("barycentricmeanecliptic", "barycentrictrueecliptic"),
        )
    },
    **dict.fromkeys(("eq_fk5", "j2000", "j2000.0"), "fk5"),
    **dict.fromkeys(("eq_fk4", "b1950", "b1950.0"), "fk4"),
    **dict.fromkeys(("fk4-no-e",), "fk4noeterms"),
    **dict.fromkeys(("gal",), "galactic"),
    **dict.fromkeys(("supergal", "super_galactic"), "supergalactic"),
    **dict.fromkeys(("ecliptic", "ecl_fk5", "ecl_fk4"), "barycentricmeanecliptic"),
}

#: Frames that names of columns allow, None for any, and the one that they mean.
_ALLOWED = {
    "equatorial": (("icrs", "fk5", "fk4", "fk4noeterms"), "icrs"),
    "J2000": (("icrs", "fk5"), "icrs"),
    "B1950": (("fk4", "fk4noeterms"), "fk4"),
    "ICRS": (("icrs",), "icrs"),
    "FK5": (("fk5",), "fk5"),
    "galactic": (("galactic",), "galactic"),
    "supergalactic": (("supergalactic",), "supergalactic"),
    "ecliptic": (
        ("barycentricmeanecliptic", "barycentrictrueecliptic"),
        "barycentricmeanecliptic",
    ),
    None: (None, None),
}

#: Keys of a table's metadata, in small letters, that name a frame ...
_FORMAL_KEYS = ("radesys", "radecsys", "coosys")
#: ... and that may name one.
_KEYS = (
    "frame",
    "sky_frame",
    "coord_frame",
    "refframe",
    "ref_frame",
    "reference_frame",
)
_KEYS += ("coordsys", "coordsystem", "coord_system")

#: Frames in the words of a column's description, as VizieR has them.
_DESCRIBED = re.compile(
    r"\b(ICRS|FK5|FK4|B1950|supergalactic|galactic|ecliptic)\b", re.IGNORECASE
)
#: Columns that such a sentence may be of, beside ``ra`` and ``dec``.
_OTHER_COLUMNS = re.compile(
    r"_?(?:s?g(?:al)?_?(?:lon|lat|l|b)|lon|lat|l|b|lii|bii)(?:\W.*|_deg)?",
    re.IGNORECASE,
)


def frame_of(
    table: Table, columns: tuple[str, str], named: str | None
) -> BaseCoordinateFrame | None:
    """Return the frame that a pair of columns is in.

    What the format states of these columns comes first, then their descriptions, then
    the metadata of the table; each only as far as it is a frame that the columns' names
    allow.

    Parameters
    ----------
    table : Table
        Any table.
    columns : (str, str)
        Longitude and latitude.
    named : str or None
        What their names say: a key of `_ALLOWED`.

    Returns
    -------
    BaseCoordinateFrame or None
        Without a word of it that of the names, which is ICRS of ``"equatorial"`` and
        ``"J2000"``; None if they do not say it either.

    Raises
    ------
    ValueError
        If the format names a frame that is not known, or is none of such columns.
    """
    allowed, default = _ALLOWED[named]
    for words in _stated(table, columns):
        frame = _frame(words)
        if allowed is None or frame.name in allowed:
            return frame
        if named == "equatorial":
            raise ValueError(
                f"expected right ascension and declination in {' and '.join(columns)}, "
                f"received the frame {words!r}; rename the columns"
            )
    for words in _said(table, columns, named):
        if _is_frame(words) and (allowed is None or _frame(words).name in allowed):
            return _frame(words)
    if named == "equatorial":
        _check_comments(table, columns)
    return _frame(default) if default else None


def votable_frames(table: Any, systems: Iterable[Any]) -> dict[str | None, str]:
    """Return the frames of a VOTable's columns.

    Parameters
    ----------
    table : astropy.io.votable.tree.TableElement
        One of its tables.
    systems : iterable of astropy.io.votable.tree.CooSys
        All coordinate systems of the file.

    Returns
    -------
    dict of str to str
        By the name of the column; of None, if the file has one such system, that.
    """
    names = {
        system.ID: f"{system.system or 'eq_FK5'} {system.equinox or ''}".strip()
        for system in systems
        if str(system.system).lower() != "unknown"
    }
    found = {f.name: names[f.ref] for f in table.fields if f.ref in names}
    return found | ({None: next(iter(names.values()))} if len(names) == 1 else {})


def _stated(table: Table, columns: tuple[str, str]) -> Iterator[str]:
    """Yield what is stated formally: a name that is not known is an error."""
    frames = table.meta.get(FRAMES_KEY, {})
    yield from (frames[column] for column in columns if column in frames)
    meta = _metadata(table)
    equinox = meta.get("equinox", "")
    system = next((meta[key] for key in _FORMAL_KEYS if meta.get(key)), "")
    if system:
        yield f"{system} {equinox}"
    elif equinox:
        year = equinox_year(equinox)
        yield f"{'fk4' if year < FIRST_OF_FK5 else 'fk5'} {equinox}"
        yield f"ecliptic {equinox}"


def _said(table: Table, columns: tuple[str, str], named: str | None) -> Iterator[str]:
    """Yield what may be a frame and may be another thing."""
    for column in columns:
        description = getattr(table[column].info, "description", None) or ""
        yield from _alone(_DESCRIBED.findall(description))
    if None in table.meta.get(FRAMES_KEY, {}):
        yield table.meta[FRAMES_KEY][None]
    meta = _metadata(table)
    yield from (meta[key] for key in _KEYS if key in meta)
    if named == "J2000":  # VizieR's texts call all of that FK5 in a comment
        return
    lines = comment_lines(table)
    yield from _alone(stated_frames(lines))
    if named in ("equatorial", None):
        yield from mentioned_frame(lines)


def _check_comments(table: Table, columns: tuple[str, str]) -> None:
    """Refuse ``ra`` and ``dec`` that comments call another kind of coordinates."""
    if any(_OTHER_COLUMNS.fullmatch(name) for name in table.colnames):
        return  # these are meant
    lines = comment_lines(table)
    said = [words for words in stated_frames(lines) if _is_frame(words)]
    said += mentioned_frame(lines)
    if said and all(_frame(m).name not in _ALLOWED["equatorial"][0] for m in said):
        raise ValueError(
            f"expected right ascension and declination in {' and '.join(columns)}; its "
            f"comments say {said[0]}; rename the columns"
        )


def _metadata(table: Table) -> dict[str, str]:
    """Return a table's metadata in words, their keys in small letters; IPAC's too."""
    keywords = table.meta.get("keywords", {})
    if isinstance(keywords, dict):
        keywords = {k: v["value"] for k, v in keywords.items() if "value" in v}
    return {
        str(key).lower(): str(value).strip(" '\"")
        for of in (table.meta, keywords)
        for key, value in dict(of).items()
        if isinstance(value, str | int | float)
    }


def _alone(words: list[str]) -> list[str]:
    """Return words if they are all the same: of two frames nothing is told."""
    return words[:1] if len({word.lower() for word in words}) == 1 else []


def _is_frame(words: str) -> bool:
    try:
        return _frame(words) is not None
    except ValueError:
        return False


def _frame(words: str) -> BaseCoordinateFrame:
    """Return the frame of a name and perhaps an equinox: ``FK5 J1975``."""
    tokens = re.findall(r"[\w.-]+", words.lower())
    name = next((_NAMES[token] for token in tokens if token in _NAMES), None)
    if name is None:
        raise ValueError(
            "expected a frame such as ICRS, FK5, FK4, galactic or ecliptic, received "
            f"{words.strip()!r}"
        )
    frame = frame_transform_graph.lookup_name(name)
    equinox = next((t for t in tokens if re.fullmatch(r"[jb]?\d{4}(\.\d*)?", t)), "")
    if "ecl_fk4" in tokens:
        equinox = equinox or "b1950"
    if not equinox or "equinox" not in frame.frame_attributes:
        return frame()
    letter = "B" if equinox[0] == "b" or name.startswith("fk4") else "J"
    return frame(equinox=f"{letter}{equinox_year(equinox)}")
