"""Faults under load: a server that is killed, a version that takes over."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path

from serving.clients import Clients, Tally
from serving.process import ServerProcess
from serving.questions import Question

#: Seconds in which a server that works has answered each client.
PATIENCE_S = 300


@contextmanager
def _asking(asking: Clients):
    """Ask beside what is done within; the tally is whole at the end."""
    ended, tally = threading.Event(), Tally()
    thread = threading.Thread(
        target=lambda: tally.add(asking.ask_until(ended.is_set)), daemon=True
    )
    thread.start()
    try:
        yield tally
    finally:
        ended.set()
        thread.join()


def _wait(asking: Clients, answers: int, seconds: float) -> None:
    """Wait so long, and for so many answers."""
    wanted, end = asking.answers + answers, time.monotonic() + seconds + PATIENCE_S
    time.sleep(seconds)
    while asking.answers < wanted:
        if time.monotonic() > end:
            raise TimeoutError(f"expected {answers} answers within {PATIENCE_S} s")
        time.sleep(0.05)


def killed(
    start: Callable[..., ServerProcess],
    questions: Sequence[Question],
    clients: int,
    tolerance: float,
    *,
    times: int,
    seconds: float,
) -> Tally:
    """Kill a server under load so many times, and start it again on its port.

    Parameters
    ----------
    start : callable
        Starts the server, given options.
    questions : sequence of Question
        What the clients ask.
    clients : int
        How many.
    tolerance : float
        Of an answer.
    times : int
        How often.
    seconds : float
        Between its being there and its being killed.
    """
    server = start()
    port = server.grpc.rpartition(":")[2]
    try:
        with Clients(server.grpc, questions, clients, tolerance) as asking:
            with _asking(asking) as tally:
                for _ in range(times):
                    _wait(asking, clients, seconds)
                    server.kill()
                    server = start(f"--serve.grpc_port={port}")
                _wait(asking, clients, seconds)
            return tally
    finally:
        server.kill()


def swapped(
    server: ServerProcess,
    directory: Path,
    spare: Sequence[Path],
    first: int,
    questions: Sequence[Question],
    clients: int,
    tolerance: float,
    *,
    seconds: float,
    pause_s: float,
) -> Tally:
    """Give a server one version after the other under load, and take the last away.

    Parameters
    ----------
    server : ServerProcess
        Serves `directory`.
    directory : Path
        ``NAME``, with its newest version in it.
    spare : sequence of Path
        The versions to come, elsewhere on the same file system.
    first : int
        Number of the first of them; each has the next one.
    questions : sequence of Question
        With the answers of all versions.
    clients : int
        How many.
    tolerance : float
        Of an answer.
    seconds : float
        That a version has to be taken over.
    pause_s : float
        Then, before the one before it is taken away; and until each client has had
        an answer.
    """
    with (
        Clients(server.grpc, questions, clients, tolerance) as asking,
        _asking(asking) as tally,
    ):
        for number, path in enumerate(spare, first):
            path.rename(directory / str(number))
            end = time.monotonic() + seconds
            while number not in server.versions(directory.name):
                if time.monotonic() > end:
                    raise TimeoutError(f"no version {number} after {seconds} s")
                time.sleep(0.1)
            _wait(asking, clients, pause_s)
            shutil.rmtree(directory / str(number - 1))
    return tally
