"""A run that was interrupted goes on from its finished batches."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import h5py
import keras
import numpy as np
import pytest
from astropy.table import QTable, Table

from clusterkeras.catalogue.finished_batches import FinishedBatches
from clusterkeras.catalogue.infer import infer
from clusterkeras.config import InferenceConfig, ModelConfig
from clusterkeras.network.model import ClusterModel
from data_tools.schema import PARAMETER_NAMES

SHAPE = (60, 80)
N = 200
RUN = {"configuration": "a", "images": "b"}
BATCHES = [np.array([2, 0]), np.array([1])]


@pytest.fixture(scope="module")
def model_path(m83, tmp_path_factory):
    keras.utils.set_random_seed(5)
    target = dataclasses.replace(m83, cutout_px=16)
    shape = ModelConfig("resnet_tiny", "mixture", components=2, hidden=8)
    path = tmp_path_factory.mktemp("model") / "model.keras"
    ClusterModel(target, shape).save(path)
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory, m83, write_band):
    rng = np.random.default_rng(8)
    directory = tmp_path_factory.mktemp("mosaics")
    return [
        write_band(
            directory / f"{band.name}.fits",
            0.1 + 0.02 * rng.standard_normal(SHAPE),
            band,
        )
        for band in m83.bands
    ]


@pytest.fixture(scope="module")
def positions(tmp_path_factory):
    rng = np.random.default_rng(9)
    path = tmp_path_factory.mktemp("positions") / "positions.ecsv"
    x, y = rng.uniform(-5, 85, N), rng.uniform(-5, 65, N)
    x[3] = np.nan
    Table({"x": x, "y": y}).write(path)
    return path


@pytest.fixture(scope="module")
def ask(images, positions, model_path):
    def ask(output, **settings):
        settings = {"batch_size": 4, "draws": 16, **settings}
        return infer(
            images,
            positions,
            output,
            model_path,
            InferenceConfig(**settings),
            draws_file=output.with_suffix(".h5"),
            progress=False,
        )

    return ask


@pytest.fixture(scope="module")
def whole(ask, tmp_path_factory):
    """Return the output of a run that nothing interrupted."""
    output = tmp_path_factory.mktemp("whole") / "catalogue.ecsv"
    ask(output)
    return output


def kill_between_batches(output, images, positions, model_path):
    """Start the command and kill it for good when some batches are finished."""
    main = "import sys; from clusterkeras.commands.cli import main; sys.exit(main())"
    command = [
        *(sys.executable, "-c", main),
        *("infer", "--images", *images, "--positions", positions),
        *("-o", output, "--model", model_path),
        *("--draws_file", output.with_suffix(".h5")),
        *("--inference.batch_size", "4", "--inference.draws", "16"),
    ]
    process = subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    beside = output.parent
    while process.poll() is None and len(list(beside.glob("*.part/batch-*.npz"))) < 5:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (parts,) = beside.glob("infer-*.part")
    return parts


@pytest.mark.slow
def test_a_killed_run_goes_on_and_writes_the_same_bytes(
    ask, whole, images, positions, model_path, tmp_path, caplog
):
    output = tmp_path / "catalogue.ecsv"
    parts = kill_between_batches(output, images, positions, model_path)
    assert [p.name for p in tmp_path.iterdir()] == [parts.name]
    finished = len(list(parts.glob("batch-*.npz")))
    assert 5 <= finished < N / 4

    ask(output)
    assert f"{finished} of 50 batches are finished" in caplog.text
    assert_same(output, whole)


def assert_same(output, whole):
    assert output.read_bytes() == whole.read_bytes()
    draws = output.with_suffix(".h5")
    assert draws.read_bytes() == whole.with_suffix(".h5").read_bytes()
    assert {p.name for p in output.parent.iterdir()} == {output.name, draws.name}


def test_draws_are_keyed_by_the_catalogue_s_rows(whole):
    table = QTable.read(whole)
    with h5py.File(whole.with_suffix(".h5")) as file:
        draws = file["draws"]
        assert draws.shape == (N, 16, 4)
        assert draws.dtype == np.float32
        assert list(draws.attrs["parameters"]) == list(PARAMETER_NAMES)
        assert file.attrs["configuration_hash"] == table.meta["configuration_hash"]
        without = np.isnan(draws[:]).any(axis=(1, 2))
        np.testing.assert_array_equal(without, (table["flags"] & 64) > 0)
        # of 16 draws the mean is near the posterior's, in units of its width
        error = (draws[:, :, 0].mean(axis=1) - table["log_age_mean"].value) * 4
    error /= table["log_age_std"].value
    assert np.nanstd(error) == pytest.approx(1, abs=0.3)


def test_another_run_s_batches_are_left_alone_and_the_same_run_goes_on(
    ask, whole, tmp_path, monkeypatch, caplog
):
    output = tmp_path / "catalogue.ecsv"
    keep = FinishedBatches.keep

    def fail(self, number, columns):
        if number == 7:
            raise OSError("disk full")
        keep(self, number, columns)

    with monkeypatch.context() as m:
        m.setattr(FinishedBatches, "keep", fail)
        with pytest.raises(OSError, match="disk full"):
            ask(output)
    (parts,) = tmp_path.glob("*.part")
    other = ask(tmp_path / "other.ecsv", seed=1)
    assert other.meta["configuration"]["seed"] == 1
    assert f"{parts}: finished batches of another run (configuration: " in caplog.text
    assert "are finished" not in caplog.text
    assert len(list(parts.glob("batch-*.npz"))) == 7
    for path in tmp_path.glob("other.*"):
        path.unlink()

    ask(output)
    assert "7 of 50 batches are finished" in caplog.text
    assert_same(output, whole)


def test_batches_outlive_an_error_and_a_run_without_any_leaves_nothing(tmp_path):
    output = tmp_path / "out.ecsv"
    with (
        pytest.raises(OSError, match="disk full"),
        FinishedBatches(output, RUN, BATCHES),
    ):
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []
    with (
        pytest.raises(OSError, match="disk full"),
        FinishedBatches(output, RUN, BATCHES) as parts,
    ):
        parts.keep(1, {"p": np.array([0.1])})
        raise OSError("disk full")
    with FinishedBatches(output, RUN, BATCHES) as parts:
        assert parts.missing == [0]


@pytest.mark.parametrize("name", ["batch-000001.npz", "run.json"])
def test_a_kill_while_they_are_removed_leaves_none_of_an_unknown_run(
    name, tmp_path, killed_before
):
    with FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES) as parts:
        for number in range(2):
            parts.keep(number, {"p": np.array([0.1])})
        with killed_before(tmp_path, "os.remove", name):
            parts.remove()
    left = {p.name for p in parts.directory.iterdir()}
    assert name in left
    assert "run.json" in left or not any("batch" in name for name in left)
    with FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES) as parts:
        parts.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["out.fits", "other.ecsv"])
def test_a_run_goes_on_under_another_name_of_its_output(name, tmp_path):
    with FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES) as parts:
        parts.keep(1, {"p": np.array([0.1])})
    with FinishedBatches(tmp_path / name, RUN, BATCHES) as parts:
        assert parts.missing == [0]


def test_a_changed_image_is_another_run(tmp_path, caplog):
    with FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES) as parts:
        parts.keep(1, {"p": np.array([0.1])})
    changed = {**RUN, "images": "c"}
    with FinishedBatches(tmp_path / "out.ecsv", changed, BATCHES) as parts:
        assert parts.missing == [0, 1]
    assert "another run (images: 'b' there, 'c' now)" in caplog.text


def test_what_is_kept_comes_back_by_its_rows(tmp_path):
    columns = {"p": np.array([0.2, 0.0]), "draws": np.zeros((2, 3, 4))}
    with FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES) as parts:
        assert parts.missing == [0, 1]
        parts.keep(1, {"p": np.array([0.1])})
    (parts.directory / "batch-000000.npz.1234.partial").write_text("half of it")
    with FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES) as parts:
        assert parts.missing == [0]
        parts.keep(0, columns)
        rows, found = next(parts.read())
        np.testing.assert_array_equal(rows, [2, 0])
        assert list(found) == ["p"]
        _, found = next(parts.read(draws=True))
        assert list(found) == ["draws"]
        parts.remove()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_one_output(tmp_path):
    with (
        FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES),
        pytest.raises(BlockingIOError, match="another process is writing here"),
        FinishedBatches(tmp_path / "out.ecsv", RUN, BATCHES),
    ):
        pass


def test_another_format_of_draws_is_refused_before_the_work(
    images, positions, model_path, tmp_path
):
    with pytest.raises(ValueError, match=r"draws to end in .h5 or .hdf5"):
        infer(
            *(images, positions, tmp_path / "c.ecsv", model_path),
            draws_file=tmp_path / "draws.csv",
        )
    assert list(tmp_path.iterdir()) == []
