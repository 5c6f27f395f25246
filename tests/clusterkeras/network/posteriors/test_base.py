"""What holds for every posterior."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kstest

from clusterkeras.config import POSTERIORS, ModelConfig
from clusterkeras.network import posteriors
from clusterkeras.network.posteriors.base import random_numbers, summarise
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
LOG_VOLUME = np.log(HIGH - LOW).sum()


@pytest.mark.parametrize("name", POSTERIORS)
def test_the_configuration_names_it(name):
    made = posteriors.build(ModelConfig(posterior=name), LOW, HIGH)
    assert type(made).__name__.lower() == f"{name}posterior"
    np.testing.assert_array_equal(made.low, LOW.astype("f4"))


def test_density_integrates_to_one_over_the_box(posterior, raw, flat):
    # importance sampling from the prior: mean density x volume is 1
    density = posterior.distribution(raw[:1]).log_prob(flat(200_000)[:, None])
    values = np.exp(density.numpy() + LOG_VOLUME)
    error = values.std() / len(values) ** 0.5
    assert error < 0.03
    assert np.mean(values) == pytest.approx(1, abs=4 * error)


def test_density_is_zero_outside_the_box_finite_at_its_edges_nan_at_nan(
    posterior, raw, flat
):
    distribution = posterior.distribution(raw[:1])
    outside = flat(1)
    outside[0, 1] = -0.01
    assert distribution.log_prob(outside).numpy() == -np.inf
    outside[0] = np.inf
    assert distribution.log_prob(outside).numpy() == -np.inf
    outside[0, 2] = np.nan
    assert np.isnan(distribution.log_prob(outside).numpy())
    for edge in (LOW, HIGH, LOW + 1e-7, HIGH - 1e-7):
        assert np.isfinite(distribution.log_prob([edge.astype("f4")]).numpy())


def test_gradient_is_finite_at_the_edges(posterior, raw):
    outputs = tf.Variable(raw)
    variables = [outputs, *posterior.trainable_variables]
    with tf.GradientTape() as tape:
        loss = -posterior.distribution(outputs).log_prob(LOW.astype("f4"))
    for gradient in tape.gradient(loss, variables):
        assert np.all(np.isfinite(gradient))


def test_the_distribution_has_rows_as_batch_and_parameters_as_event(posterior, raw):
    distribution = posterior.distribution(raw)
    assert distribution.batch_shape == (5,)
    assert distribution.event_shape == (4,)
    drawn = distribution.sample(7, seed=1)
    assert drawn.shape == (7, 5, 4)
    assert distribution.log_prob(drawn).shape == (7, 5)
    rows = [
        posterior.distribution(raw[i : i + 1]).log_prob(drawn[:, i : i + 1])[:, 0]
        for i in range(5)
    ]
    np.testing.assert_allclose(
        distribution.log_prob(drawn), np.transpose(rows), rtol=1e-3, atol=0.03
    )


@pytest.mark.parametrize("by", ["draw", "sample"])
def test_draws_follow_the_density(posterior, raw, flat, by):
    distribution = posterior.distribution(raw[:1])
    points = flat(100_000)
    log_prob = distribution.log_prob(points[:, None]).numpy()[:, 0]
    weights = np.exp(log_prob - np.logaddexp.reduce(log_prob))
    if by == "draw":
        draws = posterior.draw(raw[:1], [3], 40_000).numpy()[0]
    else:
        draws = distribution.sample(40_000, seed=3).numpy()[:, 0]
    expected = numbers(points, log_prob)
    drawn = numbers(draws, distribution.log_prob(draws[:, None])[:, 0])
    mean = weights @ expected
    spread = np.sqrt(weights @ (expected - mean) ** 2)
    error = spread * np.sqrt(1 / len(draws) + np.sum(weights**2))
    assert np.all(error < 0.1 * spread)
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < 5 * error)


def numbers(points, log_prob):
    """Return functions of points whose means the test compares, a column each."""
    share = (points - LOW) / (HIGH - LOW)
    pairs = [share[:, i] * share[:, j] for i in range(4) for j in range(i + 1)]
    return np.column_stack([share, *pairs, np.asarray(log_prob)])


def test_draws_of_a_row_depend_on_its_own_seed_only(posterior, raw):
    seeds = np.arange(5, dtype="int32")
    together = posterior.draw(raw, seeds, 32).numpy()
    turned = posterior.draw(raw[::-1], seeds[::-1], 32).numpy()
    np.testing.assert_allclose(together, turned[::-1], rtol=1e-4, atol=1e-5)
    alone = posterior.draw(raw[3:4], [3], 32).numpy()
    np.testing.assert_allclose(together[3:4], alone, rtol=1e-4, atol=1e-5)
    other = posterior.draw(raw, seeds + 1, 32).numpy()
    assert not np.any(together[0] == other[0])


def test_draws_need_tensorflow_alone(posterior, raw, tmp_path):
    module = tf.Module()
    module.variables_ = posterior.variables
    module.draw = tf.function(
        lambda r, s: posterior.draw(r, s, 8),
        input_signature=[
            tf.TensorSpec((None, posterior.n_outputs)),
            tf.TensorSpec((None,), tf.int32),
        ],
    )
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    drawn = loaded.draw(tf.constant(raw), tf.range(5))
    np.testing.assert_allclose(
        drawn, posterior.draw(raw, np.arange(5), 8), rtol=1e-4, atol=1e-5
    )


def test_no_draw_leaves_the_box(posterior):
    wild = np.random.default_rng(0).normal(0, 30, (20, posterior.n_outputs))
    draws = posterior.draw(wild.astype("f4"), np.arange(20), 500).numpy()
    assert np.all((draws >= LOW.astype("f4")) & (draws <= HIGH.astype("f4")))


def test_summary_agrees_with_many_draws(posterior, raw):
    summary = summarise(*posterior.even_draws(raw))
    summary = {name: value.numpy() for name, value in summary.items()}
    draws = posterior.draw(raw, np.arange(5), 30_000).numpy()
    width = HIGH - LOW
    for name, probability in (("median", 0.5), ("lower", 0.1587), ("upper", 0.8413)):
        below = np.mean(draws < summary[name][:, None], axis=1)
        # of 256 points: 0.01 in the root mean square, a quarter of random ones' 0.04
        np.testing.assert_allclose(below, probability, atol=0.04)
    np.testing.assert_allclose(
        summary["mean"] / width, draws.mean(axis=1) / width, atol=0.01
    )
    for row in range(len(raw)):
        scale = np.outer(width, width)
        np.testing.assert_allclose(
            summary["covariance"][row] / scale, np.cov(draws[row].T) / scale, atol=0.006
        )


def test_random_numbers_are_uniform_and_normal_and_never_infinite():
    uniform, normal = (x.numpy() for x in random_numbers(tf.range(500), 400, 3))
    assert uniform.shape == (500, 400) and normal.shape == (500, 400, 3)
    assert kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert kstest(normal.ravel(), "norm").pvalue > 1e-3
    together = np.concatenate([uniform[..., None], normal], axis=-1).reshape(-1, 4)
    np.testing.assert_allclose(np.corrcoef(together.T), np.eye(4), atol=0.01)
    assert np.all((uniform > 0) & (uniform < 1)) and np.all(np.isfinite(normal))


def test_random_integers_are_the_same_under_xla():
    seed = tf.constant([-5, 0, 7])
    plain = random_numbers(seed, 64, 4)
    compiled = tf.function(lambda s: random_numbers(s, 64, 4), jit_compile=True)(seed)
    np.testing.assert_array_equal(compiled[0], plain[0])
    np.testing.assert_allclose(compiled[1], plain[1], atol=2e-6)


def test_even_draws_are_the_same_each_time(posterior, raw):
    (draws, weights), (again, same) = (posterior.even_draws(raw) for _ in range(2))
    np.testing.assert_array_equal(draws, again)
    np.testing.assert_array_equal(weights, same)


def test_weights_of_a_summary_are_as_many_draws_of_one_weight():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(3, 40, 2)).astype("f4")
    times = rng.integers(1, 9, (3, 40))
    repeated = [np.repeat(d, 50 * t, axis=0) for d, t in zip(draws, times, strict=True)]
    found = summarise(draws, (times / times.sum(1, keepdims=True)).astype("f4"))
    for row, values in enumerate(repeated):
        np.testing.assert_allclose(found["mean"][row], values.mean(0), atol=1e-5)
        np.testing.assert_allclose(
            found["covariance"][row], np.cov(values.T, bias=True), atol=1e-5
        )
        ordered = np.sort(draws[row], axis=0)
        for name, share in (("lower", 0.15866), ("median", 0.5), ("upper", 0.84134)):
            # the draw at which so many are reached, or one of its neighbours
            at = np.searchsorted(ordered[:, 0], np.quantile(values[:, 0], share))
            low, high = ordered[max(at - 1, 0), 0], ordered[min(at + 1, 39), 0]
            assert low <= found[name][row, 0] <= high


def test_equal_weights_give_the_quantiles_half_way_along_each_draw():
    draws = np.random.default_rng(1).normal(size=(2, 64, 3)).astype("f4")
    found = summarise(draws, np.full((2, 64), 1 / 64, "f4"))
    for name, share in (("lower", 0.15865525), ("median", 0.5), ("upper", 0.84134475)):
        expected = np.quantile(draws, share, axis=1, method="hazen")
        np.testing.assert_allclose(found[name], expected, atol=1e-5)


@pytest.mark.parametrize("name", POSTERIORS)
def test_density_gradient_and_a_seed_s_draws_are_the_same_under_xla(name, flat):
    small = ModelConfig(posterior=name, components=2, flow_depth=2, flow_width=8)
    posterior = posteriors.build(small, LOW, HIGH)
    rng = np.random.default_rng(1)
    raw = rng.normal(0, 0.4, (5, posterior.n_outputs)).astype("f4")
    seed = tf.constant([-5, 0, 7, 2**31 - 1, 7])

    def run(raw):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            log_prob = posterior.distribution(raw).log_prob(flat(5))
        slope = tape.gradient(log_prob, raw)
        return log_prob, slope, posterior.draw(raw, seed, 64)

    compiled = tf.function(run, jit_compile=True)(tf.constant(raw))
    *compiled, draws = compiled
    *plain, plain_draws = run(tf.constant(raw))
    for got, wanted in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(draws, plain_draws, atol=1e-4)


def test_all_arguments_survive_json(posterior, raw, flat):
    plain = json.dumps(keras.saving.serialize_keras_object(posterior))
    again = keras.saving.deserialize_keras_object(json.loads(plain))
    again.set_weights(posterior.get_weights())
    np.testing.assert_array_equal(
        again.distribution(raw).log_prob(flat(5)),
        posterior.distribution(raw).log_prob(flat(5)),
    )


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (HIGH, LOW, "low < high; received"),
        (LOW, HIGH[:2], "two sequences of one length"),
    ],
)
def test_edges_that_make_no_box_are_refused(low, high, message):
    with pytest.raises(ValueError, match=message):
        posteriors.MixturePosterior(low, high)


def test_outputs_of_another_network_are_refused(posterior):
    with pytest.raises(
        ValueError,
        match=rf"expected \(batch, {posterior.n_outputs}\).*received .*\(2, 7\)",
    ):
        posterior.distribution(np.zeros((2, 7), "f4"))
