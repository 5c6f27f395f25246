"""How much memory a file may ask for: a small multiple of what is in it."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

#: A table may unfold to so many times its file; numbers of real ones to some ten times.
MOST_TIMES = 100
#: And any to so many bytes: a short file of one repeated value is no harm.
ALWAYS = 256 * 2**20

#: Bytes of a word while a text is taken apart.
_OF_A_WORD = 100
#: Of metadata; those of a catalogue are some hundreds.
_MOST_VALUES = 1_000_000

_PACKED = ((b"\x1f\x8b", gzip), (b"BZh", bz2), (b"\xfd7zXZ\x00", lzma))
_STEP = 2**20


def check_memory(wanted: float, held: int) -> None:
    """Refuse what a file declares, if it is out of proportion to what it holds.

    Parameters
    ----------
    wanted, held : number of bytes
        In memory, and in the file.

    Raises
    ------
    ValueError
        If it is.
    """
    most = max(ALWAYS, MOST_TIMES * held)
    if wanted > most:
        raise ValueError(
            f"it would need {_size(wanted)} of memory for a file of {_size(held)}, and "
            f"at most {_size(most)} are taken for granted: it is damaged, or write it "
            "anew with fewer rows or columns"
        )


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            break
        number, unit = number / 1000, "TB"
    return f"{number:.3g} {unit}"


def check_text(content: bytes, held: int) -> None:
    """Refuse a text whose words, or a long one in a column of short ones, do the same.

    Parameters
    ----------
    content : bytes
        The text.
    held : int
        Bytes of its file, which may be packed.

    Raises
    ------
    ValueError
        If it would take too much memory.
    """
    between = np.zeros(256, bool)
    between[list(b"\t\r\n ,;|<>")] = True
    is_between = between[np.frombuffer(content, np.uint8)]
    words = np.count_nonzero(is_between[1:] & ~is_between[:-1])
    check_memory(_OF_A_WORD * words, held)
    lines = [len(x) for x in content.splitlines() if not x.lstrip().startswith(b"#")]
    # a column of text is as wide as its longest word
    check_memory(4 * max(lines, default=0) * len(lines), held)


def check_values(values: Any) -> None:
    """Refuse metadata that name one part so often that they unfold to a flood.

    Raises
    ------
    ValueError
        If there are too many values, those named again counted each time.
    """
    number, waiting = 0, [values]
    while waiting:
        value = waiting.pop()
        number += 1
        if isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        if number + len(waiting) > _MOST_VALUES:
            raise ValueError(f"its metadata unfold to more than {_MOST_VALUES} values")


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[Path, int]]:
    """Give the file, or what is in it if gzip, bzip2 or xz packed it, and its size.

    That is told by its content. What is unpacked lies in a temporary directory under
    the file's name without the packer's ending; the size is that of the file itself.

    Raises
    ------
    ValueError
        If it is damaged, or unfolds out of proportion.
    """
    held = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(6)
    packer = next((m for mark, m in _PACKED if begin.startswith(mark)), None)
    if packer is None:
        yield path, held
        return
    name = path.name
    if path.suffix.lower() in (".gz", ".bz2", ".xz"):
        name = path.stem
    with tempfile.TemporaryDirectory() as directory:
        inside = Path(directory, name)
        with packer.open(path) as packed, inside.open("wb") as plain:
            try:
                while part := packed.read(_STEP):
                    plain.write(part)
                    check_memory(plain.tell(), held)
            except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
                raise ValueError(f"it cannot be unpacked: {error}") from error
        yield inside, held
