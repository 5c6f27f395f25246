"""Loops over numbers as machine code, for what NumPy takes many passes for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import Any


class _Compiled:
    """A function that is compiled when it is first called."""

    def __init__(self, function: Callable) -> None:
        self._function = function
        update_wrapper(self, function)

    @cached_property
    def _machine_code(self) -> Callable:
        # imported here: no command's help is to wait for it
        import numba

        try:
            return numba.njit(self._function, cache=True)
        except RuntimeError:  # neither here nor at home a directory can be written to
            return numba.njit(self._function)

    def __call__(self, *args: Any) -> Any:
        return self._machine_code(*args)


def compiled(function: Callable) -> Callable:
    """Compile a function of numbers and arrays to machine code, by Numba.

    It computes what it says, in that order: the last digits are the same on every
    processor. What was compiled is kept on disk, beside the source or in the user's
    cache, and each process after the first loads it in milliseconds.

    Parameters
    ----------
    function : callable
        Loops, without other functions of this package. Each combination of its
        arguments' types and memory orders is compiled anew, in a second or so: convert
        them before.
    """
    return _Compiled(function)
