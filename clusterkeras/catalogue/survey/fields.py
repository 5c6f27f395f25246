"""A list of fields: mosaics and positions of each, and its part of a data set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data_tools.foreign.typed import build
from data_tools.running.plain_files import read_entries

#: Of a field in characters: a directory is named after it, and file systems have 255.
LONGEST_NAME = 200


@dataclass(frozen=True)
class FieldFiles:
    """One field: what `clusterkeras.catalogue.infer` is given.

    Attributes
    ----------
    name : str
        Letters, digits and any of ``. _ -``; the data set has a part of this name.
    images : tuple of Path
        One FITS mosaic a band, in the model's order.
    positions : Path
        Table of positions.

    Raises
    ------
    ValueError
        On another name, or without images.
    """

    name: str
    images: tuple[Path, ...]
    positions: Path

    def __post_init__(self) -> None:
        """Check the name, which becomes a directory's, and that there are images."""
        if not self.images:
            raise ValueError("field: expected images, one a band; received none")
        fits = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name)
        if not fits or len(self.name) > LONGEST_NAME:
            raise ValueError(
                f"field: expected a name of at most {LONGEST_NAME} letters, digits and "
                f"any of . _ -, a letter or digit first; received {self.name!r}"
            )


@dataclass(frozen=True)
class _Entry:
    """One entry of a list of fields, as it is written."""

    field: str
    images: list[str]
    positions: str


def read_fields(path: str | Path) -> tuple[FieldFiles, ...]:
    """Read a list of fields.

    Parameters
    ----------
    path : str or Path
        YAML: a list of ``field``, ``images`` and ``positions``. Paths are relative to
        the file and stay in its directory (a list from elsewhere reads nothing beside
        it by ``..``); mosaics that lie elsewhere have whole paths.

    Returns
    -------
    tuple of FieldFiles
        In the file's order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no such list, or names a field twice.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of fields")
    fields = tuple(
        _field(path, number, entry)
        for number, entry in enumerate(read_entries(path), start=1)
    )
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not fields:
        raise ValueError(
            f"{path}: expected at least one field, each name once; received "
            f"{', '.join(twice) or 'none'}"
        )
    return fields


def _field(path: Path, number: int, values: Any) -> FieldFiles:
    try:
        entry = build(_Entry, values, "field")
        return FieldFiles(
            entry.field,
            tuple(_beside(path, image) for image in entry.images),
            _beside(path, entry.positions),
        )
    except ValueError as error:
        raise ValueError(
            f"{path}: entry {number}: {error} (expected `field`, a name, `images`, a "
            "list, one a band, and `positions`)"
        ) from error


def _beside(path: Path, written: str) -> Path:
    """Return what a list names: in its directory, or wherever a whole path says."""
    if ".." in Path(written).parts:
        raise ValueError(
            f"expected a path within the list's directory, or a whole one from the "
            f"root on; received {written!r}"
        )
    return path.parent / written


def part_of(output: str | Path, field: FieldFiles) -> Path:
    """Return the file of a field in a data set: ``field=NAME/part-0.parquet``."""
    return Path(output) / f"field={field.name}" / "part-0.parquet"
