"""The grid on a problem whose posterior is known: a brightness and a colour.

Two parameters set the fluxes in two bands, two say nothing. Errors follow the Student t
that the grid takes them to follow.
"""

import numpy as np
import pytest
from scipy import stats

from clusterkeras.evaluation.competitors.ring_photometry import Measured
from clusterkeras.evaluation.competitors.stochastic_grid import (
    TAILS,
    Kernels,
    StochasticGrid,
    choose_kernels,
    fit_grid,
)
from clusterkeras.evaluation.numbers.posterior import posterior_report, score_clusters

BOX = {
    "log_age": (0.0, 2.0),
    "a_v": (-1.0, 1.0),
    "log_mass": (0.0, 1.0),
    "log_half_light_radius": (0.0, 1.0),
}
LOW, HIGH = np.transpose(list(BOX.values()))

#: Errors of the two fluxes, as shares of them and correlated.
SHARE = 0.1
CORRELATION = np.array([[1.0, 0.5], [0.5, 1.0]])


def fluxes(parameters):
    """Return both fluxes: the first parameter is brightness, the second colour."""
    brightness, colour = parameters[..., 0], parameters[..., 1]
    return 10 ** (brightness[..., None] + 0.4 * np.stack([colour, -colour], axis=-1))


def observe(n, seed):
    """Draw objects: truth from the box, fluxes with errors in both."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(LOW, HIGH, (n, 4))
    noise_free = fluxes(truth)
    error = SHARE * noise_free
    sigmas = stats.multivariate_t(shape=CORRELATION, df=TAILS).rvs(n, rng)
    return Measured(
        flux=noise_free + error * sigmas,
        error=error,
        noise_free=noise_free,
        truth={
            "truth": truth.astype(np.float32),
            "is_cluster": np.ones(n, bool),
            "has_object": np.ones(n, bool),
            "kind": np.zeros(n, np.int64),
            "mock_id": np.arange(n),
            "field_id": np.arange(n) // 100,
            "log_snr": rng.normal(1, 0.3, n),
            "crowding": np.full(n, 0.5),
        },
    )


def exact_log_prob(objects):
    """Return the log of the exact posterior at the truth, by a fine grid."""
    axes = [np.linspace(a, b, 151)[:-1] for a, b in zip(LOW[:2], HIGH[:2], strict=True)]
    axes = [axis + 0.5 * (axis[1] - axis[0]) for axis in axes]
    cells = fluxes(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2))
    out = []
    for flux, error, noise_free in zip(
        objects.flux, objects.error, objects.noise_free, strict=True
    ):
        covariance = CORRELATION * np.outer(error, error)
        likelihood = stats.multivariate_t(shape=covariance, df=TAILS)
        evidence = likelihood.pdf(flux - cells).mean()
        out.append(likelihood.logpdf(flux - noise_free) - np.log(evidence))
    return np.array(out) - np.log(HIGH - LOW).sum()


def make_grid(n, kernels, seed=0):
    parameters = np.random.default_rng(seed).uniform(LOW, HIGH, (n, 4))
    return StochasticGrid(
        parameters, fluxes(parameters), CORRELATION, LOW, HIGH, kernels
    )


@pytest.fixture(scope="module")
def objects():
    return observe(150, seed=1)


@pytest.fixture(scope="module")
def grid():
    return make_grid(40_000, Kernels(0.1, 100, 0.9, 0.01, 0.01))


@pytest.fixture(scope="module")
def predictions(grid, objects):
    return grid.predict(objects, draws=100)


def test_it_comes_within_a_tenth_of_a_nat_of_the_exact_posterior(predictions, objects):
    gap = exact_log_prob(objects) - predictions.log_prob
    error = gap.std() / np.sqrt(len(gap))
    assert -3 * error < gap.mean() < 0.1 + 2 * error


def test_its_posteriors_are_calibrated(predictions):
    scored = score_clusters(predictions, BOX)
    found = posterior_report(predictions, scored, BOX)
    # smoothing makes them wider, never narrower
    assert found["joint"]["tarp"]["max_deviation"] < 0.1
    coverage = [p["coverage_68"] for p in found["overall"]["parameters"].values()]
    assert min(coverage) > 0.6 and max(coverage) < 0.78


def test_draws_have_the_density_that_is_stated_for_them(grid, objects, predictions):
    posterior = grid.posterior(
        objects.flux[0], objects.error[0], np.random.default_rng(0)
    )
    expected = posterior.log_prob(predictions.draws[0])
    np.testing.assert_allclose(predictions.log_prob_draws[0], expected, atol=0.3)
    assert predictions.draws.dtype == np.float32
    assert (predictions.draws >= LOW).all() and (predictions.draws <= HIGH).all()


def test_an_object_gets_the_same_posterior_whatever_else_is_asked(
    grid, objects, predictions
):
    last = objects.truth["mock_id"] == objects.truth["mock_id"][-1]
    alone = Measured(
        objects.flux[last],
        objects.error[last],
        objects.noise_free[last],
        {name: values[last] for name, values in objects.truth.items()},
    )
    again = grid.predict(alone, draws=100)
    np.testing.assert_array_equal(again.draws[0], predictions.draws[-1])
    np.testing.assert_array_equal(again.log_prob, predictions.log_prob[-1:])


def test_an_object_like_no_model_gets_the_prior_as_well(grid, objects):
    kernels = Kernels(0.1, 100, 0.9, 0.01, prior_share=0.1)
    wide = make_grid(2000, kernels)
    # a hundred times brighter than any model
    posterior = wide.posterior(
        100 * fluxes(HIGH), objects.error[0], np.random.default_rng(0)
    )
    at_low = posterior.log_prob(LOW[None])[0]
    assert at_low == pytest.approx(np.log(0.1) - np.log(HIGH - LOW).sum(), abs=1e-6)


def test_few_models_choose_a_larger_share_of_the_prior_than_many():
    objects = observe(30, seed=3)
    start = Kernels(0.2, 50, 0.8, 0.06, 0.03)
    few, many = (choose_kernels(make_grid(n, start), objects, 30) for n in (100, 10000))
    assert 0 < many.prior_share < few.prior_share < 0.2


def test_kernels_are_as_wide_as_the_models_near_an_object_are_far():
    at = fluxes(np.array([1.0, 0.2, 0, 0]))

    def widths(grid):
        rng = np.random.default_rng(0)
        near = grid.near(at, 1e-3 * at, 0.1, 50, rng)
        assert 1 / np.sum(near.weights**2) > 45
        some = near.line[rng.choice(len(near.weights), 4000, p=near.weights)]
        # quartiles: the Student t has models from far away
        return np.subtract(*np.quantile(some, [0.75, 0.25], axis=0))

    kernels = Kernels(0.1, 50, 1.0, 0.01, 0.01)
    few, many = (widths(make_grid(n, kernels)) for n in (1000, 100_000))
    # brightness and colour, which fluxes show, and not the two that they do not
    assert (many[:2] < 0.6 * few[:2]).all()
    assert (many[2:] > 0.7 * few[2:]).all()


def test_only_models_that_may_be_near_are_looked_at_and_all_that_are_are_found(grid):
    at = fluxes(np.array([1.0, 0.2, 0, 0]))
    noise = CORRELATION * np.outer(0.02 * at, 0.02 * at)
    rows, chi2 = grid._distances(at, noise, 0.02)
    residual = grid.flux - at
    covariance = noise + np.diag((0.02 * 0.4 * np.log(10) * at) ** 2)
    every = np.einsum("md,de,me->m", residual, np.linalg.inv(covariance), residual)
    assert len(rows) < len(every)
    near = np.flatnonzero(every < 100)
    assert np.isin(near, rows).all()
    np.testing.assert_allclose(chi2, every[rows], rtol=1e-3, atol=1e-2)


def test_chosen_kernels_do_better_than_the_worst(objects):
    start = Kernels(0.2, 50, 0.8, 0.06, 0.03)
    small = make_grid(3000, start)
    chosen = choose_kernels(small, observe(40, seed=4), 40)
    bad = Kernels(1.0, 200, 2.0, 0.3, 1e-4)
    scores = [
        make_grid(3000, kernels).predict(objects, 16).log_prob.mean()
        for kernels in (chosen, bad)
    ]
    assert scores[0] > scores[1] + 0.1


def test_models_of_other_fluxes_are_refused():
    with pytest.raises(ValueError, match=r"flux \(M, D\).*\(10, 3\), \(2, 2\)"):
        StochasticGrid(
            np.zeros((10, 4)), np.zeros((10, 3)), CORRELATION, LOW, HIGH, None
        )


def test_a_grid_is_made_of_a_mock_set_and_more_models(photometric_mock_set):
    grid = fit_grid(photometric_mock_set, n_models=40, n_choose=20)
    fewer = fit_grid(photometric_mock_set, n_choose=20)
    assert len(grid.flux) == len(fewer.flux) + 40
    assert np.isfinite(grid.flux).all()
    assert (grid.flux[-40:, :2].sum(axis=1) > 0).mean() > 0.95
    low, high = grid.low, grid.high
    assert ((grid.parameters >= low) & (grid.parameters <= high)).all()


def test_too_few_clusters_make_no_grid(photometric_mock_set):
    with pytest.raises(ValueError, match=r"expected 9 clusters .*received \d and \d+"):
        fit_grid(photometric_mock_set, limit=8)
