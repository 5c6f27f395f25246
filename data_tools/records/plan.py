"""A set before it is made: its size, its shards, what its bytes depend on."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_tools.foreign.limits import Limits, check, whole
from data_tools.foreign.typed import build
from data_tools.priors import Priors
from data_tools.running.plain_files import sha256_of
from data_tools.schema import SCHEMA_VERSION, SPLITS
from data_tools.tables import nebula_file, table_files
from data_tools.tables.stellar_models import model_file
from data_tools.target import Target

if TYPE_CHECKING:
    from data_tools.fields.backgrounds import Backgrounds


#: Files of a set. A manifest names each, and each is written and read whole.
MOST_SHARDS = 100_000

#: Fields of a split that is judged by, where it has records enough. Mocks of one field
#: share PSF, zero points and stars and err together, so an error is known by the
#: scatter between fields, to 1 / sqrt(2 (256 - 1)) = 4 %.
FIELDS_TO_JUDGE_BY = 256

#: Fewest mocks a field that are asked for its sake: a field takes the time of fifty.
_LEAST_A_FIELD = 32


def mocks_per_field(most: int, records: int) -> int:
    """Return how many mocks of a set that is judged by share a field.

    Parameters
    ----------
    most : int
        That many in training.
    records : int
        Mocks of the set; from 8192 on it has `FIELDS_TO_JUDGE_BY` fields.
    """
    return min(most, max(_LEAST_A_FIELD, records // FIELDS_TO_JUDGE_BY))


@dataclass(frozen=True)
class MockSet:
    """Size and name of a mock set.

    Attributes
    ----------
    n_train : int
        Records to train on.
    n_validation : int
        Records to watch the training with, of other fields.
    n_test : int
        Records to test on, of other fields again.
    shard_size : int
        Records a file: one process makes it, and has to make it again if interrupted.
    seed : int
        Seed of the whole set.
    name : str
        Beginning of each file's name: small letters, digits and underscores.

    Examples
    --------
    >>> from data_tools import MockSet
    >>> MockSet(n_train=1000, n_validation=100, n_test=0).splits
    {'train': 1000, 'validation': 100}
    """

    n_train: int = 200_000
    n_validation: int = 8_000
    n_test: int = 10_000
    shard_size: int = 2048
    seed: int = 0
    name: str = "mocks"

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "mocks: ",
            {
                "n_train": whole(1, 10**15),
                "n_validation": whole(0, 10**15),
                "n_test": whole(0, 10**15),
                "shard_size": whole(1, 10**9),
                "seed": whole(0, 2**63 - 1),
                "name": Limits(
                    "small letters, digits and underscores, a letter first",
                    lambda v: (
                        isinstance(v, str)
                        and re.fullmatch("[a-z][a-z0-9_]{0,99}", v) is not None
                    ),
                ),
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a set's configuration has them, from which seeds come.

        ``n_train`` is ``n`` there, its name of before: another would make other bytes,
        and sets that were begun could not be finished.
        """
        plain = dataclasses.asdict(self)
        return {"n": plain.pop("n_train"), **plain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MockSet:
        """Build one from what `to_dict` gives; a `ValueError` says what is wrong."""
        if not isinstance(values, Mapping):
            raise ValueError(f"mocks: expected a mapping; received {values!r}")
        names = {"n": "n_train"}
        plain = {names.get(key, key): value for key, value in values.items()}
        return build(cls, plain, "mocks")

    @property
    def splits(self) -> dict[str, int]:
        """Number of records of each split that is not empty."""
        sizes = (self.n_train, self.n_validation, self.n_test)
        return {s: n for s, n in zip(SPLITS, sizes, strict=True) if n}


#: Libraries whose version changes random numbers or the last bits of a mock.
_VERSIONS_OF = ("clusterkeras", "numba", "numpy", "scipy")


def configuration(
    target: Target,
    priors: Priors,
    mocks: MockSet,
    backgrounds: Backgrounds | None = None,
) -> dict[str, Any]:
    """Return everything the bytes of a set depend on, as plain values.

    Target, priors, size and backgrounds; SHA-256 of the tables that hold the target's
    bands and stars and of each file that target and backgrounds name; versions of this
    package and of the libraries that draw and compute.
    """
    used = [*table_files(target.band_names), nebula_file()]
    if target.isochrones is None:
        drawn = priors.stellar_models
        used += [model_file(name) for name in drawn if drawn[name] > 0]
    tables = {file.name: Path(str(file)) for file in used}
    named = [target.isochrones, *target.psf.values()]
    if backgrounds is not None:
        named += backgrounds.files
    tables |= {str(path): Path(path) for path in named if path}
    versions = {}
    for package in _VERSIONS_OF:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = "not installed"
    plain = {
        "schema_version": SCHEMA_VERSION,
        "target": target.to_dict(),
        "priors": dataclasses.asdict(priors),
        "mocks": mocks.to_dict(),
        "backgrounds": backgrounds and dataclasses.asdict(backgrounds),
        "tables": {name: sha256_of(path) for name, path in sorted(tables.items())},
        "versions": versions,
    }
    return json.loads(json.dumps(plain))


def same_by_content(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the draws of a set depend on: content of files, not where they lie.

    Two sets whose configurations are alike in this have the same mocks, but for the
    last bits that another version of a library may change.
    """
    tables = configuration["tables"]

    def by_content(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: by_content(v) for k, v in value.items()}
        if isinstance(value, list):
            return [by_content(v) for v in value]
        return tables.get(value, value) if isinstance(value, str) else value

    draws = {k: v for k, v in configuration.items() if k not in ("tables", "versions")}
    target = dict(draws["target"])
    target.pop("distance_uncertainty_mpc", None)  # of no mock
    draws["target"] = target
    return {**by_content(draws), "files": sorted(tables.values())}


@dataclass(frozen=True)
class Shard:
    """One file of a set: its place in it and what it holds.

    Attributes
    ----------
    name : str
        Name of the file.
    split : {"train", "validation", "test"}
        Part of the set.
    number : int
        Number within the split, from 0.
    records : int
        Mocks in it.
    first_mock, first_field : int
        Numbers in the whole set of its first mock and first field.
    """

    name: str
    split: str
    number: int
    records: int
    first_mock: int
    first_field: int


@dataclass(frozen=True)
class Plan:
    """A mock set before it is made: everything that its bytes depend on.

    Attributes
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn from.
    mocks : MockSet
        Size, seed and name.
    backgrounds : Backgrounds, optional
        Real mosaics to cut fields from; without, fields are synthetic.
    paired : bool
        Whether the draws depend on the seed alone, so that sets of another target or
        other priors have the same mocks but for what these change.
    """

    target: Target
    priors: Priors
    mocks: MockSet
    backgrounds: Backgrounds | None = None
    paired: bool = False

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """Everything the bytes depend on; see `configuration`."""
        plain = configuration(self.target, self.priors, self.mocks, self.backgrounds)
        return {**plain, "paired": True} if self.paired else plain

    @cached_property
    def entropy(self) -> int:
        """Seed of the set: versions and places of files do not change the draws."""
        if self.paired:
            return self.mocks.seed
        text = json.dumps(same_by_content(self.configuration), sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")

    def mocks_per_field(self, split: str) -> int:
        """Return how many mocks share a field: fewer where one judges by them."""
        most = self.priors.mocks_per_field
        if split == "train":
            return most
        return mocks_per_field(most, self.mocks.splits[split])

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Every shard; mocks and fields are numbered through the whole set."""
        shards, mock, field = [], 0, 0
        mocks = self.mocks
        files = sum(math.ceil(n / mocks.shard_size) for n in mocks.splits.values())
        if files > MOST_SHARDS:
            raise ValueError(
                f"mocks: shard_size must make at most {MOST_SHARDS:,} files; received "
                f"{mocks.shard_size:,} for {sum(mocks.splits.values()):,} records, "
                f"which are {files:,} files. Ask for fewer records, or for larger files"
            )
        for split, size in mocks.splits.items():
            of = math.ceil(size / mocks.shard_size)
            for number in range(of):
                records = min(mocks.shard_size, size - number * mocks.shard_size)
                name = f"{mocks.name}-{split}.tfrecord-{number:05d}-of-{of:05d}"
                shards.append(Shard(name, split, number, records, mock, field))
                mock += records
                field += math.ceil(records / self.mocks_per_field(split))
        return tuple(shards)
