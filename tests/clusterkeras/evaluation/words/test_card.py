"""Tables for people: the numbers of metrics.json, no others."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from clusterkeras.evaluation import evaluate
from clusterkeras.evaluation.numbers.posterior import posterior_report, score_clusters
from clusterkeras.evaluation.words import card
from data_tools.schema import PARAMETERS

ROOT = Path(__file__).parents[4]
SHIPPED = ROOT / "saved_models" / "m83-wfc3-uvis"


@pytest.fixture(scope="module")
def metrics(calibrated, box, tmp_path_factory):
    output = tmp_path_factory.mktemp("report")
    evaluate.write_metrics(calibrated, box, output, {})
    assert (output / "tables.md").is_file()
    return json.loads((output / "metrics.json").read_text())


def cells(table):
    return [[c.strip() for c in line.split("|")[1:-1]] for line in table.splitlines()]


def test_parameter_table_holds_each_parameter_s_scores(metrics):
    overall = metrics["posterior"]["overall"]
    rows = cells(card.parameter_table(overall, metrics["catastrophic_thresholds"]))
    assert len(rows) == 2 + len(PARAMETERS)
    for row, parameter in zip(rows[2:], PARAMETERS, strict=True):
        score = overall["parameters"][parameter.name]
        assert row[0].startswith(parameter.label)
        bias, error = map(float, row[1].split(" ± "))
        assert bias == pytest.approx(score["bias"], abs=0.005)
        assert error == pytest.approx(score["bias_error"], rel=0.5)
        covered, error = (float(x.rstrip("%")) / 100 for x in row[3].split(" ± "))
        assert covered == pytest.approx(score["coverage_68"], abs=0.0005)
        assert error == pytest.approx(score["coverage_68_error"], abs=0.0005)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"unknown": ["log_age", "a_v"]}, "prior does not say: log age, A_V.**"),
        ({"knows_presence": False}, "hardly tells clusters from look-alikes"),
        ({"gain_over_prior": -1.0, "gain_error": 0.4}, "**Worse than the prior**"),
    ],
)
def test_what_a_model_knows_comes_first_and_a_plain_word_where_it_is_nothing(
    metrics, change, said
):
    found = metrics["sharpness"] | {"unknown": [], "knows_presence": True}
    first = card.tables(metrics | {"sharpness": found}).split("### ")[1]
    assert f"{found['gain_over_prior']:.2f} ± " in first
    assert f"A_V {found['width_over_prior']['a_v']:.2f}" in first
    assert f"AUC {found['auc']:.3f} (guessing: 0.5)" in first
    assert said not in first
    assert said in card.tables(metrics | {"sharpness": found | change}).split("### ")[1]


def test_strata_are_written_worst_first(metrics):
    rows = cells(card.strata_table(metrics))[2:]
    worst = [abs(float(row[-1])) for row in rows]
    assert len(rows) > 5
    assert (np.diff(worst) <= 0).all()


def test_what_misses_its_limit_comes_before_all_else(metrics, over_confident, box):
    clusters = over_confident.select(over_confident.is_cluster)
    scored = score_clusters(clusters, box)
    found = posterior_report(clusters, scored, box)
    metrics = metrics | {"posterior": evaluate.as_plain(found)}
    text = card.tables(metrics)
    missed = [v for v in metrics["posterior"]["verdicts"] if not v["ok"]]
    text = text[text.index("### Calibration") :]
    assert text.startswith(f"### Calibration: {len(missed)} of ")
    rows = cells(text.split("\n\n")[1].replace("\\|", "/"))[2:]
    assert [row[0] for row in rows[: len(missed)]] == ["**FAIL**"] * len(missed)
    assert rows[0][1] == missed[0]["stratum"]
    failed = {v["stratum"] for v in missed}
    strata = [row[0] for row in cells(card.strata_table(metrics))[2:]]
    count = sum(label in failed for label in strata)
    assert set(strata[:count]) == failed - {"all"}


def test_presence_and_visibility_are_written_by_visibility_and_crowding(metrics):
    rows = {row[0]: row for row in cells(card.presence_strata_table(metrics))[2:]}
    auc = metrics["presence"]["by_crowding"][0]["auc"]
    assert float(rows["crowding < 0.2"][3].split()[0]) == pytest.approx(auc, abs=5e-4)
    assert "log_snr >= 2" in rows
    rows = {row[0]: row for row in cells(card.visibility_table(metrics))[2:]}
    bias = metrics["visibility"]["clusters"]["bias"]
    assert float(rows["clusters"][2].split()[0]) == pytest.approx(bias, abs=0.0005)
    assert {"all objects", "log_snr < 0.5", "crowding >= 0.8"} <= set(rows)


def test_card_says_by_how_many_fields_its_errors_are_and_if_these_are_few(metrics):
    text = card.tables(metrics)
    assert "scatter of 30 fields" in text and "unsure by 13%" in text
    assert "joint: 68% highest density" in text
    assert "fewer" not in card.errors_from(256) and "±" in card.errors_from(256)
    assert "4%" in card.errors_from(255)
    assert "independent clusters, and too small" in card.errors_from(1)


def test_errors_of_before_that_took_clusters_as_independent_are_not_told():
    shipped = json.loads((SHIPPED / "metrics.json").read_text())
    overall = shipped["posterior"]["overall"]
    told = card.parameter_table(overall, shipped["catastrophic_thresholds"])
    assert ("±" in told) == ("n_fields" in overall)


def test_card_names_the_parameters_whose_ranks_are_not_uniform(metrics):
    posterior = metrics["posterior"]
    assert card.outside_bands(posterior).endswith(" stay: none.")
    posterior["ranks"]["a_v"]["band"]["ok"] = False
    assert card.outside_bands(posterior).endswith(" stay: A_V.")
    posterior["ranks"]["a_v"]["band"]["ok"] = True


def test_card_says_whether_clusters_of_one_field_err_together(metrics):
    found = metrics["posterior"]["fields"]["a_v"]["rank"]
    assert f"A_V {found['dispersion']:.2f}" in card.tables(metrics)


def test_look_alikes_are_written_hardest_first_and_all_together_last(metrics):
    rows = cells(card.presence_table(metrics))[2:]
    auc = [float(row[2].split(" ± ")[0]) for row in rows[:-1]]
    assert rows[-1][0] == "all"
    purity = metrics["presence"]["at_90_completeness"]["purity"]
    assert float(rows[-1][4].rstrip("%")) / 100 == pytest.approx(purity, abs=0.0005)
    assert auc == sorted(auc)


def test_card_says_what_is_called_unlike_the_mocks(metrics):
    share = metrics["unlike_mocks"]["by_kind"]["blend"]["flagged"]
    assert f"blend {share:.1%}" in card.tables(metrics)
    untold = {"all": {"flagged": None, "flagged_error": None}}
    assert "Unlike" not in card.tables(metrics | {"unlike_mocks": untold})


def test_set_without_look_alikes_has_no_table_of_them(metrics):
    sharpness = metrics["sharpness"] | dict.fromkeys(
        ("auc", "taken_on_mosaic", "knows_presence")
    )
    text = card.tables(metrics | {"presence": None, "sharpness": sharpness})
    assert "Cluster or not" not in text
    assert "All" in text


@pytest.mark.parametrize("page", ["saved_models/m83-wfc3-uvis/README.md", "README.md"])
def test_pages_carry_the_numbers_of_the_model_that_ships(page):
    shipped = json.loads((SHIPPED / "metrics.json").read_text())
    text = (ROOT / page).read_text()
    thresholds = shipped["catastrophic_thresholds"]
    assert card.parameter_table(shipped["posterior"]["overall"], thresholds) in text
    if page.startswith("saved_models"):
        assert card.tables(shipped) in text
        assert re.search(r"clusterkeras evaluate --model", text)
