import dataclasses

import numpy as np
import pytest
from scipy import stats

from clusterkeras.evaluation.shifts.summary import (
    Scores,
    difference,
    draw_shifts,
    shift_table,
    summarise_shifts,
)
from data_tools.schema import PARAMETERS

N, FIELDS = 4000, 40


def scores(seed=0, shift=0.0, too_narrow=1.0, unlike=1.0):
    """Return scores of normal posteriors whose means are off and widths too small."""
    rng = np.random.default_rng(seed)
    error = too_narrow * rng.standard_normal((N, 4)) + shift
    field = np.repeat(np.arange(FIELDS), N // FIELDS)
    return Scores(
        mock_id=np.arange(N),
        field_id=field,
        is_cluster=np.arange(N) % 2 == 0,
        truth=np.tile(np.arange(N)[:, None], 4).astype(float),
        log_prob=stats.norm.logpdf(error).sum(axis=1),
        pit=stats.norm.cdf(error),
        p_cluster=np.clip(0.7 - 0.4 * (np.arange(N) % 2) + 0.1 * error[:, 0], 0, 1),
        unlike=unlike * np.log10(rng.uniform(size=N)),
    )


def test_the_loss_of_a_shifted_posterior_is_the_one_expected():
    # a bias of d sigma in each of four parameters costs 4 d^2 / 2 nats
    rows = summarise_shifts({"nominal": scores(), "king": scores(shift=0.5)}, {})[
        "shifts"
    ]
    king = rows[1]
    assert king["paired"]
    assert king["delta_nll"] == pytest.approx(0.5, abs=4 * king["delta_nll_error"])
    assert king["delta_nll_error"] < 0.05
    inside = stats.norm.cdf(0.9945 - 0.5) - stats.norm.cdf(-0.9945 - 0.5)
    for parameter in PARAMETERS:
        covered = king["coverage_68"][parameter.name]
        assert covered == pytest.approx(inside, abs=0.04)
    nominal = rows[0]["coverage_68"]["a_v"]
    assert nominal == pytest.approx(0.68, abs=4 * rows[0]["coverage_68_error"]["a_v"])


def test_the_share_flagged_of_what_is_like_the_mocks_is_the_false_alarms():
    rows = summarise_shifts({"nominal": scores(), "king": scores(unlike=2.0)}, {})[
        "shifts"
    ]
    assert rows[0]["flagged"] == pytest.approx(0.01, abs=0.006)
    # scores twice as low: below -2 where a mock's would be below -1
    assert rows[1]["flagged"] == pytest.approx(0.1, abs=0.02)


def test_other_clusters_are_compared_as_means():
    other = dataclasses.replace(scores(seed=1), truth=np.zeros((N, 4)))
    mean, error, paired = difference(other, scores())
    assert not paired
    assert mean == pytest.approx(0, abs=4 * error)
    assert error == pytest.approx(np.sqrt(2 * 2 / (N / 2)), rel=0.3)


def test_the_error_knows_that_a_field_s_records_share_it():
    nominal = scores()
    rng = np.random.default_rng(5)
    offsets = rng.standard_normal(FIELDS)[nominal.field_id]
    other = dataclasses.replace(nominal, log_prob=nominal.log_prob - offsets)
    _, error, _ = difference(other, nominal)
    assert error == pytest.approx(1 / np.sqrt(FIELDS), rel=0.3)


def test_every_error_of_a_shift_is_that_of_its_fields():
    nominal = scores()
    rng = np.random.default_rng(6)
    # a field's clusters lie on one side of their posteriors, and look strange together
    shift = rng.normal(size=FIELDS)[nominal.field_id]
    together = dataclasses.replace(
        nominal,
        log_prob=nominal.log_prob - shift,
        pit=stats.norm.cdf(stats.norm.ppf(nominal.pit) + shift[:, None]),
        p_cluster=np.clip(nominal.p_cluster + 0.1 * shift * nominal.is_cluster, 0, 1),
        unlike=np.where(shift < -0.7, -5.0, nominal.unlike),
    )

    def errors(found):
        (row,) = summarise_shifts({"nominal": found}, {})["shifts"]
        names = ("nll_error", "presence_auc_error", "flagged_error")
        return [row["coverage_68_error"]["a_v"], *(row[name] for name in names)], row

    in_fields, row = errors(together)
    alone, _ = errors(dataclasses.replace(together, field_id=np.arange(N)))
    assert row["n_fields"] == FIELDS
    assert (np.divide(in_fields, alone) > [1.8, 3, 2, 4]).all()


def test_truths_that_are_ruled_out_are_counted_and_not_averaged():
    lost = scores(shift=0.5)
    log_prob = lost.log_prob.copy()
    log_prob[[0, 2, 3]] = -np.inf
    found = summarise_shifts(
        {"nominal": scores(), "king": dataclasses.replace(lost, log_prob=log_prob)}, {}
    )
    king = found["shifts"][1]
    assert king["n_not_finite"] == 2
    assert king["delta_nll"] == pytest.approx(0.5, abs=4 * king["delta_nll_error"])
    assert ", 2 lost |" in shift_table(found).splitlines()[3]


def test_a_table_of_few_fields_says_how_unsure_its_errors_are():
    report = summarise_shifts({"nominal": scores()}, {})
    assert "40 fields" in shift_table(report)
    assert "unsure by 11%" in shift_table(report)
    many = dataclasses.replace(scores(), field_id=np.arange(N) // 10)
    assert "unsure" not in shift_table(summarise_shifts({"nominal": many}, {}))


def test_a_model_without_a_score_has_an_empty_cell():
    nan = dataclasses.replace(scores(), unlike=np.full(N, np.nan))
    found = summarise_shifts({"nominal": nan}, {})
    assert np.isnan(found["shifts"][0]["flagged"])
    assert shift_table(found).splitlines()[2].endswith("|  |")
    draw_shifts(found)


def test_the_table_has_a_row_a_shift_and_says_what_is_left_out():
    found = summarise_shifts(
        {"nominal": scores(), "king": scores(shift=0.5), "blank": scores(unlike=9.0)},
        {"isochrones": "no file was given"},
    )
    lines = shift_table(found).splitlines()
    assert lines[2].startswith("| nothing | ")
    assert "King profiles" in lines[3]
    assert "+0.4" in lines[3] or "+0.5" in lines[3]
    assert lines[4].count("|") == lines[3].count("|")
    assert lines[-1] == "- isochrones of the file that was given: no file was given"
    assert len(draw_shifts(found).axes) == 3
