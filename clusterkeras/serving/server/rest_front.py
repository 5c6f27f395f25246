"""The server by HTTP: TensorFlow Serving's REST forms, health and metrics."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2

from clusterkeras.serving.server.inputs import array_of_json, check_names
from clusterkeras.serving.server.refused import HTTP_STATUS, RefusedError, bad, unknown
from clusterkeras.serving.server.servicer import DEFAULT_SIGNATURE, Asked, Servicer
from clusterkeras.serving.server.versions import describe_state
from data_tools.foreign.json_text import load_json

logger = logging.getLogger(__name__)

_MODEL = "/v1/models/{model:[^/:]+}"
_VERSION, _LABEL = r"/versions/{version:[0-9]{1,19}}", "/labels/{label:[^/:]+}"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestFront:
    """Answer HTTP requests.

    Parameters
    ----------
    servicer : Servicer
        Answers.
    ready : callable
        Says whether a version of every model is loaded.
    allowed : callable, optional
        Says whether a value of the header ``Authorization`` may ask; all may without.
        Health is told to everyone.
    """

    def __init__(
        self,
        servicer: Servicer,
        ready: Callable[[], bool],
        allowed: Callable[[str], bool] | None = None,
    ) -> None:
        self._servicer, self._ready, self._allowed = servicer, ready, allowed

    def application(self, most_bytes: int) -> web.Application:
        """Return the application, which takes bodies of so many bytes."""
        app = web.Application(client_max_size=most_bytes, middlewares=[self._guarded])
        for which in ("", _VERSION, _LABEL):
            app.router.add_post(f"{_MODEL}{which}:predict", self._predict)
            app.router.add_get(f"{_MODEL}{which}", self._status)
            app.router.add_get(f"{_MODEL}{which}/metadata", self._metadata)
        app.router.add_get("/monitoring/prometheus/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._readiness)
        return app

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        """Turn what is wrong into an answer."""
        try:
            given = request.headers.get("Authorization", "")
            if (
                self._allowed
                and not self._allowed(given)
                and request.path not in ("/healthz", "/readyz")
            ):
                raise RefusedError(
                    grpc.StatusCode.UNAUTHENTICATED,
                    "Authorization: expected 'Bearer' and the server's token",
                )
            return await handler(request)
        except RefusedError as error:
            return _error(HTTP_STATUS[error.code], error.message)
        except web.HTTPRequestEntityTooLarge as error:
            return _error(413, f"body: {error.text}. Send the rows in several requests")
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return _error(error.status, f"{request.method} {request.path}: {error}")
        except Exception:
            logger.exception("a request failed by a fault of the server's")
            return _error(500, "the server failed; its log says how")

    async def _predict(self, request: web.Request) -> web.Response:
        body = _body(await _read(request))
        forms = [form for form in ("instances", "inputs") if form in body]
        if len(forms) != 1:
            raise bad(
                "body: expected 'instances', a list of rows, or 'inputs', lists by "
                f"name; received the keys {', '.join(body) or 'none'}"
            )
        signature = body.get("signature_name", DEFAULT_SIGNATURE)
        if not isinstance(signature, str):
            raise bad(f"signature_name: expected a text; received {signature!r:.60}")
        asked = _asked(request, signature)
        by_row = forms == ["instances"]

        def read(
            specs: Mapping[str, tf.TensorSpec], most_rows: int
        ) -> dict[str, np.ndarray]:
            if by_row:
                columns = _columns(body["instances"], specs)
            else:
                columns = _by_name(body["inputs"], specs)
            check_names(columns, specs)
            return {
                name: array_of_json(name, columns[name], spec, most_rows)
                for name, spec in specs.items()
            }

        outputs, _ = await self._servicer.predict(asked, read)
        plain = {name: _plain(values) for name, values in outputs.items()}
        if not by_row:
            whole = next(iter(plain.values())) if len(plain) == 1 else plain
            return _json({"outputs": whole})
        if len(plain) == 1:
            return _json({"predictions": next(iter(plain.values()))})
        rows = zip(*plain.values(), strict=True)
        return _json(
            {"predictions": [dict(zip(plain, row, strict=True)) for row in rows]}
        )

    async def _status(self, request: web.Request) -> web.Response:
        asked = _asked(request)
        states = self._servicer.versions(asked.model).states
        if asked.label is not None:
            states = {n: states[n] for n in [self._servicer.pick(asked).number]}
        elif asked.version is not None:
            if asked.version not in states:
                raise unknown(f"{asked.model}: no version {asked.version}")
            states = {asked.version: states[asked.version]}
        told = [
            {"version": str(number), **describe_state(state)}
            for number, state in sorted(states.items(), reverse=True)
        ]
        return _json({"model_version_status": told})

    async def _metadata(self, request: web.Request) -> web.Response:
        asked = _asked(request)
        version = self._servicer.pick(asked)
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in version.definitions.items():
            definitions.signature_def[name].CopyFrom(definition)
        told = json_format.MessageToDict(definitions, preserving_proto_field_name=True)
        spec = {"name": asked.model, "version": str(version.number)}
        return _json(
            {"model_spec": spec, "metadata": {"signature_def": told}},
        )

    async def _metrics(self, request: web.Request) -> web.Response:
        text = self._servicer.metrics.text()
        return web.Response(body=text, content_type="text/plain", charset="utf-8")

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    async def _readiness(self, request: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(status=503, text="no version is loaded yet\n")


async def _read(request: web.Request) -> bytes:
    """Return the bytes of a body; one that says it is too large is not waited for."""
    if (request.content_length or 0) > request.client_max_size:
        raise web.HTTPRequestEntityTooLarge(
            request.client_max_size, request.content_length
        )
    try:
        return await request.read()
    except (web.RequestPayloadError, BadHttpMessage, zlib.error) as error:
        coding = request.headers.get("Content-Encoding", "identity")
        raise bad(f"body: expected one that is {coding}: {error}") from error


def _body(raw: bytes) -> dict[str, Any]:
    try:
        body = load_json(raw)
    except (ValueError, RecursionError) as error:
        raise bad(f"body: expected JSON: {error or type(error).__name__}") from error
    if not isinstance(body, dict):
        raise bad(f"body: expected an object; received {type(body).__name__}")
    return body


def _asked(request: web.Request, signature: str = DEFAULT_SIGNATURE) -> Asked:
    found = request.match_info
    version = found.get("version")
    return Asked(
        found["model"],
        None if version is None else int(version),
        found.get("label"),
        # an empty name is none, as for TensorFlow Serving
        signature or DEFAULT_SIGNATURE,
    )


def _columns(rows: Any, specs: Mapping[str, Any]) -> dict[str, list]:
    """Return rows as lists by name: a row is an object, or the value of the one input.

    Rows without a key that others have are refused by name.
    """
    if not isinstance(rows, list):
        raise bad(f"instances: expected a list of rows; received {rows!r:.60}")
    expected = ", ".join(sorted(specs)) or "nothing"
    if not all(isinstance(row, dict) for row in rows):
        if len(specs) == 1 and not any(isinstance(row, dict) for row in rows):
            return {next(iter(specs)): rows}
        raise bad(f"instances: expected an object with {expected} in each row")
    for i, row in enumerate(rows):
        if set(row) != set(specs):
            raise bad(
                f"instances, row {i}: expected {expected}; received "
                f"{', '.join(sorted(row)) or 'nothing'}"
            )
    return {name: [row[name] for row in rows] for name in specs}


def _by_name(inputs: Any, specs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs by name: an object, or the value of the one input."""
    if isinstance(inputs, dict):
        return inputs
    if len(specs) == 1:
        return {next(iter(specs)): inputs}
    raise bad(
        f"inputs: expected an object with {', '.join(sorted(specs)) or 'nothing'}; "
        f"received {type(inputs).__name__}"
    )


def _plain(values: np.ndarray) -> Any:
    """Return an array as JSON has it; NaN and infinity as themselves."""
    if values.dtype.kind == "O":
        return np.vectorize(bytes.decode, otypes=[object])(values).tolist()
    return values.tolist()


def _json(content: Any) -> web.Response:
    return web.Response(text=json.dumps(content), content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    """Return an error in TensorFlow Serving's form."""
    text = json.dumps({"error": message})
    return web.Response(status=status, text=text, content_type="application/json")
