"""What mixing with the flat prior does to a posterior."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit, logit
from scipy.stats import kstest

from clusterkeras.network.posteriors import MixturePosterior
from clusterkeras.network.posteriors.base import summarise
from clusterkeras.network.posteriors.flat import (
    EVEN_ODDS,
    LEAST_SHARE,
    MOST_SHARE,
    WithFlatPrior,
    flat_logit,
)
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
LOG_VOLUME = np.log(HIGH - LOW).sum()
SHARES = np.array([0.001, 0.03, 0.3, 0.7, 0.9])


@pytest.fixture(scope="module")
def mixed(flow):
    return WithFlatPrior(flow)


@pytest.fixture(scope="module")
def raw(flow):
    """Return outputs of one narrow posterior a share of `SHARES`."""
    raw = np.random.default_rng(2).normal(0, 0.4, (5, flow.n_outputs))
    raw[:, 4:14] *= 0.1
    raw[:, [4, 6, 9, 13]] -= 3
    return np.column_stack([raw, logit(SHARES)]).astype("f4")


def test_the_density_is_that_of_the_stated_mixture(mixed, flow, raw, flat):
    points = np.concatenate([flat(200), flow.draw(raw[:1, :-1], [1], 200)[0]])
    of_q = flow.distribution(raw[:, :-1]).log_prob(points[:, None]).numpy()
    expected = np.logaddexp(np.log1p(-SHARES) + of_q, np.log(SHARES) - LOG_VOLUME)
    found = mixed.distribution(raw).log_prob(points[:, None])
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_mass_adds_up_to_one_on_a_grid():
    box = [0.0, 0.0], [2.0, 5.0]
    mixed = WithFlatPrior(MixturePosterior(*box, 3))
    raw = np.random.default_rng(0).normal(0, 0.4, (5, mixed.n_outputs)).astype("f4")
    # diagonals of the Cholesky factors: nothing piles up at the edges
    raw[:, [9, 11, 12, 14, 15, 17]] -= 1
    raw[:, -1] = logit(SHARES)
    axes = [(np.arange(400) + 0.5) * high / 400 for high in box[1]]
    points = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 1, 2).astype("f4")
    density = np.exp(mixed.distribution(raw).log_prob(points).numpy().astype(float))
    np.testing.assert_allclose(density.mean(axis=0) * 10, 1, atol=2e-3)


@pytest.mark.parametrize("by", ["draw", "sample"])
def test_so_many_draws_are_flat_as_eps_says_and_the_others_the_posterior_s(
    mixed, flow, raw, by
):
    n = 20_000
    if by == "draw":
        draws = mixed.draw(raw, np.arange(5), n).numpy()
    else:
        draws = mixed.distribution(raw).sample(n, seed=3).numpy().transpose(1, 0, 2)
    own = flow.draw(raw[:, :-1], np.arange(5) + 50, n).numpy()
    low, high = own.min(axis=1), own.max(axis=1)
    for row, share in enumerate(SHARES):
        inside = np.all((draws[row] >= low[row]) & (draws[row] <= high[row]), axis=-1)
        # the narrow posterior's region holds little of the prior
        of_prior = np.prod((high[row] - low[row]) / (HIGH - LOW))
        assert of_prior < 0.02
        expected, error = share * (1 - of_prior), np.sqrt(share / n)
        assert np.mean(~inside) == pytest.approx(expected, abs=5 * error + 1e-3)
        if share > 0.5:
            for i in range(4):
                place = (draws[row, ~inside, i] - LOW[i]) / (HIGH[i] - LOW[i])
                assert kstest(place, "uniform").statistic < 0.03
        middle, expected = draws[row][inside], own[row]
        error = own[row].std(axis=0) * np.sqrt(1 / len(middle) + 1 / n)
        off = np.abs(middle.mean(axis=0) - expected.mean(axis=0))
        assert np.all(off < 5 * error + 0.02 * own[row].std(axis=0))


@pytest.mark.parametrize("kind", ["flow", "mixture"])
def test_the_uniform_number_that_is_left_is_the_posterior_s_own(flow, kind):
    """Draws that are not flat are those of the number scaled to what is not flat."""
    posterior = flow if kind == "flow" else MixturePosterior(LOW, HIGH, 4)
    rng = np.random.default_rng(1)
    own = rng.uniform(0.01, 0.99, (5, 50)).astype("f4")
    normal = rng.normal(size=(5, 50, 4)).astype("f4")
    raw = rng.normal(0, 0.4, (5, posterior.n_outputs)).astype("f4")
    mixed = np.column_stack([raw, logit(SHARES)]).astype("f4")
    eps = SHARES[:, None]
    found = WithFlatPrior(posterior).carry(mixed, eps + (1 - eps) * own, normal)
    expected = posterior.carry(raw, own, normal)
    # a number within rounding of a component's edge may fall on its other side
    assert np.isclose(found, expected, atol=1e-3).all(axis=-1).mean() > 0.98


def test_no_answer_is_sure_of_nonsense_and_its_gradient_is_finite(flow, flat):
    mixed = WithFlatPrior(flow)
    wild = np.random.default_rng(0).normal(0, 3, (200, mixed.n_outputs)).astype("f4")
    wild[:, [4, 6, 9, 13]] -= 30
    wild[:, -1] = logit(0.001)
    points = flat(200)
    assert np.median(flow.distribution(wild[:, :-1]).log_prob(points)) < -1e5
    outputs = tf.Variable(wild)
    variables = [outputs, *mixed.trainable_variables]
    with tf.GradientTape() as tape:
        log_prob = mixed.distribution(outputs).log_prob(points)
        loss = -tf.reduce_mean(log_prob)
    assert np.all(log_prob >= np.log(0.001) - LOG_VOLUME - 1e-3)
    for gradient in tape.gradient(loss, variables):
        assert np.all(np.isfinite(gradient))


def test_summaries_are_the_mixture_s_own(mixed, flow, raw):
    """Down to a share of a thousandth, of which 256 draws would have nothing."""
    found = {k: v.numpy() for k, v in summarise(*mixed.even_draws(raw)).items()}
    own = {k: v.numpy() for k, v in summarise(*flow.even_draws(raw[:, :-1])).items()}
    middle, width = (LOW + HIGH) / 2, HIGH - LOW
    eps = SHARES[:, None]
    mean = (1 - eps) * own["mean"] + eps * middle
    np.testing.assert_allclose(found["mean"] / width, mean / width, atol=1e-3)
    second = own["covariance"] + np.einsum("bi,bj->bij", own["mean"], own["mean"])
    of_prior = np.diag(width**2 / 12) + np.outer(middle, middle)
    covariance = (1 - eps[..., None]) * second + eps[..., None] * of_prior
    covariance -= np.einsum("bi,bj->bij", mean, mean)
    scale = np.outer(width, width)
    np.testing.assert_allclose(
        found["covariance"] / scale, covariance / scale, atol=2e-3
    )
    draws = np.sort(flow.draw(raw[:, :-1], np.arange(5), 20_000).numpy(), axis=1)
    for name, probability in (("lower", 0.1587), ("median", 0.5), ("upper", 0.8413)):
        for row in range(5):
            for i in range(4):
                at = found[name][row, i]
                below = np.searchsorted(draws[row, :, i], at) / 20_000
                flat_below = (at - LOW[i]) / width[i]
                reached = (1 - SHARES[row]) * below + SHARES[row] * flat_below
                assert reached == pytest.approx(probability, abs=0.03)


def test_density_gradient_and_a_seed_s_draws_are_the_same_under_xla(mixed, raw, flat):
    seed = tf.constant([-5, 0, 7, 2**31 - 1, 7])

    def run(raw):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            log_prob = mixed.distribution(raw).log_prob(flat(5))
        slope = tape.gradient(log_prob, raw)
        return log_prob, slope, mixed.draw(raw, seed, 64)

    *compiled, draws = tf.function(run, jit_compile=True)(tf.constant(raw))
    *plain, plain_draws = run(tf.constant(raw))
    for got, wanted in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(draws, plain_draws, atol=1e-4)


def test_the_share_rises_as_the_likeness_falls():
    scores = np.linspace(0, -10, 1001).astype("f4")
    share = expit(flat_logit(scores).numpy())
    assert np.all(np.diff(share) >= 0)
    np.testing.assert_allclose(share[0], LEAST_SHARE, rtol=0.1)
    np.testing.assert_allclose(share[scores < -9], MOST_SHARE, rtol=1e-4)
    middle = share[np.argmin(np.abs(scores - EVEN_ODDS))]
    np.testing.assert_allclose(middle, (LEAST_SHARE + MOST_SHARE) / 2, rtol=1e-3)
    # odds that an image is of another kind grow as fewer mocks are as far out
    other = (share - LEAST_SHARE) / (MOST_SHARE - LEAST_SHARE)
    rows = (scores < -1) & (scores > -6)
    odds = np.log10(other / (1 - other))[rows]
    np.testing.assert_allclose(odds, EVEN_ODDS - scores[rows], atol=0.01)


def test_a_score_that_is_not_known_counts_as_like_the_mocks():
    assert float(flat_logit(np.float32("nan"))) == pytest.approx(logit(LEAST_SHARE))
