"""The published network's outputs, softmaxes over cells, as densities.

Bialopetravicius & Narbutis 2020, A&A 633, A148, Table 1: one joint softmax over 20 x 10
x 14 cells of age, extinction and mass, one over 14 cells of size, one over 20 of the
visibility. Within a cell the density is constant, so that its logarithm is in the same
nats as any other posterior's. The paper's edges are not known here; the cells divide
the prior's box evenly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.network.posteriors.base import Posterior
from clusterkeras.network.posteriors.transforms import only_inside

tfd = tfp.distributions

#: Cells along each parameter; those in one bracket have one joint softmax.
PUBLISHED_CELLS = ((20, 10, 14), (14,))

#: Cells of the visibility, and the range they divide, in dex of S/N. The paper's range
#: is not known here; this one holds all but the extremes of what a prior draws.
VISIBILITY_CELLS = 20
VISIBILITY_RANGE = (-1.0, 4.0)


@keras.saving.register_keras_serializable(package="clusterkeras")
class GridPosterior(Posterior):
    """Turn a network's plain outputs into a joint posterior: constant within cells.

    Outputs of zero are the prior.

    Parameters
    ----------
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.
    cells : sequence of sequences of int
        Number of cells along each parameter, P in all; those of one inner sequence
        have a joint softmax and are independent of the others.

    Attributes
    ----------
    n_outputs : int
        Outputs the network must give: one logit a cell of each softmax, the last
        parameter's cells next to each other.

    Raises
    ------
    ValueError
        If there are not as many numbers of cells as parameters, or one is below 1.
    """

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        cells: Sequence[Sequence[int]] = PUBLISHED_CELLS,
        **kwargs: Any,
    ) -> None:
        super().__init__(low, high, **kwargs)
        self.cells = tuple(tuple(int(n) for n in group) for group in cells)
        numbers = [n for group in self.cells for n in group]
        if len(numbers) != self.dimensions or min(numbers) < 1:
            raise ValueError(
                f"cells: expected {self.dimensions} numbers of at least 1; received "
                f"{[list(group) for group in self.cells]}"
            )
        self.n_outputs = sum(math.prod(group) for group in self.cells)

    def parts(self, raw: tf.Tensor) -> list[tf.Tensor]:
        """Split the network's outputs into the logits of each softmax, (B, cells)."""
        sizes = [math.prod(group) for group in self.cells]
        return tf.split(self.check(raw), sizes, axis=-1)

    def distribution(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the posterior; see `Posterior.distribution`."""
        categoricals = [tfd.Categorical(logits=logits) for logits in self.parts(raw)]
        return Cells(categoricals, self.cells, self.low, self.high)

    def carry(self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
        """Carry normal numbers to draws; see `Posterior.carry`.

        Each parameter's number goes through the inverse of its cumulative probability
        given the cells of the parameters before it in the same softmax.
        """
        share = tf.unstack(0.5 * tf.math.erfc(-normal * math.sqrt(0.5)), axis=-1)
        places: list[tf.Tensor] = []
        for cells, logits in zip(self.cells, self.parts(raw), strict=True):
            joint = tf.nn.softmax(logits)
            # cells before this parameter, this one's, those after it
            before, after = 1, math.prod(cells)
            chosen = tf.zeros(tf.shape(share[0]), tf.int32)
            for n in cells:
                after //= n
                table = tf.reduce_sum(tf.reshape(joint, (-1, before, n, after)), -1)
                weights = tf.gather(table, chosen, batch_dims=1)
                cell, part = _pick(weights, share[len(places)])
                places.append((tf.cast(cell, tf.float32) + part) / n)
                chosen, before = chosen * n + cell, before * n
        x = self.low + (self.high - self.low) * tf.stack(places, axis=-1)
        return tf.clip_by_value(x, self.low, self.high)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        cells = [list(group) for group in self.cells]
        return {**super().get_config(), "cells": cells}


def _pick(weights: tf.Tensor, share: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the cell where a share of all weight is reached, and how far within it."""
    cumulative = tf.cumsum(weights, axis=-1)
    wanted = share * cumulative[..., -1]
    reached = wanted[..., None] > cumulative[..., :-1]
    cell = tf.reduce_sum(tf.cast(reached, tf.int32), axis=-1)
    rank = share.shape.rank
    above = tf.gather(cumulative, cell, batch_dims=rank)
    weight = tf.gather(weights, cell, batch_dims=rank)
    part = 1 - tf.math.divide_no_nan(above - wanted, weight)
    return cell, tf.clip_by_value(part, 0, 1)


class Cells(tfd.Distribution):
    """Density that is constant within the cells of a box, and zero outside it.

    Parameters
    ----------
    categoricals : list of tfd.Categorical
        Which cell, of batch shape (B,); one for each group of parameters.
    cells : tuple of tuple of int
        Cells along each parameter of each group.
    low, high : sequence of float (P,)
        Edges of the box.
    """

    def __init__(
        self,
        categoricals: list[tfd.Categorical],
        cells: tuple[tuple[int, ...], ...],
        low: Sequence[float],
        high: Sequence[float],
        name: str = "cells",
    ) -> None:
        parameters = dict(locals())
        self.categoricals, self.cells = categoricals, cells
        self.low, self.high = np.asarray(low, "f4"), np.asarray(high, "f4")
        super().__init__(
            dtype=tf.float32,
            reparameterization_type=tfd.NOT_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype: tf.DType, num_classes: Any = None) -> dict:
        properties = tfp.util.ParameterProperties
        return {
            "categoricals": tfp.util.BatchedComponentProperties(
                event_ndims=lambda self: [0] * len(self.categoricals)
            ),
            "low": properties(event_ndims=1),
            "high": properties(event_ndims=1),
        }

    def _event_shape(self) -> tf.TensorShape:
        return tf.TensorShape([len(self.low)])

    def _event_shape_tensor(self) -> tf.Tensor:
        return tf.constant([len(self.low)], tf.int32)

    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        numbers = np.concatenate(self.cells).astype(np.float32)
        width = self.high - self.low
        index = tf.cast(tf.floor((x - self.low) / width * numbers), tf.int32)
        index = tf.unstack(
            tf.clip_by_value(index, 0, np.int32(numbers - 1)), len(numbers), axis=-1
        )
        log_prob = -np.log(width / numbers).sum()
        first = 0
        for cells, categorical in zip(self.cells, self.categoricals, strict=True):
            flat = tf.zeros_like(index[0])
            for n in cells:
                flat, first = flat * n + index[first], first + 1
            log_share = tf.nn.log_softmax(categorical.logits_parameter())
            # one gather from the flat tensor, whatever axes stand before the batch's
            row = tf.range(tf.shape(log_share)[0]) * math.prod(cells)
            log_prob += tf.gather(tf.reshape(log_share, [-1]), row + flat)
        return only_inside(x, self.low, self.high, log_prob)

    def _sample_n(self, n: int, seed: Any = None) -> tf.Tensor:
        seeds = tfp.random.split_seed(seed, 1 + len(self.cells))
        index: list[tf.Tensor] = []
        for cells, categorical, own in zip(
            self.cells, self.categoricals, tf.unstack(seeds[1:]), strict=True
        ):
            flat = categorical.sample(n, seed=own)
            index += tf.unstack(tf.unravel_index(tf.reshape(flat, [-1]), cells))
        shape = tf.concat([[n], self.batch_shape_tensor()], axis=0)
        index = tf.stack([tf.reshape(part, shape) for part in index], axis=-1)
        within = tf.random.stateless_uniform(tf.shape(index), seeds[0])
        numbers = np.concatenate(self.cells).astype(np.float32)
        place = (tf.cast(index, tf.float32) + within) / numbers
        x = self.low + (self.high - self.low) * place
        return tf.clip_by_value(x, self.low, self.high)


def histogram(logits: tf.Tensor, low: float, high: float) -> tfd.Distribution:
    """Build the density of one number that is constant within cells of one width.

    A number beyond the range counts as in the outermost cell.

    Parameters
    ----------
    logits : tensor (B, cells)
        Unnormalised log shares of the cells.
    low, high : float
        The range.

    Returns
    -------
    tfd.Distribution
        Batch shape (B,), event shape ().
    """
    edges = np.linspace(low, high, logits.shape[-1] + 1, dtype=np.float32)
    return _Histogram(
        tfd.Categorical(logits=logits), tfd.Uniform(edges[:-1], edges[1:])
    )


class _Histogram(tfd.MixtureSameFamily):
    def _log_prob(self, x: tf.Tensor) -> tf.Tensor:
        cells = self.components_distribution
        # the middle of the last cell stands for all of it and for what lies beyond
        last = 0.5 * (cells.low[-1] + cells.high[-1])
        return super()._log_prob(tf.clip_by_value(x, cells.low[0], last))
