"""An output: whether it can be written, asked before; it appears when it is whole."""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from data_tools.running.seal import seal


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


#: In the name of what is being written, after a number; what stays behind is rubbish.
PARTIAL = ".partial"
_PARTIAL = re.compile(rf".*\.[0-9a-f]+{re.escape(PARTIAL)}(\.[^.]+)?")

#: What follows an output's name and a dot: by chance, whose process, its number.
_OWNED = re.compile(
    rf"[0-9a-f]{{8}}(?P<owner>[0-9a-f]{{8}})(?P<process>[0-9a-f]+){re.escape(PARTIAL)}"
    r"(\.[^.]+)?"
)


def partial_path(path: Path, suffix: str = "") -> Path:
    """Return a name beside a path that nobody else has, for what is not yet whole."""
    # a dot first: readers of partitioned tables and model servers skip such names
    number = f"{secrets.token_hex(4)}{_owner()}{os.getpid():x}"
    return path.with_name(f".{path.name}.{number}{PARTIAL}{suffix}")


def is_partial(path: Path) -> bool:
    """Say whether a name is one of what is, or was, being written."""
    return _PARTIAL.fullmatch(path.name) is not None


@functools.cache
def _owner() -> str:
    """Return what only a user's processes that see one another have alike.

    On another machine, in another container or after a restart, numbers of processes
    say nothing of those here.
    """
    where = [platform.node(), getattr(os, "getuid", str)()]
    with suppress(OSError):  # where there is no /proc
        where.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        where.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.blake2b(repr(where).encode(), digest_size=4).hexdigest()


def _remove_left(path: Path) -> None:
    """Remove what processes of this user that have ended left of an output."""
    start = f".{path.name}."
    with suppress(OSError):
        for name in os.listdir(path.parent):
            if not name.startswith(start):
                continue
            left = _OWNED.fullmatch(name, len(start))
            if left and left["owner"] == _owner() and not _lives(left["process"]):
                _remove(path.with_name(name))


def _lives(process: str) -> bool:
    """Say whether a process lives, by its number in hexadecimal digits."""
    try:
        os.kill(int(process, 16), 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's by now, or no process' number
        pass
    return True


@contextmanager
def _moved_when_whole(partial: Path, path: Path) -> Iterator[None]:
    """Move what is written at `partial` to `path`; or remove it, if writing fails.

    What killed processes have left of it goes before.
    """
    if isinstance(path, Path):
        _remove_left(path)
    try:
        yield
        if isinstance(partial, Path):  # a bucket has nothing to seal and to flush
            if partial.is_file():
                seal(partial)
            _flush(partial)
        partial.rename(path)
    except BaseException as error:
        _remove(partial)
        if (number := _of_writing(error, partial)) is not None:
            mend = "its directory" if number == errno.ENOENT else "room"
            raise OSError(
                number,
                f"{os.strerror(number)} while writing it. Make {mend}, then run the "
                "same again: files that are finished are kept",
                str(path),
            ) from error
        raise


#: What numpy, in astropy, says of a disk that is full.
_SHORT = re.compile(r"^Not enough space on disk|\d+ requested and \d+ written")


def _of_writing(error: BaseException, partial: Path) -> int | None:
    """Return the number of the system's error if that came of writing a file.

    Writers of formats put words of their own in its place (astropy), or the name of
    what is not yet whole.
    """
    if not isinstance(error, OSError):
        return None
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            own = cause.filename is None or str(partial) in str(cause.filename)
            return cause.errno if own else None
        cause = cause.__cause__ or cause.__context__
    return errno.ENOSPC if _SHORT.search(str(error)) else None


def _behind_links(path: Path) -> Path:
    """Return what a link leads to: the file is replaced, and the link stays."""
    if isinstance(path, Path) and path.is_symlink():
        return Path(os.path.realpath(path))
    return path


def _flush(partial: Path) -> None:
    """Bring a file, or all files below a directory, onto the disk."""
    for path in [p for p in (partial, *partial.rglob("*")) if p.is_file()]:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _remove(partial: Path) -> None:
    with suppress(OSError):
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


@contextmanager
def whole_path(path: Path) -> Iterator[Path]:
    """Lend a path to write a file to, which appears under its name only when whole.

    The path is one of its own beside `path`, with the same suffix, so that two
    processes never write into the same file and a writer that goes by the suffix does
    the right thing. What is there in the end is brought onto the disk and renamed. What
    was at `path` stays until then, and for good if writing fails. What a process of
    the same user that was killed left of an earlier try is removed.

    Parameters
    ----------
    path : Path
        File to write; one of that name is replaced.

    Yields
    ------
    Path
        Where to write it.

    Raises
    ------
    OSError
        If it can't be written, a full disk for one; the error names the file.
    """
    path = _behind_links(path)
    partial = partial_path(path, path.suffix)
    with _moved_when_whole(partial, path):
        yield partial


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when whole.

    Parameters
    ----------
    path : Path
        As for `whole_path`. Anything with the methods of a `pathlib.Path` will do, such
        as an object in a bucket.

    Yields
    ------
    binary file

    Raises
    ------
    OSError
        As `whole_path`.
    """
    path = _behind_links(path)
    partial = partial_path(path)
    with _moved_when_whole(partial, path), partial.open("wb") as file:
        yield file


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Make a directory to fill, which appears under its name only when whole.

    What a kill has left of an earlier try is removed, as by `whole_path`.

    Parameters
    ----------
    path : Path
        Directory to make; none with anything in it may be there.

    Yields
    ------
    Path
        Where to write what belongs into it.

    Raises
    ------
    OSError
        As `whole_path`; or if a directory is there that is not empty.
    """
    partial = partial_path(path)
    with _moved_when_whole(partial, path):
        partial.mkdir()
        yield partial


def remove_partial(directory: Path) -> None:
    """Delete what processes that were killed have left half written."""
    for path in filter(is_partial, list(directory.iterdir())):
        _remove(path)
