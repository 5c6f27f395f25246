"""A list of fields: mosaics and positions of each, and its part of a data set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml


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
        On another name.
    """

    name: str
    images: tuple[Path, ...]
    positions: Path

    def __post_init__(self) -> None:
        """Check the name."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            raise ValueError(
                "field: expected a name of letters, digits and any of . _ -; received "
                f"{self.name!r}"
            )


def read_fields(path: str | Path) -> tuple[FieldFiles, ...]:
    """Read a list of fields.

    Parameters
    ----------
    path : str or Path
        YAML: a list of ``field``, ``images`` and ``positions``, paths relative to the
        file.

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
    try:
        entries = yaml.safe_load(path.read_text())
        fields = tuple(
            FieldFiles(
                str(entry["field"]),
                tuple(path.parent / image for image in entry["images"]),
                path.parent / entry["positions"],
            )
            for entry in entries
        )
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise ValueError(
            f"{path}: expected a YAML list, each entry with `field` (a name), `images` "
            f"(a list, one a band) and `positions`; {type(error).__name__}: {error}"
        ) from error
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or not fields:
        raise ValueError(
            f"{path}: expected at least one field, each name once; received "
            f"{', '.join(twice) or 'none'}"
        )
    return fields


def part_of(output: str | Path, field: FieldFiles) -> Path:
    """Return the file of a field in a data set: ``field=NAME/part-0.parquet``."""
    return Path(output) / f"field={field.name}" / "part-0.parquet"
