"""Load and faults, as `benchmarks/bench_serving.py` has them, of a simple model."""

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf

TOLERANCE, CLIENTS = 1e-5, 8


def simple(version):
    """Return the right answers of a version of the simple model."""

    def answer(images):
        bands = images.mean((1, 2), np.float64)
        whole = version * bands.mean(1, keepdims=True)
        return {"median": np.concatenate([bands, whole], 1).astype("f4")}

    return answer


@pytest.fixture
def questions(bench_serving, changing, served_images):
    """Return questions of one to four rows, and their answers by versions 1 to 99."""
    make = bench_serving["questions"].make_questions
    rng = np.random.default_rng(3)
    versions = {number: simple(number) for number in range(1, 100)}
    shape = (24, *served_images.shape[1:])
    return [
        question
        for rows in (1, 3, 4)
        for question in make(
            changing, versions, rng.normal(5, 2, shape).astype("f4"), rows
        )
    ]


def test_a_server_killed_under_load_never_gives_a_wrong_row(
    bench_serving, make_simple, tmp_path, questions, start_server
):
    directory = tmp_path / "changing"
    make_simple(directory / "1", 1)
    tally = bench_serving["faults"].killed(
        lambda *options: start_server(directory, *options),
        *(questions, CLIENTS, TOLERANCE),
        times=1,
        seconds=0.3,
    )
    assert tally.wrong == 0 and len(tally.latencies) > CLIENTS
    assert set(tally.errors) <= {"UNAVAILABLE"} and tally.errors


def test_versions_swapped_under_load_each_answer_as_one(
    bench_serving, server, changing, add_version, make_simple, tmp_path, questions
):
    # the first one stays, a label names it
    first = add_version() + 1
    spare = [make_simple(tmp_path / str(n), n) for n in (first, first + 1)]
    tally = bench_serving["faults"].swapped(
        *(server, changing, spare, first, questions, CLIENTS, TOLERANCE),
        seconds=60,
        pause_s=0.1,
    )
    assert tally.wrong == 0 and not tally.errors
    assert len(tally.versions) > 1


def test_a_wrong_answer_is_seen(bench_serving, questions):
    """The clients' own eyes: another's answer, another version's, another gap."""
    deviation = bench_serving["questions"].deviation

    def told(question, version, change=0.0):
        values = question.answers[version]["median"] + change
        return response_of(version, median=values.astype("f4")).SerializeToString()

    first, second = questions[:2]
    assert deviation(told(first, 2), first) == (2, 0)
    assert deviation(told(second, 2), first)[1] > TOLERANCE
    assert deviation(told(first, 2, 1e-3), first)[1] > TOLERANCE
    assert deviation(told(first, 2, np.nan), first)[1] == np.inf
    relabelled = response_of(3, **first.answers[2]).SerializeToString()
    assert deviation(relabelled, first)[1] > TOLERANCE


def response_of(version, **outputs):
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    response.model_spec.version.value = version
    for name, values in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(values))
    return response


def test_a_row_that_the_model_fails_on_fails_alone(
    bench_serving, server, served_images
):
    """The graph fails on it, and with it the batch that others share."""
    message = bench_serving["questions"].message
    call = server.channel.unary_unary(bench_serving["clients"].PREDICT)
    poisoned = served_images.copy()
    poisoned[2, 0, 0, 0] = -1
    good, bad = (message("changing", images) for images in (served_images, poisoned))

    def ask(kind):
        try:
            return SimpleNamespace(code=None, raw=call(kind, 60))
        except grpc.RpcError as error:
            return SimpleNamespace(code=error.code(), said=error.details())

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, itertools.islice(itertools.cycle([good, bad]), 64)))
    expected = simple(1)(served_images)["median"][:, :3]
    for answer in found[::2]:
        response = response_of(0).FromString(answer.raw)
        median = tf.make_ndarray(response.outputs["median"])
        np.testing.assert_allclose(median[:, :3], expected, rtol=1e-5)
    assert {answer.code for answer in found[1::2]} == {grpc.StatusCode.INVALID_ARGUMENT}
    assert all("begins with -1" in answer.said for answer in found[1::2])


def test_hundreds_of_wrong_requests_are_refused_and_leave_no_trace(
    bench_serving, server, served_images
):
    message = bench_serving["questions"].message("m83", served_images[:1])
    ask_wrongly = bench_serving["malformed"].ask_wrongly
    answered = Counter(
        (kind, ending)
        for kind, ending, refused in ask_wrongly(
            server.grpc, server.rest, "m83", message, 600, 1
        )
        if not refused
    )
    assert not answered
    assert server.alive
    assert requests.get(f"http://{server.rest}/healthz", timeout=60).ok
    assert "fault of the server" not in server.log
