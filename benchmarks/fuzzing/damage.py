"""Damage to a file, drawn by hypothesis: bytes, words, lines and cards of headers."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable, Mapping

from hypothesis import strategies as st

#: Words at which readers of numbers, dates, YAML and tables have stumbled.
WORDS = (
    *(b"nan", b"NaN", b"inf", b"-inf", b"1e400", b"1e-400", b"-1", b"0", b"-0.0"),
    *(b"1", b"2", b"3", b"255", b"65536", b"2147483648", b"9223372036854775808"),
    *(b"99999999999999999999999", b"1e5", b"1d5", b"1E+05", b".5", b"5.", b"+5"),
    *(b"1:30", b"24:00:00", b"-00:00:01", b"12h30m", b"13:37:60", b"360", b"90.0001"),
    *(b"0x10", b"0o17", b"017", b"1_000", b"1,5", b"1.000,5", b"1.0.0", b"--5"),
    *(b"", b" ", b"''", b'""', b"'", b'"', b"'N/A'", b"...", b"-", b"null", b"~"),
    *(b"true", b"no", b"T", b"F", b"[]", b"{}", b"[[", b"{", b"&a", b"*a", b"<<: "),
    *(b"? ", b"- ", b": ", b"#", b"%", b"!!python/name:os.system", b"!!float", b"|"),
    *(b";", b",", b"\t", b"\x00", b"\xff", b"\xff\xfe", b"\r", b"\n", b"\n\n"),
    *(one.encode() for one in ("\u22125", "\u0663", "\uff15", "\u00b0", "\u2028")),
    *(b"deg", b"hourangle", b"mag", b"pix", b"1/0", b"image", b"physical", b"galactic"),
)
KEYS = (
    *("BSCALE", "BZERO", "BLANK", "BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "NAXIS3"),
    *("PCOUNT", "GCOUNT", "TFIELDS", "TFORM1", "TDIM1", "TNULL1", "TSCAL1", "TZERO1"),
    *("TTYPE1", "TUNIT1", "EXTNAME", "EXTEND", "GROUPS", "ZIMAGE", "ZBITPIX", "THEAP"),
    *("ZCMPTYPE", "ZNAXIS1", "ZTILE1", "ZQUANTIZ", "ZDITHER0", "ZSCALE", "ZZERO"),
    *("CRVAL1", "CRPIX1", "CDELT1", "CD1_1", "PC1_2", "CTYPE1", "CUNIT1", "LTV1"),
    *("A_ORDER", "A_2_0", "EQUINOX", "RADESYS", "WCSAXES", "PHOTFLAM", "PHOTPLAM"),
    *("EXPTIME", "NCOMBINE", "BUNIT", "FILTER", "FILTER1", "INSTRUME", "CPDIS1"),
)
VALUES = (
    *(b"NaN", b"'text    '", b"T", b"F", b"0", b"1", b"-1", b"-32", b"64", b"8"),
    *(b"1000", b"1E400", b"1E30", b"1E-30", b"-1.5", b"2147483647", b"1D3", b""),
    *(b"99999999999999999999", b"'ELECTRONS'", b"'1.5     '", b"(1, 2)", b"'unclosed"),
    *(b"'F438W   '", b"'DEC--TAN'", b"'GLON-CAR'", b"'deg     '", b"'arcsec  '"),
    *(b"'1PE(5)  '", b"'20A     '", b"'0D      '", b"'1X      '", b"1e5", b"0.5"),
)

_WORD = re.compile(rb"[-+.\w]+")
_CARD, _BLOCK = 80, 2880


def _at(draw: Callable, content: bytes) -> int:
    """Draw a place; half of them are near the begin, where what is declared stands."""
    most = len(content)
    if draw(st.booleans()):
        most = min(most, 6000)
    return draw(st.integers(0, most))


def _overwrite(draw: Callable, content: bytes) -> bytes:
    at, new = _at(draw, content), draw(st.binary(min_size=1, max_size=8))
    return content[:at] + new + content[at + len(new) :]


def _insert(draw: Callable, content: bytes) -> bytes:
    at = _at(draw, content)
    return content[:at] + draw(st.binary(min_size=1, max_size=8)) + content[at:]


def _remove(draw: Callable, content: bytes) -> bytes:
    at = _at(draw, content)
    return content[:at] + content[at + draw(st.integers(1, 200)) :]


def _cut(draw: Callable, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _repeat(draw: Callable, content: bytes) -> bytes:
    at, size = _at(draw, content), draw(st.integers(1, 200))
    times = draw(st.sampled_from((1, 2, 50)))
    return content[: at + size] + times * content[at : at + size] + content[at + size :]


def _word(draw: Callable, content: bytes) -> bytes:
    """Put another word, kept in its place or not."""
    found = _WORD.search(content, _at(draw, content))
    if found is None:
        return _overwrite(draw, content)
    new = draw(st.sampled_from(WORDS))
    if draw(st.booleans()) and len(new) <= len(found[0]):
        new = new.ljust(len(found[0]))
    return content[: found.start()] + new + content[found.end() :]


def _line(draw: Callable, content: bytes) -> bytes:
    """Drop a line, put it elsewhere, or twice."""
    lines = content.split(b"\n")
    line = lines[draw(st.integers(0, len(lines) - 1))]
    if draw(st.booleans()):
        lines.remove(line)
    lines.insert(draw(st.integers(0, len(lines))), line)
    return b"\n".join(lines)


def _card(draw: Callable, content: bytes) -> bytes:
    """Write a card over one of a header's, or over the blanks after it."""
    starts = [
        at
        for at in range(0, min(len(content), 40 * _BLOCK), _BLOCK)
        if content[at : at + 8] in (b"SIMPLE  ", b"XTENSION")
    ]
    if not starts:
        return _word(draw, content)
    at = draw(st.sampled_from(starts)) + _CARD * draw(st.integers(1, 35))
    key, value = draw(st.sampled_from(KEYS)), draw(st.sampled_from(VALUES))
    old = content[at : at + _CARD]
    if draw(st.booleans()) and old[8:10] == b"= ":
        key = old[:8].decode("latin-1").strip()
    card = f"{key:8}= ".encode("latin-1") + value.rjust(20)
    return content[:at] + card[:_CARD].ljust(_CARD) + content[at + _CARD :]


_EDITS = (_overwrite, _insert, _remove, _cut, _repeat, _word, _word, _line, _card)
_PACKERS = {".gz": (gzip.decompress, lambda c: gzip.compress(c, 1, mtime=0))}
_PACKERS |= {".bz2": (bz2.decompress, bz2.compress)}
_PACKERS |= {".xz": (lzma.decompress, lzma.compress)}


@st.composite
def damaged(draw: Callable, wholes: Mapping[str, bytes]) -> tuple[str, bytes]:
    """Draw one of some files, damaged in one to four places.

    Of a packed one what is in it, or its bytes.
    """
    name = draw(st.sampled_from(sorted(wholes)))
    content = wholes[name]
    ending = name[name.rfind(".") :]
    unpack, pack = _PACKERS.get(ending, (bytes, bytes))
    if draw(st.integers(0, 3)) == 0:
        unpack, pack = bytes, bytes
    content = unpack(content)
    for _ in range(draw(st.integers(1, 4))):
        content = draw(st.sampled_from(_EDITS))(draw, content)
    return name, pack(content)
