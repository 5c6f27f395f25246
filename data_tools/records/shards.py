"""The shards of a mock set made: any one alone, or many in processes."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from data_tools.mocks.mock import MockMaker
from data_tools.records.plan import Plan, Shard
from data_tools.records.shard_file import (
    ShardEntry,
    check_shard,
    read_shard,
    write_shard,
)
from data_tools.schema import SPLITS

#: A shard to make, with what the manifest says of it, if anything.
Job = tuple[Shard, ShardEntry | None]


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
        self._mocks = MockMaker(plan.target, plan.priors, plan.backgrounds)

    def mocks(self, shard: Shard) -> Iterator[dict[str, Any]]:
        """Draw the mocks of one shard, field by field.

        A field's seed depends on the configuration, the split, the shard's and the
        field's number only.
        """
        seed = np.random.SeedSequence(
            self.plan.entropy, spawn_key=(SPLITS.index(shard.split), shard.number)
        )
        size = self.plan.mocks_per_field(shard.split)
        for i in range(math.ceil(shard.records / size)):
            (child,) = seed.spawn(1)
            # the mocks stay the same whatever their field has drawn
            of_field, of_mocks = map(np.random.default_rng, child.spawn(2))
            yield from self._mocks.mocks(
                self._mocks.make_field(of_field, shard.split),
                min(size, shard.records - i * size),
                of_mocks,
                shard.first_field + i,
                shard.first_mock + i * size,
            )

    def make(
        self,
        shard: Shard,
        directory: Path,
        entry: ShardEntry | None = None,
        mocks: Iterator[dict[str, Any]] | None = None,
    ) -> ShardEntry:
        """Make one shard's file in one thread, unless it is there and whole.

        A file that is there is read to the last byte: its checksums and its SHA-256
        decide whether it stays.

        Parameters
        ----------
        shard : Shard
            One of the plan's.
        directory : Path
            Where the file belongs; made if it is not there.
        entry : ShardEntry, optional
            What the manifest says of the file.
        mocks : iterator, optional
            What `mocks` gives, where the caller has to watch it.

        Returns
        -------
        ShardEntry
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
        directory.mkdir(parents=True, exist_ok=True)
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


def _whole(path: Path, shard: Shard) -> ShardEntry | None:
    """Return what the manifest is to say of a file that is there; None unless whole."""
    try:
        entry = check_shard(path)
        if entry.records != shard.records:
            return None
        first = next(read_shard(path))
    except (FileNotFoundError, ValueError):
        return None
    begins = int(first["mock_id"][0]), int(first["field_id"][0])
    return entry if begins == (shard.first_mock, shard.first_field) else None


_maker: ShardMaker
_directory: Path
_stop: Event


def _start(plan: Plan, directory: Path, stop: Event) -> None:
    """Make the process's maker of shards, and end the process with its parent."""
    global _maker, _directory, _stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    _maker, _directory, _stop = ShardMaker(plan), directory, stop


def _watched(mocks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for mock in mocks:
        if _stop.is_set():
            raise InterruptedError("the parent wants no more shards")
        yield mock


def _make(shard: Shard, entry: ShardEntry | None) -> ShardEntry:
    return _maker.make(shard, _directory, entry, _watched(_maker.mocks(shard)))


def make_shards(
    plan: Plan,
    jobs: Sequence[Job],
    directory: Path,
    workers: int = 0,
) -> Iterator[tuple[Shard, ShardEntry]]:
    """Make shards, one a process at a time.

    Parameters
    ----------
    plan, jobs, directory
        As for `data_tools.records.beam.make_shards`.
    workers : int
        Processes; 0 for one a core.

    Yields
    ------
    Shard, ShardEntry
        Each shard when it is finished, in any order, and what the manifest is to say.

    Raises
    ------
    ValueError, OSError
        As `ShardMaker.make`; also if a process dies.
    """
    if not jobs:
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(
        min(workers or os.cpu_count() or 1, len(jobs)),
        context,
        initializer=_start,
        initargs=(plan, directory, stop),
    )
    try:
        futures = {pool.submit(_make, *job): job[0] for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a worker process died, perhaps for want of memory. Finished shards "
            "are kept: run the same again, with fewer workers"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
