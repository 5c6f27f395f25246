"""The shards of a mock set: what is in each, and how to make any one of them alone."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from data_tools.mock_set import SPLITS, MockSet
from data_tools.mocks.mock import MockMaker
from data_tools.priors import Priors
from data_tools.running.plain_files import configuration, same_by_content
from data_tools.shard_file import check_shard, read_shard, write_shard
from data_tools.target import Target

if TYPE_CHECKING:
    from data_tools.fields.mosaic_field import Backgrounds


#: A shard to make, with what the manifest says of it, if anything.
Job = tuple["Shard", dict[str, Any] | None]


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

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """Every shard; mocks and fields are numbered through the whole set."""
        shards, mock, field = [], 0, 0
        mocks = self.mocks
        for split, size in mocks.splits.items():
            of = math.ceil(size / mocks.shard_size)
            for number in range(of):
                records = min(mocks.shard_size, size - number * mocks.shard_size)
                name = f"{mocks.name}-{split}.tfrecord-{number:05d}-of-{of:05d}"
                shards.append(Shard(name, split, number, records, mock, field))
                mock += records
                field += math.ceil(records / self.priors.mocks_per_field)
        return tuple(shards)


class ShardMaker:
    """Make shards of a set, any of them, each alone.

    Parameters
    ----------
    plan : Plan
        The set.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file that the plan names is missing or wrong.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._mocks = MockMaker(plan.target, plan.priors, plan.backgrounds, plan.paired)

    def mocks(self, shard: Shard) -> Iterator[dict[str, Any]]:
        """Draw the mocks of one shard, field by field.

        A field's seed depends on the configuration, the split, the shard's and the
        field's number only.
        """
        seed = np.random.SeedSequence(
            self.plan.entropy, spawn_key=(SPLITS.index(shard.split), shard.number)
        )
        size = self.plan.priors.mocks_per_field
        for i in range(math.ceil(shard.records / size)):
            (child,) = seed.spawn(1)
            rng = np.random.default_rng(child)
            yield from self._mocks.mocks(
                self._mocks.make_field(rng, shard.split),
                min(size, shard.records - i * size),
                rng,
                shard.first_field + i,
                shard.first_mock + i * size,
            )

    def make(
        self,
        shard: Shard,
        directory: Path,
        entry: dict[str, Any] | None = None,
        mocks: Iterator[dict[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Give one shard's file, made anew in one thread unless it is there and whole.

        A file that is there is read to the last byte: its checksums and its SHA-256
        decide whether it stays.

        Parameters
        ----------
        shard : Shard
            One of the plan's.
        directory : Path
            Where the file belongs.
        entry : dict, optional
            What the manifest says of the file: records, size and SHA-256.
        mocks : iterator, optional
            What `mocks` gives, where the caller has to watch it.

        Returns
        -------
        dict
            What the manifest is to say of it.

        Raises
        ------
        ValueError
            If the file, made anew, is not what the manifest says.
        OSError
            If it can't be written; the message names it.
        """
        path = directory / shard.name
        there = _whole(path, shard)
        if there is not None and entry in (None, there):
            return there
        # matrix products on several threads differ in the last bits
        with threadpool_limits(1):
            made = write_shard(path, mocks or self.mocks(shard))
        if entry not in (None, made):
            path.unlink()
            raise ValueError(
                f"{path}: made again, it is not what manifest.json says: this program "
                "or machine differs from the one that made it. Choose another output "
                "directory"
            )
        return made


def _whole(path: Path, shard: Shard) -> dict[str, Any] | None:
    """Give what the manifest is to say of a file that is there; None unless whole."""
    try:
        entry = check_shard(path)
        if entry["records"] != shard.records:
            return None
        first = next(read_shard(path))
    except (FileNotFoundError, ValueError):
        return None
    begins = int(first["mock_id"][0]), int(first["field_id"][0])
    return entry if begins == (shard.first_mock, shard.first_field) else None
