"""Recalibrations whose answer is known."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.diagnostics.metrics.coverage import central_coverage, pit
from clusterkeras.network.posteriors import MixturePosterior
from clusterkeras.network.posteriors.equal_mixture import EnsemblePosterior
from clusterkeras.training import recalibration_fit as recalibration

LOW, HIGH = [6.0, 0.0, 2.0], [10.0, 4.0, 6.0]
TRUE = np.float32([1.3, 1.0, 0.7])

#: Logits of the flat prior's share.
NO_PRIOR = np.full(2000, -20, "f4")


def make(kind, stretch=None):
    one = MixturePosterior(LOW, HIGH, 1, stretch=stretch)
    if kind == "gaussian":
        return one
    members = [MixturePosterior(LOW, HIGH, k) for k in (1, 2)]
    return EnsemblePosterior(members, stretch=stretch)


@pytest.fixture(scope="module", params=["gaussian", "ensemble"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def problem(kind):
    """Return outputs and truths, which are draws of the posterior stretched by TRUE."""
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 0.5, (2000, make(kind).n_outputs)).astype("f4")
    return raw, draw(make(kind, TRUE), raw, 1)[:, 0]


def draw(posterior, raw, n):
    rng = np.random.default_rng(n)
    uniform = rng.uniform(size=(len(raw), n)).astype("f4")
    normal = rng.normal(size=(len(raw), n, 3)).astype("f4")
    return posterior.carry(raw, uniform, normal).numpy()


def test_posteriors_of_wrong_width_are_recovered(kind, problem):
    raw, truth = problem
    found = recalibration.fit_stretch(make(kind), raw, NO_PRIOR, truth)
    np.testing.assert_allclose(found, TRUE, rtol=0.06)


def test_what_was_too_narrow_is_calibrated_after(kind, problem):
    raw, truth = problem
    stretch = recalibration.fit_stretch(make(kind), raw, NO_PRIOR, truth)
    covered = {}
    for name, posterior in (("off", make(kind)), ("on", make(kind, stretch))):
        found = pit(truth, draw(posterior, raw, 100))
        covered[name] = central_coverage(found, [0.68])[0]
    assert np.all(np.abs(covered["on"] - 0.68) < 0.03)
    assert covered["off"][0] < 0.6
    assert covered["off"][2] > 0.78


def test_a_right_width_is_left_alone(kind, problem):
    raw, truth = problem
    found = recalibration.fit_stretch(make(kind, TRUE), raw, NO_PRIOR, truth)
    np.testing.assert_allclose(found, 1, rtol=0.06)


def test_truths_that_the_flat_prior_explains_stretch_nothing(kind, problem):
    raw, truth = problem
    mixed = truth.copy()
    rng = np.random.default_rng(3)
    mixed[:200] = rng.uniform(LOW, HIGH, (200, 3))
    tenth = np.full(len(raw), np.log(1 / 9), "f4")
    found = recalibration.fit_stretch(make(kind), raw, tenth, mixed)
    np.testing.assert_allclose(found, TRUE, rtol=0.1)


def test_logits_twice_too_large_get_a_temperature_of_two_and_their_offset():
    rng = np.random.default_rng(1)
    true = rng.normal(0, 2, 20_000)
    is_cluster = rng.uniform(size=len(true)) < 1 / (1 + np.exp(-true))
    temperature, offset = recalibration.fit_presence(2 * true - 1, is_cluster)
    assert temperature == pytest.approx(2, rel=0.05)
    assert offset == pytest.approx(0.5, abs=0.05)


def test_a_visibility_half_too_sure_gets_its_factor():
    rng = np.random.default_rng(2)
    mean, scale = rng.normal(1, 0.5, 5000), rng.uniform(0.05, 0.3, 5000)
    log_snr = rng.normal(mean, 1.5 * scale)
    normal = tfp.distributions.Normal(
        tf.constant(mean, tf.float32), tf.constant(scale, tf.float32)
    )
    found = recalibration.fit_visibility(normal, log_snr)
    assert found == pytest.approx(1.5, rel=0.03)


def test_log_probability_of_presence_is_that_of_the_label():
    found = recalibration.presence_log_prob(np.log([3.0, 3.0]), np.array([True, False]))
    np.testing.assert_allclose(found, np.log([0.75, 0.25]))
