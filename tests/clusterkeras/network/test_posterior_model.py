"""What a recalibration does to a model."""

import keras
import numpy as np
import pytest
from scipy.special import expit

from clusterkeras.config import ModelConfig
from clusterkeras.network.layers.unlike import fit_unlike
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.recalibration import Recalibration

CHANGED = Recalibration((1.3, 1.0, 0.8, 1.1), 2.0, 0.5, 1.5)


@pytest.fixture(scope="module", params=["mixture", "flow"])
def model(request, small_target):
    keras.utils.set_random_seed(2)
    config = ModelConfig("resnet_tiny", request.param, 3, 2, flow_width=8, hidden=16)
    model = ClusterModel(small_target, config)
    for head in model.heads.values():
        head.kernel.assign(100 * head.kernel)
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 30, (6, 16, 16, 2)).astype("f4")


def test_a_model_is_not_recalibrated_by_default(model):
    assert model.recalibration == Recalibration()
    assert model.joint.stretch is None


def test_a_recalibration_changes_presence_visibility_and_posterior(model, images):
    changed = model.recalibrated(CHANGED)
    before, after = model(images), changed(images)
    np.testing.assert_allclose(after["presence"], before["presence"] / 2 + 0.5, 1e-5)
    np.testing.assert_array_equal(after["posterior"], before["posterior"])
    for name, factor in (("mean", 1), ("stddev", 1.5)):
        found, plain = (
            getattr(m.visibility(before["visibility"]), name)()
            for m in (changed, model)
        )
        np.testing.assert_allclose(found, factor * plain, rtol=1e-5)
    truth = np.tile(np.mean([model.joint.low, model.joint.high], axis=0), (6, 1))
    # before the flat prior hides all that is small
    raw, _ = model.with_flat_prior().parts(before["posterior"])
    plain, stretched = (
        m.joint.distribution(raw).log_prob(truth) for m in (model, changed)
    )
    assert np.all(np.abs(stretched - plain) > 1e-3)


@pytest.fixture(scope="module")
def scored(model):
    """Return a model that is recalibrated and knows what is unlike its mocks."""
    changed = model.recalibrated(CHANGED)
    noise = np.random.default_rng(5).normal(0, 30, (2, 1024, 16, 16, 2))
    training, held_out = ([(images, {})] for images in noise.astype("f4"))
    fit_unlike(changed, training, held_out)
    return changed


@pytest.fixture(scope="module")
def near_and_far(images):
    """Return three images like those mocks and three like none."""
    factors = np.float32([1, 1, 1, 0, 100, 1e4])
    return images * factors[:, None, None, None]


def test_the_flat_prior_is_mixed_in_as_the_image_is_unlike_the_mocks(
    scored, near_and_far
):
    """It is mixed with the posterior as recalibrated: no stretch touches it."""
    outputs = scored(near_and_far)
    score = outputs["unlike_mocks"].numpy()
    assert score[:3].min() > -3
    assert score[3:].max() < -8
    eps = expit(outputs["posterior"][:, -1].numpy())
    assert np.all((eps[:3] > 0.001) & (eps[:3] < 0.1))
    np.testing.assert_allclose(eps[3:], 0.9, rtol=1e-3)
    low, high = scored.joint.low, scored.joint.high
    points = np.random.default_rng(6).uniform(low, high, (50, 1, 4)).astype("f4")
    of_q = scored.joint.distribution(outputs["posterior"][:, :-1]).log_prob(points)
    flat = -np.log(high - low).sum()
    expected = np.logaddexp(np.log1p(-eps) + of_q, np.log(eps) + flat)
    found = scored.posterior(outputs["posterior"]).log_prob(points)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    summary = {k: v.numpy() for k, v in scored.summarise(near_and_far).items()}
    # of 0.9 of the prior alone
    spread = np.sqrt(np.diagonal(summary["covariance"], axis1=1, axis2=2))
    assert np.all(spread[3:] > 0.9 * (high - low) / 12**0.5)
    assert np.all(summary["edge_share"][3:] > 0.9 * 0.02 * 0.7)
    living = summary["log_mass_current"]
    assert np.all(living[3:, 2] - living[3:, 1] > 0.8 * 0.68 * (high - low)[2])


def test_keras_s_predict_mixes_too(scored, near_and_far):
    found = scored.predict(near_and_far, batch_size=4, verbose=0)
    for name, value in scored(near_and_far).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-3)


def test_in_training_no_image_is_unlike_the_mocks(scored, near_and_far):
    outputs = scored(near_and_far, training=True)
    np.testing.assert_allclose(outputs["posterior"][:, -1], np.log(0.001 / 0.999), 1e-5)
    assert np.all(np.isnan(outputs["unlike_mocks"]))


def test_the_round_trip_keeps_the_recalibration(model, images, check_round_trip):
    changed = model.recalibrated(CHANGED)
    loaded = check_round_trip(changed, images)
    assert loaded.recalibration == CHANGED
    expected, found = (m.summarise(images) for m in (changed, loaded))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


#: Weights of what `draws_at` gives.
ALIKE = np.full((1, 100), 0.01, np.float32)


def draws_at(model, **values):
    """Return 100 draws in the middle of the box, but the first 25 where stated."""
    draws = np.empty((1, 100, len(model.parameter_names)), np.float32)
    for i, name in enumerate(model.parameter_names):
        draws[..., i] = sum(model.target.box[name]) / 2
        draws[:, :25, i] = values.get(name, draws[0, 0, i])
    return draws


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ({}, 0),
        ({"log_age": 6.01}, 0.25),
        ({"log_mass": 5.99}, 0.25),
        ({"log_half_light_radius": -1.59}, 0.25),
        ({"a_v": 3.98}, 0.25),
        ({"a_v": 0.01}, 0),
        ({"log_age": 6.8}, 0),
    ],
)
def test_a_posterior_leans_on_the_edges_of_the_training_but_not_on_no_extinction(
    model, values, share
):
    found = float(model.edge_share(draws_at(model, **values), ALIKE)[0])
    assert found == pytest.approx(share)


def test_a_flat_posterior_does_not_lean(model):
    rng = np.random.default_rng(0)
    low, high = model.joint.low, model.joint.high
    draws = rng.uniform(low, high, (5, 256, 4)).astype(np.float32)
    alike = np.full((5, 256), 1 / 256, np.float32)
    assert np.all(np.asarray(model.edge_share(draws, alike)) < 0.1)
