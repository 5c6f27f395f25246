"""gRPC calls that are wrong, each in its own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from serving.clients import PREDICT

_SERVICE = "/tensorflow.serving."


@dataclass(frozen=True)
class Call:
    """A call as it goes over the wire."""

    kind: str
    method: str
    message: bytes
    metadata: tuple[tuple[str, str], ...] = ()


Request = predict_pb2.PredictRequest


def _text(rng: np.random.Generator, longest: int) -> str:
    """Return letters of any alphabet, as many as any up to `longest`."""
    codes = rng.integers(33, 0xD7FF, int(longest ** rng.uniform()))
    return "".join(map(chr, codes))


def another_type(request: Request, rng: np.random.Generator) -> None:
    """Declare another type than the numbers have."""
    others = {*types_pb2.DataType.values(), 12345, -3} - {types_pb2.DT_FLOAT}
    request.inputs["images"].dtype = int(rng.choice(sorted(others)))


def another_rank(request: Request, rng: np.random.Generator) -> None:
    """Declare more or fewer axes."""
    dims = request.inputs["images"].tensor_shape.dim
    if rng.uniform() < 0.5:
        del dims[int(rng.integers(len(dims))) :]
    else:
        for _ in range(int(rng.integers(1, 300))):
            dims.add().size = 1


def no_shape(request: Request, rng: np.random.Generator) -> None:
    """Declare no shape, or sizes below zero."""
    shape = request.inputs["images"].tensor_shape
    shape.unknown_rank = True
    if rng.uniform() < 0.5:
        shape.unknown_rank = False
        shape.dim[0].size = -int(rng.integers(1, 2**62))


def lying_rows(request: Request, rng: np.random.Generator) -> None:
    """Declare more rows than there are bytes, up to what no machine holds."""
    size = int(rng.choice([0, 2, 255, 256, 257, 2**31, 10**12, 2**62]))
    request.inputs["images"].tensor_shape.dim[0].size = size


def lying_bytes(request: Request, rng: np.random.Generator) -> None:
    """Leave bytes out, put some in, or send none."""
    tensor = request.inputs["images"]
    content = tensor.tensor_content
    end = int(rng.integers(len(content)))
    tensor.tensor_content = content[:end] if rng.uniform() < 0.7 else content + b"1234"


def too_many_numbers(request: Request, rng: np.random.Generator) -> None:
    """Send numbers one by one, more than declared."""
    tensor = request.inputs["images"]
    tensor.float_val.extend([1.0] * (len(tensor.tensor_content) // 4 + 1))
    tensor.tensor_content = b""


def other_names(request: Request, rng: np.random.Generator) -> None:
    """Send inputs of other names, long ones and many."""
    for _ in range(int(200 ** rng.uniform())):
        request.inputs[_text(rng, 2000)].dtype = types_pb2.DT_FLOAT
    if rng.uniform() < 0.5:
        del request.inputs["images"]


def other_model(request: Request, rng: np.random.Generator) -> None:
    """Ask for a model that is not here."""
    request.model_spec.name = "" if rng.uniform() < 0.1 else _text(rng, 100_000)


def other_version(request: Request, rng: np.random.Generator) -> None:
    """Ask for a version or label that is not here."""
    if rng.uniform() < 0.5:
        request.model_spec.version.value = int(rng.integers(1000, 2**62))
        request.model_spec.version.value *= int(rng.choice([-1, 1]))
    else:
        request.model_spec.version_label = _text(rng, 100_000)


def other_signature(request: Request, rng: np.random.Generator) -> None:
    """Ask for a signature that is not here."""
    request.model_spec.signature_name = _text(rng, 100_000)


def signature_without_its_inputs(request: Request, rng: np.random.Generator) -> None:
    """Ask another signature with the inputs of this one."""
    names = ("samples", "log_prob", "metadata")
    request.model_spec.signature_name = str(rng.choice(names))


def other_outputs(request: Request, rng: np.random.Generator) -> None:
    """Wish for outputs that are not here."""
    request.output_filter.extend(_text(rng, 1000) for _ in range(3))


CHANGES = (
    *(another_type, another_rank, no_shape, lying_rows, lying_bytes, too_many_numbers),
    *(other_names, other_model, other_version, other_signature),
    *(signature_without_its_inputs, other_outputs),
)


def _cut(message: bytes, rng: np.random.Generator) -> bytes:
    return message[: int(rng.integers(len(message)))]


def _noise(message: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(5000 ** rng.uniform()))


def _nested(message: bytes, rng: np.random.Generator) -> bytes:
    """Return tensors within tensors, deeper than any reader follows."""
    inner = b""
    for _ in range(int(rng.integers(60, 1500))):
        # TensorProto.variant_val, VariantTensorDataProto.tensors
        inner = _field(15, _field(3, inner))
    return message + _field(2, _field(1, b"deep") + _field(2, inner))


def _field(number: int, content: bytes) -> bytes:
    size, head = len(content), [number << 3 | 2]
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + content


RAW = {"cut short": _cut, "noise": _noise, "nested": _nested}


def draw_call(message: bytes, rng: np.random.Generator) -> Call:
    """Return a wrong call, made of a right message of one row."""
    which = int(rng.integers(len(CHANGES) + len(RAW) + 3))
    if which < len(CHANGES):
        request = Request.FromString(message)
        CHANGES[which](request, rng)
        return Call(CHANGES[which].__name__, PREDICT, request.SerializeToString())
    which -= len(CHANGES)
    if which < len(RAW):
        kind = list(RAW)[which]
        return Call(kind, PREDICT, RAW[kind](message, rng))
    return (_other_method, _other_question, _huge_headers)[which - len(RAW)](
        message, rng
    )


def _other_method(message: bytes, rng: np.random.Generator) -> Call:
    names = ("Classify", "Regress", "MultiInference", "Predict2", "")
    method = f"{_SERVICE}PredictionService/{rng.choice(names)}"
    return Call("another method", method, message)


def _other_question(message: bytes, rng: np.random.Generator) -> Call:
    if rng.uniform() < 0.5:
        status = get_model_status_pb2.GetModelStatusRequest()
        status.model_spec.name = _text(rng, 1000)
        method, request = "ModelService/GetModelStatus", status
    else:
        metadata = get_model_metadata_pb2.GetModelMetadataRequest()
        metadata.model_spec.name = _text(rng, 1000)
        metadata.metadata_field.extend(_text(rng, 50) for _ in range(3))
        method, request = "PredictionService/GetModelMetadata", metadata
    raw = request.SerializeToString()
    return Call("another question", _SERVICE + method, raw)


def _huge_headers(message: bytes, rng: np.random.Generator) -> Call:
    size = int(rng.integers(30_000, 200_000))
    return Call("huge headers", PREDICT, message, (("x-much", "a" * size),))
