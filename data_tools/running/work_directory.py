"""A directory in which one process at a time works on one thing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data_tools.running.output import check_directory
from data_tools.running.plain_files import differences, read_json, write_json

#: The file that is locked; it stays behind, and means nothing then.
LOCK = ".lock"


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other processes from working in a directory; ends with this process.

    Parameters
    ----------
    directory : Path
        One that exists.

    Raises
    ------
    BlockingIOError
        If another process works there.
    """
    lock = FileLock(directory / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise BlockingIOError(
            f"{directory}: another process is writing here. Wait until it has ended, "
            "or name another output"
        ) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def claimed(directory: Path, name: str, settings: Mapping[str, Any]) -> Iterator[None]:
    """Work alone in a directory that says what its content depends on.

    Whoever comes first writes the settings; whoever goes on must have the same. If an
    error ends the work before anything else was written, nothing stays.

    Parameters
    ----------
    directory : Path
        Made if need be.
    name : str
        Of the file that holds the settings.
    settings : mapping of str to plain values
        As JSON has them.

    Raises
    ------
    ValueError
        If other settings are there; the message says what differs.
    BlockingIOError
        If another process works there.
    OSError
        If the directory cannot be written.
    """
    settings = json.loads(json.dumps(settings))
    check_directory(directory)
    made = [p for p in (directory, *directory.parents) if not p.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    with alone(directory):
        first = not path.is_file()
        if first:
            write_json(path, settings)
        elif other := differences(read_json(path), settings):
            raise ValueError(
                f"{directory}: made with other settings ({'; '.join(other)}). Use the "
                "same to go on, name another output, or remove this one"
            )
        try:
            yield
        except BaseException:
            if first and {p.name for p in directory.glob("*")} <= {name, LOCK}:
                for file in (path, directory / LOCK):
                    file.unlink(missing_ok=True)
                with suppress(OSError):
                    for empty in made:
                        empty.rmdir()
            raise
