"""The prior's box and the real line: each carried to the other without loss.

A parameter ``x``, flat between ``low`` and ``high``, becomes
``u = probit((x - low) / (high - low))``, a standard normal. The flat prior is then
exactly the normal distribution of unit covariance, and no finite ``u`` leaves the box.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp

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

    The class it derives from takes the density at the inverse of a point, and the
    inverse of a point outside the box counts as on its edge.
    """

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        inside = (x >= self.bijector.low) & (x <= self.bijector.high)
        log_prob = super()._log_prob(x)
        return tf.where(tf.reduce_all(inside, axis=-1), log_prob, -math.inf)
