"""Kill a command before each change of a file, go on, compare with a run let alone.

Everything that a command does to the files of its directory, a file opened for writing,
renamed or removed, a directory made, is a place where a kill may leave something that
the same command cannot go on from. Each place is tried in a process of its own::

    python benchmarks/kill_at_each_file.py work -- fit --data mocks -o run ...

Paths of inputs have to be absolute: the command works in a directory below ``work``.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import signal
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

#: Audit events of Python that change files; "open" is one if it is for writing.
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir"}
#: Files that differ from run to run: locks, TensorBoard's with the time of day.
IGNORED = (".lock", "events.out.tfevents")

_hooks: list[Callable[[str, tuple], None]] = []


def watch(directory: Path, act: Callable[[str, Path], None]) -> Callable[[], None]:
    """Call `act` before each change of a file below a directory.

    Parameters
    ----------
    directory : Path
        What is watched.
    act : callable
        Gets the event and the path: the new one of a file that is renamed.

    Returns
    -------
    callable
        Ends it.
    """
    top = str(directory.resolve())

    def hook(event: str, args: tuple) -> None:
        if event not in EVENTS:
            return
        if event == "open" and not args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        path = args[1] if event == "os.rename" else args[0]
        if not isinstance(path, str | os.PathLike):
            return
        path, at = os.fspath(path), args[-1]
        if event in ("os.remove", "os.rmdir", "os.mkdir") and at >= 0:
            path = os.path.join(os.readlink(f"/proc/self/fd/{at}"), path)
        path = os.path.abspath(path)
        if path.startswith(top) and not path.endswith(".lock"):
            act(event, Path(path))

    if not _hooks:  # those of Python are for good
        sys.addaudithook(lambda *said: [each(*said) for each in tuple(_hooks)])
    _hooks.append(hook)
    return lambda: _hooks.remove(hook)


def in_child(directory: Path, command: list[str], act: Callable | None) -> int:
    """Run a command in a directory and a process of its own; return its exit status."""
    directory.mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 70
    try:
        os.chdir(directory)
        log = os.open(f"{directory}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if act is not None:
            watch(directory, act)
        from clusterkeras.commands.cli import main

        status = main(command)
        sys.stdout.flush()
    finally:
        os._exit(status)


def content(path: Path) -> object:
    """Return what has to be the same in a file of two runs."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as file:  # its metadata tell the time of day
            return {n: file.read(n) for n in file.namelist() if n != "metadata.json"}
    if path.name == "history.csv":
        with path.open(newline="") as file:
            return [{**row, "cpu_hours": None} for row in csv.DictReader(file)]
    return path.read_bytes()


def tree(directory: Path) -> dict[str, object]:
    """Return what has to be the same in two directories, by relative path."""
    return {
        str(path.relative_to(directory)): None if path.is_dir() else content(path)
        for path in sorted(directory.rglob("*"))
        if not any(word in path.name for word in IGNORED)
    }


def compared(alone: dict[str, object], again: dict[str, object]) -> list[str]:
    """Say how what a killed run has left in the end differs from a run let alone."""
    words = [f"missing {name}" for name in alone.keys() - again.keys()]
    words += [f"left over {name}" for name in again.keys() - alone.keys()]
    common = alone.keys() & again.keys()
    return words + [f"differs {n}" for n in common if alone[n] != again[n]]


def main() -> int:
    """Read the options, try each place, print a line for each that is not well."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="an empty directory to work in")
    parser.add_argument("--begin", type=Path, help="what each run finds: a directory")
    parser.add_argument("--first", type=int, default=0, help="of the places to try")
    parser.add_argument("--every", type=int, default=1, help="only each n-th place")
    parser.add_argument("command", nargs="+", help="after --: the command and options")
    args = parser.parse_args()
    work, command = args.work.resolve(), args.command
    # imported, but not yet at work: a process that forks must have no threads
    import clusterkeras.catalogue.survey.infer_fields
    import clusterkeras.completeness.measure
    import clusterkeras.evaluation.evaluate
    import clusterkeras.report.page
    import clusterkeras.training.fit
    import clusterkeras.training.recalibrate  # noqa: F401

    def begin(name: str) -> Path:
        directory = work / name
        if args.begin:
            shutil.copytree(args.begin, directory)
        return directory

    places = work / "places"
    work.mkdir(parents=True, exist_ok=True)

    def note(event: str, path: Path) -> None:
        with places.open("a") as file:
            file.write(f"{event} {path.relative_to(work / 'alone')}\n")

    started = time.time()
    if status := in_child(begin("alone"), command, note):
        print(f"let alone it ends with {status}: see {work / 'alone.log'}")
        return 1
    alone = tree(work / "alone")
    lines = places.read_text().splitlines()
    print(f"{command[0]}: {len(lines)} places, {time.time() - started:.0f} s a run")
    bad = 0
    tried = range(args.first, len(lines), args.every)
    for n in tried:
        left = n

        def kill(event: str, path: Path) -> None:
            nonlocal left
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        directory = begin(f"{n:04d}")
        killed = in_child(directory, command, kill)
        again = in_child(directory, command, None)
        found = compared(alone, tree(directory))
        if killed != -signal.SIGKILL or again or found:
            bad += 1
            print(f"  {n} {lines[n]}: {killed}, then {again}; {'; '.join(found)}")
            sys.stdout.flush()
        else:
            shutil.rmtree(directory)
    print(f"{command[0]}: {bad} of {len(tried)} are not as let alone")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
