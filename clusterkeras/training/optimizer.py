"""How weights move: Muon, also for convolutions, and its schedule."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from clusterkeras.config import TrainingConfig
from clusterkeras.workers.sums import sum_all_over_workers

#: Path of the layers whose outputs are read as numbers of their own, each of its scale.
HEADS = "_head/"


@keras.saving.register_keras_serializable(package="clusterkeras")
class Muon(keras.optimizers.Muon):
    """Move every kernel by an orthogonal matrix, all other weights as Adam does.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) takes the
    nearest orthogonal matrix to the momentum, so that a step moves all directions of a
    kernel alike and not mostly the few that the gradient is large in. Keras has it for
    matrices; here the kernel of a convolution is one too, of a row for each weight of
    a patch and a column for each channel. Steps are scaled to the size of Adam's (Liu
    et al. 2025, arXiv:2502.16982, eq. 4), so that both go by one rate.

    Arguments are those of `keras.optimizers.Muon`; kernels whose path matches one of
    ``exclude_layers`` are moved as Adam does.

    Examples
    --------
    >>> from clusterkeras import Muon
    >>> float(Muon(learning_rate=0.01).learning_rate) < 0.02
    True
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Move variables by their gradients, summed over all workers."""
        super().apply(sum_all_over_workers(grads), trainable_variables)

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return len(variable.shape) < 2 or any(
            re.search(layer, variable.path) for layer in self.exclude_layers
        )

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Return the nearest orthogonal matrix to a kernel, roughly, in its shape.

        Each step of Newton and Schulz multiplies a matrix X by a polynomial of the
        Gram matrix of its shorter side, and all these commute. So they are multiplied
        with each other, and X but once: half the time, and the same to a thousandth.
        """
        ops = keras.ops
        matrix = ops.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
        matrix = matrix / (ops.norm(matrix) + 1e-7)
        tall = matrix.shape[0] > matrix.shape[1]
        turned = ops.transpose(matrix)
        gram = ops.matmul(turned, matrix) if tall else ops.matmul(matrix, turned)
        product = one = ops.eye(gram.shape[0], dtype=gram.dtype)
        for left in range(steps, 0, -1):
            square = ops.matmul(gram, gram)
            factor = self.muon_a * one + self.muon_b * gram + self.muon_c * square
            product = factor if left == steps else ops.matmul(factor, product)
            if left > 1:
                gram = ops.matmul(factor, ops.matmul(gram, factor))
        moved = ops.matmul(matrix, product) if tall else ops.matmul(product, matrix)
        return ops.reshape(moved, x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scale a step to the size of Adam's."""
        # as Keras does, whose root has the user's floatx
        longest = max(math.prod(x.shape[:-1]), x.shape[-1])
        return x * np.float32(math.sqrt(longest)) * self.rms_rate


@keras.saving.register_keras_serializable(package="clusterkeras")
class WarmupPlateauDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate that rises linearly, stays, and falls linearly to zero at the end.

    On the plateau a training may be as long as there is time, and new mocks may join;
    what it has learnt shows in the decay (Hu et al. 2024, arXiv:2404.06395; Hagele et
    al. 2024, arXiv:2405.18392).

    Parameters
    ----------
    peak : float
        Highest rate.
    steps : int
        Steps of the whole training.
    warmup, decay : float
        Shares of the steps in which the rate rises, in [0, 1), and falls, together at
        most 1: all decay is for who starts from a plateau.

    Raises
    ------
    ValueError
        On a value outside its range.

    Examples
    --------
    >>> from clusterkeras import WarmupPlateauDecay
    >>> rate = WarmupPlateauDecay(peak=0.01, steps=100, warmup=0.1, decay=0.2)
    >>> [f"{float(rate(step)):.4f}" for step in (0, 9, 79, 89, 99)]
    ['0.0010', '0.0100', '0.0100', '0.0050', '0.0000']
    """

    def __init__(
        self, peak: float, steps: int, warmup: float = 0.03, decay: float = 0.2
    ) -> None:
        for name, value, expected, good in (
            ("peak", peak, "above 0", peak > 0),
            ("steps", steps, "at least 1", steps >= 1),
            ("warmup", warmup, "in [0, 1)", 0 <= warmup < 1),
            ("decay", decay, "in [0, 1 - warmup]", 0 <= decay <= 1 - warmup),
        ):
            if not good:
                raise ValueError(f"{name}: expected {expected}; received {value!r}")
        self.peak, self.steps = float(peak), int(steps)
        self.warmup, self.decay = float(warmup), float(decay)

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Return the rate at a step, counted from 0."""
        # the first step already moves: a rate of exactly zero would waste it
        done = (tf.cast(step, tf.float32) + 1) / self.steps
        rise = done / max(self.warmup, 1 / self.steps)
        fall = tf.maximum(1 - done, 0) / max(self.decay, 1 / self.steps)
        return self.peak * tf.minimum(tf.minimum(rise, 1.0), fall)

    def get_config(self) -> dict[str, float | int]:
        """Return all arguments."""
        return {
            "peak": self.peak,
            "steps": self.steps,
            "warmup": self.warmup,
            "decay": self.decay,
        }


def make_optimizer(training: TrainingConfig, steps: int) -> keras.optimizers.Optimizer:
    """Make Muon with its schedule and a limit on the gradient's norm.

    The heads and all that is no kernel are moved as by AdamW.

    Parameters
    ----------
    training : TrainingConfig
        Rates and limits.
    steps : int
        Steps of the whole training.

    Examples
    --------
    >>> from clusterkeras import TrainingConfig, make_optimizer
    >>> make_optimizer(TrainingConfig(), steps=100).__class__.__name__
    'Muon'
    """
    optimizer = Muon(
        WarmupPlateauDecay(
            training.learning_rate, steps, training.warmup, training.decay
        ),
        weight_decay=training.weight_decay,
        adam_weight_decay=training.weight_decay,
        exclude_layers=[HEADS],
        global_clipnorm=training.clip_norm,
        use_ema=training.ema_momentum > 0,
        ema_momentum=training.ema_momentum,
    )
    # decay is for kernels: offsets and scales have no size to be kept small
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer
