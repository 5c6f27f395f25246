"""Values as the arrays that a signature takes: converted, or refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def as_array(name: str, value: Any, dtype: str) -> NDArray:
    """Return a value as an array of a type, where that changes no meaning.

    Parameters
    ----------
    name : str
        Of the input, for the error.
    value : array_like
        Numbers: whole ones for a whole type, any for another. What is masked becomes
        NaN, and what is beyond the type infinite: no data to a model, both.
    dtype : str
        ``float32`` or ``int32``.

    Raises
    ------
    ValueError
        If it has other values, rows of unlike lengths, whole numbers beyond the type,
        or masked whole numbers.
    """
    wanted = np.dtype(dtype)
    whole = wanted.kind == "i"
    rows = value if isinstance(value, list | tuple) else [value]
    masked = any(map(np.ma.is_masked, rows))
    try:
        array = np.ma.asarray(value) if masked else np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{name}: expected lists of one length: {reason}") from error
    if array.dtype.kind not in ("iu" if whole else "iuf") or (whole and masked):
        raise ValueError(
            f"{name}: expected numbers, {wanted}; received {array.dtype} of shape "
            f"{array.shape}{', some of them masked' if masked else ''}"
        )
    limits = np.iinfo(wanted) if whole else None
    if (
        whole
        and array.size
        and not limits.min <= array.min() <= array.max() <= limits.max
    ):
        raise ValueError(
            f"{name}: expected {wanted}, from {limits.min} to {limits.max}; received a "
            "number beyond"
        )
    with np.errstate(over="ignore"):
        return np.ma.filled(array.astype(wanted), np.nan if masked else None)
