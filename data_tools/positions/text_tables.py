"""Tables that are text, in the ways in which people and programs write them."""

from __future__ import annotations

import csv
import re
from collections import Counter
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Column, MaskedColumn, Table
from numpy.typing import NDArray

from data_tools.positions.columns.names import ORIGIN_KEY, PIXEL_NAMES, SKY_NAMES
from data_tools.positions.legus import read_legus

#: Formats that astropy reads, by what their head holds.
_BY_HEAD = (
    (re.compile(r"\A\s*#\s*%ECSV"), "ascii.ecsv"),
    (re.compile(r"(?m)^\s*Byte-by-byte Description of file"), "ascii.cds"),
    (re.compile(r"\A#K IRAF"), "ascii.daophot"),
    (re.compile(r"\A#\s*1\s+[A-Z_0-9]+\s"), "ascii.sextractor"),
    (
        re.compile(r"\A(?:\\[^\n]*\n)*(?:\|[^\n]*\|[ \t\r]*\n){1,4}(?=[^|+\n])"),
        "ascii.ipac",
    ),
)
#: ... and what these are called.
_LAYOUTS = {
    "ascii.ecsv": "an ECSV file",
    "ascii.cds": "a journal's machine-readable table",
    "ascii.daophot": "a table of IRAF",
    "ascii.sextractor": "a catalogue of SExtractor",
    "ascii.ipac": "an IPAC table",
}
#: What is no table, or none that can be read without a guess, and what to do.
_NO_TABLE = (
    (r"\\begin\s*\{(deluxe|long)?tab|\\startdata|\\documentclass", "is LaTeX: save the"
     " machine-readable table that the journal has of it, or a CSV file"),
    (r"(?i)\A\s*<(!doctype\s+html|html|head|body|table)\b", "is a web page: it may be "
     "what a server answered in place of the file"),
    (r"\A\s*[\[{]\s*([\[{\"]|\Z)", "is JSON: save it as ECSV, CSV or Parquet"),
)  # fmt: skip

_COMMENT = re.compile(r"\s*(#|%|!|//)")
#: A line under names, or round a table: dashes.
_RULE = re.compile(r"^(?=.*(--|==))[-=+|:\s,;]+$")
#: Units that stand under the names without a line of dashes: of positions and light.
_UNITS = "deg", "degree", "degrees", "hourangle", "rad", "arcmin", "arcsec", "mas"
_UNITS += "pix", "pixel", "pixels", "px", "mag", "ABmag", "Vegamag", "nJy", "uJy", "Jy"
#: A minus as it is typeset, before a number.
_MINUS = re.compile(r"(?<![^\s,;|\"'])[\u2212\u2013](?=[\d.])")

#: Words for no value, in a column that else holds numbers or truths.
_MISSING = {"", "-", "--", "...", "NA", "N/A", "n/a", "#N/A", "<NA>", "None", "none"}
_MISSING |= {"null", "NULL", "Null", "INDEF", "\\N"}
_WHOLE = re.compile(r"[+-]?(0|[1-9]\d*)\Z")
_TRUTH = {"True": True, "true": True, "TRUE": True}
_TRUTH |= {"False": False, "false": False, "FALSE": False}
_WITH_COMMA = re.compile(r"[+-]?\d*,?\d+([ed][+-]?\d+)?\Z", re.IGNORECASE)
#: May be a thousand as well as one and three decimals.
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}\Z")
_LARGEST_IN_FLOAT = 2**53
#: Codes have zeros before them, numbers have not, nor a sign of zero.
_CODE = re.compile(r"[+-]?0\d|-0\Z")


def read_text_tables(path: Path, content: bytes) -> list[Table]:
    """Read the tables of a text, mostly one, whatever its name ends in.

    The formats of ECSV, CDS and the journals' machine-readable tables, IPAC, IRAF and
    SExtractor are told by their heads, and LEGUS's by its numbers
    (`data_tools.positions.legus`). Of all others a line names the columns: the first
    that is no remark, or the last remark before the numbers. What is between columns is
    a tab, a semicolon, a comma, a bar or blanks: whatever cuts all lines into as many.
    Units may follow in a line above dashes (VizieR). A decimal comma, a typeset minus,
    exponents of Fortran and the usual words for no value are understood; numbers with
    zeros before them stay as written.

    Parameters
    ----------
    path : Path
        What the file is called.
    content : bytes
        What is in it: UTF-8, UTF-16 with its mark, or Western European.

    Raises
    ------
    ValueError
        If there is no such table in it, or lines are not equally long.
    """
    text = _MINUS.sub("-", _decode(content))
    for pattern, what in _NO_TABLE:
        if re.search(pattern, text[:100_000]):
            raise ValueError(f"it {what}")
    for pattern, layout in _BY_HEAD:
        if pattern.search(text[:100_000]):
            table = _read_as(layout, text)
            if layout == "ascii.daophot":  # as IRAF counts pixels
                table.meta[ORIGIN_KEY] = 1
            return [table]
    if path.suffix.lower() == ".ecsv":
        raise ValueError("it is no ECSV file: it does not begin with # %ECSV")
    legus = read_legus(path, text)
    if legus is not None:
        return [legus]
    return [_read_lines(lines) for lines in _tables(text)]


def _read_as(layout: str, text: str) -> Table:
    try:
        return Table.read(text.splitlines(), format=layout)
    except Exception as error:  # astropy's readers have errors of all kinds
        line = text.lstrip().partition("\n")[0].strip()[:60]
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"its head is that of {_LAYOUTS[layout]} and the rest is not ({reason}); "
            f"its first line is {line!r}: write its header anew, or save it as CSV"
        ) from error


def _decode(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    if b"\0" in content:
        raise ValueError("it is neither text nor a format of tables that is known")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1").replace("\xa0", " ")


def _tables(text: str) -> list[list[tuple[int, str]]]:
    """Cut a text into its tables, of numbered lines: VizieR may write several."""
    lines = list(enumerate(text.replace("\xa0", " ").splitlines(), 1))
    if lines and re.match(r"(?i)sep=.$", lines[0][1].strip()):
        lines = lines[1:]
    runs: list[list[tuple[int, str]]] = [[]]
    for number, line in lines:
        if not line.strip():
            runs.append([])
        else:
            runs[-1].append((number, line))
    tables: list[list[tuple[int, str]]] = [[]]
    for run in runs:
        body = [line for _, line in run if not _COMMENT.match(line)]
        begins = any(_RULE.match(line) for line in body[1:3])
        rows = [line for _, line in tables[-1] if not _COMMENT.match(line)]
        if begins and any(_RULE.match(line) for line in rows[1:3]):
            tables.append([])
        tables[-1] += run
    return tables


def _read_lines(lines: list[tuple[int, str]]) -> Table:
    head: list[str] = []
    others: list[str] = []
    body: list[tuple[int, str]] = []
    for number, line in lines:
        if not _COMMENT.match(line):
            body.append((number, line))
        else:
            (others if body else head).append(_COMMENT.sub("", line, count=1))
    if body and _RULE.match(body[0][1]):  # the upper edge of a box
        body = [at for at in body if not at[1].startswith(("+-", "+="))]
    if not body:
        raise ValueError("there is no row in it")
    mark = _mark_between([line for _, line in body])
    body = _with_tabs(body) if mark == " " else body
    mark = "\t" if "\t" in body[0][1] else mark
    rows = _cut(body, mark)
    if _are_names(rows[0][1]):
        names, rows = rows[0][1], rows[1:]
    else:
        remarks = [_words(line, m) for line in reversed(head) for m in (mark, " ")]
        fit = [r for r in remarks if len(r) == len(rows[0][1]) and _are_names(r)]
        if not fit:
            raise ValueError(
                "no line of it names the columns: expected one such as 'id x y' before "
                f"the rows; received {' '.join(rows[0][1])[:60]!r}"
            )
        names = fit[0]
    units, rows = _units_above_dashes(rows)
    for number, row in rows:
        more = row[len(names) :]
        if len(row) < len(names) or (any(more) and not more[0].startswith("#")):
            raise ValueError(
                f"line {number} has {len(row)} columns, {len(names)} are named: is it "
                "cut short, or is there a mark of columns in a text without quotes?"
            )
    table = Table(meta={"comments": head + others} if head or others else None)
    every = (word for _, row in rows for word in row)
    decimal = mark == ";" or any(
        _WITH_COMMA.match(w) and "," in w and not _MAYBE_THOUSANDS.match(w)
        for w in every
    )
    for i, name in enumerate(names):
        words = [row[i] for _, row in rows]
        if not name and not any(words):  # a mark at the end of each line
            continue
        values = _values(words, mark, decimal)
        name = name or f"column_{i + 1}"
        if name in table.colnames:
            raise ValueError(f"two of its columns are named {name}: rename one")
        table[name] = values
        if i < len(units) and values.dtype.kind in "iuf":
            table[name].unit = _unit(units[i])
    return table


def _with_tabs(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Put tabs between columns where dashes show their places: texts have blanks."""
    found = [i for i, (_, line) in enumerate(lines[:3]) if _RULE.match(line)]
    if not found or (len(found) == 1 and found[0] != 1):
        return lines
    edge = lines[found[0]][1]
    places = [(m.start(), m.end()) for m in re.finditer(r"[-=]+", edge)]
    rows = [at for at in lines if not _RULE.match(at[1])]
    between = [i for i in range(len(edge)) if edge[i] == " "]
    wide = any(line[i : i + 1].strip() for _, line in rows for i in between)
    if wide or len(places) < 2 or any(line[len(edge) :].strip() for _, line in rows):
        return lines  # they are only a line under the names
    return [(n, "\t".join(line[a:b] for a, b in places)) for n, line in rows]


def _mark_between(lines: list[str]) -> str:
    """Find what is between columns: it cuts most lines into as many, more than one."""
    shown = [line for line in lines[:200] if not _RULE.match(line)]

    def share(mark: str) -> tuple[int, int]:
        rows = [_words(line, mark) for line in shown]
        counts = Counter(map(len, rows))
        # a mark within a text in quotes leaves halves of it
        halves = sum('"' in word for row in rows for word in row)
        return max((n for count, n in counts.items() if count > 1), default=0), -halves

    return max("\t;,| ", key=share)


def _cut(lines: list[tuple[int, str]], mark: str) -> list[tuple[int, list[str]]]:
    """Cut lines into words; a text in quotes may go on for some lines."""
    plain = (f"{_without_edges(line, mark)}\n" for _, line in lines)
    reader = csv.reader(plain, delimiter=mark, skipinitialspace=True, strict=True)
    rows, at = [], 0
    for row in reader:
        rows.append((lines[at][0], [word.strip() for word in row]))
        at = reader.line_num
    return rows


def _words(line: str, mark: str) -> list[str]:
    line = _without_edges(line, mark)
    words = next(csv.reader([line], delimiter=mark, skipinitialspace=True), [])
    return [word.strip() for word in words]


def _without_edges(line: str, mark: str) -> str:
    if mark == " ":
        return " ".join(line.split())
    if mark == "|" and line.lstrip().startswith("|"):
        return line.strip().removeprefix("|").removesuffix("|")
    return line


def _is_number(word: str) -> bool:
    try:
        float(_plain(word))
    except ValueError:
        return False
    return "_" not in word


def _are_names(words: list[str]) -> bool:
    lower = {word.lower() for word in words}
    if any(
        {first, second} <= lower for first, second, *_ in (*PIXEL_NAMES, *SKY_NAMES)
    ):
        return True
    return any(words) and not any(_is_number(word) for word in words)


def _plain(word: str) -> str:
    """Write a number as Python does: no decimal comma, no exponent of Fortran."""
    word = word.replace(",", ".", 1) if _WITH_COMMA.match(word) else word
    return re.sub(r"(?<=[\d.])[dD](?=[+-]?\d+$)", "e", word)


def _units_above_dashes(
    rows: list[tuple[int, list[str]]],
) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Take a line of units, one of dashes or both, or of RDB's types, off the rows."""
    for i, (_, row) in enumerate(rows[:2]):
        are_dashes = all(re.fullmatch(r"[-=+:]*", word) for word in row)
        # two dashes are a word for no value
        if are_dashes and any(len(word) > 2 for word in row):
            units = rows[0][1] if i else []
            return units, rows[i + 1 :]
    if rows and all(re.fullmatch(r"\d*[NSM]", word) for word in rows[0][1]):
        return [], rows[1:]
    words = [word.strip("[]()") for word in rows[0][1]] if rows else []
    if any(words) and all(word in ("", "-", *_UNITS) for word in words):
        return words, rows[1:]
    return [], rows


def _unit(word: str) -> u.UnitBase | None:
    word = word.strip("[]() ")
    if word in ("", "-", "---"):
        return None
    try:
        return u.Unit(word, format="cds")
    except ValueError:
        return u.Unit(word, parse_strict="silent")


def _values(words: list[str], mark: str, decimal: bool) -> Column | MaskedColumn:
    """Return a column as what its words are: numbers, truths, else text.

    Without a number in the table that has a `decimal` comma for sure, those of which
    it may be one of thousands stay as written.
    """
    given = [word for word in words if word not in _MISSING]
    values = None
    if given and all(word in _TRUTH for word in given):
        values = np.array([_TRUTH.get(word, False) for word in words], bool)
    elif (given or "-" not in words) and not any(
        (_CODE.match(word) and "." not in word)
        or (not decimal and _MAYBE_THOUSANDS.match(word))
        for word in given
    ):  # where nothing else stands, "-" may be a sign: of southern declinations
        values = _numbers(words, mark)
    if values is None:
        values = np.array(words, np.str_)
        mask = values == ""
    else:
        mask = np.array([word in _MISSING for word in words], bool)
        if values.dtype.kind in "iu":
            mask |= np.array([word.lower() == "nan" for word in words], bool)
    return MaskedColumn(values, mask=mask) if mask.any() else Column(values)


def _numbers(words: list[str], mark: str) -> NDArray | None:
    """Return numbers, and 0 or NaN where there is none; None if some are words."""
    given = [word for word in words if word not in _MISSING]
    if mark in "; \t" and any("," in word for word in given):
        if not all(_WITH_COMMA.match(word) for word in given):
            return None
        given = [word.replace(",", ".") for word in given]
    whole = [word for word in given if word.lower() != "nan"]
    are_whole = bool(whole) and all(map(_WHOLE.match, whole))
    if are_whole and len(whole) < len(given):  # nan beside whole numbers
        are_whole = max(abs(int(word)) for word in whole) > _LARGEST_IN_FLOAT
    if not are_whole:
        known = _as_kind(given, np.float64)
        values = np.full(len(words), np.nan)
        is_given = [word not in _MISSING for word in words]
    else:
        # one too long for either kind stays as written
        tried = (_as_kind(whole, kind) for kind in (np.int64, np.uint64))
        known = next((k for k in tried if k is not None), None)
        is_given = [w not in _MISSING and w.lower() != "nan" for w in words]
        values = np.zeros(len(words), np.int64 if known is None else known.dtype)
    if known is None:
        return None
    values[np.array(is_given, bool)] = known
    return values


def _as_kind(words: list[str], kind: type) -> NDArray | None:
    if "_" in "".join(words):  # Python's own mark of thousands, and nobody else's
        return None
    for spelling in (str, _plain):
        try:
            return np.array(list(map(spelling, words)), np.str_).astype(kind)
        except (ValueError, OverflowError):
            continue
    return None
