"""A population sampled, said in words, drawn and written."""

import dataclasses
import json

import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.config import PopulationConfig
from clusterkeras.population.fit import fit_clusters
from clusterkeras.population.result import FILES


@pytest.fixture(scope="module")
def fit(make_sample):
    sample = make_sample(1)
    return fit_clusters(sample, PopulationConfig(steps=400, seed=2))


def test_a_fit_holds_the_truth_and_says_how_good_it_is(fit, truth):
    for name, value in truth.items():
        low, high = np.quantile(fit.draws[name], [0.001, 0.999])
        assert low < value < high
        found = fit.summary["unknowns"][name]
        assert found["p16"] < found["median"] < found["p84"]
        assert found["r_hat"] < 1.2 and found["effective_draws"] > 100
    assert str(fit).count("\n") == 1 + len(fit.draws.colnames)


def test_a_fit_is_written_whole_and_the_same_again(fit, tmp_path):
    fit.write(tmp_path / "population")
    assert {p.name for p in (tmp_path / "population").iterdir()} == set(FILES)
    table = QTable.read(tmp_path / "population" / "population.ecsv")
    np.testing.assert_allclose(table["number"], fit.draws["number"])
    numbers = json.loads((tmp_path / "population" / "population.json").read_text())
    assert numbers["unknowns"] == fit.summary["unknowns"]


def test_a_cutoff_is_one_more_unknown(make_sample):
    sample = make_sample(1)
    few = dataclasses.replace(
        sample, draws=sample.draws[:40, :16], p_cluster=sample.p_cluster[:40]
    )
    fit = fit_clusters(few, PopulationConfig(cutoff=True, steps=100))
    assert fit.draws["cutoff_mass"].unit == "solMass"
    assert fit.plot_corner().axes and len(fit.plot().axes) == 4
