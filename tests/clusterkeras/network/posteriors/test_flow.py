import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network.posteriors.flow import FlowBijector, FlowPosterior, halves
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
LOG_VOLUME = np.log(HIGH - LOW).sum()


@pytest.fixture(scope="module")
def raw(flow):
    return np.random.default_rng(2).normal(0, 0.4, (5, flow.n_outputs)).astype("f4")


@pytest.fixture(scope="module")
def u():
    return np.random.default_rng(4).normal(size=(5, 4)).astype("f4")


def test_outputs_of_zero_are_the_prior(flat):
    flow = FlowPosterior(LOW, HIGH)
    log_prob = flow.distribution(np.zeros((1, flow.n_outputs), "f4")).log_prob(flat(99))
    np.testing.assert_allclose(log_prob, -LOG_VOLUME, atol=1e-4)


def test_six_couplings_move_every_axis_given_every_other():
    parted = halves(4)
    assert len(parted) == 6
    seen = {(k, m) for kept, moved in parted for k in kept for m in moved}
    assert seen == {(k, m) for k in range(4) for m in range(4) if k != m}
    for kept, moved in parted:
        assert sorted(kept + moved) == [0, 1, 2, 3]
    assert halves(3)[:2] == [((0,), (1, 2)), ((1, 2), (0,))]


def test_the_way_back_is_the_inverse(flow, raw, u):
    z, _ = flow.to_normal(raw, u)
    assert np.abs(z - u).max() > 0.3
    np.testing.assert_allclose(flow.from_normal(raw, z), u, atol=2e-5)


def test_the_determinant_is_that_of_the_numerical_jacobian(flow, raw, u):
    _, log_det = flow.to_normal(raw, u)
    steps = 1e-3 * np.eye(4, dtype="f4")[:, None]
    columns = [
        (flow.to_normal(raw, u + s)[0] - flow.to_normal(raw, u - s)[0]) / 2e-3
        for s in steps
    ]
    _, expected = np.linalg.slogdet(np.moveaxis(columns, 0, -1).astype(float))
    np.testing.assert_allclose(log_det, expected, atol=0.02)


def test_axes_before_the_batch_are_points_of_the_same_rows(flow, raw, u):
    points = np.stack([u, u + 0.1, u - 0.2])
    z, log_det = flow.to_normal(raw, points)
    for i in range(3):
        alone, its_log_det = flow.to_normal(raw, points[i])
        np.testing.assert_allclose(z[i], alone, atol=1e-5)
        np.testing.assert_allclose(log_det[i], its_log_det, atol=1e-5)
    np.testing.assert_allclose(flow.from_normal(raw, z), points, atol=2e-5)


def test_every_weight_and_output_shapes_the_density(flow, raw, flat):
    outputs = tf.Variable(raw)
    variables = [outputs, *flow.trainable_variables]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(flow.distribution(outputs).log_prob(flat(5)))
    for gradient in tape.gradient(loss, variables):
        assert np.any(np.asarray(gradient) != 0)


def test_the_bijector_evaluates_the_flow_once_for_value_and_slope(flow, raw, u):
    bijector = FlowBijector(flow, tf.constant(raw))
    points = tf.constant(u)
    z = bijector.inverse(points)
    first = bijector._last
    log_det = bijector.inverse_log_det_jacobian(points, 1)
    assert bijector._last is first
    np.testing.assert_allclose(
        bijector.forward_log_det_jacobian(tf.identity(z), 1), -log_det, atol=1e-4
    )


def test_a_flow_learns_two_moons_that_no_gaussian_fits():
    """Half of the points have a high age, half a low one, the mass goes with age^2."""
    low, high = np.zeros(2), np.ones(2)
    rng = np.random.default_rng(5)
    side = rng.choice([0.25, 0.75], 4096)
    x = np.clip(side + rng.normal(0, 0.03, 4096), 0.01, 0.99)
    y = np.clip(4 * (x - 0.5) ** 2 + 0.3 + rng.normal(0, 0.03, 4096), 0.01, 0.99)
    points = np.column_stack([x, y]).astype("f4")
    exact = np.log(2) + 2 * (0.5 * np.log(2 * np.pi * np.e) + np.log(0.03))
    flow = FlowPosterior(low, high, depth=4, bins=8, width=32)
    raw = tf.Variable(np.zeros((1, flow.n_outputs), "f4"))
    # without a decay the last steps jump about as rounding has it
    rate = keras.optimizers.schedules.PolynomialDecay(1e-2, 200, 1e-4)
    optimizer = keras.optimizers.Adam(rate)

    @tf.function
    def step(points):
        with tf.GradientTape() as tape:
            distribution = flow.distribution(raw)
            loss = -tf.reduce_mean(distribution.log_prob(points[:, None]))
        variables = [raw, *flow.trainable_variables]
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    optimizer.build([raw, *flow.trainable_variables])
    losses = [float(step(points[i * 512 % 4096 :][:512])) for i in range(200)]
    assert losses[0] > exact + 2
    assert np.mean(losses[-8:]) < exact + 0.25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 0}, "depth: expected at least 1; received 0"),
        ({"bins": 1}, "bins: expected at least 2; received 1"),
        ({"width": 0}, "width: expected at least 1; received 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FlowPosterior(LOW, HIGH, **arguments)


def test_one_parameter_has_no_halves():
    with pytest.raises(ValueError, match="parameters: expected at least 2; received 1"):
        FlowPosterior([0], [1])
