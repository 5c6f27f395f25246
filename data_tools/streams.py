"""Independent streams of random numbers, from one generator."""

from __future__ import annotations

import numpy as np
from numpy.random import PCG64, Generator
from numpy.random.bit_generator import ISeedSequence

#: 64-bit numbers that a state of `numpy.random.PCG64` is made of: place and increment.
_WORDS = 4


class _Drawn(ISeedSequence):
    """A seed that is random already, and needs no hashing."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: type = np.uint64) -> np.ndarray:
        """Return the seed."""
        return self._words


def streams(rng: np.random.Generator, n: int) -> list[np.random.Generator]:
    """Draw generators whose numbers have nothing to do with one another's.

    Each gets one of 2^127 sequences, and a place in it, from numbers of the first one.
    `numpy.random.Generator.spawn`, which hashes a seed instead, takes four times as
    long: that counts where a mock needs ten.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the states; it goes on by four numbers for each.
    n : int
        How many. The first ones are the same with more.
    """
    words = rng.bit_generator.random_raw((n, _WORDS))
    return [Generator(PCG64(_Drawn(seed))) for seed in words]
