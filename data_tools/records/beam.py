"""Make shards as an Apache Beam pipeline: the same shards, on any of Beam's runners."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam

from data_tools.records.plan import Plan, Shard
from data_tools.records.shard_file import ShardEntry
from data_tools.records.shards import Job, ShardMaker
from data_tools.running.beam_pipeline import pipeline_options, run
from data_tools.running.output import partial_path
from data_tools.running.plain_files import differences, read_json, write_json


class _MakeShards(apache_beam.DoFn):
    """Make one shard an element."""

    def __init__(self, plan: Plan, directory: Path) -> None:
        self._plan = plan
        self._directory = directory

    def setup(self) -> None:
        """Refuse to work with other tables, images or versions than the driver's."""
        here = dataclasses.replace(self._plan).configuration
        lines = differences(self._plan.configuration, here)
        if lines:
            raise ValueError(
                "a worker's installation differs from the one that began the set: "
                + "; ".join(lines)
            )
        self._maker = ShardMaker(self._plan)

    def process(self, job: Job) -> Iterator[tuple[str, dict[str, int | str]]]:
        """Yield the shard's name and what the manifest is to say of it."""
        shard, entry = job
        made = self._maker.make(shard, self._directory, entry)
        yield shard.name, dataclasses.asdict(made)


def make_shards(
    plan: Plan,
    jobs: Sequence[Job],
    directory: Path,
    workers: int = 0,
    options: Sequence[str] = (),
) -> Iterator[tuple[Shard, ShardEntry]]:
    """Make shards in a pipeline and wait for it.

    Workers write the shards themselves, so all of them must reach `directory` under
    the same name: a shared file system or a bucket. Mosaics, PSFs and isochrones that
    the plan names are read by the workers too.

    Parameters
    ----------
    plan : Plan
        The set.
    jobs : sequence of Job
        What to make; see `ShardMaker.make`.
    directory : Path
        Where the files belong.
    workers, options
        See `data_tools.running.beam_pipeline.pipeline_options`.

    Yields
    ------
    Shard, ShardEntry
        Each shard and what the manifest is to say of it, when all are finished.

    Raises
    ------
    ValueError, ChildProcessError
        As `data_tools.running.beam_pipeline.pipeline_options` and ``run``.
    """
    if not jobs:
        return
    # what the pipeline made, until the manifest says it
    entries = partial_path(directory / "entries.json")
    pipeline = apache_beam.Pipeline(options=pipeline_options(workers, options))
    (
        pipeline
        | "Shards" >> apache_beam.Create(jobs)
        | "Spread" >> apache_beam.Reshuffle()
        | "Make" >> apache_beam.ParDo(_MakeShards(plan, directory))
        | "Gather" >> apache_beam.combiners.ToDict()
        | "Tell" >> apache_beam.Map(lambda made: write_json(entries, made))
    )
    run(pipeline, "finished shards are kept")
    made = read_json(entries)
    for shard, _ in jobs:
        yield shard, ShardEntry(**made[shard.name])
