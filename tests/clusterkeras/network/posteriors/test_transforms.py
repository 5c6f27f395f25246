import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from clusterkeras.network.posteriors.transforms import (
    EDGE,
    BoxProbit,
    box_to_line,
    line_to_box,
)
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS]).astype(np.float32)


@pytest.fixture
def inside():
    share = np.random.default_rng(0).uniform(0.001, 0.999, (500, 4))
    return (LOW + (HIGH - LOW) * share).astype(np.float32)


def test_there_and_back_gives_the_same_parameters(inside):
    back = line_to_box(box_to_line(inside, LOW, HIGH), LOW, HIGH)
    np.testing.assert_allclose(back, inside, atol=2e-6 * np.max(HIGH - LOW))


def test_the_flat_prior_is_a_standard_normal_on_the_line():
    share = (np.arange(1000) + 0.5) / 1000
    line = box_to_line(LOW + (HIGH - LOW) * share[:, None].astype("f4"), LOW, HIGH)
    np.testing.assert_allclose(line[:, 2], stats.norm.ppf(share), atol=2e-3)


@pytest.mark.parametrize("share", [-1.0, 0.0, EDGE / 10, 1.0, 2.0])
def test_edges_and_what_lies_beyond_stay_finite_on_the_line(share):
    line = box_to_line(LOW + (HIGH - LOW) * np.float32(share), LOW, HIGH)
    assert np.all(np.isfinite(line))
    assert np.all(np.abs(line) < 5)


def test_no_number_on_the_line_leaves_the_box():
    line = tf.constant([-3e38, -40.0, -5.5, 5.5, 40.0, 3e38])[:, None]
    box = line_to_box(line, LOW, HIGH).numpy()
    assert np.all((box >= LOW) & (box <= HIGH))


def test_the_jacobian_is_that_of_the_map(inside):
    bijector = BoxProbit(LOW, HIGH)
    line = box_to_line(inside, LOW, HIGH)
    with tf.GradientTape() as tape:
        tape.watch(line)
        box = line_to_box(line, LOW, HIGH)
    slope = tape.gradient(box, line)
    log_det = bijector.forward_log_det_jacobian(line)
    np.testing.assert_allclose(log_det, np.log(slope), atol=1e-4)
    np.testing.assert_allclose(
        bijector.inverse_log_det_jacobian(inside), -np.log(slope), atol=1e-4
    )
