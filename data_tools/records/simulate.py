"""A whole mock set: a directory of shards, resumable, the same bytes every time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from data_tools.priors import Priors
from data_tools.records import shards as processes
from data_tools.records.finished_set import describe, read_configuration, read_manifest
from data_tools.records.plan import MockSet, Plan, Shard
from data_tools.records.shard_file import framed, serialise
from data_tools.records.shards import Job, ShardMaker
from data_tools.running.output import is_partial, remove_partial
from data_tools.running.plain_files import differences, write_json, write_yaml
from data_tools.running.work_directory import LOCK, alone
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


def _import_beam() -> Any:
    try:
        from data_tools.records import beam
    except ImportError as error:
        raise ValueError(
            "the runner 'beam' needs Apache Beam: pip install clusterkeras[beam]"
        ) from error
    return beam


def _check_output(output: Path, wanted: dict[str, Any]) -> None:
    """Refuse a directory that holds anything but a set of this configuration."""
    if (output / "configuration.yaml").is_file():
        lines = differences(read_configuration(output), wanted)
        if lines:
            raise ValueError(
                f"{output} holds a set of another configuration ("
                + "; ".join(lines)
                + "). Choose another output directory, or the same options to go on"
            )
    elif output.exists() and (
        not output.is_dir()
        or any(p.name != LOCK and not is_partial(p) for p in output.iterdir())
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


def _read(output: Path, plan: Plan, verify: bool) -> tuple[dict[str, Any], list[Job]]:
    """Return what is finished, by name, and the shards to make or to look at again.

    Raises
    ------
    ValueError
        If the directory holds something else.
    OSError
        If the disk has less room than the missing shards need.
    """
    _check_output(output, plan.configuration)
    made: dict[str, Any] = {}
    if (output / "manifest.json").is_file():
        made = read_manifest(output)["shards"]
    sizes = {}
    if output.is_dir():
        sizes = {p.name: p.stat().st_size for p in output.iterdir() if p.is_file()}
    jobs = [
        (shard, made.get(shard.name))
        for shard in plan.shards
        if verify
        or shard.name not in made
        or sizes.get(shard.name) != made[shard.name]["size"]
    ]
    if isinstance(output, Path):
        missing = sum(s.records for s, _ in jobs if s.name not in sizes)
        total = sum(plan.mocks.splits.values())
        _check_room(output, disk_size(plan.target, plan.mocks) * missing / total)
    return made, jobs


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
    """
    if workers < 0:
        raise ValueError(f"workers must be >= 0, 0 for all cores; received {workers}")
    if runner not in RUNNERS:
        raise ValueError(f"runner must be one of {RUNNERS}; received {runner!r}")
    if runner_options and runner == "local":
        raise ValueError(
            "options of a runner are for Beam alone: expected runner 'beam' beside "
            f"{list(runner_options)}; received 'local'"
        )
    if runner == "beam":
        _import_beam()
    directory = _directory(output)
    plan = Plan(target, priors, mocks, backgrounds, paired)
    ShardMaker(plan)  # a bad table, image or PSF says so before anything is written
    _read(directory, plan, verify)  # so does a directory of something else
    directory.mkdir(parents=True, exist_ok=True)
    # nothing locks a bucket
    with alone(directory) if isinstance(directory, Path) else nullcontext():
        made, jobs = _read(directory, plan, verify)  # another run may just have ended
        remove_partial(directory)
        write_yaml(directory / "configuration.yaml", plan.configuration)
        write_yaml(directory / "target.yaml", plan.configuration["target"])
        names = {s: [p.name for p in plan.shards if p.split == s] for s in mocks.splits}

        def write_manifest() -> None:
            entries = {s.name: made[s.name] for s in plan.shards if s.name in made}
            manifest = {"splits": names, "shards": entries}
            write_json(directory / "manifest.json", manifest)

        write_manifest()
        total, to_make = sum(mocks.splits.values()), sum(s.records for s, _ in jobs)
        with (
            closing(
                _run(plan, jobs, directory, workers, runner, runner_options)
            ) as finished,
            tqdm(
                total=total,
                initial=total - to_make,
                unit=" mocks",
                disable=not progress,
            ) as bar,
        ):
            for shard, entry in finished:
                made[shard.name] = entry
                write_manifest()
                bar.update(shard.records)
        remove_partial(directory)
        describe(directory, mocks.name, target)
    return directory


def _run(
    plan: Plan,
    jobs: list[Job],
    directory: Path,
    workers: int,
    runner: str,
    options: Sequence[str],
) -> Iterator[tuple[Shard, dict[str, Any]]]:
    if not jobs:
        return
    if runner == "beam":
        beam = _import_beam()
        yield from beam.make_shards(plan, jobs, directory, workers, options)
    else:
        yield from processes.make_shards(plan, jobs, directory, workers)
