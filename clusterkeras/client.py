"""Ask a server of models, ours or TensorFlow Serving, for posteriors and catalogues.

Example, beside ``clusterkeras serve served/m83``::

    from clusterkeras import client, infer

    model = client.connect("127.0.0.1:8500", "m83")
    catalogue = infer(["F336W.fits", "F438W.fits", "F814W.fits"], "candidates.ecsv",
                      model=model)
    answers = model.ask("serving_default", images=images)
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from clusterkeras.serving.arrays import as_array
from clusterkeras.serving.contract import signatures
from clusterkeras.serving.served_model import Arrays, ServedModel

#: Rows and bytes of a request, which every server takes by default; more are asked in
#: several.
BATCH_ROWS = 256
BATCH_BYTES = 32 << 20

#: A request that was not taken, by a server that begins, is full or has just gone, is
#: sent again, later each time: some half a minute in all.
_RETRY = {
    "maxAttempts": 5,
    "initialBackoff": "1s",
    "maxBackoff": "15s",
    "backoffMultiplier": 3,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
}
#: How a client of gRPC begins: the words of HTTP/2, and a frame of no settings, which
#: is answered with one of type 4 (RFC 9113, sections 3.4 and 6.5).
_BEGINNING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS = 4

#: gRPC sends nothing again that it has not kept.
_KEPT_BYTES = 1 << 30


def connect(
    address: str,
    model: str,
    *,
    version: int | None = None,
    token: str | None = None,
    certificate: str | Path | None = None,
    timeout_s: float = 120.0,
) -> RemoteModel:
    """Connect to a served model.

    Parameters
    ----------
    address : str
        ``HOST:PORT`` of gRPC.
    model : str
        Name that it is served under.
    version : int, optional
        The newest if none is said. All answers are of that one: where it goes away,
        there is an error, and never a catalogue of two models.
    token : str, optional
        The server's secret.
    certificate : str or Path, optional
        PEM file with the certificate to trust, for TLS.
    timeout_s : float
        Longest wait for one answer, tries included.

    Returns
    -------
    RemoteModel
        Takes the place of a model in `clusterkeras.infer` and its kin.

    Raises
    ------
    ConnectionError
        If no server answers there, or one that speaks no gRPC, which is told at once.
    PermissionError
        If it wants another token.
    ValueError
        If it has no such model or version, or one of another contract.
    """
    options = [
        ("grpc.service_config", json.dumps({"methodConfig": [_for_all(_RETRY)]})),
        ("grpc.per_rpc_retry_buffer_size", _KEPT_BYTES),
        ("grpc.retry_buffer_size", _KEPT_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
    ]
    if certificate is None:
        channel = grpc.insecure_channel(address, options)
    else:
        trusted = grpc.ssl_channel_credentials(Path(certificate).read_bytes())
        channel = grpc.secure_channel(address, trusted, options)
    _check_speaks_grpc(address, certificate)
    calls = _Calls(channel, address, model, token, timeout_s)
    try:
        return RemoteModel(calls, calls.newest() if version is None else version)
    except BaseException:
        channel.close()
        raise


def _check_speaks_grpc(address: str, certificate: str | Path | None) -> None:
    """Refuse an address where another protocol is spoken: gRPC would ask on and on.

    What does not answer, or not soon, may be a server that begins.
    """
    host, _, port = address.rpartition(":")
    answer = b""
    with suppress(OSError, ValueError):
        connection = socket.create_connection((host.strip("[]"), int(port)), 1.0)
        if certificate is not None:
            trust = ssl.create_default_context(cafile=certificate)
            trust.set_alpn_protocols(["h2"])
            connection = trust.wrap_socket(connection, server_hostname=host.strip("[]"))
        with connection:
            connection.sendall(_BEGINNING)
            answer = connection.recv(9)
    if len(answer) > 3 and answer[3] != _SETTINGS:
        raise ConnectionError(
            f"{address}: expected gRPC; received an answer in another protocol. Name "
            "the port of gRPC, not that of REST (`clusterkeras serve` says both; they "
            "are 8500 and 8501 by default), and the certificate of a server with TLS"
        )


def _for_all(policy: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": [{}], "retryPolicy": dict(policy)}


class _Calls:
    """Calls of one model, by number of version."""

    def __init__(
        self,
        channel: grpc.Channel,
        address: str,
        model: str,
        token: str | None,
        timeout_s: float,
    ) -> None:
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self.channel, self.address, self.model = channel, address, model
        self._service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._timeout_s = timeout_s

    def newest(self) -> int:
        """Return the number of the version that answers who names none."""
        return self._call("metadata", {}, None).model_spec.version.value

    def predict(self, signature: str, inputs: Arrays, version: int) -> Arrays:
        """Ask a signature of a version, in pieces if there are many rows."""
        import tensorflow as tf

        rows = max(_rows_of(signature, inputs), 1)
        row_bytes = sum(value.nbytes for value in inputs.values()) // rows
        most = min(BATCH_ROWS, max(BATCH_BYTES // max(row_bytes, 1), 1))
        found = []
        for first in range(0, rows, most):
            part = {k: v[first : first + most] for k, v in inputs.items()}
            outputs = self._call(signature, part, version).outputs
            found.append({k: tf.make_ndarray(v) for k, v in outputs.items()})
        if len(found) == 1:
            return found[0]
        return {k: np.concatenate([one[k] for one in found]) for k in found[0]}

    def _call(self, signature: str, inputs: Arrays, version: int | None) -> Any:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        request = predict_pb2.PredictRequest()
        request.model_spec.name = self.model
        request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(np.asarray(value)))
        try:
            return self._service.Predict(
                request, self._timeout_s, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise self._told(error) from error

    def _told(self, error: grpc.RpcError) -> Exception:
        """Return what went wrong as the error of a kind that Python has."""
        code, said = error.code(), f"{self.address}: {error.details()}"
        if code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND):
            return ValueError(said)
        if code == grpc.StatusCode.UNAUTHENTICATED:
            return PermissionError(f"{said}. Give the server's token")
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return TimeoutError(
                f"{said}: no answer within {self._timeout_s:g} s. Ask again, or wait "
                "longer (timeout_s)"
            )
        return ConnectionError(f"{said}. Is a server running there?")


def _rows_of(signature: str, inputs: Arrays) -> int:
    """Return how many rows are asked, or refuse what cannot be cut into pieces.

    The server sees pieces only, of which the surplus of one input would be none.
    """
    shapes = {name: value.shape for name, value in inputs.items()}
    if () in shapes.values() or len({shape[0] for shape in shapes.values()}) > 1:
        raise ValueError(
            f"{signature}: expected as many rows of each input; received the shapes "
            f"{shapes}"
        )
    return next(iter(shapes.values()), (0,))[0]


class RemoteModel(ServedModel):
    """A version of a model on a server; see `connect`.

    Parameters
    ----------
    calls : object
        Calls of the model.
    version : int
        Which one answers.
    """

    #: The server works on one batch while others are on their way.
    in_flight = 3

    def __init__(self, calls: _Calls, version: int) -> None:
        self._calls = calls

        def ask(signature: str, inputs: Arrays) -> Arrays:
            return calls.predict(signature, inputs, version)

        super().__init__(ask, f"{calls.address}/{calls.model}/{version}", version)

    def ask(self, signature: str, **inputs: Any) -> dict[str, NDArray]:
        """Ask a signature of the contract (docs/use/serving.md).

        Parameters
        ----------
        signature : str
            ``serving_default``, ``samples``, ``log_prob`` ...
        **inputs : array_like
            By name: numbers in any type that is turned into the signature's without
            loss of meaning (`clusterkeras.serving.arrays.as_array`), lists too.

        Returns
        -------
        dict of str to ndarray
            By name.

        Raises
        ------
        ValueError
            If they are no such numbers, or the server refuses them.
        ConnectionError, TimeoutError
            If it does not answer.
        """
        known = {
            tensor.name: tensor.dtype
            for one in signatures(self.tells_kinds, self.takes_context)
            if one.name == (signature or "serving_default")
            for tensor in one.inputs
        }
        arrays = {
            name: as_array(name, value, known[name])
            if name in known
            else np.asarray(value)
            for name, value in inputs.items()
        }
        return dict(self._ask(signature, arrays))

    def close(self) -> None:
        """End the connection."""
        self._calls.channel.close()
