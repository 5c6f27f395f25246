"""The server as its users have it: a process of its own, asked by gRPC and HTTP."""

import gzip
import json
import re
import shlex
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from clusterkeras.serving.loading import load_savedmodel
from clusterkeras.serving.server.serve import serve

PX, TOKEN = 16, "correct horse"


@pytest.fixture(scope="session")
def images(served_images):
    return served_images


@pytest.fixture(scope="session")
def expected(served):
    """Return the signatures of each version, run here."""
    return {n: load_savedmodel(served / str(n)) for n in (1, 2)}


def request_of(signature="", version=None, label=None, model="m83", **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    if version:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def arrays(response):
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def close(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("asked", "version"),
    [({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1)],
)
def test_grpc_answers_as_the_savedmodel_of_the_version(
    server, expected, images, asked, version
):
    response = server.predictions.Predict(request_of(images=images, **asked), 60)
    assert response.model_spec.version.value == version
    close(arrays(response), expected[version]["serving_default"](images=images))


def test_grpc_draws_by_seed_and_gives_the_outputs_that_are_wanted(
    server, expected, images
):
    seed = np.arange(5, dtype=np.int32)
    request = request_of("samples", images=images, seed=seed)
    request.output_filter.append("samples")
    found = arrays(server.predictions.Predict(request, 60))
    wanted = expected[2]["samples"](images=images, seed=seed)["samples"]
    close(found, {"samples": wanted})


def test_the_model_says_what_it_is_by_both_protocols(server, m83):
    found = arrays(server.predictions.Predict(request_of("metadata"), 60))
    assert [band.decode() for band in found["bands"]] == list(m83.band_names)
    body = {"signature_name": "metadata", "inputs": {}}
    answer = requests.post(server.url(":predict"), json=body, timeout=60).json()
    assert answer["outputs"]["bands"] == list(m83.band_names)
    assert json.loads(answer["outputs"]["json"])["contract"] == 1


def test_rest_answers_rows_and_columns(server, expected, images):
    wanted = expected[2]["serving_default"](images=images)
    rows = {"instances": [{"images": image.tolist()} for image in images]}
    plain_rows = {"instances": images.tolist()}
    for body in (rows, plain_rows):
        answer = requests.post(server.url(":predict"), json=body, timeout=60).json()
        found = answer["predictions"]
        close({k: [row[k] for row in found] for k in found[0]}, wanted)
    for inputs in ({"images": images.tolist()}, images.tolist()):
        body = {"inputs": inputs, "signature_name": "serving_default"}
        address = server.url("/labels/stable:predict")
        answer = requests.post(address, json=body, timeout=60).json()
        close(answer["outputs"], expected[1]["serving_default"](images=images))


def test_a_signature_without_a_name_is_the_one_of_tensorflow_serving_s_default(
    server, expected, images
):
    wanted = expected[2]["serving_default"](images=images)
    close(arrays(server.predictions.Predict(request_of("", images=images), 60)), wanted)
    body = {"inputs": images.tolist(), "signature_name": ""}
    answer = requests.post(server.url(":predict"), json=body, timeout=60).json()
    close(answer["outputs"], wanted)


def test_gaps_come_and_go_as_nan(server, images):
    gaps = images.copy()
    gaps[0, 3, 3, 1], gaps[1] = np.nan, np.inf
    text = json.dumps({"instances": gaps.tolist()})
    answer = requests.post(server.url(":predict"), data=text, timeout=60).json()
    found = answer["predictions"]
    assert [row["bad_pixels"] for row in found] == [1, PX * PX * 3, 0, 0, 0]
    assert np.isfinite(found[0]["p_cluster"]) and np.isnan(found[1]["p_cluster"])


def test_status_and_signatures_are_told_by_both_protocols(server):
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = "m83"
    states = server.models.GetModelStatus(request, 60).model_version_status
    assert [(s.version, s.state) for s in states] == [(2, 30), (1, 30)]
    told = requests.get(server.url(), timeout=60).json()["model_version_status"]
    assert [(s["version"], s["state"]) for s in told] == [
        ("2", "AVAILABLE"),
        ("1", "AVAILABLE"),
    ]
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = "m83"
    request.metadata_field.append("signature_def")
    packed = server.predictions.GetModelMetadata(request, 60).metadata["signature_def"]
    definitions = get_model_metadata_pb2.SignatureDefMap()
    assert packed.Unpack(definitions)
    served = definitions.signature_def
    assert "conditioned" in served and "images" in served["samples"].inputs
    told = requests.get(server.url("/versions/1/metadata"), timeout=60).json()
    assert told["model_spec"] == {"name": "m83", "version": "1"}
    # twice, as TensorFlow Serving has it
    definitions = told["metadata"]["signature_def"]["signature_def"]
    assert "images" in definitions["samples"]["inputs"]


def test_health_and_counts_can_be_watched(server):
    for page, text in (("healthz", "alive"), ("readyz", "ready")):
        assert text in requests.get(f"http://{server.rest}/{page}", timeout=60).text
    address = f"http://{server.rest}/monitoring/prometheus/metrics"
    text = requests.get(address, timeout=60).text
    assert 'clusterkeras_requests_total{model="m83",signature="serving_default"' in text
    assert "clusterkeras_batch_rows_bucket" in text


def huge(images):
    request = request_of(images=images)
    request.inputs["images"].tensor_shape.dim[0].size = 10**12
    return request


def short(images):
    request = request_of(images=images)
    tensor = request.inputs["images"]
    tensor.tensor_content = tensor.tensor_content[:-4]
    return request


def empty(images):
    request = request_of(images=images)
    request.inputs["images"].tensor_content = b""
    return request


def one_by_one(images, numbers, field="float_val"):
    """Return a request whose numbers are in a list, so many of them."""
    request = request_of(images=images)
    tensor = request.inputs["images"]
    tensor.tensor_content = b""
    getattr(tensor, field).extend([1] * numbers)
    return request


def twice(images):
    request = request_of(images=images)
    request.inputs["images"].float_val.append(1)
    return request


def strange_type(images):
    request = request_of(images=images)
    request.inputs["images"].dtype = 12345
    return request


def told(images, **context):
    """Return a request that says what is known, all else unknown."""
    rows, bands = len(images), images.shape[-1]
    known = {
        "psf_fwhm_px": np.full((rows, bands), np.nan, "f4"),
        "exposure_s": np.full((rows, bands), np.nan, "f4"),
        "stellar_model": np.full(rows, -1, "i4"),
    }
    for name, value in context.items():
        known[name][0] = value
    return request_of("conditioned", images=images, **known)


BAD_CALLS = {
    "no such stellar model": (
        lambda i: told(i, stellar_model=3),
        "stellar_model: expected -1 for any, or an index",
    ),
    "a PSF without width": (
        lambda i: told(i, psf_fwhm_px=0),
        "psf_fwhm_px: expected numbers above 0, or NaN",
    ),
    "a PSF without end": (
        lambda i: told(i, psf_fwhm_px=np.inf),
        "psf_fwhm_px: expected numbers above 0, or NaN; received inf",
    ),
    "no exposure": (lambda i: told(i, exposure_s=-1), "exposure_s: expected numbers"),
    "other bands": (
        lambda i: request_of(images=i[..., :2]),
        "images: expected float32",
    ),
    "another side": (lambda i: request_of(images=i[:, :8]), "images: expected float32"),
    "another rank": (lambda i: request_of(images=i[0]), "images: expected float32"),
    "another type": (lambda i: request_of(images=i.astype("f8")), "received float64"),
    "no type": (strange_type, "received type 12345"),
    "another name": (lambda i: request_of(image=i), "expected images; received image"),
    "no input": (lambda i: request_of(), "expected images; received none"),
    "too many rows": (
        lambda i: request_of(images=np.tile(i, (52, 1, 1, 1))),
        "at most 256 rows",
    ),
    "a declared size": (huge, "at most 256 rows"),
    "cut short": (short, "expected 15360 bytes"),
    "no numbers": (empty, "received none"),
    "a number short": (
        lambda i: one_by_one(i, i.size - 1),
        "numbers of shape (5, 16, 16, 3), or one for all; received 3839",
    ),
    "a number more": (lambda i: one_by_one(i, i.size + 1), "received 3841"),
    "numbers of another type": (
        lambda i: one_by_one(i, i.size, "int_val"),
        "in tensor_content or float_val; received int_val",
    ),
    "numbers twice": (twice, "received float_val beside tensor_content"),
    "names without end": (
        lambda i: request_of(**{"n" * 90_000: i}),
        "expected images",
    ),
    "rows that differ": (
        lambda i: request_of("samples", images=i, seed=np.zeros(2, np.int32)),
        "as many rows of each",
    ),
    "no such signature": (lambda i: request_of("predict", images=i), "signature_name"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_is_refused_with_what_is_wrong(server, images, case):
    make, said = BAD_CALLS[case]
    with pytest.raises(grpc.RpcError) as caught:
        server.predictions.Predict(make(images), 60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert said in caught.value.details()


@pytest.mark.parametrize("numbers", ["one", "all"])
def test_numbers_one_by_one_or_one_for_all_are_taken(server, expected, images, numbers):
    request = one_by_one(images, 1 if numbers == "one" else images.size)
    wanted = expected[2]["serving_default"](images=np.ones_like(images))
    close(arrays(server.predictions.Predict(request, 60)), wanted)


BAD_BODIES = {
    "no JSON": ("{", "expected JSON"),
    "a list": ("[]", "expected an object"),
    "neither form": ("{}", "expected 'instances'"),
    "both forms": ('{"instances": [], "inputs": []}', "expected 'instances'"),
    "a key twice": ('{"instances": [], "instances": []}', "given twice"),
    "a deep list": ("[" * 100_000, "expected JSON"),
    "text": ('{"instances": "abc"}', "expected a list of rows"),
    "words": ('{"inputs": {"images": [["a"]]}}', "images: expected numbers"),
    "ragged": ('{"inputs": {"images": [[1, 2], [3]]}}', "images: expected lists"),
    "another shape": ('{"inputs": {"images": [[1, 2], [3, 4]]}}', "received shape"),
    "a number": ('{"inputs": {"images": 1}}', "expected nested lists"),
    "null": ('{"instances": [{"images": null}]}', "images: expected"),
    "another name": ('{"instances": [{"image": 1}]}', "row 0: expected images"),
    "a signature of no text": ('{"instances": [], "signature_name": 3}', "a text"),
    "no such signature": (
        '{"instances": [], "signature_name": "x"}',
        "expected one of",
    ),
}


@pytest.mark.parametrize("case", BAD_BODIES)
def test_a_bad_body_is_refused_with_what_is_wrong(server, case):
    body, said = BAD_BODIES[case]
    answer = requests.post(server.url(":predict"), data=body, timeout=60)
    assert answer.status_code == 400
    assert said in answer.json()["error"]


def test_bytes_that_are_no_message_are_refused(server, images):
    raw = request_of(images=images).SerializeToString()
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    with pytest.raises(grpc.RpcError) as caught:
        call(raw[:-4], 60)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert f"{len(raw) - 4} bytes that are none" in caught.value.details()


def test_calls_of_the_protocol_that_have_no_place_here_say_so(server):
    call = server.channel.unary_unary("/tensorflow.serving.PredictionService/Classify")
    with pytest.raises(grpc.RpcError) as caught:
        call(b"", 60)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert "expected Predict" in caught.value.details()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_body_that_cannot_be_unpacked_is_refused(server, coding):
    answer = requests.post(
        server.url(":predict"),
        data=b"not packed at all",
        headers={"Content-Encoding": coding},
        timeout=60,
    )
    assert answer.status_code == 400


def test_what_is_not_here_is_not_found(server, images):
    for asked in ({"version": 7}, {"label": "next"}):
        with pytest.raises(grpc.RpcError) as caught:
            server.predictions.Predict(request_of(images=images, **asked), 60)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    other = server.url().replace("m83", "m31")
    assert requests.get(other, timeout=60).status_code == 404
    assert requests.get(server.url("/versions/7"), timeout=60).status_code == 404
    assert requests.get(f"http://{server.rest}/else", timeout=60).status_code == 404
    assert requests.get(server.url(":predict"), timeout=60).status_code == 405


def test_messages_beyond_the_limit_are_refused(server):
    body = "[" + "0," * 600_000 + "0]"
    packed = {"data": gzip.compress(body.encode())}
    packed["headers"] = {"Content-Encoding": "gzip"}
    for sent in ({"data": body}, packed):
        answer = requests.post(server.url(":predict"), **sent, timeout=60)
        assert answer.status_code == 413
    big = np.zeros((400, PX, PX, 3), "f4")
    with pytest.raises(grpc.RpcError) as caught:
        server.predictions.Predict(request_of(images=big), 60)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_many_at_once_each_get_their_own_rows(server, expected, images):
    """Sixty-four requests of one to five rows, some of them wrong."""
    rng = np.random.default_rng(1)
    batches = [
        rng.normal(5, 3, (1 + i % 5, PX, PX, 3)).astype("f4") * (1 + i)
        for i in range(64)
    ]

    def ask(i):
        if i % 8 == 7:
            with pytest.raises(grpc.RpcError):
                server.predictions.Predict(request_of(images=batches[i][:, :3]), 60)
            return None
        return arrays(server.predictions.Predict(request_of(images=batches[i]), 60))

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(ask, range(64)))
    for batch, answer in zip(batches, found, strict=True):
        if answer is not None:
            close(answer, expected[2]["serving_default"](images=batch))


def test_a_new_version_takes_over_and_a_broken_one_does_not(
    server, changing, add_version, images
):
    before = max(server.versions("changing"))
    broken = changing / str(before + 1)
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = requests.get(server.url(model="changing"), timeout=60).json()
        newest = told["model_version_status"][0]
        if newest["version"] == str(before + 1):
            break
        time.sleep(0.1)
    assert newest["state"] == "END" and newest["status"]["error_message"]
    asked = request_of(model="changing", images=images)
    response = server.predictions.Predict(asked, 60)
    assert response.model_spec.version.value == before

    number = add_version()
    while time.monotonic() < deadline:
        response = server.predictions.Predict(asked, 60)
        if response.model_spec.version.value == number:
            break
        time.sleep(0.05)
    found = arrays(response)["median"][:, 3]
    np.testing.assert_allclose(found, number * images.mean((1, 2, 3)), rtol=1e-5)
    # the one that a label names stays
    asked = request_of(model="changing", images=images, label="stable")
    response = server.predictions.Predict(asked, 60)
    assert response.model_spec.version.value == 1


def test_without_the_token_nothing_is_answered_and_told_to_end_it_answers_what_it_has(
    make_simple, images, tmp_path, start_server
):
    secret = tmp_path / "token"
    secret.write_text(TOKEN + "\n")
    make_simple(tmp_path / "simple" / "1", 1)
    with start_server(tmp_path / "simple", f"--serve.token_file={secret}") as server:
        request = request_of(model="simple", images=images)
        for given in ((), (("authorization", "Bearer wrong"),)):
            with pytest.raises(grpc.RpcError) as caught:
                server.predictions.Predict(request, 60, metadata=given)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        known = {"authorization": f"Bearer {TOKEN}"}
        assert requests.get(server.url(), timeout=60).status_code == 401
        assert requests.get(server.url(), headers=known, timeout=60).ok
        assert requests.get(f"http://{server.rest}/healthz", timeout=60).ok

        calls = [
            server.predictions.Predict.future(request, 60, metadata=(*known.items(),))
            for _ in range(16)
        ]
        calls[0].result()
        server.process.send_signal(signal.SIGTERM)
        codes = {call.code() for call in calls if call.exception() is not None}
        assert codes <= {grpc.StatusCode.UNAVAILABLE}
        assert server.process.wait(120) == 0


def test_a_directory_without_versions_is_named(tmp_path):
    (tmp_path / "m83").mkdir()
    for directory, said in (
        (tmp_path / "m83", "expected versions of a model"),
        (tmp_path / "none", "expected a directory with versions"),
    ):
        with pytest.raises(FileNotFoundError, match=said):
            serve([directory])


def blocks(language):
    """Return what the page of the SavedModel and its server has in a language."""
    text = (Path(__file__).parents[4] / "docs" / "use" / "serving.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def test_the_page_s_lines_for_tensorflow_alone_run(served, m83, images):
    code = next(block for block in blocks("python") if "saved_model.load" in block)
    given = {"images": images}
    exec(code.replace("served/m83/1", str(served / "2")), given)
    assert given["answer"]["median"].shape[0] == len(images)
    assert given["draws"]["samples"].shape[:2] == (len(images), 256)
    assert [band.decode() for band in given["bands"].numpy()] == list(m83.band_names)


def test_the_page_s_request_by_grpc_is_answered(server, expected, images):
    code = next(block for block in blocks("python") if "import grpc" in block)
    given = {"images": images}
    exec(code.replace("127.0.0.1:8500", server.grpc), given)
    given["channel"].close()
    wanted = expected[2]["serving_default"](images=images)["median"]
    np.testing.assert_allclose(given["median"], wanted, rtol=1e-3)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_page_s_requests_by_curl_are_answered(server, images, tmp_path):
    (tmp_path / "row.json").write_text(
        json.dumps({"instances": [{"images": images[0].tolist()}]})
    )
    (lines,) = (block for block in blocks("bash") if "curl" in block)
    calls = [line for line in lines.splitlines() if line.startswith("curl")]
    found = []
    for line in calls:
        command = shlex.split(line.replace("127.0.0.1:8501", server.rest))
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
        found.append(json.loads(done.stdout))
    assert len(found[0]["predictions"]) == 1
    assert found[1]["outputs"]["contract"] == 1
    assert found[2]["model_version_status"]
