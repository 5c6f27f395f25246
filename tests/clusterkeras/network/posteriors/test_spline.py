import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network.posteriors.spline import (
    BOUND,
    MIN_SLOPE,
    inverse_spline,
    spline,
    spline_outputs,
    split_outputs,
)

BINS = 8


@pytest.fixture(scope="module")
def raw():
    """Return the numbers of one spline, the same at each of 4001 points."""
    rng = np.random.default_rng(1)
    return np.tile(rng.normal(0, 0.5, (spline_outputs(BINS), 1)), 4001).astype("f4")


@pytest.fixture(scope="module")
def x():
    return np.linspace(-1.2 * BOUND, 1.2 * BOUND, 4001).astype("f4")


def test_zeros_make_the_identity(x, raw):
    y, log_slope = spline(x, *split_outputs(np.zeros_like(raw), BINS))
    np.testing.assert_allclose(y, x, atol=1e-5)
    np.testing.assert_allclose(log_slope, 0, atol=1e-5)


def test_it_rises_and_its_slope_is_that_of_its_values(x, raw):
    y, log_slope = (value.numpy() for value in spline(x, *split_outputs(raw, BINS)))
    assert np.all(np.diff(y) > 0)
    numerical = (y[2:] - y[:-2]) / (x[2:] - x[:-2])
    # rounding of y and the bend between neighbours
    np.testing.assert_allclose(np.exp(log_slope[1:-1]), numerical, rtol=0.02, atol=0.02)
    assert np.exp(log_slope).max() > 1.5
    assert np.exp(log_slope).min() < 0.7


def test_it_is_the_identity_beyond_the_last_knots(x, raw):
    y, log_slope = (value.numpy() for value in spline(x, *split_outputs(raw, BINS)))
    outside = np.abs(x) > BOUND
    np.testing.assert_array_equal(y[outside], x[outside])
    np.testing.assert_array_equal(log_slope[outside], 0)
    np.testing.assert_array_equal(
        inverse_spline(x, *split_outputs(raw, BINS))[outside], x[outside]
    )


def test_the_inverse_undoes_it(x, raw):
    y, log_slope = spline(x, *split_outputs(raw, BINS))
    error = np.abs(inverse_spline(y, *split_outputs(raw, BINS)) - x)
    # what rounding y to float32 leaves of x
    assert np.all(error < 2e-5 + 2e-6 / np.exp(log_slope))


def test_every_point_has_its_own_spline(raw):
    rng = np.random.default_rng(2)
    own = rng.normal(0, 1, (spline_outputs(BINS), 6)).astype("f4")
    x = rng.normal(0, 2, 6).astype("f4")
    together, _ = spline(x, *split_outputs(own, BINS))
    for i in range(6):
        alone, _ = spline(x[i : i + 1], *split_outputs(own[:, i : i + 1], BINS))
        np.testing.assert_allclose(together[i], alone[0], atol=1e-6)


def test_wild_numbers_stay_finite_and_rise(x, raw):
    wild = tf.Variable(3e3 * raw)
    with tf.GradientTape() as tape:
        y, log_slope = spline(x, *split_outputs(wild, BINS))
    assert np.all(np.isfinite(y))
    assert np.all(np.diff(y) >= 0)
    assert np.all(np.isfinite(log_slope))
    assert np.all(np.isfinite(tape.gradient([y, log_slope], wild)))
    assert np.all(np.isfinite(inverse_spline(x, *split_outputs(wild, BINS))))


def test_slopes_at_the_knots_are_the_numbers_given(raw):
    numbers = np.zeros((spline_outputs(BINS), 3), "f4")
    numbers[2 * BINS + 3] = 1.7
    knot = np.float32([0, -2 * BOUND / BINS, 2 * BOUND / BINS])
    _, log_slope = spline(knot, *split_outputs(numbers, BINS))
    start = np.log(np.expm1(1 - MIN_SLOPE))
    expected = [np.log1p(np.exp(1.7 + start)) + MIN_SLOPE, 1, 1]
    np.testing.assert_allclose(np.exp(log_slope), expected, rtol=1e-5)
