"""A population sampled, said in words, drawn and written."""

import dataclasses
import doctest
import json

import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.config import PopulationConfig
from clusterkeras.population import fit as fitting
from clusterkeras.population.fit import fit_clusters, fit_population
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


def test_the_summary_s_n_eff_is_what_a_refusal_is_by(fit, make_sample):
    found = fit.summary["effective_injected"]
    at_draws = fit.likelihood.effective_injected(fit.sampled[::20])
    assert found == pytest.approx(np.median(at_draws), rel=0.1)
    assert f"clusters count, N_eff {found:.0f}" in str(fit)
    # of these none may be said to be too few
    fitting._check_enough(np.array([found]), make_sample(1))


def test_too_few_injected_clusters_are_refused_with_how_many_would_do(make_sample):
    words = r"expected an N_eff of \d+ or more.*received \d+, of \d+ .* among 150\."
    with pytest.raises(ValueError, match=rf"{words}.*--completeness\.n \d+: what is"):
        fit_clusters(make_sample(1, injected=150), PopulationConfig(steps=300))


def test_what_a_field_has_in_common_is_in_the_draws(fit):
    found = fit.summary["unknowns"]["mass_slope"]
    sampled = fit.sampled[:, 0].std()
    assert found["shared_error"] > 0.2
    assert sampled == pytest.approx(fit.draws["mass_slope"].std(), rel=0.05)


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


def test_the_example_runs_on_what_the_commands_have_written(
    make_sample, write_files, tmp_path, monkeypatch
):
    sample = make_sample(1, draws=16, injected=800)
    m = len(sample.injected)
    found = {
        "detected": np.ones(m, bool),
        "recovered": sample.recovered,
        "flags": np.zeros(m, int),
    }
    few = slice(20)
    flags = np.zeros(len(sample.p_cluster[few]), int)
    write_files(
        *(tmp_path, sample.p_cluster[few], flags, sample.draws[few]),
        *(found, sample.injected),
    )
    monkeypatch.chdir(tmp_path)
    words = fit_population.__doc__.replace("# doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(words, {}, "fit", None, 0)
    said = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert len(example.examples) > 3 and not said, "".join(said)
