"""Kill, starve and crowd `simulate`, `fit` and `infer`; each must end well or say why.

Every command runs once alone. Then, each time from the begin in its own directory:

- ``kill``: ``kill -9`` to all its processes at random moments, then again to the end;
- ``no room``: no file may grow beyond a size (``ulimit -f``), then again with room;
- ``full disk``: a small file system in memory (where it may be mounted), then again on
  what was saved from it;
- ``read only``: a directory in which nothing can be written;
- ``two at once``: two of it on one output.

What is at fault: another status than 0 without one line that says why, a traceback, or
in the end other bytes than those of the run alone. ::

    python benchmarks/break_runs.py work --kills 5 --seed 1
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kill_at_each_file import compared, tree

_RUN = "import sys; from clusterkeras.commands.cli import main; sys.exit(main())"
#: Bytes that a file may have: nothing, a header, a part of an output.
ROOMS = 0, 4096, 65_536
#: Of the full disk.
DISK_KB = 64

MOCKS = [
    *("--target", "m83-f438w-f814w", "--priors.field_px", "128"),
    *("--priors.mocks_per_field", "8", "--mocks.n_train", "32"),
    *("--mocks.n_validation", "16", "--mocks.n_test", "0", "--mocks.shard_size", "8"),
]


class Run:
    """A command whose output is ``out``, in a directory in which it works.

    Parameters
    ----------
    words : list of str
        The command and its options; paths of inputs are absolute.
    work : Path
        Where it works.
    """

    def __init__(self, words: list[str], work: Path):
        """Keep them."""
        self.words, self.work = words, work
        work.mkdir(parents=True, exist_ok=True)

    def start(self, before: Callable[[], None] | None = None) -> subprocess.Popen:
        """Start it in a process group of its own; what it says is in ``WORK.log``."""
        # by a pipe: a limit of files must not keep it from speaking
        with open(f"{self.work}.log", "ab") as log:
            self._logger = subprocess.Popen(
                ["cat"], stdin=subprocess.PIPE, stdout=log, start_new_session=True
            )
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *self.words],
            cwd=self.work,
            stdout=self._logger.stdin,
            stderr=self._logger.stdin,
            preexec_fn=before,
            start_new_session=True,
        )
        self._logger.stdin.close()
        return process

    def said(self) -> str:
        """Return all that it has said, once it has ended."""
        self._logger.wait()
        return Path(f"{self.work}.log").read_text(errors="replace")

    def last_line(self) -> str:
        """Return the last line of it."""
        return (self.said().strip().splitlines() or [""])[-1]

    def refusal(self, status: int) -> list[str]:
        """Say what is wrong with how it refused."""
        faults = ["a traceback"] if "Traceback" in self.said() else []
        if status < 0:
            faults.append(f"it died of signal {-status}")
        if status > 0 and "rror" not in self.last_line():
            faults.append("its last line is no error")
        return faults


def kill(make: Callable, alone: dict, seconds: float, kills: int, seed: int) -> list:
    """Kill a run at random moments, then let it end."""
    rng, faults = random.Random(seed), []
    for number in range(kills):
        run = make(f"kill-{number}")
        for _ in range(rng.choice((1, 1, 2))):
            process = run.start()
            try:
                process.wait(rng.uniform(0.2, 1.0) * seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        status = run.start().wait()
        found = [f"then {status}: {run.last_line()}"] if status else []
        faults += [f"{run.work.name}: {f}" for f in found + compared_with(alone, run)]
    return faults


def compared_with(alone: dict, run: Run) -> list[str]:
    """Say how a directory differs from that of the run alone."""
    return compared(alone, tree(run.work))


def no_room(make: Callable, alone: dict) -> list[str]:
    """Let no file grow, then all."""
    faults = []
    for room in ROOMS:
        run = make(f"room-{room}")
        limit = room, resource.RLIM_INFINITY
        status = run.start(
            lambda limit=limit: resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        ).wait()
        found = run.refusal(status)
        print(f"    room {room}: {status}, {run.last_line()[-150:]}", flush=True)
        if again := run.start().wait():
            found.append(f"then {again}: {run.last_line()}")
        faults += [f"room {room}: {f}" for f in found + compared_with(alone, run)]
    return faults


def mounted(place: Path, options: str) -> bool:
    """Mount a file system in memory, if this user and machine let it."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def full_disk(make: Callable, alone: dict) -> list[str] | None:
    """Work on a small disk, then on a larger one with what was left."""
    run = make("disk")
    if not mounted(run.work, f"size={DISK_KB}k"):
        return None
    try:
        status = run.start().wait()
        found = run.refusal(status)
        print(
            f"    disk of {DISK_KB} kB: {status}, {run.last_line()[-150:]}", flush=True
        )
        shutil.copytree(run.work, run.work.with_name("disk-saved"), dirs_exist_ok=True)
    finally:
        subprocess.run(["umount", str(run.work)], check=False)
    run = make("disk-saved")
    if again := run.start().wait():
        found.append(f"then {again}: {run.last_line()}")
    return found + compared_with(alone, run)


def read_only(make: Callable, alone: dict) -> list[str] | None:
    """Work where nothing can be written."""
    run = make("read-only")
    if not mounted(run.work, "ro"):
        if os.geteuid() == 0:  # for whom no directory is read only
            return None
        run.work.chmod(0o555)
    try:
        status = run.start().wait()
        print(f"    read only: {status}, {run.last_line()[-150:]}", flush=True)
        return run.refusal(status) + ([] if status else ["it says that all is well"])
    finally:
        subprocess.run(["umount", str(run.work)], check=False, capture_output=True)
        run.work.chmod(0o755)


def two_at_once(make: Callable, alone: dict) -> list[str]:
    """Let two write one output."""
    run = make("two")
    other = Run(run.words, run.work)
    both = [run.start(), other.start()]
    ends = [process.wait() for process in both]
    other.said()
    print(f"    two at once: {ends}, {run.last_line()[-150:]}", flush=True)
    found = [] if 0 in ends else ["none of them ended well"]
    found += ["a traceback"] if "Traceback" in run.said() else []
    return found + compared_with(alone, run)


def commands(work: Path) -> dict[str, list[str]]:
    """Return what is tried, and make its inputs."""
    from data_tools.mocks.mock_mosaic import make_mosaic
    from data_tools.target import Target

    inputs = work / "inputs"
    galaxy = inputs / "galaxy"
    mocks = inputs / "mocks"
    run = [sys.executable, "-c", _RUN]
    if not mocks.exists():
        inputs.mkdir(parents=True, exist_ok=True)
        make = ["simulate", "-o", str(mocks), *MOCKS, "--workers", "1"]
        subprocess.run([*run, *make], check=True, stdout=subprocess.DEVNULL)
        target = Target.load("m83-wfc3-uvis")
        make_mosaic(target, size_px=256, n=6, seed=2, output=galaxy)
    images = [str(galaxy / f"{band}.fits") for band in ("F336W", "F438W", "F814W")]
    tiny = ["--model.backbone", "resnet_tiny", "--model.hidden", "8"]
    tiny += ["--model.posterior", "mixture", "--training.epochs", "2"]
    return {
        "simulate": ["simulate", "-o", "out", *MOCKS, "--workers", "2"],
        "fit": ["fit", "--data", str(mocks), "-o", "out", *tiny],
        "infer": [
            *("infer", "--model", "m83-wfc3-uvis", "--images", *images),
            *("--positions", str(galaxy / "truth.ecsv"), "-o", "out.ecsv"),
        ],
    }


def main() -> int:
    """Read the options, break each command in every way, print what is at fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="an empty directory to work in")
    parser.add_argument("--commands", nargs="+", help="only these")
    parser.add_argument("--kills", type=int, default=5, help="of each command")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    work, bad = args.work.resolve(), 0
    for name, words in commands(work).items():
        if args.commands and name not in args.commands:
            continue

        def make(case: str, name: str = name, words: list[str] = words) -> Run:
            return Run(words, work / name / case)

        run, began = make("alone"), time.monotonic()
        if status := run.start().wait():
            print(f"{name} alone ends with {status}: see {run.work}.log")
            return 1
        seconds = time.monotonic() - began
        alone = tree(run.work)
        print(f"{name}: {len(alone)} files, {seconds:.0f} s a run", flush=True)
        for way in (two_at_once, read_only, no_room, full_disk, kill):
            more = (seconds, args.kills, args.seed) if way is kill else ()
            faults = way(make, alone, *more)
            words_of = way.__name__.replace("_", " ")
            if faults is None:
                print(f"  {words_of}: not tried, no file system could be mounted")
                continue
            print(f"  {words_of}: {len(faults)} faults", flush=True)
            for fault in faults:
                print(f"    {fault}", flush=True)
            bad += len(faults)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
