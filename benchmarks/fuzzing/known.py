"""Files whose places are known, written in ways that people and programs write them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hypothesis import strategies as st


class Known(NamedTuple):
    """A file and what it says.

    Attributes
    ----------
    name : str
        Of the file.
    content : bytes
        In it.
    places : tuple of (str, float, float)
        Of each row: ``pixel``, ``physical`` or ``sky``, and its two coordinates.
    """

    name: str
    content: bytes
    places: tuple[tuple[str, float, float], ...]


#: Words in a column of names, some with marks that part columns.
_NAMES = ("A", "NGC 1", "M83-c1", "x,y", "a;b", "", "-", "7", "é", "1e5", "no", "nan")
_NUMBERS = st.decimals(-9999, 9999, allow_nan=False, places=3)
_WAYS_OF_NUMBERS: tuple[Callable[[float], str], ...] = (
    repr,
    "{:.3f}".format,
    "{:+.3f}".format,
    "{:.9e}".format,
    lambda v: f"{v:.9e}".replace("e", "D"),
    lambda v: f"{v:10.3f}".strip().replace("-", "\u2212"),
)


@st.composite
def known_tables(draw: Callable) -> Known:
    """Draw a text table of pixels with a column of names and one of numbers."""
    separator = draw(st.sampled_from((",", "\t", ";", "|", " ")))
    way = draw(st.sampled_from(_WAYS_OF_NUMBERS))
    comma = separator == ";" and draw(st.booleans())
    order = draw(st.permutations(("x", "y", "name", "mag")))
    rows = draw(st.lists(st.tuples(_NUMBERS, _NUMBERS), min_size=1, max_size=6))
    quoted = separator in ",;" or draw(st.booleans())
    lines = [separator.join(order)]
    for number, (x, y) in enumerate(rows):
        name = draw(st.sampled_from(_NAMES)) or "-"
        if quoted or separator in name or " " in name:
            name = f'"{name}"'
        words = {"x": way(float(x)), "y": way(float(y)), "mag": f"2{number}.5"}
        if comma:
            words = {key: word.replace(".", ",") for key, word in words.items()}
        words["name"] = name
        lines.append(separator.join(words[key] for key in order))
    mark = draw(st.sampled_from(("", "# ", "#", "# mine\n")))
    end = draw(st.sampled_from(("\n", "\r\n", "\r")))
    text = mark + end.join(lines) + draw(st.sampled_from(("", end, end + end)))
    coding = draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16")))
    name = draw(st.sampled_from(("t.csv", "t.txt", "t.dat", "t")))
    places = tuple(("pixel", float(x), float(y)) for x, y in rows)
    return Known(name, text.encode(coding), places)


def _sexagesimal(value: float, parts: tuple[str, str, str], digits: int) -> str:
    total = round(abs(value) * 3600 * 10**digits)
    seconds = total / 10**digits % 60
    minutes = total // 10**digits // 60
    sign = "-" if value < 0 else ""
    words = f"{minutes // 60:02d}", f"{minutes % 60:02d}"
    width = 3 + digits
    return sign + "".join(
        word + part
        for word, part in zip(
            (*words, f"{seconds:0{width}.{digits}f}"), parts, strict=True
        )
    )


_PARTS = (("h", "m", "s"), (":", ":", "")), (("d", "m", "s"), (":", ":", ""))
_DS9_SHAPES = ("circle({}{}{},3)", "point({}{}{})", "ellipse({}{}{},3,4,30)")
_DS9_SHAPES += ("box({}{}{},3,4,0)", "annulus({}{}{},1,2)", "circle {}{}{} 3")
_TEXTS = ("", "a", "b; c", "fk5", "circle(1,2,3)", "#", "image;point(1,2)", "é")


@st.composite
def known_regions(draw: Callable) -> Known:
    """Draw regions as DS9 saves them, each of one system and way of numbers."""
    lines, places = ["# Region file format: DS9 version 4.1"], []
    for _ in range(draw(st.integers(1, 5))):
        frame = draw(st.sampled_from(("image", "physical", "icrs")))
        a, b = (float(draw(_NUMBERS)) for _ in "ab")
        words = repr(a), repr(b)
        kind = {"image": "pixel", "physical": "physical", "icrs": "sky"}[frame]
        if frame == "icrs":
            a = round(draw(st.floats(0, 359.999)), 6)
            b = round(draw(st.floats(-89.9, 89.9)), 6)
            way = draw(st.sampled_from(("plain", "d", 0, 1)))
            words = repr(a), repr(b)
            if way == "d":
                words = f"{a!r}d", f"{b!r}d"
            elif way in (0, 1):
                words = (
                    _sexagesimal(a / 15, _PARTS[0][way], 5),
                    _sexagesimal(b, _PARTS[1][way], 4),
                )
        shape = draw(st.sampled_from(_DS9_SHAPES))
        between = draw(st.sampled_from((",", ", ", " ")))
        line = shape.format(words[0], between, words[1])
        text = draw(st.sampled_from(_TEXTS))
        if text:
            line += f" # color=red text={{{text}}}"
        if draw(st.booleans()):
            lines += [frame, line]
        else:
            lines.append(f"{frame}; {line}")
        places.append((kind, a, b))
    end = draw(st.sampled_from(("\n", "\r\n")))
    return Known("t.reg", (end.join(lines) + end).encode(), tuple(places))
