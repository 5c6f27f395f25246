import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest

from clusterkeras.serving.server.batching import Batcher
from clusterkeras.serving.server.refused import RefusedError


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as pool:
        yield pool


def rows(*values):
    return {"x": np.array(values, float)}


def doubled(inputs):
    return {"y": 2 * inputs["x"]}


def asked(batcher, *requests):
    """Ask for all at once; return answers and errors in their order."""

    async def ask():
        return await asyncio.gather(
            *(batcher.ask(one, len(one["x"])) for one in requests),
            return_exceptions=True,
        )

    return asyncio.run(ask())


def test_requests_share_batches_and_get_their_own_rows(executor):
    sizes = []
    batcher = Batcher(doubled, executor, 4, 100, sizes.append)
    found = asked(batcher, rows(1.0), rows(2.0, 3.0), rows(4.0, 5.0, 6.0), rows(7.0))
    assert [one["y"].tolist() for one in found] == [[2], [4, 6], [8, 10, 12], [14]]
    # never more than four rows, the first come first
    assert sizes == [3, 4]


def test_a_request_of_more_rows_than_a_batch_has_several(executor):
    sizes = []
    batcher = Batcher(doubled, executor, 4, 10, sizes.append)
    whole, refused = asked(batcher, rows(*range(10)), rows(1.0))
    assert whole["y"].tolist() == [2 * i for i in range(10)]
    assert sizes == [4, 4, 2]
    # as a whole or not at all
    assert isinstance(refused, RefusedError)


def test_one_that_fails_does_not_fail_those_it_shares_a_batch_with(executor):
    def picky(inputs):
        if (inputs["x"] < 0).any():
            raise ValueError("below zero")
        return doubled(inputs)

    batcher = Batcher(picky, executor, 10, 100)
    first, second, third = asked(batcher, rows(1.0), rows(-1.0), rows(3.0))
    assert first["y"] == [2] and third["y"] == [6]
    assert isinstance(second, ValueError)


def test_the_one_that_fails_is_found_by_halves(executor):
    sizes = []

    def picky(inputs):
        sizes.append(len(inputs["x"]))
        if (inputs["x"] < 0).any():
            raise ValueError("below zero")
        return doubled(inputs)

    batcher = Batcher(picky, executor, 16, 100)
    found = asked(batcher, *(rows(1.0 - 2 * (i == 5)) for i in range(16)))
    assert [i for i, one in enumerate(found) if isinstance(one, ValueError)] == [5]
    assert sizes == [16, 8, 4, 4, 2, 1, 1, 2, 8]


def test_a_full_queue_sends_requests_away_and_answers_what_it_has(executor):
    begin = threading.Event()

    def slow(inputs):
        begin.wait(10)
        return doubled(inputs)

    batcher = Batcher(slow, executor, 2, 3)

    async def ask():
        first = asyncio.create_task(batcher.ask(rows(1.0), 1))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(batcher.ask(rows(2.0, 3.0), 2))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="2 rows wait, and at most 3") as caught:
            await batcher.ask(rows(4.0, 5.0), 2)
        begin.set()
        return caught.value.code, await first, await waiting

    code, first, waiting = asyncio.run(ask())
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert first["y"] == [2] and waiting["y"].tolist() == [4, 6]


def test_who_goes_away_is_left_out_and_the_end_waits_for_the_rest(executor):
    begin, seen = threading.Event(), []

    def slow(inputs):
        begin.wait(10)
        seen.append(inputs["x"].tolist())
        return doubled(inputs)

    batcher = Batcher(slow, executor, 1, 100)

    async def ask():
        tasks = [asyncio.create_task(batcher.ask(rows(v), 1)) for v in (1.0, 2.0, 3.0)]
        await asyncio.sleep(0.05)
        tasks[1].cancel()
        begin.set()
        await batcher.finish()
        return tasks

    tasks = asyncio.run(ask())
    assert seen == [[1.0], [3.0]]
    assert tasks[2].result()["y"] == [6]
