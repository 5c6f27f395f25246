"""What outputs may take the place of: no file that is read, none of somebody else."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from data_tools.running.output import check_directory, is_partial
from data_tools.running.seal import is_sealed

#: What processes and desktops leave in any directory.
_LEFT = (".lock", ".DS_Store", "Thumbs.db", "desktop.ini")


def check_replaced(
    outputs: Iterable[Path | None], inputs: Iterable[Any] = (), *, overwrite: bool
) -> None:
    """Refuse outputs that would take the place of what must stay.

    Parameters
    ----------
    outputs : iterable of Path or None
        Files to be written; None is none.
    inputs : iterable
        What is read: paths count, by whatever name they lead to a file; anything else
        is in memory.
    overwrite : bool
        Whether files may be replaced that this package did not write, or that were
        changed since (`data_tools.running.seal`). What is read is never replaced.

    Raises
    ------
    ValueError
        If an output is one of the inputs, or of the other outputs.
    FileExistsError
        If a file is there that may not be replaced.
    FileNotFoundError
        If an output is a link to nothing.
    """
    paths = [path for path in outputs if path is not None]
    read = [Path(path) for path in inputs if isinstance(path, str | os.PathLike)]
    for number, path in enumerate(paths):
        if path.is_symlink() and not path.exists():
            raise FileNotFoundError(
                f"{path}: a link to {os.readlink(path)}, which is not there. Name "
                "another output"
            )
        for one in read:
            if _is_same(path, one):
                raise ValueError(
                    f"{path}: expected an output beside what is read; it is the input "
                    f"{one}. Name another output"
                )
        for other in paths[:number]:
            if _is_same(path, other) or _is_within(path, other):
                raise ValueError(
                    f"{path}: expected a file of its own for each output; {other} is "
                    "one too. Name another output"
                )
        if path.exists() and not path.is_dir():
            _check_owner(path, overwrite)


def check_replaced_in(
    directory: str | Path,
    names: Sequence[str],
    inputs: Iterable[Any] = (),
    *,
    overwrite: bool,
) -> Path:
    """Refuse a directory that files of some names cannot be, or may not be, put into.

    Parameters
    ----------
    directory : str or Path
        Made later, if it is not there.
    names : sequence of str
        The files to be written.
    inputs, overwrite
        As of `check_replaced`. Without `overwrite` a directory that holds anything must
        hold one of the files.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    ValueError, FileExistsError, OSError
        As `check_replaced` and `data_tools.running.output.check_directory`.
    """
    directory = check_directory(directory)
    files = [directory / name for name in names]
    for file in files:
        if file.is_dir():
            raise IsADirectoryError(
                f"{file}: expected a file to write; a directory is there. Name another "
                "output"
            )
    check_replaced(files, inputs, overwrite=overwrite)
    if not overwrite and not any(file.exists() for file in files):
        check_empty(directory, f"one with {names[0]}")
    return directory


def check_empty(directory: Path, or_what: str) -> None:
    """Refuse a directory with anything in it.

    Parameters
    ----------
    directory : Path
        It need not be there.
    or_what : str
        What else would do, for the message.

    Raises
    ------
    FileExistsError
        If something is in it, but for what processes and desktops leave.
    """
    if not directory.exists():
        return
    others = [
        path.name
        for path in directory.iterdir()
        if path.name not in _LEFT and not is_partial(path)
    ]
    if others:
        raise FileExistsError(
            f"{directory}: expected an empty directory, or {or_what}; it holds "
            f"{min(others)}. Name another output, or --overwrite (overwrite=True) to "
            "write among what is there"
        )


def _is_same(path: Path, other: Path) -> bool:
    """Say whether two names lead to one file, there or not."""
    if not other.exists():
        # an image of a FITS file, as its tools name it
        other = Path(re.sub(r"\[[^]]*\]$", "", str(other)))
    try:
        return path.samefile(other)
    except OSError:  # one of them is not there
        return os.path.realpath(path) == os.path.realpath(other)


def _is_within(path: Path, other: Path) -> bool:
    """Say whether one of two files would have to be a directory of the other."""
    a, b = (Path(os.path.realpath(p)) for p in (path, other))
    return a in b.parents or b in a.parents


def _check_owner(path: Path, overwrite: bool) -> None:
    if not path.is_file():
        raise FileExistsError(
            f"{path}: expected a file, or the name of one to be; it is a device. Name "
            "another output"
        )
    if not overwrite and not is_sealed(path):
        why = "not as this package wrote it"
        if path.suffix.lower() == ".csv":
            why = "CSV has no place to say who wrote it"
        raise FileExistsError(
            f"{path}: it is there, and {why}. Name another output, or --overwrite "
            "(overwrite=True) to replace it"
        )
