"""The frame of the sky that a table's comments mention, in whatever words."""

from __future__ import annotations

import re

from astropy.table import Table

#: An equinox alone is one of FK5 from this year on (FITS standard 4.0, section 8.3).
FIRST_OF_FK5 = 1984.0

#: A frame as a comment states it: "RADESYS = FK5", or VizieR's "#Coosys J2000: eq_FK5
#: J2000", ...
_STATED = re.compile(
    r"\b(?:radesys|frame|coosys\s+\w+)\s*[=:]\s*['\"]?([\w.-]+)", re.IGNORECASE
)
#: ... in a sentence, perhaps as what positions were brought to, ...
_MENTIONED = re.compile(
    r"(?P<to>\b(?:to|into|now)\s+(?:the\s+)?)?"
    r"(?:(?:equinox\s+)?\b(?P<frame>ICRS|FK5|FK4(?:-NO-E)?)\b"
    r"(?:[\s,;(=:]*(?:equinox\W*)?(?P<year>[JB]?(?:18|19|20)\d\d(?:\.\d+)?)\b)?"
    r"|\b(?P<equinox>[JB](?:1950|2000))(?:\.0)?\b"
    r"|\b(?:equinox\W{0,3}(?:of\s+|is\s+)?"
    r"|(?:ra|dec|epoch|coord(?:inate)?s?|positions?)\W{0,3}(?=1950|2000|B1950|J2000))"
    r"(?P<of>[JB]?(?:18|19|20)\d\d(?:\.\d+)?)\b"
    r"|\b(?P<before>1950|2000)(?:\.0)?\s+(?:coord|position|equinox))",
    re.IGNORECASE,
)
#: ... and of coordinates that are no right ascensions.
_KIND = r"\b(supergalactic|galactic|ecliptic)\b"
_OF_COORDINATES = (
    re.compile(_KIND + r"\s+(?:coord|frame|system|l[aob])", re.IGNORECASE),
    re.compile(r"^\W*" + _KIND + r"\W*$", re.IGNORECASE),
    re.compile(
        r"\b(?:coord(?:inate)?s?|positions?|frame|system)\b[^.;]{0,30}"
        + _KIND
        + r"(?!\s+(?:extinction|reddening|dust|foreground|dis[ck]|cent|plane|cluster))",
        re.IGNORECASE,
    ),
)
#: VizieR's lines about single columns.
_OF_A_COLUMN = re.compile(r"\s*#?\s*column\b", re.IGNORECASE)


def comment_lines(table: Table) -> list[str]:
    """Return the comments of a table: of its text, or of its FITS header."""
    lines = [table.meta.get(key, []) for key in ("comments", "COMMENT")]
    lines = [[of] if isinstance(of, str) else of for of in lines]
    return [line for of in lines for line in of if isinstance(line, str)]


def stated_frames(lines: list[str]) -> list[str]:
    """Return the words for frames in comments that state one: ``frame = FK5``."""
    return [words for line in lines for words in _STATED.findall(line)]


def mentioned_frame(lines: list[str]) -> list[str]:
    """Return the frame that comments mention, if it is one: ``equinox B1950``.

    Raises
    ------
    ValueError
        If they mention equinoxes of FK4 and of FK5 or ICRS, and not which one the
        positions were brought to.
    """
    # what is stated, or of single columns, is read as that
    lines = [x for x in lines if not (_STATED.search(x) or _OF_A_COLUMN.match(x))]
    found = [m for line in lines for m in _MENTIONED.finditer(line)]
    brought = [m for m in found if m["to"]]
    frames = {_of_mention(m): m[0].strip() for m in brought or found}
    if len({frame.startswith("fk4") for frame in frames}) > 1:
        raise ValueError(
            f"its comments mention {' and '.join(sorted(frames.values()))}: leave the "
            "one in that the positions are in, or name the columns by it (RAB1950, "
            "DEB1950)"
        )
    frames.pop("", None)
    if not found:
        kinds = [
            k for of in _OF_COORDINATES for line in lines for k in of.findall(line)
        ]
        frames = {kind.lower(): kind for kind in kinds}
    return list(frames) if len(frames) == 1 else []


def _of_mention(mention: re.Match[str]) -> str:
    """Return a frame's name and equinox; none for J2000, which is taken for ICRS."""
    name = (mention["frame"] or "").lower()
    year = mention["year"] or mention["equinox"] or mention["of"]
    year = year or mention["before"] or ""
    if not name and year:
        number = equinox_year(year)
        name = "" if number == 2000 else "fk4" if number < FIRST_OF_FK5 else "fk5"
    return f"{name} {year if name else ''}".strip()


def equinox_year(equinox: str) -> float:
    """Return the year of an equinox: 1950 of ``B1950``."""
    try:
        return float(equinox.lstrip("JBjb"))
    except ValueError as e:
        raise ValueError(f"the equinox {equinox!r} is not known") from e
