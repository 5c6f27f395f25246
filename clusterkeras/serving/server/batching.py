"""Rows of many requests answered together, each request as if it had come alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np

from clusterkeras.serving.server.refused import busy

Arrays = Mapping[str, np.ndarray]


@dataclass
class _Waiting:
    inputs: Arrays
    rows: int
    answer: asyncio.Future


@dataclass
class Batcher:
    """Collect requests of one function, and answer them in batches.

    A batch begins as soon as the function is free, with all that waits then: under
    little load a request waits for nobody, under much the batches are full.

    Attributes
    ----------
    function : callable
        Takes arrays by name, as many rows of each, and returns arrays by name with a
        row for each.
    executor : Executor
        Where it runs.
    most_rows : int
        Rows of a batch; a request with more has several.
    longest_queue : int
        Rows that may wait.
    batches : callable
        Told the rows of each batch, for the metrics.
    """

    function: Callable[[Arrays], Arrays]
    executor: Executor
    most_rows: int
    longest_queue: int
    batches: Callable[[int], None] = lambda rows: None
    _queue: deque[_Waiting] = field(default_factory=deque)
    _waiting_rows: int = 0
    _running: asyncio.Task | None = None

    async def ask(self, inputs: Arrays, rows: int) -> Arrays:
        """Answer one request.

        Parameters
        ----------
        inputs : mapping of str to ndarray
            Checked arrays, with `rows` rows each.
        rows : int
            How many.

        Raises
        ------
        RefusedError
            If too many rows wait already.
        Exception
            What the function raises of these rows alone.
        """
        if self._waiting_rows + rows > self.longest_queue:
            raise busy(
                f"queue: {self._waiting_rows} rows wait, and at most "
                f"{self.longest_queue} may; try again later"
            )
        parts = [
            self._join(
                {k: v[first : first + self.most_rows] for k, v in inputs.items()},
                min(rows - first, self.most_rows),
            )
            for first in range(0, max(rows, 1), self.most_rows)
        ]
        answers = await asyncio.gather(*parts)
        if len(answers) == 1:
            return answers[0]
        return {k: np.concatenate([one[k] for one in answers]) for k in answers[0]}

    def _join(self, inputs: Arrays, rows: int) -> asyncio.Future:
        """Let rows of one request wait for a batch."""
        one = _Waiting(inputs, rows, asyncio.get_running_loop().create_future())
        self._queue.append(one)
        self._waiting_rows += rows
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return one.answer

    async def _run(self) -> None:
        try:
            while self._queue:
                batch = self._next()
                if batch:
                    await self._answer(batch)
        finally:
            self._running = None

    def _next(self) -> list[_Waiting]:
        """Take what fits into one batch, the first come first."""
        batch, rows = [], 0
        while self._queue and rows + self._queue[0].rows <= self.most_rows:
            one = self._queue.popleft()
            self._waiting_rows -= one.rows
            # whoever has gone away waits for nothing
            if not one.answer.done():
                batch.append(one)
                rows += one.rows
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self.executor, self._together, batch)
        except Exception as error:
            if len(batch) > 1:
                # the fault of one must not be the others': look for it by halves
                middle = len(batch) // 2
                await self._answer(batch[:middle])
                await self._answer(batch[middle:])
            elif not batch[0].answer.done():
                batch[0].answer.set_exception(error)
            return
        for one, answer in zip(batch, found, strict=True):
            if not one.answer.done():
                one.answer.set_result(answer)

    def _together(self, batch: list[_Waiting]) -> list[Arrays]:
        self.batches(sum(one.rows for one in batch))
        inputs = {
            name: np.concatenate([one.inputs[name] for one in batch])
            for name in batch[0].inputs
        }
        outputs = self.function(inputs)
        ends = np.cumsum([one.rows for one in batch])
        return [
            {name: values[end - one.rows : end] for name, values in outputs.items()}
            for one, end in zip(batch, ends, strict=True)
        ]

    async def finish(self) -> None:
        """Wait until all that has been asked is answered."""
        while self._running is not None:
            await asyncio.wait({self._running})
