import dataclasses
import importlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml

from clusterkeras.evaluation.numbers.predictions import Predictions
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
        name.rpartition(".")[2]: importlib.import_module(f"rivals.{name}")
        for name in (
            *("answer", "questions", "rows", "scores"),
            *("asking.macs", "asking.ask", "first.shards"),
        )
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


def asks(rivals, of):
    """Return the questions that predictions of all records answer."""
    labels = {
        "mock_id": of.mock_id,
        "field_id": of.field_id,
        "is_cluster": of.is_cluster.astype(float),
        "parameters": of.truth,
        "log_snr": of.log_snr,
    }
    half = len(of) // 2
    parts = [
        {k: v[rows] for k, v in labels.items()}
        for rows in (slice(half), slice(half, None))
    ]
    return rivals["questions"].Questions.of(
        parts, [(6.6, 10.1), (0, 4), (2.5, 6), (-1.6, -0.2)]
    )


def answer(rivals, seed=0, **options):
    """Return a method's answer, and the questions."""
    found = said(seed=seed, **options)
    # truths are the set's, whatever the method
    found = dataclasses.replace(found, truth=said().truth[: len(found)])
    questions = asks(rivals, said())
    return rivals["answer"].Answer.of(found, questions, {"row": "a", "seed": seed})


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
    score, questions = rivals["scores"].score, asks(rivals, said())
    first = score([answer(rivals)], questions, None)
    second = score([answer(rivals, 1, worse=0.5)], questions, first["log_prob"])
    assert second["worse_than_first"][0] == pytest.approx(0.5, abs=0.02)
    assert second["worse_in_regime"][0] == pytest.approx(0.5, abs=0.02)
    assert second["worse_than_first"][1] < 0.1 * second["nll"][1]
    assert len(first["log_prob"]) == 300
    assert rivals["scores"].in_regime(questions).sum() == 200
    assert first["auc"] == 1.0
    # normal of the truth's own place: in the middle half always
    assert first["coverage_68"]["a_v"] == pytest.approx(1.0)
    assert first["scatter"]["a_v"] == pytest.approx(1.25 / 8, rel=0.2)


def test_seeds_are_averaged_cluster_by_cluster(rivals):
    seeds = [answer(rivals), answer(rivals, 1, worse=1.0)]
    found = rivals["scores"].score(seeds, asks(rivals, said()), None)
    assert found["seeds"][1] - found["seeds"][0] == pytest.approx(1, abs=0.05)
    assert found["nll"][0] == pytest.approx(np.mean(found["seeds"]))


def test_who_was_asked_about_clusters_only_has_no_auc(rivals):
    whole = said()
    questions = asks(rivals, whole)
    clusters = whole.select(whole.is_cluster)
    about = {"row": "a", "seed": 0}
    alone = rivals["answer"].Answer.of(clusters, questions, about)
    found = rivals["scores"].score([alone], questions, None)
    assert found["auc"] is None and alone.p_cluster is None
    both = rivals["scores"].score([answer(rivals)], questions, None)
    assert found["nll"] == both["nll"] and found["tarp"] == both["tarp"]


def test_an_answer_says_the_same_after_it_was_written(rivals, tmp_path):
    whole, questions = said(), asks(rivals, said())
    given = rivals["answer"].Answer.of(whole, questions, {"row": "a", "seed": 0})
    given.write(tmp_path / "a-0.npz")
    read = rivals["answer"].Answer.read(tmp_path / "a-0.npz", questions)
    clusters = whole.select(whole.is_cluster)
    np.testing.assert_allclose(read.log_prob, clusters.log_prob, rtol=1e-6)
    rank = (clusters.draws < clusters.truth[:, None]).mean(axis=1)
    np.testing.assert_allclose(read.pit, rank, atol=0.01)
    np.testing.assert_allclose(read.p_cluster, whole.p_cluster, rtol=1e-3)
    assert read.about["draws"] == 64 and read.about["questions"] == questions.digest


def test_an_answer_to_twelve_thousand_records_is_a_quarter_of_a_megabyte(
    rivals, tmp_path
):
    rng, n = np.random.default_rng(0), 12_000
    whole = dataclasses.replace(said(n), p_cluster=rng.uniform(0, 1, n))
    given = rivals["answer"].Answer.of(
        whole, asks(rivals, whole), {"row": "a", "seed": 0}
    )
    given.write(tmp_path / "a-0.npz")
    assert (tmp_path / "a-0.npz").stat().st_size < 250_000


def test_probabilities_next_to_one_stay_apart(rivals):
    whole = said()
    sure = np.where(whole.is_cluster, 1 - 1e-5, 1 - 1e-4)
    sure[0], sure[1] = 1.0, 0.0
    whole = dataclasses.replace(whole, p_cluster=sure)
    given = rivals["answer"].Answer.of(
        whole, asks(rivals, said()), {"row": "a", "seed": 0}
    )
    assert given.p_cluster[0] == 1 and given.p_cluster[1] == 0
    assert (given.p_cluster[4] < given.p_cluster[5]) and given.p_cluster[5] < 1


def moved(whole):
    return dataclasses.replace(whole, truth=whole.truth + 1e-3)


def shorter(whole):
    return whole.select(np.arange(len(whole)) > 3)


def of_other_fields(whole):
    return dataclasses.replace(whole, field_id=whole.field_id + 1)


@pytest.mark.parametrize("other", [moved, shorter, of_other_fields])
def test_answers_about_another_set_are_refused(rivals, tmp_path, other):
    questions = asks(rivals, said())
    with pytest.raises(ValueError, match=r"a, 0: expected predictions of the 400 rec"):
        rivals["answer"].Answer.of(other(said()), questions, {"row": "a", "seed": 0})
    given = answer(rivals)
    given.write(tmp_path / "a-0.npz")
    with pytest.raises(
        ValueError, match=r"a-0\.npz: expected answers about the test s"
    ):
        rivals["answer"].Answer.read(tmp_path / "a-0.npz", asks(rivals, other(said())))


def test_questions_are_the_same_after_they_were_written(rivals, tmp_path):
    questions = asks(rivals, said())
    questions.write(tmp_path / "questions.npz")
    read = rivals["questions"].Questions.read(tmp_path / "questions.npz")
    assert read.digest == questions.digest
    np.testing.assert_array_equal(read.log_snr, questions.log_snr)
    with pytest.raises(FileNotFoundError, match="which the first"):
        rivals["questions"].Questions.read(tmp_path / "none.npz")


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
    # of a part of the set, and each seed its own
    (tmp_path / "run" / "configuration.yaml").write_text("training: {n_mocks: 10}\n")
    assert one.costs()["pairs"] == 20
    # counted in steps, as BayesFlow does
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "history.csv").write_text("steps,cpu_hours\n100,1\n150,1\n")
    (tmp_path / "other" / "run.json").write_text('{"batch_size": 32, "data": "/here"}')
    text = "- {name: c, predictions: [run/p.npz, other/p.npz]}\n"
    (row,) = rivals["rows"].read_rows(write_rows(tmp_path, text))
    assert row.costs(1)["pairs"] == 4800 and row.costs(1)["training_hours"] == 2
    assert row.made(1) == {"batch_size": 32}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1}", "expected a list of rows"),
        ("- {name: a, model: [b]}", "row 'a': expected keys among name, title, models"),
        ("- {name: a, classical: slug}", "one of grid, legus"),
        ("- {name: a, classical: grid, models: [b]}", "models, predictions or"),
        ("- {name: a}", "models, predictions or"),
        ("- {name: our network, classical: grid}", "name of small letters"),
        ("- {name: a, models: [b]}\n- {name: a, models: [b]}", "each name once"),
    ],
)
def test_rows_that_make_no_sense_are_refused(rivals, tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        rivals["rows"].read_rows(write_rows(tmp_path, text))


def test_the_rows_that_are_kept_can_be_read(rivals):
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    rows = rivals["rows"].read_rows(benchmarks / "rivals" / "rows.yaml")
    assert rows[0].name == "ours"
    kept = [
        path.name.rpartition("-")[0]
        for path in benchmarks.glob("rivals/answers/*-?.npz")
    ]
    assert set(kept) <= {row.name for row in rows}


@pytest.fixture
def run(bench, tmp_path, monkeypatch):
    """Return a function that runs a command in an empty directory."""
    monkeypatch.chdir(tmp_path)

    def call(command, *options):
        options = [command, *map(str, options), "--answers", "answers"]
        monkeypatch.setattr(
            "sys.argv", ["bench_rivals.py", *options, "--rows", "rows.yaml"]
        )
        bench.main()

    return call


def test_a_table_is_made_of_answers_and_says_what_is_missing(
    rivals, run, tmp_path, capsys
):
    write_rows(
        tmp_path,
        "- {name: ours, models: [ours]}\n"
        "- {name: theirs, title: their method, models: [a, b]}\n"
        "- {name: published, title: published network, models: [published]}\n",
    )
    asks(rivals, said()).write(tmp_path / "answers" / "questions.npz")
    for name, given in (
        ("ours", answer(rivals)),
        ("theirs", answer(rivals, 1, worse=0.3)),
    ):
        costs = {
            "mmac": 35.3,
            "pairs": 1000,
            "simulation_hours": None,
            "training_hours": 2,
        }
        about = {**given.about, "costs": costs, "settings": None, "commit": "abc"}
        dataclasses.replace(given, about=about).write(
            tmp_path / f"answers/{name}-0.npz"
        )
    run("table", "-o", "out")
    text = (tmp_path / "out" / "rivals.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "300 clusters of 20 fields, 200 of them in the regime" in text
    assert "| published network | missing | missing |" in text
    assert "their method: 1 of 2 seeds." in text
    assert "| ours | 1,000 | 35.3 |  | 2.00 |" in text
    found = json.loads((tmp_path / "out" / "rivals.json").read_text())["found"]
    assert found["published"] is None
    assert found["theirs"]["worse_than_first"][0] == pytest.approx(0.3, abs=0.05)


def test_who_is_asked_leaves_an_answer_once(
    rivals, run, tmp_path, capsys, small_mock_set
):
    write_rows(
        tmp_path, "- {name: prior, classical: prior}\n- {name: ours, models: [ours]}\n"
    )
    run("ask", "prior", "--data", small_mock_set, "--draws", "50")
    questions = rivals["questions"].Questions.read(tmp_path / "answers/questions.npz")
    path = tmp_path / "answers" / "prior-0.npz"
    given = rivals["answer"].Answer.read(path, questions)
    volume = np.prod(np.diff(questions.box, axis=1))
    np.testing.assert_allclose(given.log_prob, -np.log(volume), rtol=1e-6)
    assert given.about["row"] == "prior" and given.about["draws"] == 50
    assert given.about["command"].startswith("bench_rivals.py ask prior")
    assert str(small_mock_set) not in given.about["command"]
    before = path.read_bytes()
    run("ask", "prior", "--data", small_mock_set)
    assert path.read_bytes() == before
    assert "answered before" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="ours: nothing there"):
        run("ask", "ours", "--data", small_mock_set)
    with pytest.raises(SystemExit, match="expected names among prior, ours"):
        run("ask", "nobody", "--data", small_mock_set)
    # another set is not mixed with it
    asks(rivals, said()).write(tmp_path / "answers" / "questions.npz")
    path.unlink()
    with pytest.raises(SystemExit, match="expected the test set"):
        run("ask", "prior", "--data", small_mock_set)


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
    first_set = importlib.import_module("rivals.first.first_set")
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

    # half a split is none
    manifest = json.loads((before / "manifest.json").read_text())
    del manifest["splits"]["train"][-1]
    (before / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(SystemExit, match="expected 128 records of train; received 64"):
        first_set.main()
