"""Full rate: right answers, flat memory, and how fast beside the bare SavedModel."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serving.clients import Clients, Tally
from serving.process import ServerProcess
from serving.questions import Direct, Question, draw_images


@dataclass(frozen=True)
class Rate:
    """Rows a second, of wall time and of processor time."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Turn:
    """Clients for a while, then the bare SavedModel for a while.

    Attributes
    ----------
    tally : Tally
        What the clients saw.
    served, direct : Rate
        Of the server, and of the SavedModel. The server's processor time is its own
        process's; its wall time has the clients' work in it, which share its cores.
    resident_mb : float
        Of the server after it.
    """

    tally: Tally
    served: Rate
    direct: Rate
    resident_mb: float


def turns(
    server: ServerProcess,
    direct: Direct,
    questions: Sequence[Question],
    clients: int,
    tolerance: float,
    *,
    seconds: float,
    turn_s: float,
    direct_rows: int,
) -> Iterator[Turn]:
    """Yield turns until so many seconds of clients' asking are over.

    A turn asks the server for `turn_s`, then the SavedModel for a third of that, in
    batches of `direct_rows`.
    """
    images = draw_images(direct.image_shape, direct_rows, np.random.default_rng(1))
    with Clients(server.grpc, questions, clients, tolerance) as asking:
        asked = 0.0
        while asked < seconds:
            before = server.processor_s
            tally = asking.ask_for(min(turn_s, seconds - asked))
            processor = server.processor_s - before
            served = Rate(tally.rows / tally.seconds, tally.rows / processor)
            memory = server.resident_mb
            yield Turn(tally, served, direct_rate(direct, images, turn_s / 3), memory)
            asked += tally.seconds


def direct_rate(direct: Direct, images: NDArray, seconds: float) -> Rate:
    """Return how fast a SavedModel answers the same batch again and again."""
    began, processor, batches = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < seconds:
        direct(images)
        batches += 1
    rows = batches * len(images)
    return Rate(
        rows / (time.perf_counter() - began), rows / (time.process_time() - processor)
    )


def growth(resident_mb: Sequence[float]) -> float:
    """Return by what share memory has grown at most, after the first fifth."""
    warm = resident_mb[len(resident_mb) // 5 :]
    return max(warm) / warm[0] - 1
