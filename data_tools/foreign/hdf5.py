"""HDF5 files of others, read by another process: damage can end the one that reads.

libhdf5 trusts lengths and addresses in a file, and at wrong ones it may be ended by the
system (SIGSEGV, SIGABRT), which no ``except`` sees. So a process of its own reads such
a file and writes what it holds into a new one; only that is opened here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.foreign.bounds import check_memory

#: Seconds that reading may take, and bytes a second of a larger file: damage can send
#: it in circles.
_SECONDS, _BYTES_PER_SECOND = 30.0, 2e6

#: What the other process does: it has this one's packages, and none of its modules.
_COPY = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from data_tools.foreign.hdf5 import copy_from; copy_from(*sys.argv[2:])"
)


@contextmanager
def sound_copy(path: Path, held: int) -> Iterator[Any]:
    """Give an open HDF5 file with the data sets and attributes of another one.

    Parameters
    ----------
    path : Path
        The file.
    held : int
        Bytes of the file that the user has, if that is packed: what bounds the memory.

    Yields
    ------
    h5py.File
        Without links to other files and references to places in this one.

    Raises
    ------
    ValueError
        If the file is damaged, declares more than it holds, or has a part of its data
        in another file.
    """
    import h5py

    with tempfile.TemporaryDirectory() as directory:
        new = Path(directory, "copy.h5")
        _copied(path, new, held)
        with h5py.File(new) as file:
            yield file


def _copied(path: Path, new: Path, held: int) -> None:
    arguments = [
        json.dumps([*map(str, sys.path)]),
        str(path.absolute()),
        str(new),
        str(held),
    ]
    try:
        done = subprocess.run(
            [sys.executable, "-c", _COPY, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS + held / _BYTES_PER_SECOND,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError("it is damaged: reading it does not end") from error
    if done.returncode == 0:
        return
    said = done.stdout.decode(errors="replace").strip()
    raise ValueError(
        said or "it is damaged: the library of HDF5 breaks down in reading it"
    )


def copy_from(path: str, new: str, held: str) -> None:
    """Copy a file in a process of its own, or say on its output why it cannot be."""
    try:
        _copy(path, new, int(held))
    except Exception as error:  # damage makes h5py raise anything
        print(" ".join(str(error).split()) or type(error).__name__)
        sys.exit(1)


def _copy(path: str, new: str, held: int) -> None:
    import h5py

    wanted = 0

    def copy(title: str, found: Any) -> None:
        nonlocal wanted
        if isinstance(found, h5py.Group):
            _copy_attributes(found, target.require_group(title))
        if not isinstance(found, h5py.Dataset) or found.shape is None:
            return
        if found.is_virtual or found.external:
            raise ValueError(f"{title} of it lies in another file: save it as a whole")
        wanted += found.size * found.dtype.itemsize
        check_memory(wanted, held)
        if not _has_references(found.dtype):
            made = target.create_dataset(title, data=found[()], dtype=found.dtype)
            _copy_attributes(found, made)

    with h5py.File(path) as source, h5py.File(new, "w") as target:
        _copy_attributes(source, target)
        source.visititems(copy)


def _copy_attributes(source: Any, target: Any) -> None:
    for name in source.attrs:
        kind = source.attrs.get_id(name).dtype
        if not _has_references(kind):
            target.attrs.create(name, source.attrs[name], dtype=kind)


def _has_references(kind: np.dtype) -> bool:
    """Say whether values point to places in their own file, as scales of axes do."""
    import h5py

    inside = [part for part, *_ in (kind.fields or {}).values()]
    inside += [kind.base] if kind.shape else []
    vlen = h5py.check_vlen_dtype(kind)
    inside += [np.dtype(vlen)] if vlen is not None else []
    return h5py.check_ref_dtype(kind) is not None or any(map(_has_references, inside))
