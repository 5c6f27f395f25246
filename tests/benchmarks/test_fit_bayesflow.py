"""BayesFlow on a small mock set, where it is installed: an environment of its own."""

import csv
import importlib.util
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from clusterkeras.evaluation.numbers.predictions import Predictions
from data_tools.records.dataset import make_dataset

pytest.importorskip(
    "bayesflow", reason="BayesFlow has an environment of its own: benchmarks/bayesflow"
)

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bayesflow" / "fit_bayesflow.py"

#: Processor time of a training, most of it spent on building the graph.
HOURS = 0.01


def volume(target):
    return np.prod([high - low for low, high in target.box.values()])


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("fit_bayesflow", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        spec.loader.exec_module(module)
        # the cutouts are too small for the default
        small = partial(module.OurBackbone, backbone="resnet_tiny", hidden=16)
        patch.setattr(module, "OurBackbone", small)
        yield module


@pytest.fixture(scope="module", params=["its_own", "our_backbone"])
def run(request, script, small_mock_set, tmp_path_factory):
    """Return a function that trains and asks, and the directory it writes."""
    output = tmp_path_factory.mktemp("runs") / "bayesflow"
    options = ["--data", str(small_mock_set), "-o", str(output), "--draws", "400"]
    options += ["--networks", request.param]

    def call(*more):
        script.main([*options, "--cpu_hours", str(HOURS), *more])

    call()
    return call, output


@pytest.fixture(scope="module")
def asked(script, run, small_target, small_mock_set):
    """Return the trained flow and the summaries of three clusters."""
    approximator = script.keras.saving.load_model(run[1] / "model.keras")
    images, _ = next(iter(script.read_clusters(small_mock_set, "test", training=False)))
    summaries = np.asarray(approximator.summarize({"images": images[:3].numpy()}))
    return script.flow_on_summaries(approximator, small_target), summaries


def log_density(flow, summaries, parameters):
    return flow.log_prob(
        {
            "summaries": np.repeat(summaries[None], len(parameters), axis=0),
            "parameters": parameters.astype(np.float32),
        }
    )


def test_densities_integrate_to_one_over_the_box_in_its_own_units(asked, small_target):
    flow, summaries = asked
    low, high = np.transpose(list(small_target.box.values()))
    points = np.random.default_rng(0).uniform(low, high, (20_000, len(low)))
    for one in summaries:
        share = np.exp(log_density(flow, one, points)) * volume(small_target)
        error = share.std() / np.sqrt(len(share))
        assert error < 0.05
        assert share.mean() == pytest.approx(1, abs=4 * error)


def test_draws_follow_the_density_that_is_stated(asked, small_target):
    flow, summaries = asked
    low, high = np.transpose(list(small_target.box.values()))
    points = np.random.default_rng(1).uniform(low, high, (20_000, len(low)))
    drawn = flow.sample(num_samples=5000, conditions={"summaries": summaries}, seed=0)
    for one, draws in zip(summaries, drawn["parameters"], strict=True):
        log_prob = log_density(flow, one, points)
        weights = np.exp(log_prob) / np.exp(log_prob).sum()
        apart = (draws.mean(axis=0) - weights @ points) / (high - low)
        np.testing.assert_allclose(apart, 0, atol=0.03)
        entropy = -log_density(flow, one, draws).mean()
        assert entropy == pytest.approx(-weights @ log_prob, abs=0.1)


def test_predictions_are_those_of_the_clusters_of_the_split_in_their_order(
    run, small_mock_set, small_target
):
    found = Predictions.read(run[1] / "predictions.npz")
    labels = [y for _, y in make_dataset(small_mock_set, "test", 64, training=False)]
    rows = np.concatenate([y["is_cluster"].numpy() for y in labels]) > 0
    ids = np.concatenate([y["mock_id"].numpy() for y in labels])[rows]
    np.testing.assert_array_equal(found.mock_id, ids)
    assert np.isfinite(found.log_prob).all() and np.isfinite(found.log_prob_draws).all()
    low, high = np.transpose(list(small_target.box.values()))
    assert found.draws.shape == (len(ids), 400, len(low))
    assert ((found.draws > low) & (found.draws < high)).all()


def test_training_takes_the_processor_time_that_it_was_given(run):
    with (run[1] / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    spent = sum(float(row["cpu_hours"]) for row in rows)
    # one step more, or building the graph, may go over it
    assert HOURS <= spent < 2 * HOURS
    assert not (run[1] / "backup").exists()


def test_a_finished_training_is_asked_again_and_says_the_same(run):
    call, output = run
    before = Predictions.read(output / "predictions.npz")
    call()
    again = Predictions.read(output / "predictions.npz")
    np.testing.assert_allclose(again.log_prob, before.log_prob, atol=1e-3)


def test_our_backbone_summarises_as_it_does_here(script, small_target):
    px, bands = small_target.cutout_px, len(small_target.bands)
    network = script.make_networks("our_backbone", small_target)["summary_network"]
    images = np.random.default_rng(0).normal(0, 1, (3, px, px, bands))
    images = images.astype(np.float32)
    found = np.asarray(network(images))
    assert network.backbone_name == "resnet_tiny" and found.shape == (3, 16)
    features = network.backbone(images, training=False)
    expected = np.maximum(features @ network.dense.kernel + network.dense.bias, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # in training images are normalised by their batch
    assert not np.allclose(np.asarray(network(images, training=True)), found)


def test_other_options_in_the_same_directory_are_refused(run):
    with pytest.raises(ValueError, match=r"run\.json: another run is kept here"):
        run[0]("--batch_size", "7")


def test_a_training_that_is_cut_off_goes_on(
    script, small_mock_set, tmp_path, monkeypatch
):
    class Cut(script.Clusters):
        left = 9

        def sample(self, batch_shape, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise OSError("cut off")
            return super().sample(batch_shape, **kwargs)

    monkeypatch.setattr(script, "STEPS", 4)
    with monkeypatch.context() as patch:
        patch.setattr(script, "Clusters", Cut)
        with pytest.raises(script.tf.errors.UnknownError, match="cut off"):
            script.train(small_mock_set, tmp_path, HOURS, 16, 0)
    history = tmp_path / "history.csv"
    before = history.read_text()
    assert not (tmp_path / "model.keras").exists() and "\n4," in before
    script.train(small_mock_set, tmp_path, 3 * HOURS, 16, 0)
    assert history.read_text().startswith(before)
    steps = [int(line.split(",")[0]) for line in history.read_text().split()[1:]]
    assert steps[:-1] == list(range(4, 4 * len(steps), 4))
