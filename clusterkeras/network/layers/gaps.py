"""Pixels of images that are no data: counted, and filled."""

from __future__ import annotations

import math

import tensorflow as tf

from clusterkeras.network.layers.scaling import LARGEST


def fill_gaps(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return images whose pixels without data stand at the median of their band.

    Without data is what is not finite, or beyond 1e18, which the scaling no longer
    tells from infinity. A catalogue fills its cutouts alike. An image whose pixels are
    all data stays as it is, to the bit.

    Parameters
    ----------
    images : tensor (B, rows, columns, bands)
        Flux per pixel.

    Returns
    -------
    filled : float32 tensor (B, rows, columns, bands)
        Zero in a band that has no data at all.
    bad_pixels : int32 tensor (B,)
        How many pixels were filled, all bands together.
    blind : bool tensor (B,)
        Whether a band has no data at all.
    """
    images = tf.cast(images, tf.float32)
    good = tf.abs(images) < LARGEST
    bad = tf.reduce_sum(tf.cast(~good, tf.int32), axis=(1, 2))
    filled = tf.cond(
        tf.reduce_any(bad > 0),
        lambda: tf.where(good, images, _medians(images, good)),
        lambda: images,
    )
    pixels = math.prod(images.shape[1:3])
    return filled, tf.reduce_sum(bad, axis=1), tf.reduce_any(bad == pixels, axis=1)


def _medians(images: tf.Tensor, good: tf.Tensor) -> tf.Tensor:
    """Return the median of the good pixels of each band: (B, 1, 1, bands)."""
    _, rows, columns, bands = images.shape
    flat = tf.reshape(tf.where(good, images, math.inf), (-1, rows * columns, bands))
    # infinity, of what is no data, stands last
    ordered = tf.sort(tf.transpose(flat, (0, 2, 1)))
    n = tf.reduce_sum(tf.cast(good, tf.int32), axis=(1, 2))
    middle = tf.maximum(tf.stack([n - 1, n], axis=-1) // 2, 0)
    median = tf.reduce_mean(tf.gather(ordered, middle, batch_dims=2), axis=-1)
    return tf.where(n > 0, median, 0)[:, None, None]
