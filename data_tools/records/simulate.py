"""A whole mock set: a directory of shards, resumable, the same bytes every time."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from data_tools.foreign import limits
from data_tools.priors import Priors
from data_tools.records import shards as processes
from data_tools.records.finished_set import (
    MANIFEST,
    Manifest,
    describe,
    read_manifest,
)
from data_tools.records.plan import MockSet, Plan, Shard
from data_tools.records.shard_file import ShardEntry, framed, serialise
from data_tools.records.shards import Job, ShardMaker
from data_tools.running.output import remove_partial
from data_tools.running.plain_files import write_yaml
from data_tools.running.work_directory import claimed
from data_tools.schema import FEATURES
from data_tools.target import Target

if TYPE_CHECKING:
    from data_tools.fields.mosaic_field import Backgrounds

RUNNERS = ("local", "beam")


def disk_size(target: Target, mocks: MockSet) -> int:
    """Return the size in bytes of a set's shards, to 0.1 %."""
    sizes = {
        f: f.sizes(target.cutout_px, len(target.bands))
        for f in FEATURES
        if f.name != "schema_version"
    }
    record = framed(serialise({f.name: np.ones(s, f.dtype) for f, s in sizes.items()}))
    return sum(mocks.splits.values()) * len(record)


def _directory(output: str | Path) -> Path:
    """Return the directory, or what stands for one in a bucket."""
    if "://" not in str(output):
        return Path(output)
    try:
        from upath import UPath
    except ImportError as error:
        raise ValueError(
            f"{output}: writing into a bucket needs universal_pathlib, which "
            "`pip install clusterkeras[beam]` brings, and gcsfs or s3fs"
        ) from error
    return UPath(output)


def _check_room(output: Path, needed: float) -> None:
    existing = next(p for p in (output, *output.resolve().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise OSError(
            f"{output}: the records to make need {needed / 1e9:.3g} GB, the disk has "
            f"{free / 1e9:.3g} GB left. Ask for fewer mocks, or use another disk"
        )


def _manifest(plan: Plan, directory: Path) -> Manifest:
    """Return the manifest of a set, with what is finished if it was begun before."""
    splits: dict[str, list[str]] = {split: [] for split in plan.mocks.splits}
    for shard in plan.shards:
        splits[shard.split].append(shard.name)
    begun = (directory / MANIFEST).is_file()
    return Manifest(splits, read_manifest(directory).shards if begun else {})


def _jobs(
    plan: Plan, directory: Path, made: Mapping[str, ShardEntry], verify: bool
) -> list[Job]:
    """Return the shards to make or to look at again, if there is room for them.

    Raises
    ------
    OSError
        If the disk has less room than the missing shards need.
    """
    sizes = {p.name: p.stat().st_size for p in directory.iterdir() if p.is_file()}
    jobs = [
        (shard, made.get(shard.name))
        for shard in plan.shards
        if verify
        or shard.name not in made
        or sizes.get(shard.name) != made[shard.name].size
    ]
    if isinstance(directory, Path):
        missing = sum(s.records for s, _ in jobs if s.name not in sizes)
        total = sum(plan.mocks.splits.values())
        _check_room(directory, disk_size(plan.target, plan.mocks) * missing / total)
    return jobs


def simulate(
    output: str | Path,
    target: Target,
    priors: Priors,
    mocks: MockSet,
    workers: int = 0,
    progress: bool = True,
    backgrounds: Backgrounds | None = None,
    runner: str = "local",
    runner_options: Sequence[str] = (),
    verify: bool = False,
    paired: bool = False,
    *,
    overwrite: bool = False,
) -> Path:
    """Make a mock set: shards of records with their description and a manifest.

    A set that was interrupted, even by ``kill -9``, is finished by the same call: it
    makes what is missing and leaves the bytes of a run that was not. The bytes do not
    depend on the number of workers, nor on the runner.

    A shard counts as finished if the manifest lists it and its size is right. One
    that is there but not listed, as after a kill, is read to the last byte and kept
    if every record's checksum is right; with `verify`, those that are listed are read
    too, and made again if their SHA-256 is not the manifest's.

    Parameters
    ----------
    output : str or Path
        Directory of the set, made if need be; a set begun there is finished. Also an
        address such as ``gs://bucket/set``, which nothing keeps two runs from writing
        at once.
    target : Target
        Galaxy and instrument.
    priors : Priors
        What is drawn from.
    mocks : MockSet
        Size, seed and name.
    workers : int
        Processes, one thread each; 0 for one a core. A process needs about 0.2 GB.
    progress : bool
        Whether to show a bar of mocks made, with their rate.
    backgrounds : Backgrounds, optional
        Real mosaics to cut the fields from; without, fields are synthetic.
    runner : {"local", "beam"}
        Processes of this machine, or an Apache Beam pipeline.
    runner_options : sequence of str
        Beam's own options, on the command line after a ``--``: ``--runner beam --
        --runner=DataflowRunner --project=P --region=R``. Without any, Beam works in
        processes of this machine; see `data_tools.records.beam.make_shards`.
    verify : bool
        Whether to read what is finished too, and make again what is damaged.
    paired : bool
        Whether the draws depend on the seed alone, so that sets that differ in target
        or priors have the same mocks but for that; see
        `clusterkeras.evaluation.shifts.kinds`.
    overwrite : bool
        Whether to write also into a directory that holds other things.

    Returns
    -------
    Path
        The directory.

    Raises
    ------
    ValueError
        If an argument is wrong, the directory holds something else or a set of
        another configuration (the message says what differs), or a shard made again
        is not what the manifest says.
    BlockingIOError
        If another process is writing the set.
    OSError
        If the disk has less room than the missing records need or becomes full, or a
        worker process dies.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from data_tools import MockSet, Priors, Target, simulate
    >>> target, priors = Target.load("m83-wfc3-uvis"), Priors(field_px=128)
    >>> mocks = MockSet(n_train=4, n_validation=0, n_test=0)
    >>> with TemporaryDirectory() as directory:
    ...     path = simulate(directory, target, priors, mocks, workers=1, progress=False)
    ...     sorted(p.name for p in path.glob("*.tfrecord-*"))
    ['mocks-train.tfrecord-00000-of-00001']
    """
    make = _shard_maker(runner, runner_options, workers)
    directory = _directory(output)
    plan = Plan(target, priors, mocks, backgrounds, paired)
    if isinstance(directory, Path):
        there = sum(p.stat().st_size for p in directory.glob("*") if p.is_file())
        _check_room(directory, disk_size(target, mocks) - there)
    ShardMaker(plan)  # a bad table, image or PSF says so before anything is written
    settings = "configuration.yaml", plan.configuration
    own = directory / "target.yaml"
    if own.exists() and not (directory / settings[0]).exists():
        # perhaps the very file that the target was read from
        raise FileExistsError(
            f"{own}: a target of its own is there, and no set. Name another output"
        )
    with claimed(directory, *settings, empty=not overwrite):
        manifest = _manifest(plan, directory)
        jobs = _jobs(plan, directory, manifest.shards, verify)
        write_yaml(own, plan.configuration["target"])
        manifest.write(directory)
        total, to_make = sum(mocks.splits.values()), sum(s.records for s, _ in jobs)
        with (
            closing(make(plan, jobs, directory, workers)) as finished,
            tqdm(
                total=total,
                initial=total - to_make,
                unit=" mocks",
                disable=not progress,
            ) as bar,
        ):
            for shard, entry in finished:
                manifest.shards[shard.name] = entry
                manifest.write(directory)
                bar.update(shard.records)
        remove_partial(directory)
        describe(directory, mocks.name, target)
    return directory


def _shard_maker(
    runner: str, options: Sequence[str], workers: int
) -> Callable[..., Iterator[tuple[Shard, ShardEntry]]]:
    """Return what makes shards, by a runner's name, or refuse what does not fit it."""
    limit = limits.workers()
    if not limit.holds(workers):
        raise ValueError(f"workers must be {limit.words}; received {workers!r}")
    if runner not in RUNNERS:
        raise ValueError(f"runner must be one of {RUNNERS}; received {runner!r}")
    if runner == "local":
        if options:
            raise ValueError(
                "options of a runner are for Beam alone: expected runner 'beam' beside "
                f"{list(options)}; received 'local'"
            )
        return processes.make_shards
    try:
        from data_tools.records import beam
    except ImportError as error:
        raise ValueError(
            "the runner 'beam' needs Apache Beam: pip install clusterkeras[beam]"
        ) from error
    return partial(beam.make_shards, options=options)
