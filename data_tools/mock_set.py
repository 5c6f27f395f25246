"""Size and name of a mock set, and the parts that it is split into."""

from __future__ import annotations

import re
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class MockSet:
    """Size and name of a mock set.

    Attributes
    ----------
    n, n_validation, n_test : int
        Records to train on, to watch the training with, and to test on. They come
        from different fields.
    shard_size : int
        Records a file: one process makes it, and has to make it again if interrupted.
    seed : int
        Seed of the whole set.
    name : str
        Beginning of each file's name: small letters, digits and underscores.
    """

    n: int = 200_000
    n_validation: int = 8_000
    n_test: int = 10_000
    shard_size: int = 2048
    seed: int = 0
    name: str = "mocks"

    def __post_init__(self) -> None:
        """Check every value."""
        lowest = {"n": 1, "n_validation": 0, "n_test": 0, "shard_size": 1, "seed": 0}
        for key, low in lowest.items():
            value = getattr(self, key)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ValueError(
                    f"mocks: {key} must be a whole number >= {low}; received {value!r}"
                )
        if not re.fullmatch("[a-z][a-z0-9_]*", self.name):
            raise ValueError(
                "mocks: name must be small letters, digits and underscores, a letter "
                f"first; received {self.name!r}"
            )

    @property
    def splits(self) -> dict[str, int]:
        """Number of records of each split that is not empty."""
        sizes = (self.n, self.n_validation, self.n_test)
        return {s: n for s, n in zip(SPLITS, sizes, strict=True) if n}
