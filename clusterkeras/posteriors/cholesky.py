"""The scale of a Gaussian from a network's plain outputs."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

#: Smallest standard deviation along an axis of a Gaussian, where the prior's is 1.
SCALE_FLOOR = 1e-3


def cholesky_entries(dimensions: int) -> int:
    """Give the number of entries of a lower triangle, P (P + 1) / 2."""
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
