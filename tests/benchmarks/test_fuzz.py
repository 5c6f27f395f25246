"""What gives damaged files to every reader reads whole ones, and sees what is wrong."""

import importlib
from pathlib import Path

import pytest

from data_tools.mosaics.mosaic import Mosaics

pytest.importorskip("hypothesis", reason="hypothesis draws the files")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def trial(monkeypatch, tmp_path):
    """Return a function that makes the trial of a reader, by name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    fuzz = importlib.import_module("fuzz")
    made = []

    def trial(name):
        made.append(fuzz.Trial(name, tmp_path))
        return made[-1]

    yield trial
    for one in made:
        one.close()


@pytest.mark.parametrize("name", ["images", "tables", "regions"])
def test_whole_files_are_read(trial, name):
    wholes = importlib.import_module("fuzzing.wholes")
    tried = trial(name)
    files = getattr(wholes, name)()
    for file in files.items():
        tried.reader.read(file)
    assert len(files) > 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda pixels: pixels * 2, "where astropy has"),
        (lambda pixels: pixels[0, 0, 0, 0], "IndexError"),
    ],
)
def test_a_wrong_number_and_an_error_of_ours_are_kept_once(
    trial, monkeypatch, tmp_path, change, said
):
    tried = trial("images")
    wholes = importlib.import_module("fuzzing.wholes")
    window = Mosaics.window
    monkeypatch.setattr(Mosaics, "window", lambda *args: change(window(*args)))
    file = "plain.fits", wholes.images()["plain.fits"]
    tried(file)
    tried(file)
    assert tried.counts["faults"] == 2
    (told,) = (tmp_path / "found").glob("*.txt")
    assert said in told.read_text()
    assert told.with_suffix(".bin").read_bytes() == file[1]
