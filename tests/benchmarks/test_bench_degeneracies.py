import importlib
from pathlib import Path

import numpy as np
import pytest

from clusterkeras.diagnostics.metrics.contours import Agreement


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("bench_degeneracies")


def test_half_are_the_most_degenerate_and_half_stand_for_the_others(bench):
    rng = np.random.default_rng(0)
    n, ridge = 300, rng.uniform(0, 1, (300, 400))
    length = np.where(np.arange(n) % 10 == 0, 0.6, 0.1)[:, None]
    by_grid = np.stack([length * ridge, 1 - length * ridge], axis=-1)
    rows = bench.choose(by_grid, rng.normal(size=(n, 3)))
    assert rows.shape == (2, bench.N_EACH)
    assert len(set(rows.ravel())) == 2 * bench.N_EACH
    assert (rows[0] % 10 == 0).all()


def test_averages_are_shares_with_their_errors(bench):
    found = [
        Agreement(
            overlap=0.5, inside=0.9, area_ratio=0.3, first_level=a, second_level=b
        )
        for a, b in ((0.2, 0.5), (0.99, 0.5), (0.3, 0.97), (0.94, 0.1))
    ]
    numbers = bench.summarise(found)
    assert numbers["truth_inside_95_of_grid"] == 0.75
    assert numbers["truth_inside_95_of_network"] == 0.75
    assert numbers["truth_inside_95_of_grid_error"] == pytest.approx(0.4330127 / 2)
    assert numbers["network_inside_95_of_grid"] == pytest.approx(0.9)
    assert numbers["median_area_ratio"] == 0.3 and numbers["n"] == 4
