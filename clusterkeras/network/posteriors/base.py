"""What every posterior over the parameters can do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import ndtri
from scipy.stats import qmc

tfd = tfp.distributions

#: Points of the fixed set that `Posterior.even_draws` carries.
SUMMARY_POINTS = 256

#: Cumulative probabilities of median, lower and upper: the normal's ±1 sigma.
QUANTILES = {"median": 0.5, "lower": 0.15865525, "upper": 0.84134475}


def summarise(draws: tf.Tensor, weights: tf.Tensor) -> dict[str, tf.Tensor]:
    """Summarise weighted draws of a posterior.

    Parameters
    ----------
    draws : tensor (B, n, P)
        In any order.
    weights : tensor (B, n)
        They add up to one in each row.

    Returns
    -------
    dict of str to tensor
        ``median``, ``lower``, ``upper`` (16 and 84 %), ``mean``: (B, P);
        ``covariance``: (B, P, P); in the draws' units.
    """
    summary = dict(zip(QUANTILES, _quantiles(draws, weights), strict=True))
    summary["mean"] = tf.linalg.matvec(draws, weights, transpose_a=True)
    residual = draws - summary["mean"][:, None, :]
    summary["covariance"] = tf.matmul(
        residual * weights[..., None], residual, transpose_a=True
    )
    return summary


def _quantiles(draws: tf.Tensor, weights: tf.Tensor) -> list[tf.Tensor]:
    """Return the values (B, P) of `QUANTILES`, from draws and weights of `summarise`.

    Half of its weight stands on either side of a draw; between draws the cumulative
    probability is a straight line.
    """
    columns = tf.transpose(draws, (0, 2, 1))
    n = draws.shape[1]
    ordered, order = tf.math.top_k(-columns, n)
    ordered = -ordered
    own = tf.gather(weights, order, batch_dims=1)
    reached = tf.cumsum(own, axis=-1) - own / 2
    found = []
    for probability in QUANTILES.values():
        below = tf.reduce_sum(
            tf.cast(reached < probability, tf.int32), axis=-1, keepdims=True
        )
        places = tf.clip_by_value(tf.concat([below - 1, below], axis=-1), 0, n - 1)
        low, high = tf.unstack(tf.gather(ordered, places, batch_dims=2), axis=-1)
        before, after = tf.unstack(tf.gather(reached, places, batch_dims=2), axis=-1)
        share = tf.math.divide_no_nan(probability - before, after - before)
        found.append(low + tf.clip_by_value(share, 0, 1) * (high - low))
    return found


def sobol(points: int, dimensions: int) -> np.ndarray:
    """Return the first `points` (a power of two) Sobol points, none on an edge."""
    sequence = qmc.Sobol(dimensions, scramble=False)
    return sequence.random_base2(points.bit_length() - 1) + 0.5 / points


def random_numbers(
    seed: tf.Tensor, n: int, dimensions: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draw the standard random numbers that `Posterior.carry` takes.

    Random are integers alone, which are the same on every device and under XLA;
    TensorFlow's own uniform and normal numbers are not. The normal ones are made of
    them in pairs (Box & Muller 1958, Ann. Math. Statist. 29, 610), within 5.8 sigma.

    Parameters
    ----------
    seed : tensor (B,) int32
        A row's numbers depend on its own seed only.
    n : int
        Draws a row.
    dimensions : int
        P.

    Returns
    -------
    uniform : tensor (B, n)
        Uniform in (0, 1).
    normal : tensor (B, n, P)
        Standard normal.
    """
    pairs = (dimensions + 1) // 2

    def integers(row_seed: tf.Tensor) -> tf.Tensor:
        return tf.random.stateless_uniform(
            (n, 1 + 2 * pairs),
            tf.stack([row_seed, 0]),
            minval=None,
            maxval=None,
            dtype=tf.uint32,
            alg="philox",
        )

    signature = tf.TensorSpec((n, 1 + 2 * pairs), tf.uint32)
    drawn = tf.map_fn(integers, seed, fn_output_signature=signature)
    # the middles of 2^23 steps, each of them a float32
    steps = tf.cast(tf.bitwise.right_shift(drawn, tf.constant(9, tf.uint32)), tf.int32)
    shares = (tf.cast(steps, tf.float32) + 0.5) * 2.0**-23
    uniform, radius, angle = tf.split(shares, [1, pairs, pairs], axis=-1)
    radius, angle = tf.sqrt(-2 * tf.math.log(radius)), 2 * math.pi * angle
    normal = tf.concat([radius * tf.cos(angle), radius * tf.sin(angle)], axis=-1)
    return uniform[..., 0], normal[..., :dimensions]


class Posterior(keras.layers.Layer):
    """Turn a network's plain outputs into a joint posterior of the parameters.

    One posterior says how many outputs it takes (`n_outputs`), which density they mean
    (`distribution`) and where they carry standard random numbers (`carry`); draws and
    summaries follow. It is a layer so that one with weights of its own is trained and
    saved with the model that owns it; it is never called.

    Parameters
    ----------
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.

    Attributes
    ----------
    n_outputs : int
        Outputs the network must give; all zero they are a posterior near the prior.
    dimensions : int
        Number of parameters, P.

    Raises
    ------
    ValueError
        If the edges are not two sequences of one length, the lower below the upper.
    """

    n_outputs: int

    def __init__(
        self, low: Sequence[float], high: Sequence[float], **kwargs: Any
    ) -> None:
        # half the precision of a mixed policy is too little for a density
        super().__init__(**{"dtype": "float32", **kwargs})
        low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        if low.ndim != 1 or low.shape != high.shape or not (low < high).all():
            raise ValueError(
                "low, high: expected two sequences of one length, low < high; "
                f"received {low.tolist()} and {high.tolist()}"
            )
        self.low, self.high = low, high
        self.dimensions = len(low)
        points = sobol(SUMMARY_POINTS, 1 + self.dimensions)
        self._summary_uniform = points[:, 0].astype(np.float32)
        self._summary_normal = ndtri(points[:, 1:]).astype(np.float32)
        # all weights, if any, are made by the constructor
        self.built = True

    def distribution(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the posterior over the parameters in their own units.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.

        Returns
        -------
        tfd.Distribution
            Batch shape (B,), event shape (P,); zero density outside the box.
        """
        raise NotImplementedError

    def carry(self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
        """Carry standard random numbers to draws, with plain operations alone.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.
        uniform : tensor (B, n)
            Uniform in (0, 1).
        normal : tensor (B, n, P)
            Standard normal.

        Returns
        -------
        tensor (B, n, P)
            In the parameters' own units, inside the box; distributed as the posterior.
        """
        raise NotImplementedError

    def draw(self, raw: tf.Tensor, seed: tf.Tensor, n: int) -> tf.Tensor:
        """Draw from the posterior, with TensorFlow's own operations alone.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.
        seed : tensor (B,) int32
            A row's draws depend on its own seed and outputs only, not on its place.
        n : int
            Draws a row.

        Returns
        -------
        tensor (B, n, P)
            Independent draws in the parameters' own units, inside the box.
        """
        seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
        return self.carry(raw, *random_numbers(seed, n, self.dimensions))

    def summary_numbers(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the numbers that `carry` takes for summaries, alike for all rows.

        Parameters
        ----------
        rows : tensor () int32
            B.

        Returns
        -------
        uniform : tensor (B, SUMMARY_POINTS)
            One coordinate of Sobol points.
        normal : tensor (B, SUMMARY_POINTS, P)
            The others, as normal numbers.
        """
        shape = (rows, SUMMARY_POINTS)
        return (
            tf.broadcast_to(self._summary_uniform, shape),
            tf.broadcast_to(self._summary_normal, (*shape, self.dimensions)),
        )

    def even_draws(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return draws that stand evenly for the posterior, the same each time.

        They are Sobol points carried through the posterior: summaries of them are more
        exact than those of as many random draws.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.

        Returns
        -------
        draws : tensor (B, n, P)
            In the parameters' own units, inside the box; n is SUMMARY_POINTS, or more.
        weights : tensor (B, n)
            They add up to one in each row.
        """
        uniform, normal = self.summary_numbers(tf.shape(raw)[0])
        weights = tf.ones_like(uniform) / SUMMARY_POINTS
        return self.carry(raw, uniform, normal), weights

    def check(self, raw: tf.Tensor) -> tf.Tensor:
        """Return `raw` as a float32 tensor, or refuse outputs of another network."""
        raw = tf.convert_to_tensor(raw, tf.float32)
        if raw.shape.rank != 2 or raw.shape[-1] != self.n_outputs:
            raise ValueError(
                f"posterior: expected (batch, {self.n_outputs}) outputs of the "
                f"network; received shape {tuple(raw.shape)}"
            )
        return raw

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        edges = {"low": self.low.tolist(), "high": self.high.tolist()}
        return {**super().get_config(), **edges}
