import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from clusterkeras.posteriors.mixture import SCALE_FLOOR, MixturePosterior
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
LOG_VOLUME = np.log(HIGH - LOW).sum()


@pytest.fixture(scope="module")
def mixture():
    return MixturePosterior(3, LOW, HIGH)


@pytest.fixture(scope="module")
def raw(mixture):
    """Give outputs of a network that has learned something, for 5 objects."""
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


def test_density_integrates_to_one_over_the_box(mixture, raw):
    # importance sampling from the prior: mean density x volume is 1
    density = mixture.distribution(raw[:1]).log_prob(flat(200_000))
    assert np.mean(np.exp(density + LOG_VOLUME)) == pytest.approx(1, abs=0.03)


def test_density_is_zero_outside_the_box_and_finite_at_its_edges(mixture, raw):
    distribution = mixture.distribution(raw[:1])
    outside = flat(1)
    outside[0, 1] = -0.01
    assert distribution.log_prob(outside).numpy() == -np.inf
    for edge in (LOW, HIGH, LOW + 1e-7, HIGH - 1e-7):
        assert np.isfinite(distribution.log_prob([edge.astype("f4")]).numpy())


def test_gradient_is_finite_at_the_edges(mixture, raw):
    outputs = tf.Variable(raw)
    with tf.GradientTape() as tape:
        loss = -mixture.distribution(outputs).log_prob(LOW.astype("f4"))
    assert np.all(np.isfinite(tape.gradient(loss, outputs)))


@pytest.mark.parametrize("components", [1, 12])
def test_outputs_of_zero_are_close_to_the_prior(components):
    mixture = MixturePosterior(components, LOW, HIGH)
    distribution = mixture.distribution(np.zeros((1, mixture.n_outputs), "f4"))
    nll = -np.mean(distribution.log_prob(flat(20_000)))
    assert LOG_VOLUME - 0.02 < nll < LOG_VOLUME + 0.3


def test_components_start_in_different_places():
    mixture = MixturePosterior(12, LOW, HIGH)
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


def test_draws_of_a_row_depend_on_its_own_seed_only(mixture, raw):
    seeds = np.arange(5, dtype="int32")
    together = mixture.draw(raw, seeds, 32).numpy()
    turned = mixture.draw(raw[::-1], seeds[::-1], 32).numpy()
    np.testing.assert_allclose(together, turned[::-1], rtol=1e-5)
    alone = mixture.draw(raw[3:4], [3], 32).numpy()
    np.testing.assert_allclose(together[3:4], alone, rtol=1e-5)
    other = mixture.draw(raw, seeds + 1, 32).numpy()
    assert not np.any(together[0] == other[0])


def test_the_seed_chooses_the_components_too():
    mixture = MixturePosterior(2, LOW, HIGH)
    apart = np.zeros((2, mixture.n_outputs), "f4")
    apart[:, 2:6], apart[:, 6:10] = -4, 4  # the means of the two
    draws = mixture.draw(apart, [1, 2], 200).numpy()
    first, second = draws[..., 0] > (LOW[0] + HIGH[0]) / 2
    assert 70 < np.sum(first) < 130
    assert 70 < np.sum(first != second) < 130


def test_draws_need_tensorflow_alone(mixture, raw):
    graph = tf.function(lambda r, s: mixture.draw(r, s, 8)).get_concrete_function(
        tf.TensorSpec((None, mixture.n_outputs)), tf.TensorSpec((None,), tf.int32)
    )
    drawn = graph(tf.constant(raw), tf.range(5))
    np.testing.assert_allclose(drawn, mixture.draw(raw, np.arange(5), 8), rtol=1e-5)


def test_no_draw_leaves_the_box(mixture):
    wild = np.random.default_rng(0).normal(0, 30, (20, mixture.n_outputs))
    draws = mixture.draw(wild.astype("f4"), np.arange(20), 500).numpy()
    assert np.all((draws >= LOW.astype("f4")) & (draws <= HIGH.astype("f4")))


def test_summary_agrees_with_many_draws(mixture, raw):
    summary = {k: v.numpy() for k, v in mixture.summarise(raw).items()}
    draws = mixture.draw(raw, np.arange(5), 50_000).numpy()
    width = HIGH - LOW
    for name, probability in (("median", 0.5), ("lower", 0.1587), ("upper", 0.8413)):
        below = np.mean(draws < summary[name][:, None], axis=1)
        np.testing.assert_allclose(below, probability, atol=0.012)
    np.testing.assert_allclose(
        summary["mean"] / width, draws.mean(axis=1) / width, atol=0.005
    )
    for row in range(len(raw)):
        scale = np.outer(width, width)
        np.testing.assert_allclose(
            summary["covariance"][row] / scale, np.cov(draws[row].T) / scale, atol=0.003
        )


def test_summary_is_the_same_each_time(mixture, raw):
    first, second = mixture.summarise(raw), mixture.summarise(raw)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, LOW, HIGH), "components: expected at least 1; received 0"),
        ((2, HIGH, LOW), "low < high; received"),
        ((2, LOW, HIGH[:2]), "two sequences of one length"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        MixturePosterior(*arguments)


def test_outputs_of_another_network_are_refused(mixture):
    with pytest.raises(
        ValueError, match=r"expected \(batch, 45\).*received .*\(2, 7\)"
    ):
        mixture.distribution(np.zeros((2, 7), "f4"))
