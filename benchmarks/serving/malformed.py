"""Thousands of requests that are wrong: each is refused, and the server lives on."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress

import grpc
import numpy as np

from serving.malformed_bodies import Sent, draw_body
from serving.malformed_calls import Call, draw_call

#: Seconds until a request that the server takes for unfinished is given up.
PATIENCE_S = 10

#: Endings that say whose fault it was; no answer at all is none of them.
REFUSED = frozenset(
    {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"}
)


def ask_wrongly(
    grpc_address: str, rest_address: str, model: str, message: bytes, n: int, seed: int
) -> Iterator[tuple[str, str, bool]]:
    """Send so many wrong requests, half by gRPC and half by HTTP.

    Parameters
    ----------
    grpc_address, rest_address : str
        ``HOST:PORT``.
    model : str
        Its name.
    message : bytes
        A right request, of one row.
    n : int
        How many.
    seed : int
        Of what is wrong with them.

    Yields
    ------
    kind, ending : str
        What was wrong, and gRPC's code or HTTP's status.
    refused : bool
        Whether that is how a wrong request should end.
    """
    rng = np.random.default_rng(seed)
    host, _, port = rest_address.rpartition(":")
    with closing(grpc.insecure_channel(grpc_address)) as channel:
        for i in range(n):
            if i % 2:
                call = draw_call(message, rng)
                code = _code(channel, call)
                yield call.kind, code, code in REFUSED
            else:
                sent = draw_body(model, rng)
                status = _status((host, int(port)), sent)
                yield sent.kind, status, status.startswith("4")


def _code(channel: grpc.Channel, call: Call) -> str:
    try:
        channel.unary_unary(call.method)(call.message, 60, metadata=call.metadata)
    except grpc.RpcError as error:
        return error.code().name
    return "OK"


def _status(address: tuple[str, int], sent: Sent) -> str:
    """Return the status of an answer; ``none`` if the connection just ends."""
    with closing(socket.create_connection(address, 60)) as connection:
        head = b""
        # some are refused before all of it is read
        with suppress(ConnectionError):
            connection.sendall(sent.raw)
        connection.settimeout(PATIENCE_S)
        with suppress(ConnectionError, TimeoutError):
            head = connection.recv(100)
    words = head.split()
    return words[1].decode() if head.startswith(b"HTTP/") else "none"


def table(endings: Counter) -> list[tuple[str, ...]]:
    """Return rows of kind, and how often it ended how."""
    kinds = sorted({kind for kind, _ in endings})
    return [
        (
            kind,
            ", ".join(f"{e} {n}" for (k, e), n in sorted(endings.items()) if k == kind),
        )
        for kind in kinds
    ]
