"""Between the real line and the box, and plain outputs to the scale of a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

#: Smallest standard deviation along an axis of a Gaussian, where the prior's is 1.
SCALE_FLOOR = 1e-3


def cholesky_entries(dimensions: int) -> int:
    """Return the number of entries of a lower triangle, P (P + 1) / 2."""
    return dimensions * (dimensions + 1) // 2


def fill_cholesky(entries: Any, dimensions: int, start_scale: float) -> Any:
    """Make lower Cholesky factors of plain numbers.

    Parameters
    ----------
    entries : tensor (..., P (P + 1) / 2)
        Any real values, the triangle row by row.
    dimensions : int
        P.
    start_scale : float
        The diagonal where `entries` are zero.

    Returns
    -------
    tensor (..., P, P)
        Lower triangular, its diagonal above `SCALE_FLOOR`.
    """
    ops = keras.ops
    rows, columns = np.tril_indices(dimensions)
    # a matmul with constants: XLA compiles it where it refuses to scatter
    on = rows == columns
    place = np.zeros((len(rows), dimensions**2), np.float32)
    place[np.arange(len(rows)), rows * dimensions + columns] = 1
    # softplus(0 + offset) + floor is the start's scale
    offset = np.log(np.expm1(start_scale - SCALE_FLOOR)).astype(np.float32)
    diagonal = ops.softplus(entries + offset) + SCALE_FLOOR
    flat = ops.reshape(ops.where(on, diagonal, entries), (-1, len(rows)))
    shape = (*ops.shape(entries)[:-1], dimensions, dimensions)
    return ops.reshape(ops.matmul(flat, place), shape)


#: Distance from an edge, as a share of the box's width, that float32 still tells from
#: the edge itself; values nearer to it are taken to stand there.
EDGE = 1e-6


def box_to_line(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Carry parameters from the box to the real line.

    Parameters
    ----------
    x : tensor (..., P)
        Parameters in their own units, inside the box.
    low, high : tensor (P,)
        Edges of the box.

    Returns
    -------
    tensor (..., P)
        Standard normal where `x` is flat; within ±4.8, since `x` counts as at least
        `EDGE` of the width inside the box.
    """
    share = (x - low) / (high - low)
    return tf.math.ndtri(tf.clip_by_value(share, EDGE, 1 - EDGE))


def line_to_box(u: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Carry the real line to the box; the inverse of `box_to_line`.

    Parameters
    ----------
    u : tensor (..., P)
        Any real values.
    low, high : tensor (P,)
        Edges of the box.

    Returns
    -------
    tensor (..., P)
        Parameters in their own units; rounding never takes them across an edge.
    """
    share = 0.5 * tf.math.erfc(-u * math.sqrt(0.5))
    return tf.clip_by_value(low + (high - low) * share, low, high)


def only_inside(x: tf.Tensor, low: Any, high: Any, log_prob: tf.Tensor) -> tf.Tensor:
    """Return a log density that is minus infinity outside the box, and NaN at NaN.

    Parameters
    ----------
    x : tensor (..., P)
        Where it is taken.
    low, high : tensor (P,)
        Edges of the box.
    log_prob : tensor (...)
        What it is inside.
    """
    inside = tf.reduce_all((x >= low) & (x <= high), axis=-1)
    unknown = tf.reduce_any(tf.math.is_nan(x), axis=-1)
    return tf.where(inside, log_prob, tf.where(unknown, math.nan, -math.inf))


class BoxProbit(tfp.bijectors.Bijector):
    """Bijector from the real line to the box, for `InBox`.

    Parameters
    ----------
    low, high : sequence of float (P,)
        Edges of the box in the parameters' own units.
    """

    def __init__(
        self, low: Sequence[float], high: Sequence[float], name: str = "box_probit"
    ) -> None:
        parameters = dict(locals())
        self.low = tf.constant(low, tf.float32)
        self.high = tf.constant(high, tf.float32)
        super().__init__(
            forward_min_event_ndims=0,
            dtype=tf.float32,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        plain = tfp.util.ParameterProperties
        return {"low": plain(event_ndims=0), "high": plain(event_ndims=0)}

    def _forward(self, u: tf.Tensor) -> tf.Tensor:
        return line_to_box(u, self.low, self.high)

    def _inverse(self, x: tf.Tensor) -> tf.Tensor:
        return box_to_line(x, self.low, self.high)

    def _forward_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        log_normal = -0.5 * (u**2 + math.log(2 * math.pi))
        return tf.math.log(self.high - self.low) + log_normal


class InBox(tfp.distributions.TransformedDistribution):
    """Distribution on the line carried to the box by `BoxProbit`: zero outside it.

    The density at NaN is NaN.

    The class it derives from takes the density at the inverse of a point, and the
    inverse of a point outside the box counts as on its edge.
    """

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        box = self.bijector
        return only_inside(x, box.low, box.high, super()._log_prob(x))
