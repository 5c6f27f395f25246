"""One request of each signature, which TensorFlow Serving runs before others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from clusterkeras.network.layers.context import whole_context
from clusterkeras.network.posterior_model import PosteriorModel

#: Where TensorFlow Serving looks for requests to run before it serves.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def write_warmup(model: PosteriorModel, name: str, path: Path) -> None:
    """Write one request a signature, in the format TensorFlow Serving replays.

    Parameters
    ----------
    model : PosteriorModel
        What is served.
    name : str
        Under which it is.
    path : Path
        `WARMUP_FILE` of its directory.
    """
    images = np.zeros((1, *model.image_shape), np.float32)
    box = [model.target.box[parameter] for parameter in model.parameter_names]
    middle = np.mean(box, axis=1, dtype=np.float32)[None]
    inputs = {
        "serving_default": {"images": images},
        "samples": {"images": images, "seed": np.zeros(1, np.int32)},
        "log_prob": {"images": images, "parameters": middle},
        "metadata": {},
    }
    if model.takes_context:
        unknown = whole_context({}, 1, model.target)
        context = {name: value.numpy() for name, value in unknown.items()}
        inputs["conditioned"] = {"images": images, **context}
        inputs["conditioned_samples"] = {**inputs["samples"], **context}
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, tensors in inputs.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            for key, value in tensors.items():
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
