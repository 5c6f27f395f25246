"""Clients that ask without a pause, and look at every answer."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

import grpc
import numpy as np

from serving.questions import Question, deviation

PREDICT = "/tensorflow.serving.PredictionService/Predict"
#: A connection of its own, that soon tries again.
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_reconnect_backoff_ms", 500),
]


@dataclass
class Tally:
    """What clients have seen.

    Attributes
    ----------
    rows, wrong : int
        Rows that were answered; answers that were not right.
    seconds : float
        Wall time.
    latencies : list of float
        Of each answer, in seconds.
    worst : float
        Largest deviation of an answer from the right one.
    versions : Counter
        Answers by version.
    errors : Counter
        Calls without an answer, by gRPC's code.
    """

    rows: int = 0
    wrong: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    worst: float = 0.0
    versions: Counter = field(default_factory=Counter)
    errors: Counter = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Count another's in."""
        self.rows += other.rows
        self.wrong += other.wrong
        self.seconds += other.seconds
        self.latencies += other.latencies
        self.worst = max(self.worst, other.worst)
        self.versions += other.versions
        self.errors += other.errors

    def latency(self, percent: float) -> float:
        """Return a percentile of the latencies, in seconds."""
        return float(np.percentile(self.latencies, percent))


class Clients:
    """So many clients, a connection each.

    Parameters
    ----------
    address : str
        ``HOST:PORT`` of gRPC.
    questions : sequence of Question
        Each client goes through all of them, each from another one on.
    n : int
        How many clients.
    tolerance : float
        How far a right answer may be from the right one.
    """

    def __init__(
        self, address: str, questions: Sequence[Question], n: int, tolerance: float
    ) -> None:
        self._questions, self._tolerance = questions, tolerance
        self._tallies: list[Tally] = []
        self._channels = [grpc.insecure_channel(address, _OPTIONS) for _ in range(n)]

    @property
    def answers(self) -> int:
        """How many answers there have been since the asking began."""
        return sum(len(tally.latencies) for tally in self._tallies)

    def ask_until(self, ended: Callable[[], bool], timeout_s: float = 120) -> Tally:
        """Ask at full rate until told to end, and return what was seen.

        An error is counted, and after a moment the client goes on.
        """
        self._tallies = tallies = [Tally() for _ in self._channels]
        threads = [
            threading.Thread(target=self._ask, args=(i, tally, ended, timeout_s))
            for i, tally in enumerate(tallies)
        ]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = Tally()
        for tally in tallies:
            whole.add(tally)
        whole.seconds = time.perf_counter() - began
        return whole

    def ask_for(self, seconds: float) -> Tally:
        """Ask for so long."""
        end = time.perf_counter() + seconds
        return self.ask_until(lambda: time.perf_counter() > end)

    def _ask(
        self, i: int, tally: Tally, ended: Callable[[], bool], timeout_s: float
    ) -> None:
        call = self._channels[i].unary_unary(PREDICT)
        first = i * len(self._questions) // len(self._channels)
        rotated = [*self._questions[first:], *self._questions[:first]]
        for question in itertools.cycle(rotated):
            if ended():
                return
            began = time.perf_counter()
            try:
                raw = call(question.message, timeout_s)
            except grpc.RpcError as error:
                tally.errors[error.code().name] += 1
                time.sleep(0.1)
                continue
            tally.latencies.append(time.perf_counter() - began)
            version, off = deviation(raw, question)
            tally.rows += question.rows
            tally.versions[version] += 1
            tally.worst = max(tally.worst, off)
            tally.wrong += off > self._tolerance

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        for channel in self._channels:
            channel.close()
