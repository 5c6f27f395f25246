"""Workers of a training on one machine: started together, and ended together."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection, wait
from typing import Any


def run_workers(number: int, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in several processes that can join each other.

    Each has a GPU of its own if there are any, and its part of the cores. ``TF_CONFIG``
    tells it of the others; see `clusterkeras.workers.sums.join_workers`.

    Parameters
    ----------
    number : int
        How many processes; 0 for one a GPU, or one a core where there is none.
    function : callable
        What each calls; a function of a module.
    *args
        Its arguments.

    Returns
    -------
    object
        What the first gives.

    Raises
    ------
    ValueError
        If there are GPUs, but fewer.
    ChildProcessError
        If a process was killed. Whatever error one raises first is raised too.
    """
    told = _environments(number)
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pending = {}
        for index, environment in enumerate(told):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_work, args=(theirs, environment, function, args)
            )
            process.start()
            stack.callback(process.join)
            stack.callback(process.kill)
            theirs.close()
            pending[ours] = index
        found = {}
        while pending:
            answers = {pending.pop(p): _received(p) for p in wait(list(pending))}
            # a lost one first: that they miss it is an error of the others
            for index in sorted(answers, key=lambda i: answers[i] is not None):
                found[index] = _value(answers[index], index)
        return found[0]


def _received(pipe: Connection) -> tuple[bool, Any] | None:
    """Return whether a worker was good, and what it gave or raised; None of a lost."""
    try:
        return pipe.recv()
    except EOFError:
        return None


def _value(answer: tuple[bool, Any] | None, index: int) -> Any:
    """Return what a worker gave; raise what it raised."""
    if answer is None:
        raise ChildProcessError(
            f"worker {index} has died, perhaps for want of memory; the others were "
            "ended. Run the same again: it goes on after the last whole epoch"
        )
    good, value = answer
    if not good:
        raise value
    return value


def _work(
    pipe: Connection,
    environment: dict[str, str],
    function: Callable[..., Any],
    args: tuple[Any, ...],
) -> None:
    """Call a function in a process of its own, and send what it gives or raises."""
    os.environ.update(environment)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        outcome = True, function(*args)
    except Exception as error:
        outcome = False, error
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            outcome = False, RuntimeError(f"{type(error).__name__}: {error}")
    pipe.send(outcome)
    pipe.close()


def _end_with_parent() -> None:
    """End this process when the one that started it has ended, however it was."""
    wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _environments(number: int) -> list[dict[str, str]]:
    """Return what each of some workers is told of itself."""
    devices = _gpus()
    number = number or len(devices) or os.cpu_count() or 1
    if devices and len(devices) < number:
        raise ValueError(
            f"workers: expected at most {len(devices)}, one a GPU; received {number}"
        )
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    threads = max(1, (os.cpu_count() or 1) // number)
    told = []
    for index in range(number):
        task = {"type": "worker", "index": index}
        config = {"cluster": {"worker": hosts}, "task": task}
        own = {"TF_CONFIG": json.dumps(config)}
        if devices:
            own["CUDA_VISIBLE_DEVICES"] = devices[index]
        if "TF_NUM_INTRAOP_THREADS" not in os.environ:
            own["TF_NUM_INTRAOP_THREADS"] = str(threads)
        told.append(own)
    return told


def _gpus() -> list[str]:
    """Return the numbers of the GPUs that TensorFlow sees here."""
    import tensorflow as tf

    found = range(len(tf.config.list_physical_devices("GPU")))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [visible[i] if visible[0] else str(i) for i in found]
