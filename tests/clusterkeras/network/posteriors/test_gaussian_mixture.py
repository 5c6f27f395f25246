import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from clusterkeras.network.posteriors.gaussian_mixture import MixturePosterior
from clusterkeras.network.posteriors.transforms import SCALE_FLOOR
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
LOG_VOLUME = np.log(HIGH - LOW).sum()


@pytest.fixture(scope="module")
def mixture():
    return MixturePosterior(LOW, HIGH, 3)


@pytest.fixture(scope="module")
def raw(mixture):
    """Return outputs of a network that has learned something, for 5 objects."""
    return np.random.default_rng(2).normal(0, 0.4, (5, mixture.n_outputs)).astype("f4")


def flat(n, seed=0):
    return np.random.default_rng(seed).uniform(LOW, HIGH, (n, 4)).astype("f4")


def test_density_is_that_of_a_gaussian_mixture_over_the_prior_slope(mixture, raw):
    points = flat(20)
    logits, means, cholesky = (part.numpy() for part in mixture.parts(raw))
    share = (points - LOW) / (HIGH - LOW)
    line = stats.norm.ppf(share)
    slope = stats.norm.logpdf(line).sum(axis=1) + LOG_VOLUME
    for row in range(len(raw)):
        weights = np.exp(logits[row] - np.logaddexp.reduce(logits[row]))
        density = sum(
            w * stats.multivariate_normal(m, c @ c.T).pdf(line)
            for w, m, c in zip(weights, means[row], cholesky[row], strict=True)
        )
        got = mixture.distribution(raw[row : row + 1]).log_prob(points)
        np.testing.assert_allclose(got, np.log(density) - slope, atol=2e-3)


@pytest.mark.parametrize("components", [1, 12])
def test_outputs_of_zero_are_close_to_the_prior(components):
    mixture = MixturePosterior(LOW, HIGH, components)
    distribution = mixture.distribution(np.zeros((1, mixture.n_outputs), "f4"))
    nll = -np.mean(distribution.log_prob(flat(20_000)))
    assert LOG_VOLUME - 0.02 < nll < LOG_VOLUME + 0.3


def test_components_start_in_different_places():
    mixture = MixturePosterior(LOW, HIGH, 12)
    _, means, _ = mixture.parts(np.zeros((1, mixture.n_outputs), "f4"))
    distance = np.linalg.norm(means[0][:, None] - means[0][None], axis=-1)
    assert np.min(distance + 9 * np.eye(12)) > 0.3


def test_no_component_is_narrower_than_the_floor(mixture):
    _, _, cholesky = mixture.parts(np.full((1, mixture.n_outputs), -1e4, "f4"))
    diagonal = tf.linalg.diag_part(cholesky).numpy()
    assert np.all(diagonal >= np.float32(SCALE_FLOOR))


def test_draws_follow_the_density(mixture, raw):
    draws = mixture.draw(raw[:1], [3], 20_000).numpy()[0]
    share = np.clip((draws - LOW) / (HIGH - LOW), 1e-7, 1 - 1e-7)
    line = stats.norm.ppf(share)
    logits, means, cholesky = (part.numpy()[0] for part in mixture.parts(raw[:1]))
    weights = np.exp(logits - np.logaddexp.reduce(logits))
    mean = weights @ means
    covariance = sum(
        w * (c @ c.T + np.outer(m - mean, m - mean))
        for w, m, c in zip(weights, means, cholesky, strict=True)
    )
    error = 5 * np.sqrt(np.diag(covariance) / len(line))
    np.testing.assert_array_less(np.abs(line.mean(axis=0) - mean), error)
    np.testing.assert_allclose(np.cov(line.T), covariance, atol=0.06)


def test_the_seed_chooses_the_components_too():
    mixture = MixturePosterior(LOW, HIGH, 2)
    apart = np.zeros((2, mixture.n_outputs), "f4")
    apart[:, 2:6], apart[:, 6:10] = -4, 4  # the means of the two
    draws = mixture.draw(apart, [1, 2], 200).numpy()
    first, second = draws[..., 0] > (LOW[0] + HIGH[0]) / 2
    assert 70 < np.sum(first) < 130
    assert 70 < np.sum(first != second) < 130


def test_less_than_one_component_is_refused():
    with pytest.raises(ValueError, match="components: expected at least 1; received 0"):
        MixturePosterior(LOW, HIGH, 0)
