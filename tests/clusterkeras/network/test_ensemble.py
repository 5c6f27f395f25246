import dataclasses

import keras
import numpy as np
import pytest
from scipy.special import expit

from clusterkeras.config import ModelConfig
from clusterkeras.evaluation.asking import predict
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.layers.unlike import fit_unlike
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.published_model import PublishedModel
from clusterkeras.network.recalibration import Recalibration
from data_tools.records.dataset import make_dataset

TINY = ModelConfig(
    "resnet_tiny", "mixture", components=3, flow_depth=2, flow_width=8, hidden=16
)


@pytest.fixture(scope="module")
def members(small_target):
    """Return networks of two heads, one of them recalibrated."""
    made = []
    for seed, (head, factor) in enumerate(
        [("mixture", 1.0), ("flow", 1.0), ("mixture", 2.0)]
    ):
        keras.utils.set_random_seed(seed)
        config = dataclasses.replace(TINY, posterior=head)
        recalibration = Recalibration((1.2, 1, 1, 0.9), 1.5, 0.1, factor)
        model = ClusterModel(
            small_target, config, recalibration=recalibration if seed else None
        )
        for layer in model.heads.values():
            layer.kernel.assign(100 * layer.kernel)
        # noise of another level is usual to each
        noise = np.random.default_rng(seed).normal(0, 1, (2, 1024, 16, 16, 2))
        level = (30, 3, 300)[seed]
        training, held_out = ([(level * part.astype("f4"), {})] for part in noise)
        fit_unlike(model, training, held_out)
        made.append(model)
    return made


@pytest.fixture(scope="module")
def ensemble(members):
    return Ensemble(members)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).normal(0, 30, (6, 16, 16, 2)).astype("f4")


def test_posterior_is_the_mean_of_the_members_densities(ensemble, members, images):
    rng = np.random.default_rng(4)
    box = np.array(list(ensemble.target.box.values()))
    truth = rng.uniform(box[:, 0], box[:, 1], (6, 4)).astype("f4")
    each = [m.posterior(m(images)["posterior"]).log_prob(truth) for m in members]
    shares = [expit(m(images)["posterior"][:, -1]) for m in members]
    assert np.ptp(shares, axis=0).min() > 0.5  # some know such images, some don't
    found = ensemble.posterior(ensemble(images)["posterior"]).log_prob(truth)
    expected = np.logaddexp.reduce(each) - np.log(len(members))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_as_many_draws_are_flat_as_in_the_mean_of_the_members(
    ensemble, members, images
):
    shares = np.mean([expit(m(images)["posterior"][:, -1]) for m in members], axis=0)
    raw = ensemble(images)["posterior"]
    np.testing.assert_allclose(expit(raw[:, -1]), shares, rtol=1e-4)
    drawn = ensemble.draw_from(raw, np.arange(6), 4000).numpy()
    each = [m.draw_from(m(images)["posterior"], np.arange(6), 4000) for m in members]
    expected = np.mean(each, axis=(0, 2))
    error = np.sqrt(drawn.var(axis=1) / 4000 + np.var(each, axis=(0, 2)) / 12_000)
    assert np.all(np.abs(drawn.mean(axis=1) - expected) < 5 * error)


def test_the_score_is_the_mean_of_the_members(ensemble, members, images):
    expected = np.mean([m(images)["unlike_mocks"] for m in members], axis=0)
    np.testing.assert_allclose(ensemble(images)["unlike_mocks"], expected, rtol=1e-5)


def test_presence_is_the_mean_of_the_members_probabilities(ensemble, members, images):
    expected = np.mean([m.summarise(images)["p_cluster"] for m in members], axis=0)
    found = ensemble.summarise(images)["p_cluster"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_kinds_are_the_mean_of_the_members_probabilities(ensemble, members, images):
    expected = np.mean([np.exp(m(images)["kinds"]) for m in members], axis=0)
    np.testing.assert_allclose(np.exp(ensemble(images)["kinds"]), expected, atol=1e-6)


def test_all_members_are_told_what_is_known_beside_the_pixels(
    ensemble, members, images
):
    inputs = {"images": images, "stellar_model": 2}
    expected = np.mean([m.summarise(inputs)["p_cluster"] for m in members], axis=0)
    found = ensemble.summarise(inputs)["p_cluster"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_visibility_is_the_mixture_of_the_members(ensemble, members, images):
    normals = [m.visibility(m(images)["visibility"]) for m in members]
    mixture = ensemble.visibility(ensemble(images)["visibility"])
    means = np.array([normal.mean() for normal in normals])
    variances = np.array([normal.variance() for normal in normals])
    np.testing.assert_allclose(mixture.mean(), means.mean(axis=0), atol=1e-5)
    expected = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
    np.testing.assert_allclose(mixture.stddev(), expected, rtol=1e-4)
    log_snr = np.linspace(0, 2, 6, dtype="f4")
    density = np.mean([normal.prob(log_snr) for normal in normals], axis=0)
    np.testing.assert_allclose(mixture.prob(log_snr), density, rtol=1e-4)


def test_a_recalibration_widens_the_mixture_of_visibilities(ensemble, images):
    wide = ensemble.recalibrated(Recalibration(visibility_factor=2.0))
    raw = ensemble(images)["visibility"]
    before, after = ensemble.visibility(raw), wide.visibility(raw)
    np.testing.assert_allclose(after.mean(), before.mean(), atol=1e-5)
    np.testing.assert_allclose(after.stddev(), 2 * before.stddev(), rtol=1e-4)


def test_the_round_trip_keeps_members_and_recalibration(
    ensemble, images, check_round_trip
):
    changed = ensemble.recalibrated(Recalibration((1.1, 1, 1, 1), 1.2, 0.3, 0.9))
    loaded = check_round_trip(changed, images)
    assert loaded.recalibration == changed.recalibration
    assert [m.recalibration for m in loaded.members] == [
        m.recalibration for m in ensemble.members
    ]
    expected, found = (m.summarise(images) for m in (changed, loaded))
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])


def test_an_ensemble_is_scored_as_one_model_is(ensemble, small_mock_set):
    batches = make_dataset(small_mock_set, "test", 16, training=False)
    predictions = predict(ensemble, batches, 16)
    assert predictions.draws.shape == (32, 16, 4)
    assert np.isfinite(predictions.log_prob_draws).all()
    assert np.isfinite(predictions.visibility_std).all()


def test_members_that_differ_are_refused(members, small_target):
    target = dataclasses.replace(small_target, box={**small_target.box, "a_v": (0, 3)})
    with pytest.raises(ValueError, match=r"one box, .*from member 2"):
        Ensemble([members[0], ClusterModel(target, TINY)])
    other = ClusterModel(small_target, TINY, cluster_share=0.5)
    with pytest.raises(ValueError, match=r"one cluster_share, 0\.7 as .*received 0\.5"):
        Ensemble([members[0], other])
    other = ClusterModel(small_target, TINY, negatives={"empty": 1.0})
    with pytest.raises(ValueError, match=r"one negatives, .*received {'empty': 1\.0}"):
        Ensemble([members[0], other])
    grid = PublishedModel(small_target, {"backbone": "resnet_tiny", "hidden": 8})
    with pytest.raises(ValueError, match=r"two or more ClusterModel; .*PublishedModel"):
        Ensemble([members[0], grid])


def test_one_model_alone_or_an_ensemble_is_no_member(members, ensemble):
    for wrong in ([], members[:1], [members[0], ensemble]):
        with pytest.raises(ValueError, match="expected two or more ClusterModel"):
            Ensemble(wrong)
