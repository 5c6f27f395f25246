"""Make shards in parallel processes of this machine."""

from __future__ import annotations

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

from data_tools.shards import Job, Plan, Shard, ShardMaker

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


def _make(shard: Shard, entry: dict[str, Any] | None) -> dict[str, Any]:
    return _maker.make(shard, _directory, entry, _watched(_maker.mocks(shard)))


def make_shards(
    plan: Plan,
    jobs: Sequence[Job],
    directory: Path,
    workers: int = 0,
) -> Iterator[tuple[Shard, dict[str, Any]]]:
    """Make shards, one a process at a time.

    Parameters
    ----------
    plan, jobs, directory
        As for `data_tools.beam.make_shards`.
    workers : int
        Processes; 0 for one a core.

    Yields
    ------
    Shard, dict
        Each shard when it is finished, in any order, and what the manifest is to say.

    Raises
    ------
    ValueError, OSError
        As `ShardMaker.make`; also if a process dies.
    """
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
