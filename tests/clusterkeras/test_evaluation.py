import dataclasses
import json

import numpy as np
import pytest

from clusterkeras import evaluation
from clusterkeras.diagnostics import report
from data_tools.manifest import read_json

PICTURES = {
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


def test_report_of_known_predictions_has_numbers_pictures_and_table(
    calibrated, box, tmp_path, capsys
):
    metrics = evaluation.write_report(calibrated, box, tmp_path, {"split": "toy"})
    assert {p.stem for p in tmp_path.glob("*.png")} == PICTURES
    assert read_json(tmp_path / "metrics.json") == metrics
    assert metrics["split"] == "toy"
    assert metrics["n_clusters"] == calibrated.is_cluster.sum()
    assert metrics["posterior"]["joint"]["tarp"]["ok"]
    assert set(metrics["examples"].values()) <= set(calibrated.mock_id.tolist())
    printed = capsys.readouterr().out
    assert "published_regime" in printed and "max |ECP - alpha|" in printed


def test_worst_stratum_is_printed_first(over_confident, box):
    clusters = over_confident.select(over_confident.is_cluster)
    scored = report.score_clusters(clusters, box)
    found = report.posterior_report(clusters, scored, box)
    cut = found["strata"]["predicted"]
    worst = max(cut, key=lambda row: abs(row["worst_coverage"]["sigmas"]))
    block = evaluation.summary(found).split("\n\n")[1]
    assert block.splitlines()[3].startswith(worst["label"])


def test_a_few_clusters_without_negatives_make_a_report_without_presence(
    calibrated, box, tmp_path
):
    rows = np.zeros(len(calibrated), bool)
    rows[np.flatnonzero(calibrated.is_cluster)[:9]] = True
    metrics = evaluation.write_report(calibrated.select(rows), box, tmp_path, {})
    assert metrics["n_records"] == metrics["n_clusters"] == 9
    assert metrics["presence"] is None
    assert {p.stem for p in tmp_path.glob("*.png")} == PICTURES - {"presence"}


def test_too_few_clusters_are_refused_before_anything_is_written(
    calibrated, box, tmp_path
):
    rows = ~calibrated.is_cluster
    rows[np.flatnonzero(calibrated.is_cluster)[:2]] = True
    with pytest.raises(ValueError, match="at least three clusters; received 2"):
        evaluation.write_report(calibrated.select(rows), box, tmp_path / "out", {})
    assert not (tmp_path / "out").exists()


def test_draws_with_nan_are_refused(calibrated, box, tmp_path):
    draws = calibrated.draws.copy()
    draws[np.flatnonzero(calibrated.is_cluster)[0], 3, 1] = np.nan
    broken = dataclasses.replace(calibrated, draws=draws)
    with pytest.raises(ValueError, match="draws must be finite; received 1"):
        evaluation.write_report(broken, box, tmp_path, {})


def test_plain_values_are_strict_json_without_nan():
    values = {
        "a": np.float32(0.5),
        "b": [np.nan, -np.inf, np.int64(3)],
        "c": np.array([1.0, np.inf]),
        1: (np.bool_(True), None, "x"),
    }
    plain = evaluation.as_plain(values)
    assert json.loads(json.dumps(plain, allow_nan=False)) == {
        "a": 0.5,
        "b": [None, None, 3],
        "c": [1.0, None],
        "1": [True, None, "x"],
    }
