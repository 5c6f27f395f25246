import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from clusterkeras.evaluation.predictions import Predictions
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.records.shard_file import read_shard
from data_tools.target import Target


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("bench_rivals")


@pytest.fixture
def rivals(bench):
    return {
        name: importlib.import_module(f"rivals.{name}")
        for name in ("macs", "rows", "scores", "shards")
    }


def said(n=400, worse=0.0, only_clusters=False, seed=0):
    """Return predictions of a method that is so much worse than another, in nats."""
    rng = np.random.default_rng(seed)
    field = np.arange(n) // 20
    is_cluster = np.ones(n, bool) if only_clusters else np.arange(n) % 4 > 0
    truth = rng.uniform([7, 0, 3.6, -1], [7.9, 2.9, 5.4, -0.5], (n, 4))
    of_field = np.random.default_rng(9).normal(0, 1, n // 20)
    return Predictions(
        truth=truth,
        is_cluster=is_cluster,
        has_object=np.ones(n, bool),
        kind=np.zeros(n, np.int64),
        mock_id=np.arange(n),
        field_id=field,
        log_snr=np.where(np.arange(n) % 2, 1.5, 0.5),
        crowding=np.zeros(n),
        log_prob=1.0 - worse + of_field[field] + rng.normal(0, 0.1, n),
        draws=truth[:, None] + rng.normal(0, 1, (n, 64, 4)),
        log_prob_draws=np.zeros((n, 64)),
        p_cluster=np.where(is_cluster, 0.9, 0.1),
        visibility_mean=np.zeros(n),
        visibility_std=np.ones(n),
        unlike_mocks=np.zeros(n),
    )


def test_errors_are_those_of_fields_that_err_together(rivals):
    rng = np.random.default_rng(1)
    of_field = rng.normal(0, 1, 50)
    field = np.repeat(np.arange(50), 20)
    mean, error = rivals["scores"].over_fields(of_field[field], field)
    assert mean == pytest.approx(of_field.mean())
    assert error == pytest.approx(of_field.std() / np.sqrt(50), rel=0.1)
    # of independent clusters it is that of their own scatter
    values = rng.normal(0, 1, 1000)
    _, alone = rivals["scores"].over_fields(values, field)
    assert alone == pytest.approx(1 / np.sqrt(1000), rel=0.3)


def test_what_is_common_to_two_methods_is_no_error_of_their_difference(rivals):
    score = rivals["scores"].score
    first = score([said()], None)
    second = score([said(worse=0.5, seed=1)], first["log_prob"])
    assert second["worse_than_first"][0] == pytest.approx(0.5, abs=0.02)
    assert second["worse_than_first"][1] < 0.1 * second["nll"][1]
    assert first["n"] == 300 and first["n_in_regime"] == 200
    assert first["auc"] == 1.0
    assert first["coverage_68"]["a_v"] == pytest.approx(1.0)


def test_seeds_are_averaged_cluster_by_cluster(rivals):
    found = rivals["scores"].score([said(), said(worse=1.0, seed=1)], None)
    assert found["seeds"][1] - found["seeds"][0] == pytest.approx(1, abs=0.05)
    assert found["nll"][0] == pytest.approx(np.mean(found["seeds"]))


def test_who_was_asked_about_clusters_only_has_no_auc(rivals):
    found = rivals["scores"].score([said(only_clusters=True)], None)
    assert found["auc"] is None


def write_rows(tmp_path, text):
    path = tmp_path / "rows.yaml"
    path.write_text(text)
    return path


def test_costs_are_those_of_a_runs_history_unless_they_are_said(
    rivals, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "history.csv").write_text("epoch,cpu_hours\n0,0.5\n1,0.25\n")
    text = "- {name: a, models: [run], mocks_an_epoch: 1000}\n"
    text += "- {name: b, models: [run], pairs: 7, training_hours: 2.0}\n"
    one, two = rivals["rows"].read_rows(write_rows(tmp_path, text))
    assert one.models == (Path("run"),)
    assert one.costs()["pairs"] == 2000 and one.costs()["training_hours"] == 0.75
    assert two.costs()["pairs"] == 7 and two.costs()["training_hours"] == 2.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1}", "expected a list of rows"),
        ("- {name: a, model: [b]}", "row 'a': expected keys among name, models"),
        ("- {name: a, classical: slug}", "one of grid, legus"),
        ("- {name: a, classical: grid, models: [b]}", "models, predictions or"),
        ("- {name: a}\n- {name: a}", "each name once"),
    ],
)
def test_rows_that_make_no_sense_are_refused(rivals, tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        rivals["rows"].read_rows(write_rows(tmp_path, text))


def test_a_row_that_is_not_there_yet_is_said_to_be_missing(
    bench, tmp_path, monkeypatch, capsys, small_mock_set
):
    said().write(tmp_path / "ours.npz")
    said(worse=0.3, seed=1).write(tmp_path / "theirs-0.npz")
    rows = write_rows(
        tmp_path,
        "- {name: ours, predictions: [ours.npz], mmac: 35.3}\n"
        "- {name: theirs, predictions: [theirs-0.npz, theirs-1.npz]}\n"
        "- {name: published network, models: [published]}\n",
    )
    output = tmp_path / "out"
    command = ["bench_rivals", str(rows), "--data", str(small_mock_set)]
    command += ["-o", str(output)]
    monkeypatch.setattr("sys.argv", command)
    monkeypatch.chdir(tmp_path)
    bench.main()
    text = (output / "rivals.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "| published network | missing | missing |" in text
    assert "theirs: 1 of 2 seeds." in text
    assert "| ours |  | 35.3 |" in text
    found = json.loads((output / "rivals.json").read_text())["found"]
    assert found["published network"] is None
    assert found["theirs"]["worse_than_first"][0] == pytest.approx(0.3, abs=0.05)


DRAW = """
import numpy as np

def draw(n, seed):
    return np.zeros((n, 4)), np.full((n, 12), float(seed))
"""


def test_models_that_are_there_are_not_drawn_again(rivals, tmp_path, monkeypatch):
    # of a module that processes find without the directory of the tests
    (tmp_path / "told_seed.py").write_text(DRAW)
    monkeypatch.syspath_prepend(tmp_path)
    draw = importlib.import_module("told_seed").draw
    shards = rivals["shards"]
    kept = tmp_path / "models"
    kept.mkdir()
    (kept / "models-00000.npz").write_bytes(b"there")
    shards.write_models(kept, draw, 2 * shards.SHARD - 1, 5, 1)
    names = sorted(path.name for path in kept.iterdir())
    assert names == ["models-00000.npz", "models-00001.npz"]
    assert (kept / "models-00000.npz").read_bytes() == b"there"
    with np.load(kept / "models-00001.npz") as shard:
        assert shard["flux"].shape == (shards.SHARD, 12) and shard["flux"][0, 0] == 6
        assert shard["cpu_seconds"] >= 0


def test_multiplications_are_those_of_the_layers(rivals):
    import keras

    images = keras.Input((64, 64, 3))
    x = keras.layers.Conv2D(8, 3, 2, "same")(images)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Dense(5)(x))
    model.target = Target.load("m83-wfc3-uvis")
    expected = 32 * 32 * 8 * 27 + 32 * 32 * 8 * 9 + 8 * 5
    assert rivals["macs"].millions_of_macs(model) == pytest.approx(expected / 1e6)


def test_a_record_of_before_is_one_of_this_version_that_knows_less(
    bench, tmp_path, monkeypatch, small_mock_set
):
    """A set is made into one of before, and that into one of this version."""
    first_set = importlib.import_module("rivals.first_set")
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    for path in small_mock_set.glob("*.tfrecord*"):
        with tf.io.TFRecordWriter(str(before / path.name)) as writer:
            for raw in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
                record = tf.train.Example.FromString(raw)
                for name in first_set.UNKNOWN:
                    del record.features.feature[name]
                version = record.features.feature["schema_version"].int64_list
                version.value[0] = first_set.FIRST_VERSION
                writer.write(record.SerializeToString())
    said = yaml.safe_load((small_mock_set / "configuration.yaml").read_text())
    said["schema_version"] = first_set.FIRST_VERSION
    (before / "configuration.yaml").write_text(yaml.safe_dump(said))
    shutil.copy(small_mock_set / "manifest.json", before)
    command = ["first_set", "--data", str(before), "-o", str(after)]
    monkeypatch.setattr("sys.argv", command)
    first_set.main()

    assert read_set(after, checksums=True).splits == read_set(small_mock_set).splits
    for name in ("train", "test"):
        (images, labels), (expected, of_expected) = (
            next(iter(make_dataset(data, name, 8, training=False)))
            for data in (after, small_mock_set)
        )
        np.testing.assert_array_equal(images, expected)
        np.testing.assert_array_equal(labels["field_id"], of_expected["field_id"])
    shard = next(iter(read_set(after).shards["test"]))[0]
    assert all(np.isnan(next(read_shard(shard))[n]).all() for n in first_set.UNKNOWN)
