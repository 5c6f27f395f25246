import keras
import numpy as np
import pytest

from clusterkeras import backbones
from clusterkeras.backbones import FusedBatchNormalization


@pytest.mark.parametrize("name", sorted(backbones.BACKBONES))
def test_each_backbone_gives_finite_features(name):
    model = backbones.build(name, (24, 24, 5))
    features = model(np.random.default_rng(0).normal(size=(2, 24, 24, 5)))
    assert features.shape == (2, 2 * backbones.BACKBONES[name].widths[-1])
    assert features.dtype == "float32"
    assert np.all(np.isfinite(features))


def test_the_default_has_the_documented_shape():
    model = backbones.build("resnet_small", (64, 64, 3))
    assert 0.65e6 < model.count_params() < 0.75e6
    assert model.get_layer("stem").output.shape == (None, 32, 32, 16)
    assert model.get_layer("last_relu").output.shape == (None, 4, 4, 128)


def test_features_know_what_stands_in_the_middle():
    model = backbones.build("resnet_tiny", (32, 32, 1))
    middle, corner = np.zeros((2, 1, 32, 32, 1), "f4")
    middle[:, 15:17, 15:17] = 9
    corner[:, 2:4, 2:4] = 9
    width = backbones.BACKBONES["resnet_tiny"].widths[-1]
    empty, of_middle, of_corner = (
        model(image)[0, width:].numpy() for image in (0 * middle, middle, corner)
    )
    assert np.abs(of_middle - empty).max() > 100 * np.abs(of_corner - empty).max()


def test_the_round_trip_keeps_the_features(check_round_trip):
    model = backbones.build("resnet_tiny", (16, 16, 2))
    images = np.random.default_rng(0).normal(size=(3, 16, 16, 2)).astype("f4")
    model(images, training=True)  # so that the statistics are not those of the start
    check_round_trip(model, images)


def test_fused_normalisation_does_what_keras_does():
    images = np.random.default_rng(0).normal(3, 2, (8, 6, 6, 4)).astype("f4")
    fused = FusedBatchNormalization(momentum=0.9)
    plain = keras.layers.BatchNormalization(momentum=0.9)
    for _ in range(3):
        np.testing.assert_allclose(
            fused(images, training=True), plain(images, training=True), atol=1e-5
        )
    np.testing.assert_allclose(fused.moving_mean, plain.moving_mean, rtol=1e-5)
    # the kernel divides by n - 1, Keras by n
    many = images[..., 0].size
    np.testing.assert_allclose(
        fused.moving_variance, plain.moving_variance, rtol=2 / many
    )
    np.testing.assert_allclose(
        fused(images, training=False), plain(images, training=False), atol=0.02
    )


def test_fused_normalisation_survives_the_round_trip(check_round_trip):
    layer = FusedBatchNormalization(momentum=0.9, epsilon=0.01, name="norm")
    images = np.random.default_rng(0).normal(3, 2, (8, 6, 6, 4)).astype("f4")
    layer(images, training=True)
    check_round_trip(layer, images)


def test_an_unknown_backbone_is_refused():
    with pytest.raises(
        ValueError, match=r"expected one of .*'resnet_small'.* received"
    ):
        backbones.build("resnet_huge", (64, 64, 3))
