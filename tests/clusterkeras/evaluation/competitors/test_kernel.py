import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from clusterkeras.evaluation.competitors.kernel import (
    MAX_KERNELS,
    KernelPosterior,
    Neighbours,
    estimate,
    on_line,
    thinned,
)

LOW, HIGH = np.array([6.0, 0.0]), np.array([10.0, 3.0])
COVARIANCE = np.array([[0.3, -0.2], [-0.2, 0.4]])
MEAN = np.array([0.4, -0.3])


def to_box(line):
    return LOW + (HIGH - LOW) * ndtr(line)


def log_normal_in_box(line):
    """Return the log density in the box of a normal on the line."""
    width = np.log(HIGH - LOW).sum()
    density = stats.multivariate_normal(MEAN, COVARIANCE).logpdf(line)
    return density - stats.norm.logpdf(line).sum(axis=1) - width


def make(points, smoothing=1.0, floor=0.0, prior_share=0.0, weights=None):
    """Estimate from points of which one thing is observed, that says nothing."""
    weights = np.ones(len(points)) if weights is None else weights
    rows, thin = thinned(weights / weights.sum(), np.random.default_rng(5))
    near = Neighbours(
        on_line(points[rows], LOW, HIGH),
        np.zeros((len(rows), 1)),
        thin,
        thin,
        np.eye(1),
    )
    return estimate(near, smoothing, floor, 5.0, prior_share, LOW, HIGH)


@pytest.fixture(scope="module")
def line():
    return np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, 60_000)


def test_a_normal_is_found_again_from_its_points(line):
    posterior = make(to_box(line))
    assert len(posterior.weights) <= MAX_KERNELS
    fresh = np.random.default_rng(1).multivariate_normal(MEAN, COVARIANCE, 2000)
    gap = log_normal_in_box(fresh) - posterior.log_prob(to_box(fresh))
    assert 0 < gap.mean() < 0.03


def test_kernels_shrink_with_the_number_of_points_as_scott_says(line):
    for n in (20, 1280):
        covariance = np.cov(line[:n].T, bias=True) * 0.5**2 * n ** (-1 / 3)
        kernels = make(to_box(line[:n]), smoothing=0.5, floor=0.1).cholesky
        expected = covariance + 0.01 * np.eye(2)
        np.testing.assert_allclose(kernels @ kernels.T, expected, rtol=1e-6)


def test_weights_count_as_so_many_points(line):
    rng = np.random.default_rng(2)
    flat = rng.normal(size=(60_000, 2))
    weights = stats.multivariate_normal(MEAN, COVARIANCE).pdf(flat)
    weights /= stats.norm.pdf(flat).prod(axis=1)
    at = to_box(line[:1000])
    equal = make(to_box(line)).log_prob(at)
    weighed = make(to_box(flat), weights=weights).log_prob(at)
    assert np.abs(equal - weighed).mean() < 0.15


@pytest.mark.parametrize("noise", [0.01, 0.3])
def test_what_is_observed_of_a_straight_relation_gives_the_exact_posterior(noise):
    """A parameter that is a normal, and is observed with noise: all is known."""
    rng = np.random.default_rng(8)
    line = rng.normal(size=(4000, 2))
    observed, scatter = 0.7, 0.2
    offset = line[:, :1] + scatter * rng.normal(size=(4000, 1)) - observed
    weights = np.exp(-0.5 * (offset[:, 0] / np.hypot(0.2, noise)) ** 2)
    near = Neighbours(
        line,
        offset,
        weights / weights.sum(),
        np.ones(4000),
        np.full((1, 1), noise**2),
    )
    # degrees of freedom without end: a normal
    posterior = estimate(near, 0.7, 0.0, 1e6, 0.0, LOW, HIGH)
    variance = scatter**2 + noise**2
    exact = stats.norm(observed / (1 + variance), np.sqrt(variance / (1 + variance)))
    draws = on_line(posterior.draw(20_000, rng), LOW, HIGH)
    assert draws[:, 0].mean() == pytest.approx(exact.mean(), abs=0.02)
    assert draws[:, 0].std() == pytest.approx(exact.std(), rel=0.1)
    assert draws[:, 1].std() == pytest.approx(1, rel=0.1)


def test_points_that_stand_for_many_weigh_as_many():
    near = Neighbours(
        np.array([[-0.5, 0.0], [0.5, 0.0]]),
        np.zeros((2, 1)),
        np.array([0.5, 0.5]),
        np.array([3.0, 1.0]),
        np.eye(1),
    )
    posterior = estimate(near, 1.0, 0.1, 5.0, 0.0, LOW, HIGH)
    np.testing.assert_allclose(posterior.weights, [0.75, 0.25])


@pytest.mark.parametrize("prior_share", [0.0, 0.3])
def test_the_density_integrates_to_one(line, prior_share):
    posterior = make(to_box(line[:50]), floor=0.05, prior_share=prior_share)
    edges = [np.linspace(a, b, 301) for a, b in zip(LOW, HIGH, strict=True)]
    middle = [0.5 * (e[1:] + e[:-1]) for e in edges]
    cells = np.stack(np.meshgrid(*middle, indexing="ij"), -1).reshape(-1, 2)
    total = np.exp(posterior.log_prob(cells)).mean() * np.prod(HIGH - LOW)
    assert total == pytest.approx(1, abs=2e-3)


def test_draws_follow_the_density(line):
    posterior = make(to_box(line[:20]), floor=0.1, prior_share=0.25)
    draws = posterior.draw(100_000, np.random.default_rng(3))
    assert ((draws >= LOW) & (draws <= HIGH)).all()
    # the mean of 1 / density over draws is the volume of the box
    inverse = np.exp(-posterior.log_prob(draws))
    assert inverse.mean() == pytest.approx(np.prod(HIGH - LOW), rel=0.02)


def test_no_density_outside_the_box_and_some_everywhere_inside(line):
    posterior = make(to_box(line[:20]), prior_share=0.1)
    outside = posterior.log_prob(np.array([[5.9, 1.0], [7.0, 3.1]]))
    assert (outside == -np.inf).all()
    least = np.log(0.1) - np.log(HIGH - LOW).sum()
    assert (posterior.log_prob(np.stack([LOW, HIGH])) >= least - 1e-9).all()


def test_a_single_point_is_as_wide_as_the_floor():
    posterior = make(to_box(np.zeros((1, 2))), floor=0.2)
    assert isinstance(posterior, KernelPosterior)
    np.testing.assert_allclose(posterior.cholesky, 0.2 * np.eye(2))
    # without the prior's share, nothing is left far away
    sharp = dataclasses.replace(posterior, prior_share=0.0)
    assert sharp.log_prob(to_box(np.array([[2.0, 2.0]])))[0] < -80
