import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.ndimage import gaussian_filter

from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.layers import unlike
from clusterkeras.network.layers.unlike import (
    FLOOR,
    UnlikeMocks,
    fit_unlike,
    image_statistics,
)
from clusterkeras.network.loading import load_model
from clusterkeras.network.model import ClusterModel

CONFIG = {
    "backbone": "resnet_tiny",
    "posterior": "mixture",
    "components": 2,
    "hidden": 8,
}
PX = 16


def skies(n, seed):
    """Return smooth light of two colours under noise, nJy, as a network's mocks."""
    rng = np.random.default_rng(seed)
    light = gaussian_filter(rng.standard_normal((n, PX, PX, 1)), (0, 2, 2, 0))
    light = 10 ** rng.uniform(0, 1, (n, 1, 1, 1)) * (3 + 4 * light)
    colour = np.stack([np.ones(n), rng.uniform(0.5, 2, n)], axis=-1)[:, None, None]
    noise = rng.normal(0, 1.0, (n, PX, PX, 2))
    return (light * colour + noise).astype(np.float32)


def batches(n, seed):
    """Return `skies` as a dataset would."""
    return [(tf.constant(skies(64, [seed, i])), {}) for i in range(n // 64)]


def unfitted(small_target, seed=3):
    keras.utils.set_random_seed(seed)
    return ClusterModel(small_target, CONFIG)


@pytest.fixture(scope="module")
def model(small_target):
    model = unfitted(small_target)
    fit_unlike(model, batches(2048, 0), batches(2048, 1))
    return model


def scores(model, images):
    return model.summarise(tf.constant(images, tf.float32))["unlike_mocks"].numpy()


def test_the_score_is_the_share_of_mocks_that_are_further_out(model):
    found = scores(model, skies(4000, 9))
    for share in (0.5, 0.1, 0.01):
        below = np.mean(found < np.log10(share))
        # sampling noise of 4000 here and of the 2048 that were held out
        noise = np.sqrt(share * (1 - share) * (1 / 4000 + 1 / 2048))
        assert below == pytest.approx(share, abs=4 * noise)
    assert found.max() <= 0


def clipped(images):
    return np.minimum(images, np.quantile(images, 0.5, (1, 2), keepdims=True))


@pytest.mark.parametrize(
    "change",
    [
        np.zeros_like,
        lambda images: np.full_like(images, 30.0),
        lambda images: np.random.default_rng(5).normal(0, 20, images.shape),
        lambda images: np.random.default_rng(5).normal(images.mean(), 1, images.shape),
        clipped,
        lambda images: -images,
        lambda images: 100 * images,
        lambda images: np.stack([images[..., 0], 0 * images[..., 1]], axis=-1),
        lambda images: gaussian_filter(images, (0, 1, 1, 0)),
        lambda images: np.where(np.arange(PX)[:, None] == 3, 500.0, images),
    ],
    ids=[
        "blank",
        "constant",
        "noise",
        "noise of the mocks' depth",
        "saturated",
        "negative",
        "too bright",
        "a band missing",
        "blurred",
        "a bad column",
    ],
)
def test_what_is_no_mock_is_told(model, change):
    assert np.mean(scores(model, change(skies(100, 7))) < -2) > 0.7


def test_an_image_without_data_gets_the_floor_and_one_with_a_gap_its_score(model):
    images = skies(3, 7)
    images[1, 3, 3, 0] = np.nan
    images[2, ..., 0] = np.nan
    first, second, third = scores(model, images)
    assert first > -4
    assert second > -4
    assert third == FLOOR


def test_without_a_fit_there_is_no_score(small_target):
    assert np.isnan(scores(unfitted(small_target), skies(3, 7))).all()


def test_a_model_saved_before_there_was_a_score_loads_without(model):
    layer = UnlikeMocks(model.unlike.features, 2)
    layer.load_own_variables({})
    scaled = model.scale_input(skies(2, 0))
    assert np.isnan(layer(scaled, tf.zeros((2, layer.features)))).all()


def test_the_score_travels_with_the_model(model, tmp_path):
    model.save(tmp_path / "model.keras")
    images = skies(20, 7)
    expected = scores(model, images)
    assert np.isfinite(expected).all()
    loaded = load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(scores(loaded, images), expected, rtol=1e-5)
    assert not any(weight.trainable for weight in model.unlike.weights)


def test_an_ensemble_gives_the_mean_of_its_members(model, small_target):
    other = unfitted(small_target, seed=4)
    fit_unlike(other, batches(512, 2), batches(512, 3))
    images = skies(10, 7)
    expected = (scores(model, images) + scores(other, images)) / 2
    found = scores(Ensemble([model, other]), images)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_finished_fit_has_a_score(finished_run, small_target):
    assert np.isfinite(scores(load_model(finished_run), skies(4, 7))).all()


def test_statistics_do_not_change_when_an_image_is_turned_about():
    images = skies(5, 0)
    expected = image_statistics(tf.constant(images))
    assert expected.shape == (5, 11 * 2 + 2)
    for turned in (images[:, ::-1], images[:, :, ::-1]):
        found = image_statistics(tf.constant(turned))
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_covariance_of_many_is_their_own_and_of_few_is_shrunk():
    rng = np.random.default_rng(0)
    mixing = rng.standard_normal((6, 6))
    truth = mixing @ mixing.T
    draws = rng.standard_normal((100_000, 6)) @ mixing.T + 5
    mean, whitening = unlike._gaussian(draws)
    np.testing.assert_allclose(mean, 5, atol=0.1)
    inverse = whitening @ whitening.T
    np.testing.assert_allclose(inverse @ truth, np.eye(6), atol=0.05)
    # fewer records than features: the bare covariance has no inverse
    few = rng.standard_normal((20, 50))
    _, whitening = unlike._gaussian(few)
    assert np.linalg.cond(whitening) < 5


def test_the_mixture_finds_groups_apart():
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0]])
    draws = centres[rng.integers(3, size=3000)] + rng.standard_normal((3000, 3))
    fitted = unlike._mixture(draws)

    def log_density(x):
        return np.logaddexp.reduce(unlike._exponents(np.array(x), *fitted), axis=1)

    density = log_density([*centres, [4.5, 0, 0], [4.5, 4.5, 0]])
    # truth: a group's middle is exp(4.5**2 / 2) times as dense as half-way between two
    assert density[:3].min() - density[3:].max() > 5
