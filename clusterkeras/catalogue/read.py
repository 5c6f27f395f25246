"""A catalogue read back: its numbers, and the names of its flags."""

from __future__ import annotations

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from data_tools.schema import FLAGS


def numbers(catalogue: Table, name: str) -> NDArray[np.float64]:
    """Return a column without its unit, NaN where it is masked."""
    column = catalogue[name]
    values = getattr(column, "value", column)
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def flag_names(bits: int) -> list[str]:
    """Return the names of the flags in a sum of bits."""
    return [name for name, (bit, _) in FLAGS.items() if bits & bit]
