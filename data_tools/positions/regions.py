"""Positions from regions that were drawn: DS9's and CASA's files."""

from __future__ import annotations

import codecs
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, UnitSphericalRepresentation
from astropy.table import QTable
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from data_tools.positions.columns.names import ORIGIN_KEY, PHYSICAL_NAMES, plain

logger = logging.getLogger(__name__)

#: Format of a file of regions by its suffix.
SUFFIXES = {".reg": "ds9", ".ds9": "ds9", ".crtf": "crtf"}

#: What DS9 (its reference manual, "Regions: Coordinate Systems") and CASA (CASA Region
#: Text Format, version 0) call the middle of the first pixel.
_ORIGIN = {"ds9": 1, "crtf": 0}

#: Coordinate systems by the formats' names for them, as astropy calls them.
_FRAMES = {
    "ds9": {
        "image": "image",
        "physical": "physical",
        "icrs": "icrs",
        "fk5": "fk5",
        "j2000": "fk5",
        "fk4": "fk4",
        "b1950": "fk4",
        "galactic": "galactic",
        "ecliptic": "barycentricmeanecliptic",
    },
    "crtf": {
        "icrs": "icrs",
        "fk5": "fk5",
        "j2000": "fk5",
        "fk4": "fk4",
        "b1950": "fk4",
        "galactic": "galactic",
        "supergal": "supergalactic",
        "ecliptic": "barycentricmeanecliptic",
    },
}
#: DS9's systems whose numbers nothing in a mosaic explains.
_OTHER_FRAME = re.compile(r"amplifier|detector|linear|tile|wcs[0a-z]?")

#: Shapes whose first two numbers are their centre, and what tables call them.
_CENTRED = {
    **{word: word for word in ("circle", "ellipse", "point", "pie", "field")},
    **{word: word for word in ("panda", "epanda", "bpanda", "cpanda")},
    **{word: "rectangle" for word in ("rotbox", "centerbox")},
    "annulus": "circleannulus",
    "symbol": "point",
}
#: Shapes that are given by their corners.
_CORNERED = {"polygon": "polygon", "poly": "polygon", "polyline": "line"}
_CORNERED |= {"line": "line"}
#: A box has a centre in one format and two corners in the other.
_SHAPES = {
    "ds9": (_CENTRED | {"box": "rectangle"}, _CORNERED),
    "crtf": (_CENTRED, _CORNERED | {"box": "rectangle"}),
}

#: DS9: commands are parted by semicolons, save in the words of a property.
_COMMAND = re.compile(r"""(?:=\s*(?:\{[^}]*\}|"[^"]*"|'[^']*')|[^;])+""")
_QUOTED = re.compile(r"""=\s*(?:\{[^}]*\}|"[^"]*"|'[^']*')""")
_DS9_SHAPE = re.compile(
    r"([-+!]?)\s*([a-z]\w*)\s*(?:\(([^)#]*)\)?|\s([^#|]*))(.*)", re.I
)
_DS9_TEXT = re.compile(r"""\btext\s*=\s*(?:\{([^}]*)\}|"([^"]*)"|'([^']*)')""", re.I)
_DS9_REMARK = re.compile(
    r"#\s*(text|vector|ruler|compass|projection|segment)\s*\(", re.I
)
_ANGLE = re.compile(r"[:hmsdr°]")

_CRTF_SHAPE = re.compile(r"([-+]?)\s*(ann\s)?\s*([a-z]+)\s*\[(.*)", re.I)
_CRTF_PAIR = re.compile(r"\[([^\[\],]+),([^\[\],]+)\]")
_CRTF_FRAME = re.compile(r"\bcoord\s*=\s*['\"]?(\w+)", re.I)
_CRTF_TEXT = re.compile(r"""\blabel\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,]*))""", re.I)


#: Columns of positions in a table of regions.
_UNITS = dict.fromkeys(("x", "y", *PHYSICAL_NAMES), u.pix) | {"ra": u.deg, "dec": u.deg}

#: Kinds of what is no position that the log lists.
_MOST_TOLD = 6


@dataclass(frozen=True)
class _Drawn:
    """A region in words: its centre or corners are pairs of coordinates."""

    line: int
    shape: str
    frame: str
    pairs: tuple[tuple[str, str], ...]
    text: str
    says_frame: bool = True


def read_regions(path: str | Path, layout: str) -> QTable:
    """Read the centres of regions.

    Of a polygon, a line and CASA's box it is the mean of the corners. Remarks (texts,
    vectors, rulers, CASA's annotations save symbols) and excluded regions are no
    positions; the log says how many there were. A DS9 file that names no coordinate
    system has physical coordinates, as DS9 takes them, and FK5 where they are angles.

    Parameters
    ----------
    path : str or Path
        The file, in UTF-8, UTF-16 or Latin-1.
    layout : {"ds9", "crtf"}
        Its format; a file that begins with ``#CRTF`` is CASA's.

    Returns
    -------
    QTable
        A row a region, in the order of the file: ``x`` and ``y`` in pixels as that
        format counts them (`ORIGIN_KEY` of the metadata), ``x_physical`` and
        ``y_physical`` in DS9's physical coordinates, ``ra`` and ``dec`` in degrees
        (ICRS), the ``shape`` and the ``text`` drawn beside it. A region has one of the
        three.

    Raises
    ------
    ValueError
        If no region can be read, or one is in a coordinate system that is not known.
    """
    path = Path(path)
    text = _decode(path.read_bytes())
    if text.startswith("#CRTF"):
        layout = "crtf"
    left_out: Counter[str] = Counter()  # what is no position, in words
    words = {"ds9": _read_ds9, "crtf": _read_crtf}[layout]
    drawn, places = [], []
    for region in words(text, left_out):
        try:
            place = _place(region, layout)
        except ValueError as e:
            left_out[f"the {region.shape} of line {region.line} ({e})"] += 1
        else:
            drawn.append(region)
            places.append(place)
    if not drawn:
        why = f": {_in_words(left_out)}" if left_out else ""
        raise ValueError(f"no region in it that can be read{why}")
    if left_out:
        logger.warning(
            "%s: %d regions read; no positions: %s",
            path,
            len(drawn),
            _in_words(left_out),
        )
    cornered = sum(len(region.pairs) > 1 for region in drawn)
    if cornered:
        logger.warning(
            "%s: the place of %d regions is the mean of their corners", path, cornered
        )
    assumed = sorted({region.frame for region in drawn if not region.says_frame})
    if assumed:
        logger.warning(
            "%s: it names no coordinate system: taken for %s, as DS9 does",
            path,
            " and ".join(assumed),
        )
    return _as_table(drawn, np.array(places), _ORIGIN[layout])


def told_layout(path: Path) -> str | None:
    """Return the format of regions that a file's first line names, if it does."""
    with path.open("rb") as file:
        begin = file.read(100).removeprefix(codecs.BOM_UTF8)
    first = {b"# Region file format: DS9": "ds9", b"#CRTF": "crtf"}
    return next((name for sign, name in first.items() if begin.startswith(sign)), None)


def _decode(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _in_words(left_out: Counter[str]) -> str:
    words = [w if w.startswith("the ") else f"{n} {w}" for w, n in left_out.items()]
    if len(words) > _MOST_TOLD:
        words[_MOST_TOLD:] = [f"and {len(words) - _MOST_TOLD} more"]
    return ", ".join(words)


def _read_ds9(text: str, left_out: Counter[str]) -> Iterator[_Drawn]:
    known, frame = _FRAMES["ds9"], None
    for number, line in enumerate(text.splitlines(), 1):
        remark = _DS9_REMARK.match(line.strip())
        if remark:
            left_out[f"{remark[1].lower()} (a remark)"] += 1
        if line.lstrip().startswith("#"):
            continue
        for command in map(str.strip, _COMMAND.findall(line)):
            if re.match(r"global\b", command, re.I):
                words = re.findall(r"\w+", _QUOTED.sub("", command.lower()))
                frame = next((word for word in words if word in known), frame)
                continue
            while (first := re.match(r"\w*", command)[0].lower()) in known or (
                _OTHER_FRAME.fullmatch(first)
            ):
                frame, command = first, command[len(first) :].lstrip()
            if command:
                yield from _ds9_shape(number, command, frame, left_out)


def _ds9_shape(
    number: int, command: str, frame: str | None, left_out: Counter[str]
) -> Iterator[_Drawn]:
    found = _DS9_SHAPE.match(command)
    centred, cornered = _SHAPES["ds9"]
    word = found[2].lower() if found else ""
    if word not in centred and word not in cornered:
        left_out[f"the command {command[:40]!r} of line {number}"] += 1
        return
    properties = _QUOTED.sub("", found[5])
    if found[1] in ("-", "!") or re.search(r"\binclude\s*=\s*0", properties):
        left_out["excluded"] += 1
        return
    numbers = plain(found[3] or found[4] or "").replace(",", " ").split()
    pairs = list(zip(numbers[::2], numbers[1::2], strict=False))
    if word in centred:
        pairs = pairs[:1]
    said = _DS9_TEXT.search(found[5])
    yield _Drawn(
        number,
        centred.get(word) or cornered[word],
        _ds9_frame(number, frame, pairs),
        tuple((re.sub(r"[ip]$", "", a), re.sub(r"[ip]$", "", b)) for a, b in pairs),
        next((t for t in said.groups() if t is not None), "") if said else "",
        frame is not None,
    )


def _ds9_frame(number: int, frame: str | None, pairs: list[tuple[str, str]]) -> str:
    """Name the system of a region: coordinates may say it themselves by their form."""
    words = [word for pair in pairs for word in pair]
    ends = {word[-1] for word in words}
    if ends == {"p"}:
        return "physical"
    if ends == {"i"}:
        return "image"
    if ends & {"i", "p"}:
        raise ValueError(
            f"line {number}: expected coordinates in one system, received "
            f"{' '.join(words)}"
        )
    if frame is not None and _OTHER_FRAME.fullmatch(frame):
        raise ValueError(
            f"line {number}: expected coordinates of the image or the sky, received "
            f"{frame}; save the regions in DS9 as fk5 or image"
        )
    if frame in (None, "image", "physical") and any(map(_ANGLE.search, words)):
        return "fk5"
    return _FRAMES["ds9"][frame or "physical"]


def _read_crtf(text: str, left_out: Counter[str]) -> Iterator[_Drawn]:
    default = "J2000"
    centred, cornered = _SHAPES["crtf"]
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        said = _CRTF_FRAME.search(line)
        if re.match(r"global\b", line, re.I):
            default = said[1] if said else default
            continue
        found = _CRTF_SHAPE.match(line)
        word = found[3].lower() if found else ""
        if word in ("text", "vector") or (found and found[2] and word != "symbol"):
            left_out[f"{word} (a remark)"] += 1
            continue
        if word not in centred and word not in cornered:
            left_out[f"the command {line[:40]!r} of line {number}"] += 1
            continue
        if found[1] == "-":
            left_out["excluded"] += 1
            continue
        # what is after the first "=" is a property's and no place
        pairs = _CRTF_PAIR.findall(plain(found[4].partition("=")[0]))
        if word in centred:
            pairs = pairs[:1]
        frame = "image"
        if not all("pix" in coordinate for pair in pairs for coordinate in pair):
            frame = _crtf_frame(number, said[1] if said else default)
        label = _CRTF_TEXT.search(line)
        yield _Drawn(
            number,
            centred.get(word) or cornered[word],
            frame,
            tuple((a.strip(), b.strip()) for a, b in pairs),
            next((t for t in label.groups() if t is not None), "") if label else "",
        )


def _crtf_frame(number: int, name: str) -> str:
    try:
        return _FRAMES["crtf"][name.lower()]
    except KeyError:
        raise ValueError(
            f"line {number}: expected coordinates in one of "
            f"{', '.join(map(str.upper, _FRAMES['crtf']))}, received {name}"
        ) from None


def _place(region: _Drawn, layout: str) -> tuple[float, float]:
    """Return the middle of a region's pairs, in pixels from 0 or in degrees."""
    if not region.pairs:
        raise ValueError("without coordinates")
    on_sky = region.frame not in ("image", "physical")
    places = np.array(
        [_numbers(*pair, on_sky, region, layout) for pair in region.pairs]
    )
    if len(places) == 1 or not on_sky:
        return tuple(places.mean(axis=0))
    # the middle of directions: no trouble where the right ascension begins anew
    corners = SkyCoord(*places.T, unit=u.deg)
    middle = corners.cartesian.mean().represent_as(UnitSphericalRepresentation)
    return middle.lon.deg, middle.lat.deg


def _numbers(
    a: str, b: str, on_sky: bool, region: _Drawn, layout: str
) -> tuple[float, float]:
    from regions import Regions
    from regions.io.ds9.core import DS9ParserError

    # astropy takes these for angles on another turn
    turns = re.fullmatch(r"([-+]?\d+\.?\d*)(d|deg)?", a)
    if on_sky and turns and not -180 <= float(turns[1]) <= 360:
        raise ValueError(f"{a} is no longitude")
    if layout == "crtf":
        words = f"#CRTF\nsymbol[[{a}, {b}], .], coord={'ICRS' if on_sky else 'image'}"
    else:
        # sexagesimal longitudes are hours but in some frames
        frame = "icrs" if region.frame.startswith(("icrs", "fk")) else "galactic"
        words = f"{frame if on_sky else 'image'}\npoint({a},{b})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            centre = Regions.parse(words, format=layout)[0].center
    except (ValueError, TypeError, IndexError, AttributeError, DS9ParserError) as e:
        raise ValueError(f"{a}, {b} is no place") from e
    if on_sky:
        return centre.spherical.lon.deg, centre.spherical.lat.deg
    return centre.x, centre.y


def _as_table(drawn: list[_Drawn], places: NDArray[np.float64], origin: int) -> QTable:
    frames = np.array([region.frame for region in drawn])
    columns = {name: np.full(len(drawn), np.nan) for name in _UNITS}
    for frame in np.unique(frames):
        rows = frames == frame
        if frame in ("image", "physical"):
            names = ("x", "y") if frame == "image" else PHYSICAL_NAMES
            values = (places[rows] + origin).T
        else:
            names = "ra", "dec"
            sky = SkyCoord(*places[rows].T, unit=u.deg, frame=frame).icrs
            values = sky.ra.deg, sky.dec.deg
        for name, numbers in zip(names, values, strict=True):
            columns[name][rows] = numbers
    table = QTable(meta={ORIGIN_KEY: origin})
    for name, values in columns.items():
        if np.isfinite(values).any():
            table[name] = values * _UNITS[name]
    table["shape"] = [region.shape for region in drawn]
    table["text"] = [region.text for region in drawn]
    return table
