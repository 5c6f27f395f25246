import numpy as np
import pytest

from clusterkeras.evaluation.numbers import strata


@pytest.mark.parametrize("quantity", strata.EDGES)
def test_every_object_lies_in_one_bin(quantity):
    values = np.linspace(-3, 12, 400)
    rows = np.array([s.rows for s in strata.bins(quantity, values)])
    assert (rows.sum(axis=0) == 1).all()


def test_an_object_on_an_edge_belongs_to_the_upper_bin():
    found = strata.bins("a_v", [1.0])
    assert [s.label for s in found if s.rows[0]] == ["a_v 1 to 2"]


def test_labels_say_the_range():
    labels = [s.label for s in strata.bins("log_age", [7.5])]
    assert labels == ["log_age < 7", "log_age 7 to 8", "log_age 8 to 9", "log_age >= 9"]


def test_published_regime_is_young_bright_and_of_middle_mass():
    inside = {"log_snr": 1.5, "log_age": 7.5, "a_v": 2.0, "log_mass": 4.0}
    rows = [inside] + [
        inside | change
        for change in (
            {"log_snr": 0.9},
            {"log_age": 8.1},
            {"a_v": 3.1},
            {"log_mass": 3.4},
            {"log_mass": 5.5},
        )
    ]
    values = {name: [row[name] for row in rows] for name in inside}
    regime = strata.published_regime(values)
    assert regime.label == "published_regime"
    assert regime.rows.tolist() == [True] + [False] * 5


def row(label, n, sigmas, covered=0.5, gain=2.5):
    return {
        "label": label,
        "n": n,
        "tarp": {"max_deviation": 0.04, "max_deviation_noise": 0.05},
        "negative_log_probability": {
            "mean": 1.25,
            "gain_over_prior": gain,
            "standard_error": 0.07,
        },
        "worst_coverage": {
            "parameter": "a_v",
            "level": 0.68,
            "coverage": covered,
            "sigmas": sigmas,
        },
        "parameters": {
            "log_age": {
                "bias": -0.1,
                "scatter": 0.3,
                "catastrophic_fraction": 0.02,
                "coverage_68": 0.61,
            }
        },
    }


def test_worst_coverage_comes_first_and_empty_strata_are_left_out():
    rows = [row("fine", 9, 0.5), row("bad", 9, -6.0), row("odd", 9, 4.0)]
    empty = {"label": "empty", "n": 0}
    found = strata.worst_calibrated_first([empty, *rows])
    assert [r["label"] for r in found] == ["bad", "odd", "fine"]


def test_what_fails_its_limit_comes_before_what_is_merely_worse():
    rows = [row("fine", 9, 8.0) | {"ok": True}, row("bad", 9, 0.5) | {"ok": False}]
    found = strata.worst_calibrated_first(rows)
    assert [r["label"] for r in found] == ["bad", "fine"]


def test_least_known_stratum_comes_first():
    rows = [row("sharp", 9, 0, gain=6.0), row("vague", 9, 0, gain=-0.1)]
    found = strata.least_known_first([*rows, {"label": "empty", "n": 0}])
    assert [r["label"] for r in found] == ["vague", "sharp"]


def test_table_keeps_the_order_and_lines_up():
    lines = strata.score_table(
        [row("bad", 120, -6.0), row("fine", 9, 0.5)]
    ).splitlines()
    assert lines[2].startswith("bad ")
    assert "0.040 (0.050)" in lines[2] and " 0.07  " in lines[2]
    assert "a_v 68%: 0.500 (-6.0 sigma)" in lines[2]
    assert len({len(line) for line in lines[1:]}) == 1
