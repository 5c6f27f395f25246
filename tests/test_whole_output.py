"""Whoever writes a file or a directory writes it whole, or leaves what was there."""

import errno
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.catalogue.draws_file import write_draws
from clusterkeras.config import ModelConfig
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.model_files.model_file import save_model
from clusterkeras.network.model import ClusterModel
from clusterkeras.serving import savedmodel
from data_tools.running.output import whole_directory, whole_file
from data_tools.running.table_file import FORMATS, write_table

OLD = "what was there"


def write_bytes(path, broken):
    with whole_file(path) as file:
        file.write(b"new")
        if broken:
            raise ValueError("broken")


def write_draws_of_two_batches(path, broken):
    def batches():
        yield np.array([0, 1]), {"draws": np.zeros((2, 3, 4), np.float32)}
        if broken:
            raise ValueError("broken")

    write_draws(path, batches(), (2, 3), {"model": "m83"}, np.zeros((2, 2)))


def write_a_table(path, broken):
    table = QTable({"x": [1.0, 2.0]})
    if broken:
        table["words"] = np.array([{"no": 1}, None], dtype=object)
    write_table(table, path)


def write_predictions(path, broken):
    arrays = {"draws": np.zeros((2, 3, 4))}
    if broken:
        arrays["uneven"] = [[1, 2], [3]]
    Predictions.write(SimpleNamespace(arrays=lambda: arrays), path)


@keras.saving.register_keras_serializable(package="tests")
class Unwritable(keras.layers.Dense):
    """A layer whose weights cannot be written."""

    def save_own_variables(self, store):
        """Fail, with half of the archive on the disk."""
        raise ValueError("broken")


def save_a_model(path, broken):
    layer = (Unwritable if broken else keras.layers.Dense)(2)
    save_model(keras.Sequential([keras.Input((3,)), layer]), path)


#: Each writer of a file, by what it writes, with the ending.
WRITERS = {
    "bytes": (write_bytes, ""),
    "draws": (write_draws_of_two_batches, ".h5"),
    "model": (save_a_model, ".keras"),
    "predictions": (write_predictions, ".npz"),
    **{f"table{suffix}": (write_a_table, suffix) for suffix in FORMATS},
}


@pytest.fixture(params=WRITERS)
def writer(request, tmp_path):
    """Return a writer and the path of a file that is there already."""
    write, suffix = WRITERS[request.param]
    path = tmp_path / f"output{suffix}"
    path.write_text(OLD)
    return write, path


def test_a_file_that_is_whole_takes_the_place_of_the_old_one(writer):
    write, path = writer
    write(path, broken=False)
    assert path.read_bytes() != OLD.encode()
    assert os.listdir(path.parent) == [path.name]


#: Other formats leave their file open for a while, or take every object.
@pytest.mark.parametrize(
    "writer", ["bytes", "draws", "model", "predictions", "table.fits"], indirect=True
)
def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_else(writer):
    write, path = writer
    with pytest.raises(ValueError):
        write(path, broken=True)
    assert path.read_text() == OLD
    assert os.listdir(path.parent) == [path.name]


@pytest.fixture
def full_disk(monkeypatch):
    """Let nothing more come onto the disk."""

    def fsync(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("data_tools.running.output.os.fsync", fsync)


def test_a_full_disk_names_the_file_and_leaves_the_old_one(writer, full_disk):
    write, path = writer
    with pytest.raises(OSError, match="No space left on device while writing") as said:
        write(path, broken=False)
    assert said.value.filename == str(path)
    assert path.read_text() == OLD
    assert os.listdir(path.parent) == [path.name]


def test_a_directory_appears_when_it_is_whole(tmp_path):
    with whole_directory(tmp_path / "1") as part:
        (part / "deep").mkdir()
        (part / "deep/file").write_text("new")
        assert not (tmp_path / "1").exists()
    assert (tmp_path / "1/deep/file").read_text() == "new"
    assert os.listdir(tmp_path) == ["1"]


def test_a_directory_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_directory(tmp_path / "1") as part:
        (part / "file").write_text("new")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_a_directory_does_not_take_the_place_of_another(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1/file").write_text(OLD)
    with pytest.raises(OSError, match=r"1'$"), whole_directory(tmp_path / "1") as part:
        (part / "file").write_text("new")
    assert (tmp_path / "1/file").read_text() == OLD
    assert os.listdir(tmp_path) == ["1"]


def test_an_export_that_fails_half_way_leaves_nothing(m83, tmp_path):
    # tracing fails where the head gives more outputs than the posterior takes
    broken = ClusterModel(
        m83,
        ModelConfig(
            backbone="resnet_tiny", posterior="mixture", components=2, hidden=8
        ),
    )
    broken.joint.n_outputs += 1
    with pytest.raises(ValueError, match="posterior"):
        savedmodel.export(broken, tmp_path, "m83", 1)
    assert list(tmp_path.rglob("*")) == [tmp_path / "m83"]
