import dataclasses

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from clusterkeras.evaluation.competitors.kernel import (
    MAX_KERNELS,
    KernelPosterior,
    estimate,
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
    weights = np.ones(len(points)) if weights is None else weights
    rng = np.random.default_rng(5)
    return estimate(points, weights, smoothing, floor, prior_share, LOW, HIGH, rng)


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
