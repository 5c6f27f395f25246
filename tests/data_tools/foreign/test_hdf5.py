"""Test HDF5 files of others."""

import random

import h5py
import numpy as np
import pytest

from data_tools.foreign import hdf5
from data_tools.foreign.hdf5 import sound_copy
from data_tools.positions.read_positions import read_positions


@pytest.fixture
def path(tmp_path):
    """Write a file with all kinds of what tables have."""
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        file.attrs["note"] = "où"
        file["cat/x"] = np.arange(30.0)
        file["cat/x"].attrs["unit"] = "pix"
        file["cat/y"] = np.arange(30)
        file["cat/good"] = np.ones(30, bool)
        file["cat/name"] = [f"é {i}" for i in range(30)]
        kind = np.dtype([("i", "i4"), ("s", "S3"), ("a", "f4", (2,))])
        file["rows"] = np.array([(1, b"abc", (1, 2))], kind)
        file["scaled"] = np.zeros(3)
        file["scaled"].attrs["scale"] = file["cat/x"].ref
        file["point"] = np.array([file["cat/x"].ref], h5py.ref_dtype)
    return path


def test_a_copy_holds_what_the_file_holds(path):
    with sound_copy(path, 10_000) as file:
        assert file.attrs["note"] == "où"
        assert file["cat/x"][:].tolist() == list(range(30))
        assert file["cat/x"].attrs["unit"] == "pix"
        assert file["cat/y"].dtype == int
        assert file["cat/good"].dtype == bool
        assert file["cat/name"].asstr()[1] == "é 1"
        assert file["rows"][0].tolist()[:2] == (1, b"abc")
        assert "point" not in file
        assert not file["scaled"].attrs


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("os.abort()", "breaks down in reading it"),
        ("os.kill(os.getpid(), 11)", "breaks down in reading it"),
        ("time.sleep(100)", "reading it does not end"),
    ],
)
def test_a_file_that_ends_its_reader_is_one_line(path, monkeypatch, end, why):
    monkeypatch.setattr(hdf5, "_COPY", f"import os, time; {end}")
    monkeypatch.setattr(hdf5, "_SECONDS", 1.0)
    with pytest.raises(ValueError, match=f"t.h5: not readable as a table: .*{why}"):
        read_positions(path)


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_file_is_read_or_refused_in_one_line(path, seed):
    content = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(12):
        content[draw.randrange(len(content))] = draw.randrange(256)
    path.write_bytes(content)
    try:
        read_positions(path)
    except ValueError as error:
        assert str(error).startswith(f"{path}: not readable as a table: ")
        assert "\n" not in str(error)


def test_a_file_whose_reading_does_not_end_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "t.h5"
    with h5py.File(path, "w") as file:
        values = np.arange(4000.0).reshape(40, 100)
        file.create_dataset("z", data=values, chunks=(10, 10), compression="gzip")
    content = bytearray(path.read_bytes())
    # its first axis alone, and chunks of two: libhdf5 1.14 looks for them for ever
    axes = content.index(bytes([1, 2, 1, 0, 0, 0, 0, 0, 40, 0]))
    content[axes + 1] = 1
    path.write_bytes(content)
    monkeypatch.setattr(hdf5, "_SECONDS", 2.0)
    with pytest.raises(ValueError, match=r"t.h5: not readable as a table: "):
        read_positions(path)


def test_a_file_that_is_cut_short_is_refused(path):
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated file"):
        read_positions(path)


def test_data_in_another_file_are_refused(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        file.create_dataset("x", (3,), "f8", external=[("raw", 0, 24)])
    with pytest.raises(ValueError, match="x of it lies in another file"):
        read_positions(tmp_path / "t.h5")


def test_many_parts_may_not_ask_for_more_than_one_may(tmp_path):
    with h5py.File(tmp_path / "t.h5", "w") as file:
        for i in range(20):
            file.create_dataset(f"x{i}", (10_000_000,), "f8")  # written nowhere
    with pytest.raises(ValueError, match=r"it would need .* of memory"):
        read_positions(tmp_path / "t.h5")
