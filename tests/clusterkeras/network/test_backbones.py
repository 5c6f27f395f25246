import keras
import numpy as np
import pytest

from clusterkeras.config import ModelConfig
from clusterkeras.network import backbones
from clusterkeras.network.backbones import FusedBatchNormalization


@pytest.mark.parametrize("name", sorted(backbones.BACKBONES))
def test_each_backbone_gives_finite_features(name):
    # the ring of the sky needs some room
    px = 64 if {"photometry", "centred"} & set(name.split("_")) else 24
    model = backbones.build(name, (px, px, 5))
    features = model(np.random.default_rng(0).normal(size=(2, px, px, 5)))
    shape = backbones.BACKBONES[name]
    width = {
        backbones.ResNet: lambda net: 2 * net.widths[-1] + sum(net.photometry[-1:]),
        backbones.PublishedResNet: lambda net: net.dense,
        backbones.PhotometricNet: lambda net: net.widths[-1],
    }[type(shape)](shape)
    assert features.shape == (2, width)
    assert features.dtype == "float32"
    assert np.all(np.isfinite(features))


def test_the_default_has_the_documented_shape():
    model = backbones.build(ModelConfig().backbone, (64, 64, 3))
    assert model.get_layer("photometry_dense1").output.shape == (None, 128)
    assert 2.8e6 < model.count_params() < 3e6
    assert model.get_layer("stem").output.shape == (None, 28, 28, 32)
    assert model.get_layer("last_relu").output.shape == (None, 4, 4, 256)


#: Layer, side and channels of its output, size, stride and channels before of its
#: convolution: Bialopetravicius & Narbutis 2020, A&A 633, A148, Table 1, and the
#: bottleneck blocks of He et al. 2016, CVPR, Table 1, at half their width.
PUBLISHED = [
    ("conv1", 64, 64, 7, 1, 3),
    *[
        row
        for stage, side, blocks, before in (
            (2, 32, 3, 64),
            (3, 16, 4, 128),
            (4, 8, 6, 256),
            (5, 4, 3, 512),
        )
        for block in range(1, blocks + 1)
        for width in [64 * 2 ** (stage - 1)]
        for stride in [2 if stage > 2 and block == 1 else 1]
        for into in [before if block == 1 else width]
        for row in (
            (f"conv{stage}_{block}_0_conv", side, width // 4, 1, stride, into),
            (f"conv{stage}_{block}_1_conv", side, width // 4, 3, 1, width // 4),
            (f"conv{stage}_{block}_2_conv", side, width, 1, 1, width // 4),
        )
    ],
]


def test_the_published_network_is_that_of_the_table_layer_by_layer():
    model = backbones.build("published_resnet50", (64, 64, 3))
    convolutions = [
        layer
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and "shortcut" not in layer.name
    ]
    found = [
        (
            layer.name,
            layer.output.shape[1],
            layer.filters,
            layer.kernel_size[0],
            layer.strides[0],
            layer.input.shape[-1],
        )
        for layer in convolutions
    ]
    assert sorted(found) == sorted(PUBLISHED)
    # with the dense layer of the outputs, the fifty of its name
    assert len(found) + 1 == 50
    pool = model.get_layer("pool")
    assert pool.input.shape == (None, 64, 64, 64)
    assert pool.output.shape == (None, 32, 32, 64)
    assert (pool.pool_size, pool.strides) == ((3, 3), (2, 2))
    for stage, (side, width, blocks) in {
        "conv2": (32, 128, 3),
        "conv3": (16, 256, 4),
        "conv4": (8, 512, 6),
        "conv5": (4, 1024, 3),
    }.items():
        last = model.get_layer(f"{stage}_{blocks}")
        assert last.output.shape == (None, side, side, width)
    assert model.get_layer("mean").output.shape == (None, 1024)
    assert model.output.shape == (None, 1024)
    assert model.get_layer("dense").activation is keras.activations.relu


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


def test_fixed_normalisation_trains_as_it_is_used():
    images = np.random.default_rng(0).normal(3, 2, (8, 6, 6, 4)).astype("f4")
    layer = FusedBatchNormalization(momentum=0.9)
    layer(images, training=True)
    kept = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    layer.fixed = True
    np.testing.assert_array_equal(
        layer(2 * images, training=True), layer(2 * images, training=False)
    )
    np.testing.assert_array_equal(
        kept, [w.numpy() for w in layer.non_trainable_weights]
    )


def test_fused_normalisation_survives_the_round_trip(check_round_trip):
    layer = FusedBatchNormalization(momentum=0.9, epsilon=0.01, name="norm")
    images = np.random.default_rng(0).normal(3, 2, (8, 6, 6, 4)).astype("f4")
    layer(images, training=True)
    check_round_trip(layer, images)


def test_convolutions_in_bfloat16_give_nearly_the_same_features():
    images = np.random.default_rng(0).normal(0, 1, (4, 64, 64, 3)).astype("f4")
    backbone = backbones.build("resnet_small_photometry", images.shape[1:])
    exact = backbone(images, training=False).numpy()
    backbones.convolve_in_bfloat16(backbone)
    rounded = backbone(images, training=False)
    assert rounded.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in backbone.weights)
    scatter = exact.std(axis=0).mean()
    assert 0 < np.std(rounded - exact) < scatter / 10
    # the last features are photometry, which must not lose a digit
    n = backbone.get_layer("photometry_dense1").units
    np.testing.assert_array_equal(rounded[:, -n:], exact[:, -n:])


def test_an_unknown_backbone_is_refused():
    with pytest.raises(
        ValueError, match=r"expected one of .*'resnet_small'.* received"
    ):
        backbones.build("resnet_huge", (64, 64, 3))
