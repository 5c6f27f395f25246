"""An output: whether it can be written, asked before; it appears when it is whole."""

from __future__ import annotations

import io
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def check_directory(path: str | Path) -> Path:
    """Refuse a directory that cannot be made or written into; make nothing.

    Parameters
    ----------
    path : str or Path
        Where files are to be written.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    NotADirectoryError
        If there, or on the way there, is a file.
    PermissionError
        If nothing can be written there.
    """
    path = Path(path)
    there = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not there.is_dir():
        raise NotADirectoryError(
            f"{path}: expected a directory, or a place where one can be made; {there} "
            "is a file. Name another output"
        )
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise PermissionError(
            f"{path}: expected a place to write to; in {there}: {error.strerror}. Name "
            "another output"
        ) from error
    return path


def check_file(path: str | Path, what: str, endings: Iterable[str]) -> Path:
    """Refuse a file's name without one of the endings, or where none can be written.

    Parameters
    ----------
    path : str or Path
        What is to be written; its directory may be missing, and is not made.
    what : str
        What the file is, for the message.
    endings : iterable of str
        In small letters, with the dot.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ValueError
        If the ending is another.
    IsADirectoryError, NotADirectoryError, PermissionError
        If a directory is there, or as `check_directory`.
    """
    path, endings = Path(path), tuple(endings)
    if not path.name.lower().endswith(endings):
        raise ValueError(
            f"{path}: expected the name of a {what} to end in {' or '.join(endings)}"
        )
    if path.is_dir():
        raise IsADirectoryError(
            f"{path}: expected the name of a {what}; a directory is there. Name "
            "another output"
        )
    check_directory(path.parent)
    return path


#: Ending of a file that is being written; one that stays behind is rubbish.
PARTIAL = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when whole.

    It is written under a name of its own beside `path`, so that two processes never
    write into the same file, and renamed when it is on the disk. What was at `path`
    stays until then, and for good if writing fails.

    Parameters
    ----------
    path : Path
        File to write; one of that name is replaced. Anything with the methods of a
        `pathlib.Path` will do, such as an object in a bucket.

    Yields
    ------
    binary file

    Raises
    ------
    OSError
        If it can't be written, a full disk for one; the error names the file.
    """
    partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            with suppress(io.UnsupportedOperation):  # a bucket has no descriptor
                os.fsync(file.fileno())
        partial.rename(path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno and error.filename is None:
            raise OSError(
                error.errno,
                f"{error.strerror} while writing it. Make room, then run the same "
                "again: files that are finished are kept",
                str(path),
            ) from error
        raise


def remove_partial(directory: Path) -> None:
    """Delete what processes that were killed have left half written."""
    for path in directory.iterdir():
        if path.name.endswith(PARTIAL):
            path.unlink(missing_ok=True)
