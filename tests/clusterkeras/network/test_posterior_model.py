"""What a recalibration does to a model."""

import keras
import numpy as np
import pytest

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.posterior_model import Recalibration

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
    raw = before["posterior"]
    shift = changed.posterior(raw).log_prob(truth) - model.posterior(raw).log_prob(
        truth
    )
    assert np.all(np.abs(shift) > 1e-3)


def test_the_round_trip_keeps_the_recalibration(model, images, check_round_trip):
    changed = model.recalibrated(CHANGED)
    loaded = check_round_trip(changed, images)
    assert loaded.recalibration == CHANGED
    expected, found = (m.summarise(images) for m in (changed, loaded))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


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
    found = float(model.edge_share(draws_at(model, **values))[0])
    assert found == pytest.approx(share)


def test_a_flat_posterior_does_not_lean(model):
    rng = np.random.default_rng(0)
    low, high = model.joint.low, model.joint.high
    draws = rng.uniform(low, high, (5, 256, 4)).astype(np.float32)
    assert np.all(np.asarray(model.edge_share(draws)) < 0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"stretch": (1, 0, 1, 1)},
        {"presence_temperature": -1},
        {"visibility_factor": float("nan")},
    ],
)
def test_factors_that_are_not_positive_are_refused(wrong):
    with pytest.raises(ValueError, match="expected factors above 0; received"):
        Recalibration(**wrong)
