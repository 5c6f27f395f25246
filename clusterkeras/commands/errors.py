"""Whether an error tells the user something or is a fault of ours, in one line."""

from __future__ import annotations

import errno
import linecache
import os
import re
import traceback
from pathlib import Path

import clusterkeras
import data_tools
from data_tools.foreign.typed import in_words

_PACKAGES = tuple(
    Path(package.__file__).parent for package in (clusterkeras, data_tools)
)

#: What a ``raise`` of this package says to its user.
_TELLING = (ValueError, TypeError, OSError, ImportError, RuntimeError, ArithmeticError)

#: Characters of an error: what it quotes of a damaged file may be all of that.
LONGEST_LINE = 1500

#: What the system says of a disk; TensorFlow and HDF5 repeat it in errors of their own.
_OF_A_DISK = tuple(
    os.strerror(number)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
)


def is_told(error: Exception) -> bool:
    """Say whether an error is the user's to mend: told on purpose, or the system's.

    What a ``raise`` in this package raised was meant for the user; readers of foreign
    bytes turn what their libraries raise into that (`data_tools.foreign.reading`).
    What the system says of a file, a disk or the memory is the user's too. Anything
    else came out of a library, or out of an expression of ours, unforeseen: to call it
    the user's would blame a file for our fault.

    Parameters
    ----------
    error : Exception
        As caught, with its traceback; also one from another process.
    """
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return True
    if any(words in str(error) for words in _OF_A_DISK):
        return True
    return isinstance(error, _TELLING) and _raised_here(error)


def _raised_here(error: Exception) -> bool:
    """Say whether a ``raise`` in this package raised an error."""
    where = _origin(error)
    if where is None:
        return False
    file, line = where
    if not any(Path(file).is_relative_to(package) for package in _PACKAGES):
        return False
    source = linecache.getline(file, line).strip()
    return source.startswith("raise") or not source


def _origin(error: Exception) -> tuple[str, int] | None:
    """Return the file and the line that an error comes from."""
    # concurrent.futures keeps the traceback of another process as text
    remote = getattr(error.__cause__, "tb", None)
    if isinstance(remote, str):
        frames = re.findall(r'^  File "(.+)", line (\d+)', remote, re.M)
        return (frames[-1][0], int(frames[-1][1])) if frames else None
    frame = [*traceback.walk_tb(error.__traceback__)][-1:]
    return (frame[0][0].f_code.co_filename, frame[0][1]) if frame else None


def one_line(error: BaseException) -> str:
    """Return what an error says in one line, in the words of a command line."""
    if isinstance(error, MemoryError):
        return f"not enough memory. {error}".strip()
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    # what an error of TensorFlow says of its graph
    text = re.sub(r"\{\{.*?\}\}|\[Op:\w*\]", "", in_words(error, "--"))
    text = text.strip() or type(error).__name__
    return text if len(text) <= LONGEST_LINE else text[:LONGEST_LINE] + " ..."
