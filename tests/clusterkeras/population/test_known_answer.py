"""Populations of known slopes and number are found again, with honest errors."""

import dataclasses

import numpy as np
import pytest

from clusterkeras.population.cluster_sample import FLAT_SHARE, trust_in
from clusterkeras.population.likelihood import Likelihood
from clusterkeras.population.model import PopulationModel
from clusterkeras.population.monte_carlo import monte_carlo_error
from clusterkeras.population.sampling import best_fit

#: Populations; of three numbers each, 68 % should be within a sigma.
N = 30


def pulls(sample, truth, finite_sums=True):
    """Return how many sigmas the best fit is from the truth, for each number of it."""
    model = PopulationModel(sample.box)
    likelihood = Likelihood(
        model,
        sample.draws,
        sample.p_cluster,
        sample.injected[sample.recovered],
        len(sample.injected),
        sample.flat_number,
        sample.trust,
    )
    best, covariance = best_fit(likelihood, model.bounds)
    if finite_sums:
        covariance = (
            covariance + monte_carlo_error(likelihood, best, covariance).covariance
        )
    sigma = np.sqrt(np.diag(covariance))
    true = {**truth, "number": np.log10(truth["number"])}
    order = [model.names.index(name) for name in true]
    return (best[order] - list(true.values())) / sigma[order]


@pytest.fixture(scope="module")
def many(make_sample, truth):
    return np.array([pulls(make_sample(seed), truth) for seed in range(N)])


def test_the_truth_is_within_a_sigma_as_often_as_it_should_be(many):
    inside = (np.abs(many) < 1).mean(axis=0)
    assert (np.abs(inside - 0.683) < 3 * np.sqrt(0.683 * 0.317 / N)).all()
    assert (np.abs(many.mean(axis=0)) < 3 / np.sqrt(N)).all()


def test_without_selection_the_mass_function_looks_flat(make_sample, truth):
    sample = make_sample(0)
    everything = dataclasses.replace(
        sample, recovered=np.ones_like(sample.recovered, bool)
    )
    mass, _, number = pulls(everything, truth)
    assert mass > 5 and number < -5


def test_contaminants_taken_for_clusters_make_the_mass_function_flat(
    make_sample, truth
):
    sample = make_sample(0, contaminants=3000)
    sure = dataclasses.replace(sample, p_cluster=np.full(len(sample.p_cluster), 0.9999))
    as_it_is, fooled = pulls(sample, truth)[0], pulls(sure, truth)[0]
    assert abs(as_it_is) < 3 and fooled > as_it_is + 2


@pytest.mark.parametrize("seed", range(3))
def test_a_little_of_the_flat_prior_is_not_taken_for_clusters_that_none_sees(
    make_sample, truth, seed
):
    sample = make_sample(seed)
    rng = np.random.default_rng(seed)
    low, high = np.transpose(list(sample.box.values()))
    flat = rng.random(sample.draws.shape[:2]) < FLAT_SHARE
    anywhere = rng.uniform(low, high, sample.draws.shape)
    draws = np.where(flat[..., None], anywhere, sample.draws).astype(np.float32)
    mixed = dataclasses.replace(sample, draws=draws)
    trust = trust_in(draws, sample.injected, sample.recovered)
    trusted = dataclasses.replace(mixed, trust=trust)
    bare = pulls(sample, truth)
    assert (np.abs(pulls(trusted, truth) - bare) < 0.7).all()
    # many light clusters would explain each row a little
    assert pulls(mixed, truth)[0] - bare[0] < -0.7


def test_no_population_is_likely_where_no_injected_cluster_tells(make_sample):
    sample = make_sample(0)
    model = PopulationModel(sample.box)
    likelihood = Likelihood(
        model,
        sample.draws,
        sample.p_cluster,
        sample.injected[sample.recovered],
        len(sample.injected),
        sample.flat_number,
    )
    best, _ = best_fit(likelihood, model.bounds)
    unseen = best.copy()
    # light clusters alone, and very many
    unseen[model.names.index("mass_slope")] = -3.9
    unseen[model.names.index("number")] = 6.9
    here, there = likelihood(np.array([best, unseen]))
    enough, few = likelihood.effective_injected(np.array([best, unseen]))
    assert enough > len(sample.p_cluster) > few
    assert there < here - 100


def test_few_injected_clusters_widen_the_answer(make_sample, truth):
    few = [make_sample(seed, injected=400) for seed in range(4)]
    bare = np.array([pulls(s, truth, finite_sums=False) for s in few])
    wide = np.array([pulls(s, truth) for s in few])
    assert (np.abs(wide) < np.abs(bare)).all()
    assert (wide[:, 2] / bare[:, 2]).mean() < 0.9
