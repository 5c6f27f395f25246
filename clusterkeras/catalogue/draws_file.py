"""Draws of the joint posteriors of a catalogue, in one HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from data_tools.foreign.hdf5 import sound_copy
from data_tools.foreign.reading import reading
from data_tools.running.output import whole_path
from data_tools.running.seal import BLANK, KEY
from data_tools.schema import PARAMETERS

#: Endings of a file of draws.
SUFFIXES = (".h5", ".hdf5")


def write_draws(
    path: Path,
    batches: Iterable[tuple[NDArray[np.intp], Mapping[str, NDArray]]],
    shape: tuple[int, int],
    meta: Mapping[str, Any],
    places: NDArray[np.float64],
) -> None:
    """Write draws, a batch in memory at a time; the file appears when it is whole.

    Parameters
    ----------
    path : Path
        Its directory is made.
    batches : iterable of (rows, columns)
        Rows of the catalogue, and of them ``draws`` (B, n, P).
    shape : (int, int)
        Rows of the catalogue, and n.
    meta : mapping of str to plain values
        Metadata, kept as attributes of the file.
    places : ndarray, shape (rows, 2)
        x and y [pixels] of each row, by which a catalogue whose rows were chosen or
        sorted finds its own again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_path(path) as unfinished, h5py.File(unfinished, "w") as file:
        whole = file.create_dataset(
            "draws", (*shape, len(PARAMETERS)), np.float32, fillvalue=np.nan
        )
        whole.attrs["parameters"] = [p.name for p in PARAMETERS]
        whole.attrs["units"] = [p.unit for p in PARAMETERS]
        whole.attrs["axes"] = ["row of the catalogue", "draw", "parameter"]
        file["places"] = places
        file.attrs[KEY] = BLANK
        for key, value in meta.items():
            plain = isinstance(value, str | int | float)
            file.attrs[key] = value if plain else json.dumps(value)
        for rows, columns in batches:
            order = np.argsort(rows)  # HDF5 takes rows in their order only
            if len(order):
                whole[rows[order]] = columns["draws"][order]


def read_draws(
    path: Path, own: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Read a file of draws for a catalogue.

    Parameters
    ----------
    path : Path
        What `write_draws` wrote.
    own : ndarray, shape (rows, 2)
        x and y [pixels] of the catalogue's rows.

    Returns
    -------
    places : ndarray, shape (n, 2)
        x and y [pixels] of the draws.
    draws : ndarray, shape (n, draws, P)
        Of the posterior at each place.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is damaged, or of another catalogue.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file of draws")
    with (
        reading(path, "a file of draws"),
        sound_copy(path, path.stat().st_size) as file,
    ):
        draws = file["draws"][:]
        # a file of before 0.2 has none: the rows are the catalogue's
        places = file["places"][:] if "places" in file else own
    if (
        draws.ndim != 3
        or draws.shape[2] != len(PARAMETERS)
        or places.shape[1:] != (2,)
        or {draws.dtype.kind, places.dtype.kind} != {"f"}
    ):
        raise ValueError(
            f"{path}: expected draws of shape (rows, draws, {len(PARAMETERS)}) and "
            f"places of shape (rows, 2), all numbers; received {draws.shape} and "
            f"{places.shape}"
        )
    known = set(map(tuple, places[np.isfinite(places).all(axis=1)].tolist()))
    lost = [
        at
        for at in own[np.isfinite(own).all(axis=1)].tolist()
        if tuple(at) not in known
    ]
    if lost or len(draws) != len(places):
        raise ValueError(
            f"{path}: expected the draws of a catalogue of {len(own)} rows; received "
            f"{len(draws)}"
            + (f", none of which are at x, y = {lost[0]}" if lost else "")
        )
    return places, draws
