"""A mark in a file by which this package knows what it wrote, as it wrote it.

Every format has a place for words about the file: a table's metadata, a FITS header, a
key of JSON, a comment. There a writer puts `BLANK`; once the file is whole, its zeros
become the SHA-256 of all the rest. A file that somebody else wrote has no such mark; in
one that was edited it is no longer right, though a reader may have kept it.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WORDS, _DIGITS = b"clusterkeras-wrote-", 32

#: What a writer puts into a file's metadata, to be sealed when the file is whole; no
#: longer than a FITS card holds.
BLANK = _WORDS.decode() + "0" * _DIGITS

#: The name that it goes by, in every format that names its metadata.
KEY = "seal"

#: The same for a picture, whose formats know these words only (PNG, PDF).
PICTURE_METADATA = {"Keywords": BLANK}

_SEAL = re.compile(re.escape(_WORDS) + rb"([0-9a-f]{%d})" % _DIGITS)
_PNG = b"\x89PNG"


def seal(path: Path) -> None:
    """Turn the blank mark of a file, if there is one, into its seal.

    Parameters
    ----------
    path : Path
        A whole file; what is compressed in it has no mark.
    """
    with _content(path) as content:
        at = content.find(BLANK.encode())
        if at < 0:
            return
        digits = at + len(_WORDS)
        right = _digest(content, digits)
        if content[:4] == _PNG:
            # the words end a chunk, behind whose kind its checksum begins
            start = content.rfind(b"tEXt", 0, at)
            right += struct.pack(">I", zlib.crc32(content[start:digits] + right))
    with path.open("r+b") as file:
        file.seek(digits)
        file.write(right)


def is_sealed(path: Path) -> bool:
    """Say whether this package wrote a file, and nobody has changed it since.

    Parameters
    ----------
    path : Path
        A regular file, which is read as a whole.
    """
    with _content(path) as content:
        return any(
            found[1] == _digest(content, found.start(1))
            for found in _SEAL.finditer(content)
        )


def _digest(content: bytes | mmap.mmap, digits: int) -> bytes:
    """Return the digits of a seal at a place, of all but themselves."""
    end = digits + _DIGITS
    if content[:4] == _PNG:
        end += 4  # a checksum of them
    rest = hashlib.sha256()
    with memoryview(content) as view:
        for part in (view[:digits], view[end:]):
            with part:
                rest.update(part)
    return rest.hexdigest()[:_DIGITS].encode()


@contextmanager
def _content(path: Path) -> Iterator[bytes | mmap.mmap]:
    """Lend all bytes of a file, which need not fit into memory."""
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # a disk that maps nothing, an empty file
            yield file.read()
            return
        with mapped:
            yield mapped
