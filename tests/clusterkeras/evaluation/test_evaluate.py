import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.evaluation import asking, evaluate
from clusterkeras.evaluation.numbers.posterior import posterior_report, score_clusters
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.network.model import ClusterModel
from data_tools.priors import Priors
from data_tools.records.dataset import make_dataset
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.running.plain_files import read_json

PICTURES = {
    "sharpness",
    "predicted_against_true",
    "coverage",
    "ranks",
    "presence",
    "visibility",
    "strata",
    "corner_degenerate",
    "corner_typical",
    "corner_faint",
}


def test_what_misses_a_limit_is_printed_first_then_the_worst(over_confident, box):
    clusters = over_confident.select(over_confident.is_cluster)
    scored = score_clusters(clusters, box)
    found = posterior_report(clusters, scored, box)
    cut = found["strata"]["predicted"]
    cut[0]["ok"] = False
    found["strata"]["predicted"] = cut[::-1]
    limits, _, predicted, _ = evaluate.headline(found).split("\n\n")
    assert limits.splitlines()[1].startswith("FAIL")
    first, second = predicted.splitlines()[3:5]
    assert first.startswith(cut[0]["label"])
    worst = max(cut[1:], key=lambda row: abs(row["worst_coverage"]["sigmas"]))
    assert second.startswith(worst["label"])


def test_a_few_clusters_without_negatives_make_a_report_without_presence(
    calibrated, box, tmp_path
):
    rows = np.zeros(len(calibrated), bool)
    rows[np.flatnonzero(calibrated.is_cluster)[:9]] = True
    metrics = evaluate.write_metrics(calibrated.select(rows), box, tmp_path, {})
    assert metrics["n_records"] == metrics["n_clusters"] == 9
    assert metrics["presence"] is None
    assert metrics["posterior"]["fields"]["a_v"]["rank"] is None
    assert {p.stem for p in tmp_path.glob("*.png")} == PICTURES - {"presence"}


def test_too_few_clusters_are_refused_before_anything_is_written(
    calibrated, box, tmp_path
):
    rows = ~calibrated.is_cluster
    rows[np.flatnonzero(calibrated.is_cluster)[:2]] = True
    with pytest.raises(ValueError, match="at least three clusters; received 2"):
        evaluate.write_metrics(calibrated.select(rows), box, tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_draws_with_nan_are_refused(calibrated, box, tmp_path):
    draws = calibrated.draws.copy()
    draws[np.flatnonzero(calibrated.is_cluster)[0], 3, 1] = np.nan
    broken = dataclasses.replace(calibrated, draws=draws)
    with pytest.raises(ValueError, match="draws must be finite; received 1"):
        evaluate.write_metrics(broken, box, tmp_path, {})


def test_plain_values_are_strict_json_without_nan():
    values = {
        "a": np.float32(0.5),
        "b": [np.nan, -np.inf, np.int64(3)],
        "c": np.array([1.0, np.inf]),
        1: (np.bool_(True), None, "x"),
    }
    plain = evaluate.as_plain(values)
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "a": 0.5,
        "b": [None, None, 3],
        "c": [1.0, None],
        "1": [True, None, "x"],
    }


@pytest.fixture(scope="module")
def mocks(m83, tmp_path_factory):
    """Simulate a small mock set."""
    priors = Priors(field_px=192, mocks_per_field=24)
    numbers = MockSet(n_train=2, n_validation=2, n_test=48, shard_size=24)
    output = tmp_path_factory.mktemp("mocks")
    return simulate(output, m83, priors, numbers, workers=1, progress=False)


@pytest.fixture(scope="module")
def model(m83):
    """Return a small model that has not been trained."""
    return ClusterModel(m83, {"posterior": "mixture", "components": 2, "hidden": 16})


@pytest.fixture(scope="module")
def predictions(model, mocks):
    """Return what the model says of the set."""
    dataset = make_dataset(mocks, "test", 48, training=False)
    return asking.predict(model, dataset, draws=32)


def test_evaluate_scores_a_saved_model_on_a_mock_set(model, mocks, tmp_path, capsys):
    model.save(tmp_path / "model.keras")
    metrics = evaluate.evaluate(
        tmp_path, mocks, tmp_path / "out", draws=64, batch_size=20, limit=40
    )
    assert {p.stem for p in (tmp_path / "out").glob("*.png")} == PICTURES
    assert read_json(tmp_path / "out" / "metrics.json") == metrics
    assert metrics["n_records"] == 40
    assert metrics["split"] == "test"
    assert {"tensorflow", "keras", "clusterkeras"} <= set(metrics["versions"])
    assert metrics["command"] and metrics["model"] == str(tmp_path)
    assert set(metrics["examples"]) == {"degenerate", "typical", "faint"}
    # an untrained network starts near the prior
    score = metrics["posterior"]["overall"]["negative_log_probability"]
    assert abs(score["mean"] - score["prior"]) < 3
    printed = capsys.readouterr()
    # which keeps limits of calibration, and is told before them
    assert metrics["sharpness"]["unknown"]
    assert printed.out.startswith("Beside the prior: ")
    said = printed.out.index("Next to nothing that the prior does not say")
    assert said < printed.out.index("limits missed")
    assert "max |ECP - alpha|" in printed.out and "100%" in printed.err


def test_predictions_do_not_depend_on_the_batch_size(model, mocks, predictions):
    dataset = make_dataset(mocks, "test", 17, training=False)
    other = asking.predict(model, dataset, draws=32)
    for field in dataclasses.fields(Predictions):
        one, two = (getattr(p, field.name) for p in (predictions, other))
        np.testing.assert_allclose(one, two, atol=2e-4, err_msg=field.name)


def test_records_with_the_same_image_but_another_number_draw_anew(model, mocks):
    (images, labels), *_ = make_dataset(mocks, "test", 2, training=False, limit=2)
    images = tf.repeat(images[:1], 2, axis=0)
    found = asking.predict(model, [(images, labels)], draws=32)
    assert not np.allclose(found.draws[0], found.draws[1])


def test_predicted_densities_belong_to_the_draws_and_the_truth(
    model, mocks, predictions
):
    images, labels = next(iter(make_dataset(mocks, "test", 48, training=False)))
    posterior = model.posterior(model(images, training=False)["posterior"])
    expected = posterior.log_prob(predictions.draws[:, 5]).numpy()
    found = predictions.log_prob_draws[:, 5]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
    expected = posterior.log_prob(labels["parameters"]).numpy()
    np.testing.assert_allclose(predictions.log_prob, expected, rtol=1e-3, atol=1e-3)
    assert (predictions.is_cluster == (predictions.kind == 0)).all()


def test_a_set_in_other_bands_is_refused(m83, mocks, tmp_path):
    bands = (dataclasses.replace(m83.bands[0], name="F275W"), *m83.bands[1:])
    other = ClusterModel(dataclasses.replace(m83, bands=bands), {"hidden": 8})
    other.save(tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"made for band_names \('F275W'.*F336W"):
        evaluate.evaluate(tmp_path, mocks, tmp_path / "out")


def test_too_few_draws_are_refused(tmp_path):
    with pytest.raises(ValueError, match="draws must be >= 16; received 4"):
        evaluate.evaluate(tmp_path, tmp_path, tmp_path, draws=4)


def test_a_file_where_the_report_belongs_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(NotADirectoryError, match="file is a file"):
        evaluate.evaluate("no model", "no set", tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "kept"
