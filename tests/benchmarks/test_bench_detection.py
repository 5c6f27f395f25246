import importlib
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("detection.found")


@pytest.fixture
def legus_way(bench):
    return importlib.import_module("detection.legus_way")


@pytest.fixture
def truth():
    """Return ten clusters on each of two mosaics, at the same places."""
    x = np.tile(50.0 + 40 * np.arange(10), 2)
    return {
        **{"x": x, "y": np.full(20, 60.0), "mosaic": np.repeat([0, 1], 10)},
        "half_light_radius_px": np.full(20, 2.0),
    }


@pytest.fixture
def sources(bench, truth):
    """Return sources on six clusters of the first mosaic, and four on none."""
    place = np.column_stack([truth["x"][:10], truth["y"][:10]])
    place[6:, 1] += 15
    score = np.linspace(0.95, 0.05, 10)
    return bench.Sources(score, np.zeros(10, int), place)


def test_clusters_are_found_by_sources_on_their_own_mosaic_alone(bench, sources, truth):
    found, true, piece = bench.held_to(sources, truth, 0.0)
    np.testing.assert_array_equal(np.flatnonzero(found), np.arange(6))
    np.testing.assert_array_equal(np.flatnonzero(true), np.arange(6))
    assert not piece.any()
    assert bench.held_to(sources, truth, 0.8)[0].sum() == 2


def test_pieces_of_a_large_cluster_are_neither_false_nor_true(bench, sources, truth):
    truth["half_light_radius_px"][7] = 16.0
    at = bench.at_limit(sources, truth, 0.0)
    assert (at["purity"], at["completeness"], at["pieces"]) == (7 / 10, 7 / 20, 0)
    sources.place[8] = sources.place[7] + 0.5
    at = bench.at_limit(sources, truth, 0.0)
    assert (at["purity"], at["completeness"], at["pieces"]) == (7 / 9, 7 / 20, 1)
    # one of lower probability hides none, in no bin
    sources.place[9] = [truth["x"][0] - 1, truth["y"][0]]
    sources.place[0, 0] += 2
    bins = bench.calibration(sources, truth)
    assert bins[-1]["share"] == 1.0 and sum(b["n"] for b in bins) == 9


def test_the_curve_goes_from_pure_to_complete(bench, sources, truth):
    limits, complete, pure = np.transpose(list(bench.curve(sources, truth, 10)))
    assert np.all(np.diff(limits) < 0) and np.all(np.diff(complete) >= 0)
    assert (complete[0], pure[0]) == (0.25, 1.0)
    assert (complete[-1], pure[-1]) == (0.3, 0.6)


def test_the_most_complete_point_of_a_purity_is_chosen(bench):
    points = [(0.9, 0.1, 1.0), (0.5, 0.4, 0.8), (0.3, 0.5, 0.82), (0.1, 0.6, 0.4)]
    assert bench.at_purity(points, 0.8) == (0.3, 0.5)
    assert bench.at_purity(points, 0.95) == (0.9, 0.1)
    assert bench.at_purity(points[1:], 0.95)[1] == 0.0


def test_a_limit_gives_the_completeness_and_purity_above_it(bench, sources, truth):
    expected = {"limit": 0.8, "completeness": 0.1, "purity": 1.0}
    assert bench.at_limit(sources, truth, 0.8) == {**expected, "false": 0, "pieces": 0}
    assert bench.at_limit(sources, truth, 0.0)["purity"] == 0.6


def test_false_sources_are_counted_on_the_area_and_m83_s_clusters_weighed(
    bench, sources, truth
):
    truth |= {"log_age": np.full(20, 8.2), "log_mass": np.full(20, 3.8)}
    at = bench.at_limit_on(sources, truth, 0.0, 2_000_000)
    assert (at["false"], at["false_per_million_pixels"]) == (4, 2.0)
    assert at["like_m83"]["taken"] == at["completeness"] == 0.3
    rows = importlib.import_module("detection.result")
    row = {"purity": 0.6, "ours": 0.3, "ours_at": at, "legus": 0.1, "legus_at": at}
    said = rows.markdown(
        {
            **{"clusters": 20, "mosaics": 2, "candidates": {}, "calibration": []},
            **{"at_purity": [{**row, "choice": "CI"}], "at_limit": [at], "bins": {}},
            "compared_at": 0.6,
        }
    )
    assert "| 0.60 | 0.300 | 2.0 | 0.300 | 0.100 | 2.0 | 0.300 | CI |" in said
    assert "| >= 0.0 | 0.300 | 0.600 | 2.0 | 0.300 |" in said


def test_calibration_is_the_share_of_true_rows(bench, sources, truth):
    bins = bench.calibration(sources, truth)
    assert sum(b["n"] for b in bins) == 10
    assert bins[-1]["share"] == 1.0 and bins[0]["share"] == 0.0
    assert all(b["low"] <= b["p_cluster"] < b["high"] for b in bins)


def test_tuning_finds_the_limit_that_parts_clusters_from_stars(legus_way, truth):
    rng = np.random.default_rng(0)
    stars = np.column_stack([rng.uniform(0, 500, 200), rng.uniform(100, 500, 200)])
    clusters = np.column_stack([truth["x"], truth["y"]])
    found = {
        "place": np.concatenate([clusters, stars]),
        "mosaic": np.concatenate([truth["mosaic"], rng.integers(0, 2, 200)]),
        "ci": np.concatenate([np.full(20, 1.55), rng.uniform(0.6, 1.45, 200)])[:, None],
        "brightness": rng.uniform(-25, -20, 220)[:, None],
    }
    best = legus_way.tuned({(2.0, 3.0): found}, truth, 1)
    assert best[0.95]["ci"] == 1.5
    assert best[0.95]["completeness"] == 1.0
