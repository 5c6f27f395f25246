"""Inputs of a request held to what a signature takes, before anything is made of them.

Every row is checked before it shares a batch with others' rows, and every declared size
before there is memory for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2

from clusterkeras.serving.arrays import as_array
from clusterkeras.serving.server.refused import bad

Specs = Mapping[str, tf.TensorSpec]

#: Where a message has the numbers of each type that a signature takes, one by one.
_FIELDS = {tf.float32: "float_val", tf.int32: "int_val"}


def check_names(given: Mapping[str, Any], specs: Specs) -> None:
    """Refuse inputs of other names.

    Raises
    ------
    RefusedError
        That says which are expected.
    """
    if set(given) != set(specs):
        raise bad(
            f"inputs: expected {', '.join(sorted(specs)) or 'none'}; received "
            f"{', '.join(sorted(given)) or 'none'}"
        )


def array_of_proto(
    name: str, proto: tensor_pb2.TensorProto, spec: tf.TensorSpec, most_rows: int
) -> np.ndarray:
    """Return the array of a message.

    Parameters
    ----------
    name : str
        Of the input, for the error.
    proto : TensorProto
        As sent.
    spec : tf.TensorSpec
        Type and shape that the signature takes.
    most_rows : int
        That a request may have.

    Raises
    ------
    RefusedError
        If it is of another type or shape, has too many rows or too few numbers.
    """
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_shape.unknown_rank or min(shape, default=0) < 0:
        raise bad(f"{name}: expected a shape; received one that is not known")
    if proto.dtype != spec.dtype.as_datatype_enum:
        known = proto.dtype in tensor_dtypes()
        received = tf.as_dtype(proto.dtype).name if known else f"type {proto.dtype}"
        raise bad(f"{name}: expected {spec.dtype.name}; received {received}")
    _check_shape(name, shape, spec, most_rows)
    numbers = int(np.prod(shape))
    fields = {f.name for f, _ in proto.ListFields() if f.name.endswith("_val")}
    other = fields - {_FIELDS[spec.dtype]}
    if other or (fields and proto.tensor_content):
        # TensorFlow leaves them aside, and takes zeros where nothing else is
        raise bad(
            f"{name}: expected {spec.dtype.name} in tensor_content or "
            f"{_FIELDS[spec.dtype]}; received {', '.join(sorted(fields))}"
            f"{' beside tensor_content' if proto.tensor_content else ''}"
        )
    if proto.tensor_content:
        wanted = numbers * spec.dtype.size
        if len(proto.tensor_content) != wanted:
            raise bad(
                f"{name}: expected {wanted} bytes of shape {tuple(shape)}; received "
                f"{len(proto.tensor_content)}"
            )
        return tf.make_ndarray(proto)
    # one stands for all, as in TensorFlow's clients; that some stand for the rest as
    # well, as TensorFlow has it, is what a message cut short would be
    received = len(getattr(proto, _FIELDS[spec.dtype]))
    if received not in (numbers, min(numbers, 1)):
        raise bad(
            f"{name}: expected {numbers} numbers of shape {tuple(shape)}, or one for "
            f"all; received {received or 'none'}"
        )
    return tf.make_ndarray(proto)


def tensor_dtypes() -> frozenset[int]:
    """Return the numbers of the types that TensorFlow has."""
    from tensorflow.core.framework import types_pb2

    return frozenset(types_pb2.DataType.values()) - {types_pb2.DT_INVALID}


def array_of_json(
    name: str, value: Any, spec: tf.TensorSpec, most_rows: int
) -> np.ndarray:
    """Return the array of nested lists.

    Parameters
    ----------
    name : str
        Of the input, for the error.
    value : object
        As JSON gave it.
    spec : tf.TensorSpec
        Type and shape that the signature takes.
    most_rows : int
        That a request may have.

    Raises
    ------
    RefusedError
        If it is no array of numbers of that shape.
    """
    if not isinstance(value, list):
        raise bad(f"{name}: expected nested lists of numbers; received {value!r:.60}")
    if len(value) > most_rows:
        raise _too_many(name, len(value), most_rows)
    if not value:
        # nothing tells the other sizes
        return np.zeros((0, *spec.shape[1:]), spec.dtype.as_numpy_dtype)
    try:
        array = as_array(name, value, spec.dtype.name)
    except ValueError as error:
        raise bad(str(error)) from error
    _check_shape(name, list(array.shape), spec, most_rows)
    return array


def check_rows(inputs: Mapping[str, np.ndarray]) -> int:
    """Return how many rows a request has, the same of each input; 0 without inputs.

    Raises
    ------
    RefusedError
        If they differ.
    """
    rows = {name: len(array) for name, array in inputs.items()}
    if len(set(rows.values())) > 1:
        raise bad(f"inputs: expected as many rows of each; received {rows}")
    return next(iter(rows.values()), 0)


def _check_shape(
    name: str, shape: list[int], spec: tf.TensorSpec, most_rows: int
) -> None:
    if not spec.shape.is_compatible_with(shape):
        raise bad(
            f"{name}: expected {spec.dtype.name} of shape {spec.shape}; received shape "
            f"{tuple(shape)}"
        )
    if shape and shape[0] > most_rows:
        raise _too_many(name, shape[0], most_rows)


def _too_many(name: str, rows: int, most_rows: int) -> Exception:
    return bad(
        f"{name}: expected at most {most_rows} rows a request; received {rows}. Send "
        "them in several"
    )
