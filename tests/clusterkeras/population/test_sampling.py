"""Draws from a posterior whose answer is known."""

import numpy as np
import pytest

from clusterkeras.population.sampling import _split_r_hat, best_fit, sample

BOUNDS = np.array([[-5.0, 5.0], [-5.0, 5.0], [0.0, 1.0]])
COVARIANCE = np.array([[0.5, 0.3], [0.3, 0.4]])
MIDDLE = np.array([1.0, -0.5])


def normal(points):
    """Return a normal density of the first two; the third is free."""
    off = points[:, :2] - MIDDLE
    return -0.5 * np.einsum("ki,ij,kj->k", off, np.linalg.inv(COVARIANCE), off)


def test_the_best_fit_has_the_middle_and_the_curvature_of_a_normal():
    best, covariance = best_fit(normal, BOUNDS)
    np.testing.assert_allclose(best[:2], MIDDLE, atol=1e-3)
    np.testing.assert_allclose(covariance[:2, :2], COVARIANCE, rtol=0.02)
    # what the data do not tell is as wide as its prior
    assert covariance[2, 2] == pytest.approx(1 / 12, rel=1e-3)


def test_the_best_fit_does_not_jump_onto_a_plateau():
    def narrow(points):
        return np.logaddexp(-0.5 * ((points + 0.6) / 0.2) ** 2, -30).sum(axis=1)

    best, _ = best_fit(narrow, BOUNDS[:2])
    np.testing.assert_allclose(best, -0.6, atol=1e-3)


def test_draws_are_those_of_the_normal_and_stay_in_the_prior():
    found = sample(normal, BOUNDS, 1200, seed=1)
    np.testing.assert_allclose(found.draws.mean(axis=0)[:2], MIDDLE, atol=0.1)
    np.testing.assert_allclose(np.cov(found.draws.T)[:2, :2], COVARIANCE, atol=0.08)
    free = found.draws[:, 2]
    assert free.min() > 0 and free.max() < 1 and abs(free.mean() - 0.5) < 0.05
    assert (found.r_hat < 1.05).all() and (found.effective > 300).all()
    again = sample(normal, BOUNDS, 1200, seed=1)
    np.testing.assert_array_equal(again.draws, found.draws)


def test_parts_that_do_not_agree_are_told():
    rng = np.random.default_rng(0)
    chains = rng.normal(size=(200, 32, 2))
    chains[:, :8, 1] += 1
    apart = _split_r_hat(chains)
    assert abs(apart[0] - 1) < 0.01 and apart[1] > 1.05
