r"""`clusterkeras serve` under load and faults, asked as its users ask it.

A server in a process of its own serves a model that ships; clients ask it by gRPC and
hold every answer to that of the SavedModel asked directly, in this process. What is
measured, each by its name (all of them unless some are named):

``load``
    Full rate for some minutes: wrong answers, the server's memory, latency, and rows a
    second beside the SavedModel asked directly, in turns.
``sizes``
    Latency and rate by rows of a request and number of clients, in turns with the
    SavedModel asked directly for as many rows.
``batches``
    Rate and latency by the most rows of a batch (``--serve.batch_rows``).
``kill``
    The server is killed under load and started again on its port.
``swap``
    Versions that answer otherwise take over under load.
``malformed``
    Thousands of wrong requests: how each ended, and the server's memory.
``poison``
    Images of no numbers and beyond all bounds, in batches with others' images.

Other work on the machine weighs on server, clients and direct calls alike where they
take turns: the shares hold, the rates do not. To give all of them one core, run it
under ``taskset -c 1``.
"""

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from serving.faults import killed, swapped
from serving.load import growth, turns
from serving.malformed import ask_wrongly, table
from serving.process import ServerProcess
from serving.questions import Direct, draw_images, draw_poison, make_questions

from clusterkeras.evaluation.words.markdown import markdown_table
from clusterkeras.serving.savedmodel import export
from data_tools.running.plain_files import write_json

MODEL = "m83"


def export_versions(model: str, directory: Path) -> None:
    """Export a model as version 1, and with other weights as version 2."""
    import tensorflow as tf

    from clusterkeras.network.loading import load_model

    path = export(load_model(model), directory, MODEL, 1)
    loaded = tf.saved_model.load(str(path))
    rng = np.random.default_rng(0)
    for variable in loaded.signatures["serving_default"].variables:
        if variable.dtype.is_floating and variable.shape.rank > 1:
            noise = 0.02 * rng.standard_normal(variable.shape)
            variable.assign(variable * (1 + noise).astype("f4"))
    tf.saved_model.save(
        loaded, str(path.with_name("2")), signatures=dict(loaded.signatures)
    )


class Bench:
    """What all measurements share.

    Parameters
    ----------
    options : Namespace
        Of the command line.
    spare : Path
        Directory with the versions, 1 and 2.
    """

    def __init__(self, options: argparse.Namespace, spare: Path) -> None:
        self.options, self.spare = options, spare
        self.direct = {n: Direct(spare / MODEL / str(n)) for n in (1, 2)}
        self.shape = self.direct[1].image_shape
        self.start = partial(ServerProcess, self.serve(1))

    def serve(self, *versions: int) -> Path:
        """Return a new directory with versions in it."""
        directory = Path(tempfile.mkdtemp(dir=self.spare)) / MODEL
        for version in versions:
            shutil.copytree(self.spare / MODEL / str(version), directory / str(version))
        return directory

    def questions(self, rows: int, draw: Callable = draw_images, *versions: int):
        """Return questions, 512 rows in all, no two alike."""
        n = -(-512 // rows)
        images = draw(self.shape, n * rows, np.random.default_rng(rows))
        known = {v: self.direct[v] for v in versions or (1,)}
        return make_questions(Path(MODEL), known, images, rows)

    def load(self) -> dict[str, Any]:
        """Ask at full rate."""
        o = self.options
        questions = self.questions(o.rows)
        found, memory = [], []
        with self.start() as server:
            for turn in turns(
                *(server, self.direct[1], questions, o.clients, o.tolerance),
                seconds=60 * o.minutes,
                turn_s=o.turn_s,
                direct_rows=o.direct_rows,
            ):
                memory.append(turn.resident_mb)
                found.append(summary_of(turn))
                print(len(found), json.dumps(found[-1]), flush=True)
        shares = [one["share_wall"] for one in found]
        processor = [one["share_processor"] for one in found]
        return {
            "turns": found,
            "share_wall": spread(shares),
            "share_processor": spread(processor),
            "answers": sum(one["answers"] for one in found),
            "wrong": sum(one["wrong"] for one in found),
            "errors": sum(one["errors"] for one in found),
            "worst_deviation": max(one["worst_deviation"] for one in found),
            "memory_growth": growth(memory),
        }

    def sizes(self) -> list[dict[str, Any]]:
        """Ask in requests of several sizes."""
        alone = [(1, rows) for rows in (1, 8, 64)]
        many = [(self.options.clients, rows) for rows in (1, 4, 16, 64)]
        return self._sweep(alone + many)

    def _sweep(self, cases, *options: str) -> list[dict[str, Any]]:
        found = []
        with self.start(*options) as server:
            for clients, rows in cases:
                questions = self.questions(rows)
                several = [
                    summary_of(turn)
                    for turn in turns(
                        *(server, self.direct[1], questions, clients),
                        self.options.tolerance,
                        seconds=2 * self.options.turn_s,
                        turn_s=self.options.turn_s,
                        direct_rows=rows,
                    )
                ]
                keys = ("share_wall", "share_processor", "p50", "p99", "wrong")
                row = {key: float(np.mean([s[key] for s in several])) for key in keys}
                row["mb"] = server.resident_mb
                found.append({"clients": clients, "rows": rows, **row})
                print(options, json.dumps(found[-1]), flush=True)
        return found

    def batches(self) -> list[dict[str, Any]]:
        """Ask servers of several sizes of batch."""
        found = []
        for rows in (16, 64, 256):
            option = f"--serve.batch_rows={rows}"
            cases = [(self.options.clients, min(self.options.rows, rows))]
            found += [{"batch": rows, **one} for one in self._sweep(cases, option)]
        return found

    def kill(self) -> dict[str, Any]:
        """Kill the server under load."""
        o = self.options
        tally = killed(
            *(self.start, self.questions(o.rows), o.clients, o.tolerance),
            times=o.kills,
            seconds=o.turn_s,
        )
        return seen(tally)

    def swap(self) -> dict[str, Any]:
        """Swap versions under load: odd ones of the first kind, even of the second."""
        o = self.options
        kinds = [2 - number % 2 for number in range(1, 6)]
        questions = [
            with_versions(question, kinds)
            for question in self.questions(o.rows, draw_images, 1, 2)
        ]
        directory, spare = self.serve(1), [self.serve(k) / str(k) for k in kinds[1:]]
        with ServerProcess(directory, "--serve.poll_s=0.5") as server:
            tally = swapped(
                *(server, directory, spare, 2, questions, o.clients, o.tolerance),
                seconds=600,
                pause_s=o.turn_s / 4,
            )
        return seen(tally)

    def malformed(self) -> dict[str, Any]:
        """Send wrong requests."""
        question = self.questions(1)[0]
        endings, bad, memory = Counter(), Counter(), []
        with self.start() as server:
            for part in range(10):
                for kind, ending, refused in ask_wrongly(
                    *(server.grpc, server.rest, MODEL, question.message),
                    self.options.requests // 10,
                    part,
                ):
                    endings[kind, ending] += 1
                    bad[kind, ending] += not refused
                memory.append(server.resident_mb)
            alive = server.alive
        print(markdown_table(("wrong", "how it ended"), table(endings)))
        return {
            "requests": sum(endings.values()),
            "not_refused": {" ".join(k): n for k, n in bad.items() if n},
            "alive": alive,
            "memory_mb": memory,
            "memory_growth": growth(memory),
        }

    def poison(self) -> dict[str, Any]:
        """Mix poison into what clients ask."""
        o = self.options
        questions = self.questions(o.rows) + self.questions(1, draw_poison)
        order = np.random.default_rng(0).permutation(len(questions))
        mixed = [questions[i] for i in order]
        with self.start() as server:
            direct = self.direct[1]
            (turn,) = turns(
                *(server, direct, mixed, o.clients, o.tolerance),
                seconds=o.turn_s,
                turn_s=o.turn_s,
                direct_rows=o.direct_rows,
            )
        return seen(turn.tally)


def with_versions(question, kinds):
    """Return a question with the answers of versions 1, 2, 3 ... of those kinds."""
    answers = {n: question.answers[kind] for n, kind in enumerate(kinds, 1)}
    return type(question)(question.message, question.rows, answers)


def summary_of(turn) -> dict[str, Any]:
    """Return a turn's numbers; latencies in units of a direct call for one row."""
    tally = turn.tally
    return {
        "rows_s": tally.rows / tally.seconds,
        "direct_rows_s": turn.direct.wall,
        "share_wall": turn.served.wall / turn.direct.wall,
        "share_processor": turn.served.processor / turn.direct.processor,
        "p50": tally.latency(50) * turn.direct.wall,
        "p99": tally.latency(99) * turn.direct.wall,
        "mb": turn.resident_mb,
        "answers": len(tally.latencies),
        "wrong": tally.wrong,
        "errors": sum(tally.errors.values()),
        "worst_deviation": tally.worst,
    }


def seen(tally) -> dict[str, Any]:
    """Return what clients saw."""
    return {
        "answers": len(tally.latencies),
        "wrong": tally.wrong,
        "worst_deviation": tally.worst,
        "versions": dict(sorted(tally.versions.items())),
        "errors": dict(tally.errors),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Return the median, and what holds four of five values."""
    low, middle, high = np.percentile(values, (10, 50, 90))
    return {"p10": low, "median": middle, "p90": high}


NAMES = ("load", "sizes", "batches", "kill", "swap", "malformed", "poison")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("measurements", nargs="*", choices=[*NAMES, []], help="what to measure")
    add("--model", default="m83-wfc3-uvis", help="that is served")
    add("--served", type=Path, help="where its exports are kept, if they are")
    add("--minutes", type=float, default=10, help="of clients' asking, for `load`")
    add("--turn_s", type=float, default=30, help="clients ask before a direct call")
    add("--clients", type=int, default=32)
    add("--rows", type=int, default=8, help="of a request")
    add("--direct_rows", type=int, default=64, help="of a direct call")
    add("--kills", type=int, default=3, help="of the server")
    add("--requests", type=int, default=10_000, help="wrong ones")
    add("--tolerance", type=float, default=1e-5, help="relative to 1 or the number")
    add("-o", "--output", type=Path, help="JSON file for all of it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        spare = options.served or Path(work)
        if not (spare / MODEL / "2").is_dir():
            export_versions(options.model, spare)
        bench = Bench(options, spare)
        found = {
            "machine": f"{platform.processor()}, {len(os.sched_getaffinity(0))} cores",
            "command": " ".join(sys.argv),
        }
        for name in options.measurements or NAMES:
            print(f"\n{name}", flush=True)
            found[name] = getattr(bench, name)()
            print(json.dumps(found[name], indent=1, default=str)[-3000:], flush=True)
            if options.output:
                write_json(options.output, found)


if __name__ == "__main__":
    main()
