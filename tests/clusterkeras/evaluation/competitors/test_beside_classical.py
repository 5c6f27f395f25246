import dataclasses

import numpy as np
import pytest

from clusterkeras.commands import cli
from clusterkeras.evaluation.competitors.beside_classical import (
    check_same_clusters,
    evaluate_beside_classical,
    gains,
)
from clusterkeras.evaluation.words import methods
from clusterkeras.network.model import ClusterModel
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.running.plain_files import read_json


@pytest.fixture(scope="module")
def clusters(calibrated):
    return calibrated.select(calibrated.is_cluster)


def test_the_gain_is_that_of_the_same_truths_and_its_error_that_of_the_fields(clusters):
    rng = np.random.default_rng(0)
    numbers, field = np.unique(clusters.field_id, return_inverse=True)
    less = 2 + rng.normal(0, 0.5, len(numbers))[field] + rng.normal(0, 1, len(field))
    other = dataclasses.replace(clusters, log_prob=clusters.log_prob - less)
    found = gains(clusters, other)["overall"]
    assert (found["n"], found["n_fields"]) == (len(clusters), len(numbers))
    assert found["mean"] == pytest.approx(less.mean())
    together = np.hypot(0.5, 1 / np.sqrt(len(field) / len(numbers)))
    assert found["error"] == pytest.approx(together / np.sqrt(len(numbers)), rel=0.4)


def test_the_strata_hold_their_own_clusters(clusters):
    faint = clusters.log_snr < 0.5
    other = dataclasses.replace(clusters, log_prob=clusters.log_prob - faint)
    strata = {row["label"]: row for row in gains(clusters, other)["strata"]}
    assert strata["log_snr < 0.5"]["mean"] == pytest.approx(1)
    assert strata["log_snr >= 2"]["mean"] == pytest.approx(0)
    assert strata["log_snr < 0.5"]["n"] == faint.sum()


def test_a_truth_that_one_method_rules_out_does_not_count(clusters):
    log_prob = clusters.log_prob.copy()
    log_prob[0] = -np.inf
    found = gains(clusters, dataclasses.replace(clusters, log_prob=log_prob))
    assert found["overall"]["n"] == len(clusters) - 1
    assert found["overall"]["mean"] == 0


def test_answers_about_other_clusters_are_refused():
    check_same_clusters("grid", np.array([1, 2]), np.array([1, 2]))
    with pytest.raises(
        ValueError, match=r"grid: expected .*same 2 .*received 2 others"
    ):
        check_same_clusters("grid", np.array([1, 2]), np.array([2, 1]))


@pytest.fixture(scope="module")
def run(photometric_target, tmp_path_factory):
    """Return the directory of a model that has not been trained."""
    directory = tmp_path_factory.mktemp("run")
    config = {"backbone": "resnet_tiny", "posterior": "mixture", "hidden": 8}
    ClusterModel(photometric_target, config).save(directory / "model.keras")
    return directory


@pytest.mark.slow
def test_the_classical_method_stands_beside_the_model(
    run, photometric_mock_set, tmp_path, capsys
):
    metrics = evaluate_beside_classical(
        run, photometric_mock_set, tmp_path, draws=32, n_models=500
    )
    assert read_json(tmp_path / "metrics.json") == metrics
    rival = metrics["classical"]
    assert rival["posterior"]["overall"]["n"] == metrics["n_clusters"]
    assert rival["n_models"] > 500 and rival["hours_to_make"] > 0
    # the model has learnt nothing, a grid of 600 models knows something
    loss = [
        found["posterior"]["overall"]["negative_log_probability"]["mean"]
        for found in (metrics, rival)
    ]
    assert rival["gain"]["overall"]["mean"] == pytest.approx(loss[1] - loss[0])
    assert loss[1] < loss[0]
    section = "\n\n".join(methods.classical_part(metrics))
    assert section in (tmp_path / "tables.md").read_text()
    assert methods.classical_part(metrics)[1] in capsys.readouterr().out
    assert (tmp_path / "classical.png").stat().st_size > 1000


def test_a_set_without_a_split_to_make_the_grid_of_is_refused(small_target, tmp_path):
    numbers = MockSet(n_train=8, n_validation=0, n_test=8, shard_size=8)
    priors = Priors(field_px=128, mocks_per_field=32)
    mocks = simulate(
        tmp_path / "mocks", small_target, priors, numbers, workers=1, progress=False
    )
    with pytest.raises(ValueError, match=r"\['validation'\] without records"):
        evaluate_beside_classical("no model", mocks, tmp_path / "out")


def test_the_split_that_the_grid_is_made_of_is_no_test(run, tmp_path, capsys):
    command = ["evaluate", "--classical", "--split", "train", "--data", str(tmp_path)]
    assert cli.main([*command, "--output", str(tmp_path)]) != 0
    assert "--classical: expected --split test" in capsys.readouterr().err


def test_a_truth_that_a_method_rules_out_is_counted_apart(clusters):
    log_prob = clusters.log_prob.astype(float) - 1
    log_prob[:3] = -np.inf
    other = dataclasses.replace(clusters, log_prob=log_prob)
    found = gains(clusters, other)["overall"]
    assert (found["n"], found["n_ruled_out"]) == (len(clusters) - 3, 3)
    assert found["mean"] == pytest.approx(1)
