import csv
import dataclasses
import functools
import json
import math
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import clusterkeras
from clusterkeras.config import ModelConfig, TrainingConfig
from clusterkeras.evaluation.asking import predict
from clusterkeras.network.loading import load_model
from clusterkeras.network.model import ClusterModel
from clusterkeras.training.callbacks import (
    FixNormalisation,
    KeepBest,
    SayAtOnce,
    StopOnNonFinite,
)
from clusterkeras.training.fit import _batches, fit
from clusterkeras.training.fresh_mocks import fresh_set, remove_fresh_sets
from clusterkeras.training.optimizer import WarmupPlateauDecay, make_optimizer
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.running.work_directory import LOCK, alone
from data_tools.schema import SCHEMA_VERSION

MODEL = ModelConfig(backbone="resnet_tiny", posterior="mixture", components=2, hidden=8)


def read_history(run):
    with (run / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def configuration_of(run):
    kept = yaml.safe_load((run / "configuration.yaml").read_text())
    return ModelConfig(**kept["model"]), TrainingConfig(**kept["training"])


def steps_of(directory, tag):
    events = EventAccumulator(str(directory), {"tensors": 0}).Reload()
    return [event.step for event in events.Tensors(tag)]


def test_rate_rises_stays_and_falls_to_zero():
    schedule = WarmupPlateauDecay(peak=0.01, steps=1000, warmup=0.1, decay=0.2)
    rates = np.array([float(schedule(tf.constant(i))) for i in range(1000)])
    assert 0 < rates[0] < 2e-4
    assert np.all(np.diff(rates[:100]) > 0)
    np.testing.assert_allclose(rates[100:799], 0.01, rtol=1e-6)
    assert np.all(np.diff(rates[800:]) < 0)
    assert rates[899] == pytest.approx(0.005, rel=0.02)
    assert rates[999] == pytest.approx(0, abs=1e-7)


def test_rate_without_warmup_or_decay_is_the_peak():
    schedule = WarmupPlateauDecay(0.01, 1000, 0.0, 0.0)
    rates = [float(schedule(tf.constant(i))) for i in (0, 500, 998)]
    np.testing.assert_allclose(rates, 0.01, rtol=1e-4)


def test_a_rate_may_be_all_decay():
    schedule = WarmupPlateauDecay(0.01, 1000, 0.0, 1.0)
    rates = [float(schedule(tf.constant(i))) for i in (0, 499, 999)]
    np.testing.assert_allclose(rates, [0.00999, 0.005, 0.0], atol=1e-5)


def test_schedule_survives_the_round_trip():
    schedule = WarmupPlateauDecay(0.01, 100, 0.2)
    serialised = json.dumps(keras.saving.serialize_keras_object(schedule))
    again = keras.saving.deserialize_keras_object(json.loads(serialised))
    assert again.get_config() == schedule.get_config()
    assert float(again(tf.constant(7))) == float(schedule(tf.constant(7)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, 10), "peak: expected above 0; received 0.0"),
        ((0.1, 0), "steps: expected at least 1; received 0"),
        ((0.1, 10, 1.0), r"warmup: expected in \[0, 1\); received 1.0"),
        ((0.1, 10, 0.5, 0.6), r"decay: expected in \[0, 1 - warmup\]; received 0.6"),
    ],
)
def test_a_bad_schedule_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WarmupPlateauDecay(*arguments)


def test_decay_leaves_biases_and_scales_alone(small_target):
    model = ClusterModel(small_target, MODEL)
    optimizer = make_optimizer(TrainingConfig(weight_decay=0.5), 100)
    optimizer.build(model.trainable_variables)
    decayed = {
        v.path.rsplit("/", 1)[-1]
        for v in model.trainable_variables
        if optimizer._use_weight_decay(v)
    }
    assert decayed == {"kernel"}


def test_a_fit_leaves_the_documented_files(finished_run):
    files = sorted(path.name for path in finished_run.iterdir() if path.name != LOCK)
    assert files == ["configuration.yaml", "history.csv", "model.keras", "tensorboard"]
    assert [row["epoch"] for row in read_history(finished_run)] == ["0", "1"]


def test_history_tells_the_processor_time_of_each_epoch(finished_run):
    hours = [float(row["cpu_hours"]) for row in read_history(finished_run)]
    assert all(0 < h < 0.1 for h in hours)


def test_the_configuration_is_kept_with_the_versions(finished_run, small_target):
    kept = yaml.safe_load((finished_run / "configuration.yaml").read_text())
    assert kept["training"]["batch_size"] == 32
    assert kept["model"]["backbone"] == "resnet_tiny"
    assert kept["target"] == small_target.to_dict()
    assert kept["versions"]["keras"] == keras.__version__
    assert kept["schema_version"] == SCHEMA_VERSION


def test_the_model_is_the_best_epoch_without_its_optimiser(
    finished_run, small_mock_set
):
    model = keras.models.load_model(finished_run / "model.keras")
    assert getattr(model, "optimizer", None) is None
    model.compile()
    # as in the fit, where it could not yet tell what is unlike its mocks
    for weight in model.unlike.weights:
        weight.assign(np.full(weight.shape, np.nan))
    found = model.evaluate(
        make_dataset(small_mock_set, "validation", 32, training=False, context=True),
        verbose=0,
        return_dict=True,
    )
    best = min(float(row["val_loss"]) for row in read_history(finished_run))
    assert found["loss"] == pytest.approx(best, rel=1e-4)


def test_a_finished_fit_returns_at_once(finished_run, small_mock_set):
    before = (finished_run / "model.keras").stat().st_mtime_ns
    fit(small_mock_set, finished_run, *configuration_of(finished_run))
    assert (finished_run / "model.keras").stat().st_mtime_ns == before


def test_a_directory_of_another_run_is_refused(finished_run, small_mock_set):
    with pytest.raises(
        ValueError,
        match=r"other settings \(training.epochs: 2 there, 5 now\).*another output",
    ):
        model, training = configuration_of(finished_run)
        longer = dataclasses.replace(training, epochs=5)
        fit(small_mock_set, finished_run, model, longer)


@pytest.mark.parametrize("text", ["", "a line", "{", "- 1"])
def test_a_damaged_configuration_is_refused_by_name(text, small_mock_set, tmp_path):
    (tmp_path / "configuration.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"(?s)configuration\.yaml: .*another output"):
        fit(small_mock_set, tmp_path)
    assert (tmp_path / "configuration.yaml").read_text() == text


def test_two_fits_do_not_write_into_one_directory(finished_run, small_mock_set):
    with alone(finished_run), pytest.raises(BlockingIOError, match="another process"):
        fit(small_mock_set, finished_run, *configuration_of(finished_run))


# the history is open when the fit is killed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fit_killed_twice_ends_as_one_let_alone(
    small_mock_set, tmp_path, killed_before
):
    """With running means of the weights, which go on too, and mocks of each epoch."""
    alone, run = tmp_path / "alone", tmp_path / "run"
    training = TrainingConfig(
        epochs=2,
        batch_size=32,
        n_mocks=64,
        picture_epochs=0,
        ema_momentum=0.5,
        fresh_mocks=1,
    )
    for place in (
        # all of the last epoch is there, but that it counts: it comes again
        ("os.rename", "backup.keras", 1),
        ("os.remove", "best.keras"),
    ):
        with killed_before(run, *place):
            fit(small_mock_set, run, MODEL, training)
    fit(small_mock_set, run, MODEL, training)

    fit(small_mock_set, alone, MODEL, training)
    assert {p.name for p in run.iterdir()} == {p.name for p in alone.iterdir()}
    expected, found = (read_history(path) for path in (alone, run))
    for one, other in zip(expected, found, strict=True):
        for name in one.keys() - {"cpu_hours"}:
            assert float(other[name]) == pytest.approx(float(one[name]), abs=1e-6)
    weights = (keras.models.load_model(d / "model.keras").weights for d in (alone, run))
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6, err_msg=one.path)
    steps = steps_of(run / "tensorboard" / "validation", "loss")
    assert steps[-1] == 4


def test_a_fit_says_how_long_it_takes_before_its_first_epoch_ends(capsys):
    said = SayAtOnce(steps=100)
    said.set_params({"epochs": 3})
    said.on_epoch_begin(1)
    line = capsys.readouterr().out
    assert "epoch 2 of 3, 100 steps each; the network is traced first" in line
    for batch in range(30):
        said.on_train_batch_end(batch)
    first, second = capsys.readouterr().out.splitlines()
    assert first == "the first step is done after 0 s"
    assert second == "an epoch of training takes about 0 s"


def test_an_epoch_without_a_loss_of_validation_ends_the_fit(small_target):
    callback = StopOnNonFinite()
    callback.set_model(ClusterModel(small_target, MODEL))
    callback.model.compile(make_optimizer(TrainingConfig(), 10))
    with pytest.raises(FloatingPointError, match=r"val_loss.*target's box"):
        callback.on_epoch_end(0, {"loss": 3.0, "val_loss": math.inf})


def test_a_loss_that_is_not_finite_stops_the_fit(small_target):
    callback = StopOnNonFinite()
    model = ClusterModel(small_target, MODEL)
    model.compile(make_optimizer(TrainingConfig(), 10))
    callback.set_model(model)
    callback.on_train_batch_end(0, {"loss": 3.0, "nll": -1.0})
    for value in (math.nan, math.inf):
        with pytest.raises(
            FloatingPointError, match=r"expected a finite loss; .*nll.*target's box"
        ):
            callback.on_train_batch_end(1, {"loss": 3.0, "nll": value})


def test_only_a_better_epoch_replaces_the_best(small_target, tmp_path):
    keeper = KeepBest(tmp_path / "best.keras", best=1.0)
    keeper.set_model(ClusterModel(small_target, MODEL))
    keeper.on_epoch_end(0, {"val_loss": 1.5})
    keeper.on_epoch_end(1, {"val_loss": math.nan})
    assert not keeper.path.exists()
    keeper.on_epoch_end(2, {"val_loss": 0.5})
    assert [path.name for path in tmp_path.iterdir()] == ["best.keras"]
    assert keeper.best == 0.5


def test_the_plain_keras_script_trains_a_model(
    small_mock_set, tmp_path, monkeypatch, pytestconfig
):
    options = ["--epochs", "1", "--batch-size", "64", "--backbone", "resnet_tiny"]
    options += ["--logs", str(tmp_path / "logs")]
    files = [str(small_mock_set), str(tmp_path / "mine.keras")]
    monkeypatch.setattr(sys, "argv", ["fit.py", *files, *options])
    # whose graph is made sooner than a flow's
    mixture = functools.partial(ModelConfig, posterior="mixture")
    monkeypatch.setattr(clusterkeras, "ModelConfig", mixture)
    script = pytestconfig.rootpath / "scripts" / "fit.py"
    lines = script.read_text().splitlines()
    assert len(lines) < 60
    exec(compile("\n".join(lines), script, "exec"), {"__name__": "__main__"})
    model = keras.models.load_model(tmp_path / "mine.keras")
    assert isinstance(model, ClusterModel)
    assert all(np.all(np.isfinite(w)) for w in model.unlike.get_weights())
    for name in ("train", "validation"):
        assert steps_of(tmp_path / "logs" / name, "epoch_loss") == [0]


def test_an_epoch_over_the_first_mocks_alone_is_as_short_as_they_are_few(
    small_mock_set,
):
    whole = TrainingConfig(batch_size=16)
    part = dataclasses.replace(whole, n_mocks=48)
    lengths = [_batches(small_mock_set, t).cardinality() for t in (whole, part)]
    assert lengths == [8, 3]


def test_a_fit_can_start_from_a_trained_model(finished_run, small_mock_set, tmp_path):
    model, _ = configuration_of(finished_run)
    # at this rate nothing is learnt: what is saved is what it started from
    still = TrainingConfig(
        epochs=1,
        batch_size=16,
        learning_rate=1e-12,
        picture_epochs=0,
        start_from=str(finished_run),
    )
    path = fit(small_mock_set, tmp_path / "run", model, still)
    trained = keras.models.load_model(finished_run / "model.keras")
    again = keras.models.load_model(path)
    for one, other in zip(
        trained.trainable_weights, again.trainable_weights, strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


def statistics_of(model):
    return [w.numpy() for w in model.non_trainable_weights if "moving" in w.name]


class Statistics(keras.callbacks.Callback):
    """Keep statistics and scales of the normalisation after each epoch."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_epoch_end(self, epoch, logs=None):
        """Keep them."""
        scales = [w.numpy() for w in self.model.trainable_weights if w.name == "gamma"]
        self.kept.append((statistics_of(self.model), scales))


def test_in_the_decay_statistics_of_the_normalisation_stay_and_the_rest_learns(
    small_mock_set, small_target
):
    model = ClusterModel(small_target, MODEL)
    model.compile(make_optimizer(TrainingConfig(), 12))
    data = make_dataset(small_mock_set, "train", 16, training=True).take(3)
    seen = Statistics()
    model.fit(
        data,
        epochs=4,
        shuffle=False,
        verbose=0,
        callbacks=[FixNormalisation(2), seen],
    )

    def same(one, other):
        return [np.array_equal(a, b) for a, b in zip(one, other, strict=True)]

    for epoch, fixed in ((1, False), (2, True), (3, True)):
        before, after = seen.kept[epoch - 1], seen.kept[epoch]
        assert all(same(before[0], after[0])) == fixed
        assert not any(same(before[1], after[1]))


def test_fresh_mocks_are_others_from_the_same_priors(small_mock_set, tmp_path):
    first = read_set(small_mock_set)
    assert fresh_set(small_mock_set, tmp_path, 0) == small_mock_set
    again = read_set(fresh_set(small_mock_set, tmp_path, 1))
    assert again.splits == {"train": first.splits["train"]}
    assert again.configuration["priors"] == first.configuration["priors"]
    other = read_set(fresh_set(small_mock_set, tmp_path, 2))
    assert not again.directory.exists()
    shards = [one.shards["train"][0][0].read_bytes() for one in (first, other)]
    assert shards[0] != shards[1]
    # what somebody else has put there stays
    others = [
        tmp_path / name for name in ("mocks-1", "fresh-mocks-old", "fresh-mocks-7")
    ]
    for directory in others:
        directory.mkdir()
    remove_fresh_sets(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_what_trains_in_mixed_precision_is_saved_in_single(
    finished_run, small_mock_set, tmp_path
):
    model, _ = configuration_of(finished_run)
    training = TrainingConfig(
        epochs=1,
        batch_size=16,
        picture_epochs=0,
        start_from=str(finished_run),
        mixed_precision=True,
    )
    path = fit(small_mock_set, tmp_path / "run", model, training)
    trained = keras.models.load_model(finished_run / "model.keras")
    again = keras.models.load_model(path)
    assert {layer.compute_dtype for layer in again.backbone.layers} == {"float32"}
    learnt = [
        not np.array_equal(one, other)
        for one, other in zip(
            trained.trainable_weights, again.trainable_weights, strict=True
        )
    ]
    assert all(learnt)


def test_a_model_of_another_shape_is_no_start(finished_run, small_mock_set, tmp_path):
    other = ModelConfig(
        backbone="resnet_tiny", posterior="mixture", components=3, hidden=8
    )
    training = TrainingConfig(start_from=str(finished_run))
    with pytest.raises(ValueError, match=r"start_from: .*: expected .*components=3"):
        fit(small_mock_set, tmp_path / "run", other, training)


@pytest.mark.slow
def test_the_published_network_trains_and_predicts_by_configuration_alone(
    small_mock_set, tmp_path
):
    published = ModelConfig(backbone="published_resnet50", posterior="grid")
    training = TrainingConfig(
        epochs=1, batch_size=32, learning_rate=1e-4, picture_epochs=0, n_mocks=32
    )
    path = fit(small_mock_set, tmp_path / "run", published, training)
    test = make_dataset(small_mock_set, "test", 32, training=False)
    predictions = predict(load_model(path), test, draws=16)
    assert np.all(np.isfinite(predictions.log_prob))
    assert np.all(np.isfinite(predictions.visibility_std))


def test_a_directory_without_mocks_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a mock set"):
        fit(tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()
