import shutil
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import numpy as np
import pytest
from astropy.table import QTable
from tensorflow_serving.apis import prediction_service_pb2_grpc

from clusterkeras import client
from clusterkeras.catalogue.infer import infer
from clusterkeras.commands.cli import main
from clusterkeras.config import InferenceConfig
from clusterkeras.serving.contract import SAMPLES
from clusterkeras.serving.loading import load_savedmodel
from data_tools.mocks.mock_mosaic import make_mosaic

PX = 16


@pytest.fixture(scope="module")
def model(server):
    connected = client.connect(server.grpc, "m83")
    yield connected
    connected.close()


@pytest.fixture(scope="module")
def images(served_images):
    return served_images


@pytest.fixture(scope="module")
def expected(served):
    return load_savedmodel(served / "2")


def test_a_remote_model_is_what_the_server_says_it_is(model, m83):
    assert model.target.bands == m83.bands and model.image_shape == (PX, PX, 3)
    assert model.takes_context and model.tells_kinds
    assert model.kind_shares.sum() == pytest.approx(1)
    assert model.loaded_by.endswith("/m83/2")


def test_signatures_are_asked_by_name(model, expected, images):
    found = model.ask("serving_default", images=images)
    wanted = expected["serving_default"](images=images)
    np.testing.assert_allclose(found["median"], wanted["median"], atol=1e-3)
    with pytest.raises(ValueError, match="expected images; received image"):
        model.ask("serving_default", image=images)


def test_lists_and_float64_are_asked_as_the_signature_has_them(model, images):
    seed = np.arange(len(images))
    wanted = model.ask("samples", images=images, seed=seed.astype(np.int32))["samples"]
    for given in (images.astype(float), images.tolist(), list(images)):
        found = model.ask("samples", images=given, seed=list(seed))["samples"]
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    with pytest.raises(ValueError, match="seed: expected numbers, int32"):
        model.ask("samples", images=images, seed=seed + 0.5)
    with pytest.raises(ValueError, match=r"images: expected float32 of shape"):
        model.ask("serving_default", images=images[..., :2].tolist())


def test_many_rows_are_asked_in_several_requests(model, expected, images):
    many = np.tile(images, (60, 1, 1, 1))
    assert len(many) > client.BATCH_ROWS
    found = model.ask("serving_default", images=many)["median"]
    wanted = expected["serving_default"](images=images)["median"]
    np.testing.assert_allclose(found, np.tile(wanted, (60, 1)), atol=1e-3)


def test_rows_of_many_pixels_are_asked_in_requests_of_few_bytes(
    model, expected, images, monkeypatch
):
    sent = []
    call = model._calls._call

    def counted(signature, inputs, version):
        sent.append(len(inputs["images"]))
        return call(signature, inputs, version)

    monkeypatch.setattr(model._calls, "_call", counted)
    wanted = expected["serving_default"](images=images)["median"]
    for row_bytes, pieces in ((images[0].nbytes * 2, [2, 2, 1]), (1, [1] * 5)):
        sent.clear()
        monkeypatch.setattr(client, "BATCH_BYTES", row_bytes)
        found = model.ask("serving_default", images=images)["median"]
        assert sent == pieces
        np.testing.assert_allclose(found, wanted, atol=1e-3)


@pytest.mark.parametrize("seeds", [257, 600, 0, None])
def test_inputs_of_unlike_rows_are_refused_however_many_pieces_they_make(
    model, images, seeds
):
    """A piece's rows can agree where those of the whole do not."""
    many = np.resize(images, (client.BATCH_ROWS, *images.shape[1:]))
    seed = np.int32(3) if seeds is None else np.arange(seeds, dtype=np.int32)
    with pytest.raises(ValueError, match="samples: expected as many rows of each"):
        model.ask("samples", images=many, seed=seed)
    with pytest.raises(ValueError, match="samples: expected as many rows of each"):
        model.ask("samples", seed=seed, images=many)


def test_a_catalogue_s_question_is_answered_with_what_is_known(model, expected, images):
    network = model.network(draws=10, by_stellar_model=True)
    seeds = np.arange(5, dtype=np.int32)
    context = {"psf_fwhm_px": np.full((5, 3), 2.0), "stellar_model": np.full(5, 1)}
    found = network(images, seeds, context)
    told = {
        "psf_fwhm_px": np.full((5, 3), 2.0, np.float32),
        "exposure_s": np.full((5, 3), np.nan, np.float32),
        "stellar_model": np.full(5, 1, np.int32),
    }
    wanted = expected["conditioned"](images=images, **told)
    drawn = expected["conditioned_samples"](images=images, seed=seeds, **told)
    np.testing.assert_allclose(found["mean"], wanted["mean"], atol=1e-3)
    np.testing.assert_allclose(found["draws"], drawn["samples"][:, :10], atol=1e-3)
    under = found["by_stellar_model"]
    assert under.shape == (5, 3, 2, 3)
    np.testing.assert_allclose(under[:, 1, 0, 0], wanted["median"][:, 0], atol=1e-3)
    with pytest.raises(ValueError, match=f"at most {SAMPLES}"):
        model.network(draws=SAMPLES + 1)


def test_a_catalogue_by_a_server_is_that_of_its_savedmodel(served, model):
    galaxy = make_mosaic(model.target, size_px=192, n=6, seed=1)
    settings = InferenceConfig(by_stellar_model=True, draws=16)
    local, remote = (
        infer(
            galaxy.mosaics,
            galaxy.truth,
            model=one,
            config=settings,
            draws=16,
            progress=False,
        )
        for one in (served / "2", model)
    )
    assert local.colnames == remote.colnames and len(remote) == 6
    for name in local.colnames:
        if local[name].dtype.kind == "f":
            wanted, found = (np.asarray(c[name], float) for c in (local, remote))
            np.testing.assert_allclose(found, wanted, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(remote.draws(0), local.draws(0), atol=1e-3)
    assert remote.meta["model"].endswith("/m83/2")


def test_the_command_asks_a_server(server, model, tmp_path, capsys):
    galaxy = make_mosaic(
        model.target, output=tmp_path / "mosaic", size_px=192, n=6, seed=1
    )
    assert galaxy is not None
    images = sorted(str(p) for p in (tmp_path / "mosaic").glob("F*.fits"))
    command = ["infer", "--images", *images, "-o", str(tmp_path / "out.ecsv")]
    command += ["--positions", str(tmp_path / "mosaic" / "truth.ecsv"), "--server"]
    assert main([*command, f"{server.grpc}/m83"]) == 0
    assert len(QTable.read(tmp_path / "out.ecsv")) == 6
    capsys.readouterr()
    assert main([*command, server.grpc]) != 0
    assert "expected --server HOST:PORT/NAME" in capsys.readouterr().err


def test_nobody_there_is_said_after_some_tries(monkeypatch):
    monkeypatch.setitem(client._RETRY, "initialBackoff", "0.01s")
    monkeypatch.setitem(client._RETRY, "maxBackoff", "0.05s")
    with pytest.raises(ConnectionError, match="Is a server running there"):
        client.connect("127.0.0.1:1", "m83")


@pytest.fixture
def answering():
    """Return what starts a server that gives one answer, and returns its address."""
    listeners = []

    def start(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run():
            with suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    connection.recv(100)
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=run, daemon=True).start()
        return f"127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x46"],
    ids=["REST", "TLS"],
)
def test_another_protocol_is_told_and_not_asked_again(answering, monkeypatch, answer):
    monkeypatch.setattr(client, "_Calls", None)  # nothing is asked
    with pytest.raises(ConnectionError, match=r"expected gRPC.*the port of gRPC, not"):
        client.connect(answering(answer), "m83")


def test_the_server_s_own_rest_port_is_told(server):
    client._check_speaks_grpc(server.grpc, None)
    with pytest.raises(ConnectionError, match="expected gRPC"):
        client.connect(server.rest, "m83")


@pytest.mark.parametrize("answer", [b"\0\0\0\4\0\0\0\0\0", b""], ids=["HTTP/2", "none"])
def test_what_speaks_http_2_or_nothing_is_asked(answering, answer):
    client._check_speaks_grpc(answering(answer), None)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "dns:///x:y"])
def test_what_does_not_listen_may_be_a_server_that_begins(address):
    client._check_speaks_grpc(address, None)


def test_a_model_that_is_not_there_is_said(server):
    with pytest.raises(
        ValueError, match="expected one of changing, m83; received 'm31'"
    ):
        client.connect(server.grpc, "m31")
    with pytest.raises(ValueError, match="expected a version of 1, 2; received 9"):
        client.connect(server.grpc, "m83", version=9)
    with pytest.raises(ValueError, match="expected a version of 1, 2; received 0"):
        client.connect(server.grpc, "m83", version=0)


class Answers(prediction_service_pb2_grpc.PredictionServiceServicer):
    """A server in this process, that is whatever model another is."""

    def __init__(self, other):
        self.other = other

    def Predict(self, request, context):  # noqa: N802
        """Answer as the other."""
        return self.other.predictions.Predict(request, 60)


def test_a_server_that_begins_is_waited_for(server, monkeypatch):
    """The port is known before the server listens on it."""
    begun = grpc.server(ThreadPoolExecutor(2))
    port = begun.add_insecure_port("127.0.0.1:0")
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Answers(server), begun
    )
    refused = []

    class Later(client._Calls):
        def _told(self, error):
            refused.append(error)
            return super()._told(error)

    monkeypatch.setattr(client, "_Calls", Later)
    monkeypatch.setitem(client._RETRY, "maxBackoff", "2s")
    timer = threading.Timer(1, begun.start)
    timer.start()
    try:
        connected = client.connect(f"127.0.0.1:{port}", "m83")
        assert connected.loaded_by.endswith("/m83/2") and not refused
        connected.close()
    finally:
        timer.join()
        begun.stop(None)


def test_answers_are_never_of_two_versions(server, changing, add_version, images):
    deadline = time.monotonic() + 60
    version = add_version()
    while version not in server.versions("changing"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    connected = client.connect(server.grpc, "changing")
    add_version()
    wanted = version * images.mean((1, 2, 3))
    with pytest.raises(ValueError, match=f"received {version}$"):
        while time.monotonic() < deadline:
            found = connected.ask("serving_default", images=images)["median"]
            np.testing.assert_allclose(found[:, 3], wanted, rtol=1e-5)
            if max(server.versions("changing")) > version:
                shutil.rmtree(changing / str(version), ignore_errors=True)
            time.sleep(0.05)
    connected.close()
