"""Give damaged and odd files to every reader; keep what it neither reads nor refuses.

Files are drawn by hypothesis from well-formed ones (`fuzzing.damage`) or written so
that their places are known (`fuzzing.known`); what must hold is in `fuzzing.readers`.
Each reader works in a process of its own, bounded in memory and time, by turns until
the minutes are over::

    python benchmarks/fuzz.py work --minutes 60 --seed 1

With ``--guided`` atheris looks for files that reach new lines of code instead of
drawing blindly. Both need to be installed: ``pip install hypothesis atheris``. Each
fault is kept in ``work/found`` with its traceback; the same again is only counted. The
exit status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import json
import logging
import os
import pickle
import resource
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

#: Seconds of the processor and megabytes that one file may take: real ones take a
#: thousandth of it; and seconds by the clock, in which a busy machine gets so far too.
SECONDS, MEGABYTES, BY_CLOCK = 20.0, 1000, 600.0
#: Seconds of one turn of a reader.
TURN = 240.0


class Trial:
    """Tries files on one reader and keeps what is at fault.

    Parameters
    ----------
    name : str
        Of the reader.
    work : Path
        Where it works, and keeps what is found.
    """

    def __init__(self, name: str, work: Path):
        """Make the reader's well-formed files."""
        from fuzzing import readers

        self.refusals, self.name = readers.REFUSALS, name
        self.work, self.found = work / name, work / "found"
        for directory in (self.work, self.found):
            directory.mkdir(parents=True, exist_ok=True)
        self.reader = readers.READERS[name](self.work)
        self.counts: Counter[str] = Counter()
        self._hang = (self.work / "hang.txt").open("w")
        # where it hangs is told, and then the process ends
        faulthandler.register(signal.SIGPROF, file=self._hang, chain=True)

    def close(self) -> None:
        """Let go of where a hang is told."""
        faulthandler.unregister(signal.SIGPROF)
        self._hang.close()

    def __call__(self, drawn: Any) -> None:
        """Try one file."""
        # what ends the process leaves it here
        (self.work / "current.pickle").write_bytes(pickle.dumps(tuple(drawn)))
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        faulthandler.dump_traceback_later(BY_CLOCK, exit=True, file=self._hang)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self.counts["tried"] += 1
        try:
            self.reader.read(drawn)
            self.counts["read"] += 1
        except self.refusals as error:
            self.counts["refused"] += 1
            said = str(error)
            named = any(w in said for w in (drawn[0], str(self.reader.place)))
            if "\n" in said.strip() or not named:
                self.keep(drawn, f"a refusal that names no file: {said[:300]}", error)
        except Exception as error:
            self.keep(drawn, f"{type(error).__name__}: {str(error)[:300]}", error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            faulthandler.cancel_dump_traceback_later()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        if grown > 1000 * MEGABYTES:
            self.keep(drawn, f"it took {grown / 1000:.0f} MB", None)

    def keep(self, drawn: Any, words: str, error: Exception | None) -> None:
        """Keep a file at fault, unless the same fault has been found."""
        frames = traceback.extract_tb(error.__traceback__) if error else []
        own = [f"{Path(f.filename).name}:{f.lineno}" for f in frames]
        fault = f"{type(error).__name__} {own[-4:]}"
        self.counts["faults"] += 1
        key = f"{self.name}-{hashlib.sha256(fault.encode()).hexdigest()[:8]}"
        if (self.found / f"{key}.txt").exists():
            return
        text = "".join(traceback.format_exception(error)) if error else ""
        (self.found / f"{key}.txt").write_text(f"{words}\n{drawn[0]}\n\n{text}")
        (self.found / f"{key}.bin").write_bytes(drawn[1])


def turn(name: str, work: Path, seed: int, seconds: float, guided: bool) -> None:
    """Try files on a reader for some seconds; write how many."""
    import warnings

    import hypothesis

    limit = 10**6 * 6000
    if name != "dataset":  # TensorFlow reserves more than it uses
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    if guided:
        import atheris

        with atheris.instrument_imports(include=["data_tools", "regions", "yaml"]):
            trial = Trial(name, work)
    else:
        trial = Trial(name, work)
    end = time.monotonic() + seconds
    counts = work / name / "counts.json"

    def step(drawn: Any) -> None:
        if time.monotonic() < end:
            trial(drawn)
            if trial.counts["tried"] % 50 == 0:
                counts.write_text(json.dumps(trial.counts))

    settings = hypothesis.settings(
        max_examples=500,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    if guided:
        corpus = work / name / "corpus"
        corpus.mkdir(exist_ok=True)
        drive = settings(hypothesis.given(trial.reader.files)(step))
        options = [f"-max_total_time={int(seconds)}", f"-seed={seed}", "-verbosity=0"]
        options += ["-max_len=4096", "-print_final_stats=0", str(corpus)]

        def one(data: bytes) -> None:
            drive.hypothesis.fuzz_one_input(data)

        import atexit

        atexit.register(lambda: counts.write_text(json.dumps(trial.counts)))
        atheris.Setup([sys.argv[0], *options], one)
        try:
            atheris.Fuzz()
        finally:
            counts.write_text(json.dumps(trial.counts))
        return
    while time.monotonic() < end:
        drive = hypothesis.seed(seed)(hypothesis.given(trial.reader.files)(step))
        settings(drive)()
        seed += 1
    counts.write_text(json.dumps(trial.counts))


def run_turn(args: argparse.Namespace, name: str, seed: int, seconds: float) -> Counter:
    """Let a process of its own try a reader; say what it came to."""
    work = args.work.resolve()
    for file in ("counts.json", "current.pickle", "hang.txt"):
        (work / name / file).unlink(missing_ok=True)
    command = [sys.executable, __file__, str(work), "--turn", name]
    command += ["--seed", str(seed), "--seconds", str(seconds)]
    (work / name).mkdir(parents=True, exist_ok=True)
    with (work / name / "said.txt").open("wb") as said:
        done = subprocess.run(
            [*command, *(["--guided"] if args.guided else [])],
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
        )
    counts = work / name / "counts.json"
    counted = Counter(json.loads(counts.read_text()) if counts.exists() else {})
    if done.returncode and (work / name / "current.pickle").exists():
        counted["faults"] += 1
        key = work / "found" / f"{name}-ended-{seed}"
        hang, said = (work / name / f for f in ("hang.txt", "said.txt"))
        texts = [f.read_text(errors="replace")[-3000:] for f in (hang, said)]
        key.with_suffix(".txt").write_text(
            f"the process ended with {done.returncode}\n" + "\n".join(texts)
        )
        os.replace(work / name / "current.pickle", key.with_suffix(".pickle"))
    elif done.returncode:
        raise SystemExit(f"{name}: see {work / name / 'said.txt'}")
    return counted


def main() -> int:
    """Read the options, let the readers take turns, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="a directory to work in")
    parser.add_argument("--minutes", type=float, default=10, help="of all readers")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")
    parser.add_argument("--readers", nargs="+", help="only these")
    parser.add_argument("--guided", action="store_true", help="by atheris")
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.turn:
        turn(args.turn, args.work, args.seed, args.seconds, args.guided)
        return 0
    from fuzzing.readers import READERS

    names = args.readers or list(READERS)
    totals: dict[str, Counter] = {name: Counter() for name in names}
    (args.work / "found").mkdir(parents=True, exist_ok=True)
    seconds = min(TURN, 60 * args.minutes / len(names))
    end, seed = time.monotonic() + 60 * args.minutes, args.seed
    while time.monotonic() < end:
        for name in names:
            if (began := time.monotonic()) >= end:
                break
            totals[name] += run_turn(args, name, seed * 100_000, seconds)
            totals[name]["seconds"] += round(time.monotonic() - began)
        seed += 1
    print(
        f"{'reader':>10}{'seconds':>9}{'tried':>9}{'read':>9}{'refused':>9}{'faults':>9}"
    )
    for name, count in totals.items():
        row = (count[k] for k in ("seconds", "tried", "read", "refused", "faults"))
        print(f"{name:>10}" + "".join(f"{n:9d}" for n in row))
    found = sorted((args.work / "found").glob("*.txt"))
    for path in found:
        print(f"{path.name}: {path.read_text().partition(chr(10))[0]}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
