"""What clusters of a field have in common is in the error of their population."""

import dataclasses

import numpy as np
import pytest

from clusterkeras.population import shared_error as module
from clusterkeras.population.likelihood import Likelihood
from clusterkeras.population.model import PopulationModel
from clusterkeras.population.sampling import best_fit
from clusterkeras.population.shared_error import IN_COMMON, shared_error
from data_tools.schema import PARAMETER_NAMES

SHIFT = 0.3


@pytest.fixture(scope="module")
def sample(make_sample):
    return make_sample(3)


@pytest.fixture(scope="module")
def likelihood_of(sample):
    """Return what gives the likelihood of other draws."""

    def of(draws):
        given = dataclasses.replace(sample, draws=draws)
        found = given.injected[given.recovered]
        return Likelihood(
            *(PopulationModel(given.box), given.draws, given.p_cluster),
            *(found, len(given.injected), given.flat_number),
        )

    return of


@pytest.mark.parametrize("name", ["log_mass", "log_age"])
def test_it_is_by_how_much_the_best_fit_moves(sample, likelihood_of, monkeypatch, name):
    monkeypatch.setattr(
        module, "IN_COMMON", dict.fromkeys(IN_COMMON, 0.0) | {name: SHIFT**2}
    )
    bounds = likelihood_of(sample.draws).model.bounds
    middle, covariance = best_fit(likelihood_of(sample.draws), bounds)
    found = shared_error(likelihood_of, sample.draws, middle, covariance)
    i = PARAMETER_NAMES.index(name)
    shift = np.zeros(4)
    shift[i] = SHIFT
    moved, _ = best_fit(
        likelihood_of(sample.draws + shift * sample.draws.std(1, keepdims=True)), bounds
    )
    k = PopulationModel(sample.box).names.index(
        {"log_mass": "mass_slope", "log_age": "age_slope"}[name]
    )
    assert np.sqrt(found[k, k]) == pytest.approx(abs(moved - middle)[k], rel=0.3)


def test_it_grows_with_the_rows_beside_the_error_of_each(make_sample, likelihood_of):
    def share(sample):
        """Return shared over own sigma of the mass slope."""
        rows = np.arange(len(sample.p_cluster))

        def error(keep):
            def of(draws):
                full = likelihood_of(draws)
                full.p_cluster = sample.p_cluster[keep]
                return full

            draws = sample.draws[keep]
            middle, covariance = best_fit(of(draws), of(draws).model.bounds)
            found = shared_error(of, draws, middle, covariance)
            return np.sqrt(found[0, 0] / covariance[0, 0])

        return error(rows % 3 == 0), error(rows >= 0)

    few, all_ = share(make_sample(3))
    assert all_ > 1.2 * few
