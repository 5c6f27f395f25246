"""Muon for networks with convolutions."""

from __future__ import annotations

import math
import re
from typing import Any

import keras


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
    """

    def _should_use_adamw(self, variable: keras.Variable) -> bool:
        return len(variable.shape) < 2 or any(
            re.search(layer, variable.path) for layer in self.exclude_layers
        )

    def zeropower_via_newtonschulz5(self, x: Any, steps: int) -> Any:
        """Give the nearest orthogonal matrix to a kernel, roughly, in its shape."""
        matrix = super().zeropower_via_newtonschulz5(_as_matrix(x), steps)
        return keras.ops.reshape(matrix, x.shape)

    def lr_adjust(self, x: Any) -> Any:
        """Scale a step to the size of Adam's."""
        return keras.ops.reshape(super().lr_adjust(_as_matrix(x)), x.shape)


def _as_matrix(kernel: Any) -> Any:
    rows = math.prod(kernel.shape[:-1])
    return keras.ops.reshape(kernel, (rows, kernel.shape[-1]))
