"""Whether an output can be written, asked before hours of work and not after."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path


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
