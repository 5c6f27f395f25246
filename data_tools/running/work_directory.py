"""A directory in which one process at a time works on one thing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data_tools.running.output import check_directory, is_partial, remove_partial
from data_tools.running.plain_files import (
    differences,
    read_json,
    read_yaml,
    write_json,
    write_yaml,
)

#: The file that is locked; it stays behind, and means nothing then.
LOCK = ".lock"

_FORMATS = {".json": (read_json, write_json), ".yaml": (read_yaml, write_yaml)}


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other processes from working in a directory; ends with this process.

    Parameters
    ----------
    directory : Path
        One that exists. Nothing locks one in a bucket.

    Raises
    ------
    BlockingIOError
        If another process works there.
    """
    if not isinstance(directory, Path):
        yield
        return
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
def claimed(
    directory: Path,
    name: str,
    settings: Mapping[str, Any],
    *,
    notes: Mapping[str, Any] | None = None,
    empty: bool = False,
) -> Iterator[None]:
    """Work alone in a directory that says what its content depends on.

    Whoever comes first writes the settings; whoever goes on must have the same, and
    finds what a kill has left half written removed. If an error ends the work before
    anything else was written, nothing stays.

    Parameters
    ----------
    directory : Path
        Made if need be. Anything with the methods of a `pathlib.Path` will do, such as
        a directory in a bucket.
    name : str
        Of the file that holds the settings, with the ending ``.json`` or ``.yaml``.
    settings : mapping of str to plain values
        As JSON has them.
    notes : mapping of str to plain values, optional
        What the file says beside the settings of whoever began; not compared.
    empty : bool
        Whether to refuse a directory that holds anything before the work begins.

    Raises
    ------
    ValueError
        If other settings are there (the message says what differs), their file is
        damaged, or something else is there that must not be.
    BlockingIOError
        If another process works there.
    OSError
        If the directory cannot be written.
    """
    settings, notes = json.loads(json.dumps([settings, notes or {}]))
    path = directory / name
    read, write = _FORMATS[path.suffix]
    made = []
    if isinstance(directory, Path):
        check_directory(directory)
        made = [p for p in (directory, *directory.parents) if not p.exists()]
    before = {p.name: p for p in directory.iterdir()} if directory.exists() else {}
    if empty and name not in before:
        others = [n for n, p in before.items() if n != LOCK and not is_partial(p)]
        if others:
            raise ValueError(
                f"{directory}: expected an empty directory, or one begun with the same "
                f"settings; it holds {min(others)} and no {name}. Name another "
                "output, or --overwrite (overwrite=True) to write among what is there"
            )
    directory.mkdir(parents=True, exist_ok=True)
    with alone(directory):
        remove_partial(directory)
        first = not path.is_file()
        if first:
            write(path, {**settings, **notes})
        else:
            try:
                there = read(path)
            except ValueError as error:
                raise ValueError(
                    f"{error}. Name another output, or remove this one"
                ) from error
            there = {key: there[key] for key in there.keys() - notes.keys()}
            if other := differences(there, settings):
                raise ValueError(
                    f"{path}: made with other settings ({'; '.join(other)}). Use the "
                    "same to go on, name another output, or remove this one"
                )
        try:
            yield
        except BaseException:
            now = {p.name for p in directory.iterdir()}
            if first and now <= before.keys() | {name, LOCK}:
                for file in {name, LOCK} & now - before.keys():
                    (directory / file).unlink()
                with suppress(OSError):
                    for parent in made:
                        parent.rmdir()
            raise
