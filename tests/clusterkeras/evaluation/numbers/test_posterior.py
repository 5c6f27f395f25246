import dataclasses

import numpy as np
import pytest
from scipy import stats

from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.posterior import (
    posterior_report,
    score_clusters,
    stratum_row,
)
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.evaluation.numbers.presence import (
    presence_report,
    sharpness_report,
    unlike_report,
    visibility_report,
)
from data_tools.schema import PARAMETER_NAMES


def posterior(predictions, box):
    clusters = predictions.select(predictions.is_cluster)
    scored = score_clusters(clusters, box)
    return clusters, scored, posterior_report(clusters, scored, box)


@pytest.fixture(scope="module")
def right(calibrated, box):
    return posterior(calibrated, box)


@pytest.fixture(scope="module")
def narrow(over_confident, box):
    return posterior(over_confident, box)


def test_right_posteriors_cover_what_they_say_in_every_predicted_stratum(right):
    *_, found = right
    rows = [found["overall"], *found["strata"]["predicted"]]
    sigmas = [row["worst_coverage"]["sigmas"] for row in rows]
    # the largest of 22 strata x 4 parameters x 2 levels
    assert np.abs(sigmas).max() < 4
    assert found["joint"]["tarp"]["ok"] and found["joint"]["hpd"]["ok"]
    assert all(check["ok"] for check in found["ranks"].values())


def test_right_posteriors_keep_every_limit_and_every_band(right):
    *_, found = right
    assert all(v["ok"] for v in found["verdicts"])
    assert all(row["ok"] for row in found["strata"]["predicted"])
    curves = [found["joint"]["tarp"], found["joint"]["hpd"], *found["ranks"].values()]
    assert min(curve["band"]["p_value"] for curve in curves) > 0.05 / len(curves)
    tarp = found["joint"]["tarp"]
    assert (tarp["ecp_low"] < tarp["ecp"]).all()
    assert (np.abs(tarp["ecp"] - tarp["alpha"]) <= tarp["max_deviation"] + 1e-9).all()


def test_over_confident_posteriors_miss_limits_in_the_strata_that_say_so(narrow):
    *_, found = narrow
    missed = [v for v in found["verdicts"] if not v["ok"]]
    assert missed == found["verdicts"][: len(missed)]
    assert {v["quantity"] for v in missed} >= set(PARAMETER_NAMES)
    labels = {v["stratum"] for v in missed}
    for row in found["strata"]["predicted"]:
        assert row["ok"] == (row["label"] not in labels)
    assert not any(check["band"]["ok"] for check in found["ranks"].values())


def test_crowding_is_cut_and_what_is_wrong_there_alone_is_found(calibrated, box):
    stretch = np.where(calibrated.crowding > 0.8, 0.5, 1)[:, None, None]
    median = np.median(calibrated.draws, axis=1, keepdims=True)
    draws = median + stretch * (calibrated.draws - median)
    found = posterior(dataclasses.replace(calibrated, draws=draws), box)[2]
    worst = strata.worst_calibrated_first(found["strata"]["predicted"])[0]
    assert worst["label"] == "crowding >= 0.8" and not worst["ok"]


def test_clusters_of_a_field_that_err_together_are_found(calibrated, box):
    *_, found = posterior(calibrated, box)
    assert all(found["fields"][name]["rank"]["ok"] for name in PARAMETER_NAMES)
    shift = np.random.default_rng(0).normal(0, 0.3, calibrated.field_id.max() + 1)
    draws = calibrated.draws.copy()
    draws[..., 0] += shift[calibrated.field_id][:, None]
    *_, found = posterior(dataclasses.replace(calibrated, draws=draws), box)
    assert found["fields"]["log_age"]["rank"]["dispersion"] > 3
    assert found["fields"]["a_v"]["rank"]["ok"]


def shaken(predictions, by):
    """Move the draws of a field together, by so many times the width of each."""
    shift = np.random.default_rng(0).normal(0, by, predictions.field_id.max() + 1)
    width = predictions.draws.std(axis=1, keepdims=True)
    off = shift[predictions.field_id][:, None, None] * width
    return dataclasses.replace(predictions, draws=predictions.draws + off)


def test_every_error_of_clusters_that_err_together_is_that_of_their_fields(
    calibrated, box
):
    def errors(predictions):
        *_, found = posterior(predictions, box)
        row = found["overall"]
        return row, row["parameters"]["a_v"] | found["ranks"]["a_v"]

    together = shaken(calibrated, 0.7)
    each_its_own = np.arange(len(together))
    row, in_fields = errors(together)
    _, alone = errors(dataclasses.replace(together, field_id=each_its_own))
    assert row["n_fields"] == 30
    # 69 clusters a field share a third of the variance
    assert in_fields["bias_error"] > 3 * alone["bias_error"]
    assert in_fields["noise"] > 2 * alone["noise"]
    for name in ("scatter_error", "coverage_68_error", "coverage_95_error"):
        assert in_fields[name] > 1.2 * alone[name]


def test_errors_of_independent_clusters_are_the_usual_ones(right):
    *_, found = right
    row = found["overall"]
    score = row["negative_log_probability"]
    loss = -right[1].log_prob
    assert score["standard_error"] == pytest.approx(stats.sem(loss), rel=0.3)
    for p, number in enumerate(row["parameters"].values()):
        residual = right[1].median[:, p] - right[1].truth[:, p]
        again = [
            np.median(np.random.default_rng(i).choice(residual, len(residual)))
            for i in range(200)
        ]
        assert number["bias_error"] == pytest.approx(np.std(again), rel=0.5)
        expected = np.sqrt(0.68 * 0.32 / row["n"])
        assert number["coverage_68_error"] == pytest.approx(expected, rel=0.4)
        assert number["coverage_68_error"] >= (1 - 1e-9) * expected


def test_the_joint_s_regions_of_highest_density_have_limits(right, narrow):
    for found, kept in ((right[2], True), (narrow[2], False)):
        verdicts = {v["quantity"]: v for v in found["verdicts"]}
        for level in (68, 95):
            deviation = verdicts[f"hpd_{level}"]["deviation"]
            covered = found["overall"]["hpd"][f"coverage_{level}"]
            assert deviation == pytest.approx(covered - level / 100)
            assert verdicts[f"hpd_{level}"]["ok"] == kept
    # four parameters a fifth too narrow: the share of a chi2 of 4 within
    held = stats.chi2.cdf(0.64 * stats.chi2.ppf(0.68, 4), 4)
    assert narrow[2]["overall"]["hpd"]["coverage_68"] == pytest.approx(held, abs=0.04)


def test_energy_score_is_better_for_right_posteriors(right, narrow):
    one, two = (f["joint"]["energy_score"] for *_, f in (right, narrow))
    assert 0 < one < two < 0.5


def test_over_confident_posteriors_fail_overall_in_strata_and_jointly(narrow):
    *_, found = narrow
    assert found["overall"]["worst_coverage"]["sigmas"] < -8
    for name in PARAMETER_NAMES:
        assert found["overall"]["parameters"][name]["coverage_68"] < 0.62
        assert not found["ranks"][name]["ok"]
    assert not found["joint"]["tarp"]["ok"] and not found["joint"]["hpd"]["ok"]
    large = [row for row in found["strata"]["predicted"] if row["n"] > 300]
    assert all(row["worst_coverage"]["sigmas"] < -2.5 for row in large)


def test_over_confidence_costs_log_probability_and_the_prior_stands_beside(
    right, narrow
):
    scores = [f["overall"]["negative_log_probability"] for *_, f in (right, narrow)]
    assert scores[0]["mean"] < scores[1]["mean"] < scores[0]["prior"]
    assert scores[0]["prior"] == pytest.approx(np.log(4.1 * 4.0 * 3.5 * 1.4))
    assert scores[0]["gain_over_prior"] == scores[0]["prior"] - scores[0]["mean"]


def test_numbers_of_a_stratum_are_those_of_its_clusters_alone(right, box):
    clusters, _, found = right
    row = next(r for r in found["strata"]["true"] if r["label"] == "log_snr 1.5 to 2")
    inside = (clusters.log_snr >= 1.5) & (clusters.log_snr < 2)
    alone = posterior(clusters.select(inside), box)[2]["overall"]
    assert row["n"] == inside.sum() == alone["n"]
    for name in PARAMETER_NAMES:
        assert row["parameters"][name] == pytest.approx(alone["parameters"][name])


def test_bias_of_shifted_draws_is_found_with_its_error(calibrated, box):
    shift = np.array([0.2, 0.0, -0.1, 0.0])
    moved = dataclasses.replace(calibrated, draws=calibrated.draws + shift)
    found = posterior(moved, box)[2]["overall"]["parameters"]
    for name, expected in zip(PARAMETER_NAMES, shift, strict=True):
        number = found[name]
        assert abs(number["bias"] - expected) < 5 * number["bias_error"]
        assert number["bias_error"] < 0.02


def test_catastrophic_fraction_counts_a_factor_of_ten_in_age(calibrated, box):
    clusters = calibrated.select(calibrated.is_cluster)
    truth = clusters.truth.copy()
    truth[:, 0] = np.where(np.arange(len(truth)) % 4 == 0, 6.7, 8.5)
    draws = np.broadcast_to(truth[:, None], clusters.draws.shape).copy()
    draws[..., 0] = 8.5
    scored = score_clusters(
        dataclasses.replace(clusters, truth=truth, draws=draws), box
    )
    everything = strata.Stratum("all", -np.inf, np.inf, np.ones(len(truth), bool))
    row = stratum_row(scored, everything, 0.0)
    assert row["parameters"]["log_age"]["catastrophic_fraction"] == pytest.approx(
        0.25, abs=0.001
    )


def test_a_nan_density_is_counted_and_does_not_stop_the_report(calibrated, box):
    clusters = calibrated.select(calibrated.is_cluster)
    log_prob = clusters.log_prob.copy()
    log_prob[:7] = np.nan
    broken = dataclasses.replace(clusters, log_prob=log_prob)
    score = posterior(broken, box)[2]["overall"]["negative_log_probability"]
    assert score["n_not_finite"] == 7
    assert np.isfinite(score["mean"])


def test_an_empty_stratum_is_nan_with_n_zero(right):
    _, scored, _ = right
    nobody = strata.Stratum("a_v", 9.0, 10.0, np.zeros(len(scored.truth), bool))
    row = stratum_row(scored, nobody, 0.0)
    assert row["n"] == 0
    assert "worst_coverage" not in row
    assert np.isnan(row["parameters"]["a_v"]["bias"])


def test_presence_is_reported_by_visibility_and_by_kind_of_negative(calibrated):
    found = presence_report(calibrated)
    assert found["n_clusters"] + found["n_others"] == len(calibrated)
    assert found["at_90_completeness"]["completeness"] == pytest.approx(0.9, abs=0.002)
    assert found["probabilities"]["ok"]
    assert set(found["by_kind"]) == {"empty", "bright_star", "blend"}
    assert (
        sum(part["n_others"] for part in found["by_kind"].values())
        == (found["n_others"])
    )
    assert (
        sum(part["n_clusters"] for part in found["by_log_snr"]) == (found["n_clusters"])
    )
    for what in ("n_clusters", "n_others"):
        assert sum(part[what] for part in found["by_crowding"]) == found[what]


def test_a_kind_that_passes_for_a_cluster_is_singled_out(calibrated):
    fooled = np.where(calibrated.kind == 3, 0.999, calibrated.p_cluster)
    found = presence_report(dataclasses.replace(calibrated, p_cluster=fooled))
    assert found["by_kind"]["blend"]["false_positive_rate"] == 1.0
    assert found["by_kind"]["blend"]["auc"] < 0.1 < found["by_kind"]["empty"]["auc"]


def prior_alone(predictions, box):
    """Return truths of the prior, and the prior and the share of clusters as answer."""
    low, high = np.array([box[name] for name in PARAMETER_NAMES]).T
    rng = np.random.default_rng(5)
    drawn = rng.uniform(low, high, predictions.draws.shape)
    density = -np.log(high - low).sum()
    return dataclasses.replace(
        predictions,
        truth=rng.uniform(low, high, predictions.truth.shape),
        draws=drawn,
        log_prob=np.full_like(predictions.log_prob, density),
        log_prob_draws=np.full_like(predictions.log_prob_draws, density),
        p_cluster=np.full(len(predictions), predictions.is_cluster.mean()),
    )


def sharpness(predictions, box):
    *_, found = posterior(predictions, box)
    presence = presence_report(predictions)
    return found, sharpness_report(found["overall"], presence)


def test_the_prior_keeps_every_limit_and_is_said_to_know_nothing(calibrated, box):
    report, found = sharpness(prior_alone(calibrated, box), box)
    assert all(v["ok"] for v in report["verdicts"] if v["stratum"] == "all")
    assert found["gain_over_prior"] == pytest.approx(0, abs=1e-6)
    assert found["auc"] == 0.5 and found["taken_on_mosaic"] == 0
    for width in found["width_over_prior"].values():
        assert width == pytest.approx(1, abs=0.02)
    assert found["unknown"] == list(PARAMETER_NAMES) and not found["knows_presence"]


def test_a_sharp_model_is_said_to_know_and_how_much(calibrated, box):
    report, found = sharpness(calibrated, box)
    assert found["unknown"] == [] and found["gain_over_prior"] > 1
    clusters = calibrated.select(calibrated.is_cluster)
    low, high = np.quantile(clusters.draws[..., 1], [0.16, 0.84], axis=1)
    expected = np.median(high - low) / (0.68 * np.ptp(box["a_v"]))
    assert found["width_over_prior"]["a_v"] == pytest.approx(expected)
    wide = [row for row in report["strata"]["predicted"] if row["n"]]
    assert all(0 < row["parameters"]["a_v"]["width_over_prior"] < 1 for row in wide)


def test_a_parameter_as_wide_as_the_prior_is_named_where_others_are_known(
    calibrated, box
):
    mixed = calibrated.draws.copy()
    mixed[..., 1] = prior_alone(calibrated, box).draws[..., 1]
    _, found = sharpness(dataclasses.replace(calibrated, draws=mixed), box)
    assert found["unknown"] == ["a_v"]


@pytest.mark.parametrize("p, taken", [(0.98, 0.0), (0.99, 1.0), (1.0, 1.0)])
def test_p_cluster_is_told_for_the_share_of_clusters_on_a_mosaic(calibrated, p, taken):
    """Of 70 % of clusters among mocks, 0.987 is 0.5 where 3 % are clusters."""
    rows = np.concatenate(
        [
            np.flatnonzero(calibrated.is_cluster)[:70],
            np.flatnonzero(~calibrated.is_cluster)[:30],
        ]
    )
    hundred = calibrated.select(rows)
    sure = np.where(hundred.is_cluster, p, 0.0)
    found = presence_report(dataclasses.replace(hundred, p_cluster=sure))
    assert found["on_mosaic"] == {"share": 0.03, "taken": taken}


def test_presence_of_clusters_alone_is_none(calibrated):
    assert presence_report(calibrated.select(calibrated.is_cluster)) is None


def test_visibility_bias_and_scatter_are_those_put_in(calibrated):
    moved = dataclasses.replace(
        calibrated, visibility_mean=calibrated.visibility_mean + 0.05
    )
    found = visibility_report(moved)
    assert found["objects"]["n"] == calibrated.has_object.sum()
    assert found["objects"]["bias"] == pytest.approx(0.05, abs=0.01)
    assert found["objects"]["scatter"] == pytest.approx(0.1, rel=0.07)
    right = visibility_report(calibrated)["clusters"]
    assert abs(right["coverage_68"] - 0.68) < 4 * right["coverage_68_error"]


def test_the_share_called_unlike_the_mocks_is_told_by_kind(calibrated):
    unlike = np.where(calibrated.kind == 2, -5.0, -0.5)
    found = unlike_report(dataclasses.replace(calibrated, unlike_mocks=unlike))
    assert found["all"]["flagged"] == np.mean(calibrated.kind == 2)
    flagged = {name: row["flagged"] for name, row in found["by_kind"].items()}
    assert flagged == {"cluster": 0, "empty": 0, "bright_star": 1, "blend": 0}


def test_a_method_that_knows_of_posteriors_only_gets_a_whole_report(calibrated, box):
    clusters = calibrated.select(calibrated.is_cluster)
    said = {"log_prob", "draws", "log_prob_draws"}
    guessed = {"p_cluster", "visibility_mean", "visibility_std", "unlike_mocks"}
    truth = {k: v for k, v in clusters.arrays().items() if k not in said | guessed}
    predictions = Predictions.of_posterior(
        truth, **{name: getattr(clusters, name) for name in said}
    )
    assert presence_report(predictions) is None
    assert np.isnan(unlike_report(predictions)["all"]["flagged"])
    seen = visibility_report(predictions)["clusters"]
    assert abs(seen["bias"]) < 0.1 and 0.6 < seen["coverage_68"] < 0.76
    scored = score_clusters(predictions, box)
    row = posterior_report(predictions, scored, box)["overall"]
    expected = score_clusters(clusters, box)
    expected = posterior_report(clusters, expected, box)["overall"]
    assert row == expected
