"""A whole mock set: shards made in parallel, resumable, the same bytes every time."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools
import json
import math
import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_tools.inject import MockMaker
from data_tools.manifest import (
    describe,
    read_configuration,
    read_json,
    write_json,
    write_yaml,
)
from data_tools.priors import Priors
from data_tools.schema import SCHEMA_VERSION
from data_tools.target import Target

#: Bytes of a record beside its two images: names, small features, checksums.
_RECORD_OVERHEAD = 330

#: Libraries whose version changes random numbers or the last bits of a mock.
_VERSIONS_OF = ("clusterkeras", "numpy", "scipy")

#: Each worker is one thread: the workers share the cores between them.
_ONE_THREAD = {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}


@dataclass(frozen=True)
class MockSet:
    """Size and name of a mock set.

    Attributes
    ----------
    n, n_validation, n_test : int
        Records to train on, to watch the training with, and to test on. They come
        from different fields.
    shard_size : int
        Records a file; what an interrupted run has to make again at most.
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
        sizes = {"train": self.n, "validation": self.n_validation, "test": self.n_test}
        return {split: size for split, size in sizes.items() if size}


@dataclass(frozen=True)
class _Shard:
    """One file of a set: its place in it and what it holds."""

    name: str
    split: str
    number: int
    records: int
    first_mock: int
    first_field: int


@dataclass(frozen=True)
class _Field:
    """One field's share of a shard: the work a process does at a time."""

    seed: np.random.SeedSequence
    records: int
    field_id: int
    first_mock: int


def disk_size(target: Target, mocks: MockSet) -> int:
    """Give the size in bytes of a set on disk, to 1 %."""
    pixels = target.cutout_px**2 * len(target.bands)
    return sum(mocks.splits.values()) * (2 * 2 * pixels + _RECORD_OVERHEAD)


def _plan(mocks: MockSet, mocks_per_field: int) -> list[_Shard]:
    """List every shard; mocks and fields are numbered through the whole set."""
    shards, mock, field = [], 0, 0
    for split, size in mocks.splits.items():
        of = math.ceil(size / mocks.shard_size)
        for number in range(of):
            records = min(mocks.shard_size, size - number * mocks.shard_size)
            name = f"{mocks.name}-{split}.tfrecord-{number:05d}-of-{of:05d}"
            shards.append(_Shard(name, split, number, records, mock, field))
            mock += records
            field += math.ceil(records / mocks_per_field)
    return shards


def _fields(shard: _Shard, entropy: int, mocks_per_field: int) -> list[_Field]:
    """Split a shard into its fields, each with a seed of its own.

    The seed depends on the configuration, the split, the shard's and the field's
    number only, so a shard can be made alone.
    """
    split = ("train", "validation", "test").index(shard.split)
    seed = np.random.SeedSequence(entropy, spawn_key=(split, shard.number))
    count = math.ceil(shard.records / mocks_per_field)
    return [
        _Field(
            child,
            min(mocks_per_field, shard.records - i * mocks_per_field),
            shard.first_field + i,
            shard.first_mock + i * mocks_per_field,
        )
        for i, child in enumerate(seed.spawn(count))
    ]


def configuration(target: Target, priors: Priors, mocks: MockSet) -> dict[str, Any]:
    """Give everything the bytes of a set depend on, as plain values.

    Target, priors and size; SHA-256 of the tables that ship and of each file that the
    target names; versions of this package and of the libraries that draw and compute.
    """
    files = [
        Path(str(entry))
        for entry in resources.files("data_tools.tables").iterdir()
        if entry.name.endswith(".npz")
    ]
    tables = {f.name: f for f in files}
    tables |= {str(p): Path(p) for p in (target.isochrones, *target.psf.values()) if p}
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
        "mocks": dataclasses.asdict(mocks),
        "tables": {
            name: hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in sorted(tables.items())
        },
        "versions": versions,
    }
    return json.loads(json.dumps(plain))


def _entropy(configuration: dict[str, Any]) -> int:
    """Give the seed of a set: versions are recorded, but do not change the draws."""
    seeded = {k: v for k, v in configuration.items() if k != "versions"}
    text = json.dumps(seeded, sort_keys=True)
    return int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")


def _differences(there: Any, now: Any, where: str = "") -> list[str]:
    if isinstance(there, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted(there.keys() | now.keys(), key=str)
            for line in _differences(there.get(key), now.get(key), f"{where}.{key}")
        ]
    if there == now:
        return []
    return [f"{where.lstrip('.')}: {there!r} there, {now!r} now"]


def _check_output(output: Path, wanted: dict[str, Any]) -> None:
    """Refuse a directory that holds anything but a set of this configuration."""
    if (output / "configuration.yaml").is_file():
        lines = _differences(read_configuration(output), wanted)
        if lines:
            raise ValueError(
                f"{output} holds a set of another configuration ("
                + "; ".join(lines)
                + "). Choose another output directory, or the same options to go on"
            )
    elif output.exists() and (
        not output.is_dir() or any(p.suffix != ".partial" for p in output.iterdir())
    ):
        raise ValueError(
            f"{output} is neither an empty directory nor a mock set: choose another "
            "output directory"
        )


def _check_room(output: Path, needed: float) -> None:
    existing = next(p for p in (output, *output.resolve().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise OSError(
            f"{output}: the records to make need {needed / 1e9:.3g} GB, the disk has "
            f"{free / 1e9:.3g} GB left. Ask for fewer mocks, or use another disk"
        )


def _is_whole(path: Path, entry: dict[str, Any] | None) -> bool:
    return entry is not None and path.is_file() and path.stat().st_size == entry["size"]


_maker: MockMaker


def _start_worker(target: Target, priors: Priors) -> None:
    """Make the process's maker of mocks, and end the process with its parent."""
    global _maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to answer
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()
    _maker = MockMaker(target, priors)


def _make_field(field: _Field) -> list[dict[str, Any]]:
    rng = np.random.default_rng(field.seed)
    galaxy = _maker.make_field(rng)
    mocks = _maker.mocks(galaxy, field.records, rng, field.field_id, field.first_mock)
    return list(mocks)


def _make_fields(
    work: list[_Field], target: Target, priors: Priors, workers: int
) -> Iterator[dict[str, Any]]:
    """Make fields in parallel processes and give their mocks in order."""
    workers = min(workers or os.cpu_count() or 1, len(work))
    threads = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)  # read when a process imports numpy
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(target, priors),
    )
    waiting: deque[Future] = deque()
    try:
        for field in work:
            waiting.append(pool.submit(_make_field, field))
            if len(waiting) > 2 * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died, perhaps for want of memory. Finished shards are "
            "kept: run the same again, with fewer workers"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in threads.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def simulate(
    output: str | Path,
    target: Target,
    priors: Priors,
    mocks: MockSet,
    workers: int = 0,
    progress: bool = True,
) -> Path:
    """Make a mock set: shards of records with their description and a manifest.

    A set that was interrupted, even by ``kill -9``, is finished by the same call: it
    makes what is missing and leaves the bytes of a run that was not. The bytes do not
    depend on the number of workers.

    Parameters
    ----------
    output : str or Path
        Directory of the set; made if need be.
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn from.
    mocks : MockSet
        Size, seed and name.
    workers : int
        Processes, one thread each; 0 for one a core. A process needs about 0.5 GB.
    progress : bool
        Whether to show a bar of mocks made, with their rate.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    ValueError
        If `workers` is negative, the directory holds something else or a set of
        another configuration (the message says what differs), or a shard made again
        is not what the manifest says.
    OSError
        If the disk has less room than the missing records need.
    RuntimeError
        If a worker process dies.
    """
    if workers < 0:
        raise ValueError(f"workers must be >= 0, 0 for all cores; received {workers}")
    from data_tools.records import write_shard  # TensorFlow, which no worker needs

    output = Path(output)
    MockMaker(target, priors)  # a bad table or PSF says so before anything is written
    wanted = configuration(target, priors, mocks)
    _check_output(output, wanted)
    plan = _plan(mocks, priors.mocks_per_field)
    path = output / "manifest.json"
    names = {s: [p.name for p in plan if p.split == s] for s in mocks.splits}
    manifest = {"splits": names, "shards": {}}
    if path.is_file():
        manifest = read_json(path)
    made = manifest["shards"]
    missing = [s for s in plan if not _is_whole(output / s.name, made.get(s.name))]
    total, to_make = sum(mocks.splits.values()), sum(s.records for s in missing)
    _check_room(output, disk_size(target, mocks) * to_make / total)
    output.mkdir(parents=True, exist_ok=True)
    write_yaml(output / "configuration.yaml", wanted)
    write_yaml(output / "target.yaml", wanted["target"])
    entropy = _entropy(wanted)
    work = [f for s in missing for f in _fields(s, entropy, priors.mocks_per_field)]
    with (
        contextlib.closing(_make_fields(work, target, priors, workers)) as examples,
        tqdm(
            total=total,
            initial=total - to_make,
            unit=" mocks",
            disable=not progress,
        ) as bar,
    ):
        counted = (example for example in examples if bar.update() or True)
        for shard in missing:
            entry = write_shard(
                output / shard.name, itertools.islice(counted, shard.records)
            )
            if made.setdefault(shard.name, entry) != entry:
                (output / shard.name).unlink()
                raise ValueError(
                    f"{output / shard.name}: made again, it is not what manifest.json "
                    "says: this program differs from the one that made it. Choose "
                    "another output directory"
                )
            write_json(path, manifest)
    describe(output, mocks.name, target)
    return output
