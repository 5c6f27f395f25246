"""Draws of the joint posteriors of a catalogue, in one HDF5 file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from data_tools.schema import PARAMETERS
from data_tools.whole_file import PARTIAL

SUFFIXES = (".h5", ".hdf5")


def check_draws_path(path: str | Path) -> Path:
    """Refuse a file's path before the work.

    Parameters
    ----------
    path : str or Path
        Where draws are to be written; its directory is made.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"{path}: expected the name of a file of draws to end in "
            f"{' or '.join(SUFFIXES)} (HDF5)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_draws(
    path: Path,
    batches: Iterable[tuple[NDArray[np.intp], Mapping[str, NDArray]]],
    shape: tuple[int, int],
    meta: Mapping[str, Any],
) -> None:
    """Write draws, a batch in memory at a time; the file appears when it is whole.

    Parameters
    ----------
    path : Path
        See `check_draws_path`.
    batches : iterable of (rows, columns)
        Rows of the catalogue, and of them ``draws`` (B, n, P).
    shape : (int, int)
        Rows of the catalogue, and n.
    meta : mapping of str to plain values
        Metadata, kept as attributes of the file.
    """
    unfinished = path.with_name(path.name + PARTIAL)
    try:
        with h5py.File(unfinished, "w") as file:
            whole = file.create_dataset(
                "draws", (*shape, len(PARAMETERS)), np.float32, fillvalue=np.nan
            )
            whole.attrs["parameters"] = [p.name for p in PARAMETERS]
            whole.attrs["units"] = [p.unit for p in PARAMETERS]
            whole.attrs["axes"] = ["row of the catalogue", "draw", "parameter"]
            for key, value in meta.items():
                plain = isinstance(value, str | int | float)
                file.attrs[key] = value if plain else json.dumps(value)
            for rows, columns in batches:
                order = np.argsort(rows)  # HDF5 takes rows in their order only
                if len(order):
                    whole[rows[order]] = columns["draws"][order]
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
