"""Networks by name: image in, feature vector out."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import tensorflow as tf

from clusterkeras.network.layers import photometry
from clusterkeras.network.layers.centring import Centre, CentredCrop
from clusterkeras.network.layers.moments import RingMoments
from clusterkeras.workers.sums import current_workers, sum_over_workers

#: What every layer says itself, whatever the user's Keras settings are.
_PLAIN = {"dtype": "float32"}
_IMAGES = {**_PLAIN, "data_format": "channels_last"}


@dataclass(frozen=True)
class ResNet:
    """Pre-activation residual network (He et al. 2016, ECCV, fig. 1b).

    The features are the mean over the whole image and the mean over its middle, where
    the object stands, and, if wanted, a dense network on aperture photometry: fluxes
    to a few per cent are what convolutions learn last, and what ages hang on.

    Attributes
    ----------
    widths : tuple of int
        Channels of each stage; every stage after the first halves the image.
    blocks : int
        Residual blocks a stage.
    photometry : tuple of int
        Widths of the dense layers on photometry; none for no photometry. Images must
        then be wide enough for the ring of the sky.
    centred_px : int
        Side of the crop about the object that is convolved; 0 for the whole image.
    moments : bool
        Whether the dense layers are given moments of the pixels in rings as well.
    """

    widths: tuple[int, ...]
    blocks: int = 2
    photometry: tuple[int, ...] = ()
    centred_px: int = 0
    moments: bool = False

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the features of an image, symbolically."""
        measured, more = [], []
        if self.centred_px or self.moments:
            centre = Centre(name="centre")(x)
        if self.moments:
            more = [RingMoments(name="moments")([x, centre])]
        if self.photometry:
            radii = photometry.FINE_RADII_PX
            measured = [photometry.dense_features(x, self.photometry, radii, more)]
        if self.centred_px:
            x = CentredCrop(self.centred_px, name="crop")([x, centre])
        x = _convolve(x, self.widths[0], 3, 2, "stem")
        for stage, width in enumerate(self.widths):
            for block in range(self.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                x = _block(x, width, stride, f"stage{stage}_block{block}")
        x = _activate(x, "last")
        middle = keras.layers.Cropping2D(
            tuple((side - 1) // 2 for side in x.shape[1:3]), name="middle", **_IMAGES
        )(x)
        mean = keras.layers.GlobalAveragePooling2D
        return keras.layers.Concatenate(name="features", **_PLAIN)(
            [
                mean(name="mean", **_IMAGES)(x),
                mean(name="middle_mean", **_IMAGES)(middle),
                *measured,
            ]
        )


@dataclass(frozen=True)
class PublishedResNet:
    """The published network (Bialopetravicius & Narbutis 2020, A&A 633, A148, Table 1).

    The table gives conv1, 7 x 7 with 64 channels and stride 1; a 3 x 3 max pool;
    conv2_x to conv5_x of the widths below; a stride of 2 at the pool and at the first
    block of conv3_x to conv5_x; the mean over the image; a dense layer. "50-layer CNN
    based on the ResNet architecture", its widths half of ResNet-50's, is read as the
    bottleneck blocks of He et al. 2016, CVPR, Table 1, with half of all channels: 1 x 1
    and 3 x 3 of a quarter of the width, then 1 x 1; normalisation after each
    convolution and before its ReLU; the stride in the first 1 x 1. Its initial weights
    and the scaling of its input are not known here: He's, and the joint asinh of this
    package.

    Attributes
    ----------
    widths : tuple of int
        Channels of conv2_x to conv5_x.
    blocks : tuple of int
        Bottleneck blocks of each.
    dense : int
        Width of the dense layer.
    """

    widths: tuple[int, ...] = (128, 256, 512, 1024)
    blocks: tuple[int, ...] = (3, 4, 6, 3)
    dense: int = 1024

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the features of an image, symbolically."""
        x = _activate(_convolve(x, 64, 7, 1, "conv1"), "conv1")
        x = keras.layers.MaxPooling2D(3, 2, padding="same", name="pool", **_IMAGES)(x)
        stages = zip(self.widths, self.blocks, strict=True)
        for stage, (width, blocks) in enumerate(stages, 2):
            for block in range(1, blocks + 1):
                stride = 2 if stage > 2 and block == 1 else 1
                x = _bottleneck(x, width, stride, f"conv{stage}_{block}")
        x = keras.layers.GlobalAveragePooling2D(name="mean", **_IMAGES)(x)
        return keras.layers.Dense(self.dense, "relu", name="dense", **_PLAIN)(x)


@dataclass(frozen=True)
class PhotometricNet:
    """Dense network on aperture photometry alone: what a few apertures a band can tell.

    Attributes
    ----------
    widths : tuple of int
        Width of each layer.
    radii_px : tuple of float
        Radii of the apertures.
    moments : bool
        Whether it is given moments of the pixels in rings as well.
    """

    widths: tuple[int, ...]
    radii_px: tuple[float, ...] = photometry.RADII_PX
    moments: bool = False

    def features(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """Return the features of an image, symbolically."""
        more = []
        if self.moments:
            more = [RingMoments(name="moments")([x, Centre(name="centre")(x)])]
        return photometry.dense_features(x, self.widths, self.radii_px, more)


BACKBONES: dict[str, ResNet | PublishedResNet | PhotometricNet] = {
    "resnet_tiny": ResNet((8, 16), blocks=1),
    "resnet_small": ResNet((16, 32, 64, 128)),
    "resnet_medium": ResNet((32, 64, 128, 256)),
    "resnet_small_photometry": ResNet((16, 32, 64, 128), photometry=(256, 256)),
    "resnet_centred_small": ResNet((16, 32, 64, 128), 2, (256, 128), 56, True),
    "resnet_centred": ResNet((32, 64, 128, 256), 2, (256, 128), 56, True),
    # what the apertures and moments of the one above add is told beside it
    "resnet_centred_plain": ResNet((32, 64, 128, 256), 2, (), 56),
    "published_resnet50": PublishedResNet(),
    "photometry": PhotometricNet((256, 256, 256)),
    "photometry_fine": PhotometricNet((256, 256, 256), photometry.FINE_RADII_PX),
    "photometry_moments": PhotometricNet(
        (256, 256, 256), photometry.FINE_RADII_PX, moments=True
    ),
}

#: Backbones that end in a dense layer of their own, on which the heads stand.
WITH_DENSE = ("published_resnet50",)


@keras.saving.register_keras_serializable(package="clusterkeras")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the last axis of an image, in one kernel.

    Keras composes it of elementwise steps; one kernel trains the default backbone a
    quarter faster on a CPU.

    Attributes
    ----------
    fixed : bool
        Whether training too normalises by the kept mean and variance, and keeps them.
    """

    fixed: bool = False

    def call(self, inputs, training=None, mask=None):
        """Normalise `inputs` (B, height, width, channels)."""
        learning = bool(training) and self.trainable and not self.fixed
        if learning and current_workers().number > 1:
            outputs, mean, variance = self._normalise_together(inputs)
        else:
            outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=tf.cast(self.gamma, tf.float32),
                offset=tf.cast(self.beta, tf.float32),
                mean=[] if learning else tf.cast(self.moving_mean, tf.float32),
                variance=[] if learning else tf.cast(self.moving_variance, tf.float32),
                epsilon=self.epsilon,
                is_training=learning,
            )
        if learning:
            for moving, value in (
                (self.moving_mean, mean),
                (self.moving_variance, variance),
            ):
                moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs

    def _normalise_together(
        self, inputs: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Normalise by the mean and variance of the batch that all workers share."""
        # about the kept mean, which is near, squares do not cancel
        near = tf.stop_gradient(tf.cast(self.moving_mean, tf.float32))
        away = tf.cast(inputs, tf.float32) - near
        axes = (0, 1, 2)
        pixels = tf.cast(tf.reduce_prod(tf.shape(away)[:3]), tf.float32)
        sums = sum_over_workers(
            tf.concat(
                [
                    tf.reduce_sum(away, axes),
                    tf.reduce_sum(away * away, axes),
                    pixels[None],
                ],
                axis=0,
            )
        )
        pixels = tf.stop_gradient(sums[-1])
        mean, squares = tf.split(sums[:-1] / pixels, 2)
        variance = squares - mean * mean
        outputs = tf.nn.batch_normalization(
            *(away, mean, variance),
            offset=tf.cast(self.beta, tf.float32),
            scale=tf.cast(self.gamma, tf.float32),
            variance_epsilon=self.epsilon,
        )
        unbiased = variance * pixels / tf.maximum(pixels - 1, 1)
        return tf.cast(outputs, inputs.dtype), near + mean, unbiased


def _normalise(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    # Statistics follow the weights within some thirty steps, so that the validation
    # of a fast-moving early epoch already means something.
    return FusedBatchNormalization(momentum=0.97, name=f"{name}_norm", **_PLAIN)(x)


def _activate(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
    return keras.layers.ReLU(name=f"{name}_relu", **_PLAIN)(_normalise(x, name))


def _convolve(x, width: int, size: int, stride: int, name: str) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        width,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
        **_IMAGES,
    )(x)


def _block(x: keras.KerasTensor, width: int, stride: int, name: str):
    active = _activate(x, f"{name}_0")
    changes = stride != 1 or x.shape[-1] != width
    shortcut = _convolve(active, width, 1, stride, f"{name}_shortcut") if changes else x
    x = _convolve(active, width, 3, stride, f"{name}_0_conv")
    x = _convolve(_activate(x, f"{name}_1"), width, 3, 1, f"{name}_1_conv")
    return keras.layers.Add(name=f"{name}_add", **_PLAIN)([shortcut, x])


def _bottleneck(x: keras.KerasTensor, width: int, stride: int, name: str):
    shortcut = x
    if stride != 1 or x.shape[-1] != width:
        shortcut = _normalise(
            _convolve(x, width, 1, stride, f"{name}_shortcut"), f"{name}_shortcut"
        )
    for i, (size, step) in enumerate(((1, stride), (3, 1))):
        x = _convolve(x, width // 4, size, step, f"{name}_{i}_conv")
        x = _activate(x, f"{name}_{i}")
    x = _normalise(_convolve(x, width, 1, 1, f"{name}_2_conv"), f"{name}_2")
    x = keras.layers.Add(name=f"{name}_add", **_PLAIN)([shortcut, x])
    return keras.layers.ReLU(name=name, **_PLAIN)(x)


def build(name: str, image_shape: tuple[int, int, int]) -> keras.Model:
    """Build a backbone.

    Parameters
    ----------
    name : str
        One of `BACKBONES`.
    image_shape : (int, int, int)
        Height, width and number of bands of the (already scaled) image.

    Returns
    -------
    keras.Model
        From (B, height, width, bands) to (B, features).

    Raises
    ------
    ValueError
        If the name is unknown, or the image too small for apertures it wants.
    """
    if name not in BACKBONES:
        raise ValueError(
            f"backbone: expected one of {sorted(BACKBONES)}; received {name!r}"
        )
    inputs = keras.Input(image_shape, name="scaled", dtype="float32")
    features = BACKBONES[name].features(inputs)
    model = keras.Model(inputs, features, name=name)
    model.dtype_policy = "float32"
    return model


def convolve_in_bfloat16(backbone: keras.Model) -> None:
    """Let a backbone's convolutions, and what stands between them, work in bfloat16.

    Weights, photometry, means and dense layers stay float32. A model that holds the
    backbone is saved and loaded as without.

    Parameters
    ----------
    backbone : keras.Model
        As `build` makes it.
    """
    layers = keras.layers
    for layer in backbone.layers:
        if isinstance(
            layer, (layers.Conv2D, layers.BatchNormalization, layers.ReLU, layers.Add)
        ):
            layer.dtype_policy = "mixed_bfloat16"
