"""A conditional spline coupling flow as joint posterior in the prior's box."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.network.posteriors.line import LinePosterior
from clusterkeras.network.posteriors.spline import (
    inverse_spline,
    spline,
    spline_outputs,
    split_outputs,
)
from clusterkeras.network.posteriors.transforms import cholesky_entries, fill_cholesky

tfd = tfp.distributions


def halves(dimensions: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return all ways to part the axes in kept and moved ones, each beside its reverse.

    Parameters
    ----------
    dimensions : int
        Number of axes.

    Returns
    -------
    list of (tuple of int, tuple of int)
        Kept and moved axes.
    """
    parted = []
    for kept in combinations(range(dimensions), dimensions // 2):
        moved = tuple(axis for axis in range(dimensions) if axis not in kept)
        if (kept, moved) not in parted:
            parted += [(kept, moved), (moved, kept)]
    return parted


class Coupling(keras.layers.Layer):
    """Move some axes along splines that the other axes and the image shape.

    Parameters
    ----------
    kept, moved : tuple of int
        Axes that stay, and axes that move.
    bins : int
        Bins of each spline.
    width : int
        Width, W, of the two hidden layers that shape the splines.
    """

    def __init__(
        self,
        kept: tuple[int, ...],
        moved: tuple[int, ...],
        bins: int,
        width: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})
        self.kept, self.moved, self.bins = kept, moved, bins
        dense, outputs = keras.layers.Dense, len(moved) * spline_outputs(bins)
        self.first = dense(
            width,
            kernel_initializer="he_normal",
            bias_initializer=keras.initializers.RandomNormal(stddev=1.0),
            dtype="float32",
        )
        self.second = dense(width, activation="relu", dtype="float32")
        # a first step from the identity
        self.last = dense(outputs, kernel_initializer="zeros", dtype="float32")
        for layer, inputs in (
            (self.first, len(kept)),
            (self.second, width),
            (self.last, width),
        ):
            layer.build((None, inputs))
        self.built = True

    def to_normal(self, u: list[Any], offset: Any) -> tuple[list[Any], Any]:
        """Move towards the normal.

        Parameters
        ----------
        u : list of tensor (..., B)
            One tensor an axis.
        offset : tensor (B, W)
            What the image says.

        Returns
        -------
        z : list of tensor (..., B)
            Moved.
        log_det : tensor (..., B)
            Log of the determinant of dz/du.
        """
        ops = keras.ops
        moved = self._stack(u, self.moved)
        z, log_slope = spline(ops.reshape(moved, -1), *self._splines(u, offset))
        log_slope = ops.reshape(log_slope, ops.shape(moved))
        return self._replace(u, z), ops.sum(log_slope, axis=0)

    def from_normal(self, z: list[Any], offset: Any) -> list[Any]:
        """Undo `to_normal`, with arguments and result of its kind."""
        moved = keras.ops.reshape(self._stack(z, self.moved), -1)
        return self._replace(z, inverse_spline(moved, *self._splines(z, offset)))

    def _splines(self, u: list[Any], offset: Any) -> list[Any]:
        """Return sizes and slopes of each spline, a column an element that moves."""
        ops = keras.ops
        kept = ops.reshape(self._stack(u, self.kept), (len(self.kept), -1))
        first = ops.matmul(ops.transpose(self.first.kernel), kept)
        # the same for all that is asked of an image
        offset = ops.transpose(offset + self.first.bias)[:, None]
        rows, images = offset.shape[0], ops.shape(offset)[-1]
        hidden = ops.relu(ops.reshape(first, (rows, -1, images)) + offset)
        hidden = ops.matmul(
            ops.transpose(self.second.kernel), ops.reshape(hidden, (rows, -1))
        )
        hidden = ops.relu(hidden + self.second.bias[:, None])
        # the weights of the last layer are split, not its outputs, which are many more
        shape = (len(self.moved), spline_outputs(self.bins), -1)
        kernels, biases = (
            split_outputs(ops.transpose(ops.reshape(w, shape), (1, 0, 2)), self.bins)
            for w in (ops.transpose(self.last.kernel), self.last.bias)
        )
        found = []
        for kernel, bias in zip(kernels, biases, strict=True):
            part = ops.matmul(ops.reshape(kernel, (-1, rows)), hidden)
            part = part + ops.reshape(bias, (-1, 1))
            found.append(ops.reshape(part, (kernel.shape[0], -1)))
        return found

    def _stack(self, u: list[Any], axes: tuple[int, ...]) -> Any:
        return keras.ops.stack([u[axis] for axis in axes], axis=0)

    def _replace(self, u: list[Any], moved: Any) -> list[Any]:
        u = list(u)
        shape = (len(self.moved), *keras.ops.shape(u[0]))
        columns = keras.ops.unstack(
            keras.ops.reshape(moved, shape), len(self.moved), axis=0
        )
        for axis, column in zip(self.moved, columns, strict=True):
            u[axis] = column
        return u


@keras.saving.register_keras_serializable(package="clusterkeras")
class FlowPosterior(LinePosterior):
    """Turn a network's plain outputs into a joint posterior: a coupling flow.

    The flow lives on the real line, where the flat prior is a standard normal
    (`clusterkeras.network.posteriors.transforms`). From the parameters to the normal it
    takes off a mean and a full Cholesky factor, then passes couplings of monotonic
    rational-quadratic splines (Durkan et al. 2019, NeurIPS 32, "Neural spline flows"):
    each keeps half of the axes and moves the others along splines, which a small
    network makes of the kept ones and of what the image says. The image enters as
    offsets of that network's first layer, so that it is looked at once for all draws.

    Outputs of zero and untrained weights are the prior itself.

    Parameters
    ----------
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units; P is 2 or more.
    depth : int
        Number of couplings, L.
    bins : int
        Bins of each spline.
    width : int
        Width of the couplings' networks, W.

    Attributes
    ----------
    n_outputs : int
        Outputs the network must give: P means, P (P + 1) / 2 entries of the Cholesky
        factor, then L W offsets.

    Raises
    ------
    ValueError
        On a number out of range.
    """

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        depth: int = 6,
        bins: int = 8,
        width: int = 32,
        **kwargs: Any,
    ) -> None:
        super().__init__(low, high, **kwargs)
        for name, value, least in (
            ("parameters", self.dimensions, 2),
            ("depth", depth, 1),
            ("bins", bins, 2),
            ("width", width, 1),
        ):
            if value < least:
                raise ValueError(f"{name}: expected at least {least}; received {value}")
        self.depth, self.bins, self.width = depth, bins, width
        p = self.dimensions
        self.n_outputs = p + cholesky_entries(p) + depth * width
        parted = halves(p)
        self.couplings = [
            Coupling(*parted[i % len(parted)], bins, width, name=f"coupling{i}")
            for i in range(depth)
        ]

    def parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Split the network's outputs into the flow's parameters.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Any real values.

        Returns
        -------
        mean : tensor (B, P)
            On the real line.
        cholesky : tensor (B, P, P)
            Lower Cholesky factor of the scale.
        offsets : list of tensor (B, W)
            One a coupling.

        Raises
        ------
        ValueError
            If the last axis has another length.
        """
        raw, p = self.check(raw), self.dimensions
        entries, offsets = keras.ops.split(raw[:, p:], [cholesky_entries(p)], axis=-1)
        cholesky = fill_cholesky(entries, p, start_scale=1.0)
        return raw[:, :p], cholesky, keras.ops.split(offsets, self.depth, axis=-1)

    def to_normal(self, raw: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Carry the real line to the normal.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.
        u : tensor (..., B, P)
            Any real values.

        Returns
        -------
        z : tensor (..., B, P)
            Standard normal if `u` follows the posterior.
        log_det : tensor (..., B)
            Log of the determinant of dz/du.
        """
        ops, (mean, cholesky, offsets) = keras.ops, self.parts(raw)
        z: list[tf.Tensor] = []
        for i in range(self.dimensions):
            rest = u[..., i] - mean[:, i]
            for j in range(i):
                rest = rest - cholesky[:, i, j] * z[j]
            z.append(rest / cholesky[:, i, i])
        log_det = -ops.sum(ops.log(ops.diagonal(cholesky, axis1=1, axis2=2)), axis=-1)
        for coupling, offset in zip(self.couplings, offsets, strict=True):
            z, log_slope = coupling.to_normal(z, offset)
            log_det = log_det + log_slope
        return ops.stack(z, axis=-1), log_det

    def from_normal(self, raw: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
        """Undo `to_normal`: from z to u, both (..., B, P)."""
        ops, (mean, cholesky, offsets) = keras.ops, self.parts(raw)
        columns = ops.unstack(z, axis=-1)
        for coupling, offset in zip(self.couplings[::-1], offsets[::-1], strict=True):
            columns = coupling.from_normal(columns, offset)
        return ops.stack(
            [
                mean[:, i] + sum(cholesky[:, i, j] * columns[j] for j in range(i + 1))
                for i in range(self.dimensions)
            ],
            axis=-1,
        )

    def plain_line(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the flow; see `LinePosterior.plain_line`."""
        raw = self.check(raw)
        normal = tfd.MultivariateNormalDiag(tf.zeros_like(raw[:, : self.dimensions]))
        return tfd.TransformedDistribution(normal, FlowBijector(self, raw))

    def plain_carry(
        self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tf.Tensor:
        """Carry normal numbers to draws; see `LinePosterior.plain_carry`."""
        # the rows in the last place but one, where the network's outputs have them
        u = self.from_normal(raw, tf.transpose(normal, (1, 0, 2)))
        return tf.transpose(u, (1, 0, 2))

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        shape = {"depth": self.depth, "bins": self.bins, "width": self.width}
        return {**super().get_config(), **shape}


class FlowBijector(tfp.bijectors.Bijector):
    """A flow as bijector from the normal to the real line.

    Parameters
    ----------
    flow : FlowPosterior
        Holds the weights.
    raw : tensor (B, n_outputs)
        Outputs of the network.
    """

    def __init__(
        self, flow: FlowPosterior, raw: tf.Tensor, name: str = "flow_bijector"
    ) -> None:
        parameters = dict(locals())
        self.flow, self.raw = flow, raw
        self._last: tuple[tf.Tensor, tf.Tensor, tf.Tensor] | None = None
        super().__init__(
            forward_min_event_ndims=1,
            dtype=tf.float32,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType) -> dict:
        properties = tfp.util.ParameterProperties
        return {
            "flow": properties(event_ndims=None),
            "raw": properties(event_ndims=1),
        }

    def _forward(self, z: tf.Tensor) -> tf.Tensor:
        return self.flow.from_normal(self.raw, z)

    def _inverse(self, u: tf.Tensor) -> tf.Tensor:
        return self._to_normal(u)[0]

    def _inverse_log_det_jacobian(self, u: tf.Tensor) -> tf.Tensor:
        return self._to_normal(u)[1]

    def _to_normal(self, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # value and slope are asked for one after the other and come together
        if self._last is None or self._last[0] is not u:
            self._last = (u, *self.flow.to_normal(self.raw, u))
        return self._last[1:]
