"""The server by gRPC: TensorFlow Serving's PredictionService and ModelService."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    status_pb2,
)

from clusterkeras.serving.server.inputs import array_of_proto, check_names
from clusterkeras.serving.server.refused import RefusedError, bad, unknown
from clusterkeras.serving.server.servicer import DEFAULT_SIGNATURE, Asked, Servicer

logger = logging.getLogger(__name__)

#: All that `GetModelMetadata` can be asked for.
_FIELD = "signature_def"


def asked_by(spec: model_pb2.ModelSpec) -> Asked:
    """Return what a message asks for."""
    choice = spec.WhichOneof("version_choice")
    return Asked(
        spec.name,
        spec.version.value if choice == "version" else None,
        spec.version_label if choice == "version_label" else None,
        spec.signature_name or DEFAULT_SIGNATURE,
    )


def _fill(proto: tensor_pb2.TensorProto, values: np.ndarray) -> None:
    """Write an array, as TensorFlow does, which takes ten times as long."""
    if values.dtype.kind == "O":
        proto.CopyFrom(tf.make_tensor_proto(values))
        return
    proto.dtype = tf.as_dtype(values.dtype).as_datatype_enum
    for size in values.shape:
        proto.tensor_shape.dim.add().size = size
    proto.tensor_content = values.tobytes()


async def _told(call: Awaitable[Any], context: grpc.aio.ServicerContext) -> Any:
    """Return an answer, or end the call with what is wrong."""
    try:
        return await call
    except RefusedError as error:
        await context.abort(error.code, error.message)
    except Exception:
        logger.exception("a request failed by a fault of the server's")
        await context.abort(
            grpc.StatusCode.INTERNAL, "the server failed; its log says how"
        )


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` and `GetModelMetadata`; the other calls have no place here.

    Parameters
    ----------
    servicer : Servicer
        Answers.
    """

    def __init__(self, servicer: Servicer) -> None:
        self._servicer = servicer

    async def Predict(  # noqa: N802 (the protocol's name)
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Answer rows."""
        return await _told(self._predict(request), context)

    async def _predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        asked = asked_by(request.model_spec)

        def read(
            specs: Mapping[str, tf.TensorSpec], most_rows: int
        ) -> dict[str, np.ndarray]:
            check_names(request.inputs, specs)
            return {
                name: array_of_proto(name, request.inputs[name], spec, most_rows)
                for name, spec in specs.items()
            }

        outputs, version = await self._servicer.predict(
            asked, read, request.output_filter
        )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = asked.model
        response.model_spec.version.value = version.number
        response.model_spec.signature_name = asked.signature
        for name, values in outputs.items():
            _fill(response.outputs[name], values)
        return response

    async def GetModelMetadata(  # noqa: N802
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.aio.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Say what the signatures take and give."""
        return await _told(self._metadata(request), context)

    async def _metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        if list(request.metadata_field) != [_FIELD]:
            raise bad(
                f"metadata_field: expected {_FIELD!r}; received "
                f"{list(request.metadata_field)}"
            )
        version = self._servicer.pick(asked_by(request.model_spec))
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.version.value = version.number
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in version.definitions.items():
            definitions.signature_def[name].CopyFrom(definition)
        response.metadata[_FIELD].Pack(definitions)
        return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """`GetModelStatus`; what is served is for the directory to say.

    Parameters
    ----------
    servicer : Servicer
        Has the models.
    """

    def __init__(self, servicer: Servicer) -> None:
        self._servicer = servicer

    async def GetModelStatus(  # noqa: N802
        self,
        request: get_model_status_pb2.GetModelStatusRequest,
        context: grpc.aio.ServicerContext,
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Say which versions are served."""
        return await _told(self._status(request), context)

    async def _status(
        self, request: get_model_status_pb2.GetModelStatusRequest
    ) -> get_model_status_pb2.GetModelStatusResponse:
        asked = asked_by(request.model_spec)
        states = self._servicer.versions(asked.model).states
        if asked.label is not None:
            states = {n: states[n] for n in [self._servicer.pick(asked).number]}
        elif asked.version is not None:
            if asked.version not in states:
                raise unknown(f"{asked.model}: no version {asked.version}")
            states = {asked.version: states[asked.version]}
        response = get_model_status_pb2.GetModelStatusResponse()
        kinds = get_model_status_pb2.ModelVersionStatus
        for number, (state, reason) in sorted(states.items(), reverse=True):
            one = response.model_version_status.add()
            one.version = number
            one.state = kinds.State.Value(state)
            one.status.CopyFrom(
                status_pb2.StatusProto(
                    error_code=2 if reason else 0, error_message=reason
                )
            )
        return response


class _Reader(grpc.aio.ServerInterceptor):
    """Refuse what is no message, and calls of which there is only the name.

    gRPC calls both an unknown fault.
    """

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Read a request where it can be refused."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        here = inspect.iscoroutinefunction(handler.unary_unary)

        async def read(raw: bytes, context: grpc.aio.ServicerContext) -> Any:
            if not here:
                await context.abort(
                    grpc.StatusCode.UNIMPLEMENTED,
                    f"{handler_call_details.method}: expected Predict, "
                    "GetModelMetadata or GetModelStatus",
                )
            try:
                request = handler.request_deserializer(raw)
            except DecodeError as error:
                await context.abort(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"request: expected a message of {handler_call_details.method}; "
                    f"received {len(raw)} bytes that are none: {error}",
                )
            return await handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            read, response_serializer=handler.response_serializer
        )


class _Guard(grpc.aio.ServerInterceptor):
    """Let calls through that know the token."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        self._allowed = allowed

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """Refuse a call without it."""
        given = dict(handler_call_details.invocation_metadata).get("authorization", "")
        if self._allowed(given):
            return await continuation(handler_call_details)

        async def refuse(request: Any, context: grpc.aio.ServicerContext) -> None:
            await context.abort(
                grpc.StatusCode.UNAUTHENTICATED,
                "authorization: expected 'Bearer' and the server's token",
            )

        return grpc.unary_unary_rpc_method_handler(refuse)


def grpc_server(
    servicer: Servicer,
    address: str,
    most_bytes: int,
    allowed: Callable[[str], bool] | None = None,
    credentials: grpc.ServerCredentials | None = None,
) -> tuple[grpc.aio.Server, int]:
    """Return a server that is ready to be started, and its port.

    Parameters
    ----------
    servicer : Servicer
        Answers.
    address : str
        ``HOST:PORT``; port 0 for any that is free.
    most_bytes : int
        Of a message.
    allowed : callable, optional
        Says whether a value of ``authorization`` may ask; all may without.
    credentials : grpc.ServerCredentials, optional
        For TLS.

    Raises
    ------
    OSError
        If the port is taken.
    """
    server = grpc.aio.server(
        interceptors=[*([_Guard(allowed)] if allowed else []), _Reader()],
        options=[
            ("grpc.max_receive_message_length", most_bytes),
            ("grpc.max_send_message_length", -1),
            # two servers must not share a port by chance
            ("grpc.so_reuseport", 0),
        ],
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(servicer), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(
        ModelService(servicer), server
    )
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(
            f"{address}: gRPC cannot listen there: {str(error).rstrip('.')}. "
            "Name another host or port"
        ) from error
    return server, port
