"""A crop about the object: the network need not learn what a shift does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from clusterkeras.network.layers.photometry import (
    SEARCH_PX,
    AperturePhotometry,
    pixels_at,
)


@keras.saving.register_keras_serializable(package="clusterkeras")
class CentredCrop(keras.layers.Layer):
    """Cut images out about the object in their middle, to the nearest pixel.

    Parameters
    ----------
    side_px : int
        Side of the crop, even: at most the images' less the square in which the object
        is looked for.

    Raises
    ------
    ValueError
        If it is odd or below 2, or does not fit into the images.
    """

    def __init__(self, side_px: int, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        if side_px < 2 or side_px % 2:
            raise ValueError(
                f"side_px: expected an even number from 2 on; received {side_px}"
            )
        self.side_px = int(side_px)

    def build(self, input_shape: Any) -> None:
        """Check that the crop fits, wherever the object is found."""
        images, _ = input_shape
        if min(images[1:3]) < self.side_px + SEARCH_PX:
            raise ValueError(
                f"images: expected at least {self.side_px + SEARCH_PX} pixels a side "
                f"for a crop of {self.side_px}; received shape {tuple(images)}"
            )
        super().build(input_shape)

    def call(self, inputs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Crop.

        Parameters
        ----------
        inputs : (tensor (B, rows, columns, bands), tensor (B, 2))
            Images, and row and column of the objects as
            `clusterkeras.network.layers.photometry.AperturePhotometry` finds them.
        """
        images, centre = inputs
        first = tf.cast(tf.round(centre), tf.int32) - self.side_px // 2
        last = [side - self.side_px for side in images.shape[1:3]]
        first = tf.clip_by_value(first, 0, last)
        square = np.indices((self.side_px,) * 2).reshape(2, -1).T
        part = pixels_at(images, first, square)
        return tf.reshape(part, (-1, self.side_px, self.side_px, images.shape[-1]))

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the crop's shape."""
        images, _ = input_shape
        return (images[0], self.side_px, self.side_px, images[-1])

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "side_px": self.side_px}


@keras.saving.register_keras_serializable(package="clusterkeras")
class Centre(keras.layers.Layer):
    """Find the object in the middle of scaled images, as `AperturePhotometry` does."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self._apertures = AperturePhotometry()
        self.built = True

    def call(self, scaled: tf.Tensor) -> tf.Tensor:
        """Return (B, 2), row and column, of `JointAsinh`'s images."""
        return self._apertures.centre(4 * scaled)

    def compute_output_shape(self, input_shape: Any) -> tuple:
        """Return the shape."""
        return (input_shape[0], 2)
