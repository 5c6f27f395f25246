"""The checks of the arrays that every diagnostic takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def as_finite(name: str, values: ArrayLike, ndim: int) -> NDArray[np.floating]:
    """Return values as a floating array of `ndim` dimensions without NaN.

    Raises
    ------
    ValueError
        On another number of dimensions or a value that is not finite.
    """
    values = np.asarray(values)
    if not np.issubdtype(values.dtype, np.floating):
        values = values.astype(np.float64)
    if values.ndim != ndim:
        raise ValueError(
            f"{name} must have {ndim} dimensions; received shape {values.shape}"
        )
    bad = values.size - np.count_nonzero(np.isfinite(values))
    if bad:
        raise ValueError(
            f"{name} must be finite; received {bad} of {values.size} values that are "
            "NaN or infinite"
        )
    return values


def as_truth_and_draws(
    truth: ArrayLike, draws: ArrayLike
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return the truth (N, P) and draws (N, S, P) of N posteriors, checked.

    Raises
    ------
    ValueError
        If the shapes do not belong together or a value is not finite.
    """
    truth = as_finite("truth", truth, 2)
    draws = as_finite("draws", draws, 3)
    if (draws.shape[0], draws.shape[2]) != truth.shape or draws.shape[1] < 2:
        raise ValueError(
            "draws must be (N, S, P) with at least 2 draws for a truth of (N, P); "
            f"received draws {draws.shape} and truth {truth.shape}"
        )
    return truth, draws


def as_probabilities(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return values as probabilities of any shape, checked to lie in [0, 1].

    Raises
    ------
    ValueError
        If a value is NaN or outside [0, 1].
    """
    values = np.asarray(values, dtype=np.float64)
    bad = np.count_nonzero(~((values >= 0) & (values <= 1)))
    if bad:
        raise ValueError(
            f"{name} must lie in [0, 1]; received {bad} of {values.size} values that "
            "do not"
        )
    return values
