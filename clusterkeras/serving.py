"""A trained model as a SavedModel: signatures, warm-up requests, and how to load it.

Whoever serves it needs TensorFlow alone: the posterior is in the graph as plain
operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from clusterkeras.network.layers.context import whole_context
from clusterkeras.network.posterior_model import PosteriorModel
from data_tools.running.output import whole_directory
from data_tools.schema import CONTEXT

#: Draws that the signature ``samples`` gives a row.
SAMPLES = 256

#: TensorFlow Serving keeps versions in signed integers of 64 bits.
LAST_VERSION = 2**63 - 1

#: Where TensorFlow Serving looks for requests to run before it serves.
WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"


def export(
    model: PosteriorModel,
    output: str | Path,
    name: str | None = None,
    version: int = 1,
) -> Path:
    """Write a model as ``output/name/version``, the layout TensorFlow Serving reads.

    The signatures, all with the batch first and of any size:

    ``serving_default``
        ``images`` (B, px, px, bands) float32 [nJy per pixel] → ``p_cluster`` (B,),
        ``log_snr`` and ``log_snr_std`` (B,) [dex], ``median``, ``lower``, ``upper``
        (16, 84 %) and ``mean`` (B, P), ``covariance`` (B, P, P),
        ``log_mass_current`` (B, 3), median, 16 and 84 %, ``edge_share`` (B,),
        the largest share of the posterior at an edge of the training range,
        ``unlike_mocks`` (B,), log10 of the share of the training's mocks that are
        further out, and ``bad_pixels``; of a model that tells kinds apart ``kinds``
        (B, K), probabilities in the order of `data_tools.schema.KINDS`.
    ``samples``
        ``images`` and ``seed`` (B,) int32 → ``samples`` (B, 256, P). A row's draws
        depend on its own image and seed only.
    ``log_prob``
        ``images`` and ``parameters`` (B, P) → ``log_prob`` (B,), the natural log of
        the posterior density in the parameters' own units; minus infinity outside the
        model's box, NaN for parameters that are NaN.

    ``conditioned``
        Of a model that can be told what is known beside the pixels: ``images`` and all
        of `data_tools.schema.CONTEXT`, ``psf_fwhm_px`` and ``exposure_s`` (B, bands)
        float32, NaN for what is unknown, ``stellar_model`` (B,) int32, -1 for any →
        as ``serving_default``, which takes all as unknown.

    The posterior is mixed with the flat prior, the more so the less the image is like
    the mocks; see `clusterkeras.network.posteriors.flat`.

    All give ``bad_pixels`` (B,) int32: how many pixels of a row are no data and were
    filled. A row with a band that has none gets NaN; other rows never feel it. A batch
    whose shapes are not these, or whose inputs differ in length, is refused.

    The parameters, P = 4, are those of `data_tools.schema.PARAMETERS`, in that order
    and in those units. One request of each signature is added for warm-up.

    Parameters
    ----------
    model : PosteriorModel
        Trained model, or an ensemble; on the command line the name of one that ships,
        a ``.keras`` file, or the directory of a run.
    output : str or Path
        Directory of the served models, in which ``NAME/VERSION`` is made; made itself
        if it is not there.
    name : str, optional
        Name the model is served under: letters, digits, ``.``, ``_``, ``-``; by
        default that of its target.
    version : int
        Version, from 1 to 2^63 - 1; one that exists is never overwritten.

    Returns
    -------
    Path
        The new directory. It appears whole or not at all: it is written under another
        name, which a server does not read, and then renamed.

    Raises
    ------
    FileExistsError
        If this version exists.
    OSError
        If it can't be written, a full disk for one.
    ValueError
        On a bad name or version, or if `model` is another Keras model.

    Examples
    --------
    >>> from clusterkeras import ClusterModel, ModelConfig, export
    >>> from data_tools import Target
    >>> config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
    >>> model = ClusterModel(Target.load("m83-wfc3-uvis"), config)
    >>> export(model, "served", "m83", 1).name
    '1'
    """
    if not isinstance(model, PosteriorModel):
        raise ValueError(
            "export: expected a ClusterModel or an Ensemble; received "
            f"{type(model).__name__}"
        )
    if name is None:
        # a target's name is any text
        name = re.sub("[^A-Za-z0-9._-]+", "-", model.target.name).strip("._-")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{,127}", name):
        raise ValueError(
            "export: name must be letters, digits and any of . _ -, 128 at most; "
            f"received {name!r}"
        )
    if type(version) is not int or not 1 <= version <= LAST_VERSION:
        raise ValueError(
            f"export: version must be a whole number from 1 to {LAST_VERSION}; "
            f"received {version!r}"
        )
    directory = Path(output) / name
    final = directory / str(version)
    if final.exists():
        raise FileExistsError(
            f"{final}: this version exists and is never overwritten; export another "
            "version"
        )
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with whole_directory(final) as part:
            _write(model, part)
            _write_warmup(model, name, part / WARMUP_FILE)
    except tf.errors.OpError as error:
        raise OSError(
            f"{final}: TensorFlow could not write it: {_reason(error)}. Make room, "
            "then run the same again"
        ) from error
    return final


def load_savedmodel(
    directory: str | Path,
) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
    """Load a SavedModel's signatures, which take and give tensors by name.

    Parameters
    ----------
    directory : str or Path
        What `export` returned.

    Returns
    -------
    dict of str to callable
        ``serving_default``, ``samples``, ``log_prob`` and, of a model that can be told
        more than images, ``conditioned``; see `export`.

    Raises
    ------
    FileNotFoundError
        If there is no SavedModel in the directory.
    ValueError
        If it cannot be read, or was not written by `export`.
    """
    directory = Path(directory)
    if not (directory / "saved_model.pb").is_file():
        raise FileNotFoundError(
            f"{directory}: expected a SavedModel, NAME/VERSION as `clusterkeras "
            "export` writes it; no saved_model.pb in it"
        )
    try:
        loaded = tf.saved_model.load(str(directory))
    except Exception as error:  # damage can make its reader raise anything
        raise ValueError(
            f"{directory}: not readable, export it again: {_reason(error)}"
        ) from error
    expected = {"serving_default", "samples", "log_prob"}
    if not expected <= set(loaded.signatures):
        raise ValueError(
            f"{directory}: expected the signatures {sorted(expected)}; received "
            f"{sorted(loaded.signatures)}"
        )
    # the signatures hold the variables only as long as the loaded object lives
    return {name: _Signature(loaded, name) for name in loaded.signatures}


def _reason(error: Exception) -> str:
    """Return the first line of an error, or its name."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


class _Signature:
    """One signature of a loaded SavedModel, which it keeps alive."""

    def __init__(self, loaded: Any, name: str) -> None:
        self._loaded, self._name = loaded, name
        self._function = loaded.signatures[name]

    def __call__(self, **inputs: Any) -> dict[str, tf.Tensor]:
        """Run it.

        Raises
        ------
        ValueError
            If an input is missing, too much, or of another shape or type.
        """
        specs = self._function.structured_input_signature[1]
        if set(inputs) != set(specs):
            raise ValueError(
                f"{self._name}: expected the inputs {sorted(specs)}; received "
                f"{sorted(inputs)}"
            )
        tensors = {name: _as_tensor(inputs[name], spec) for name, spec in specs.items()}
        rows = {name: tensor.shape[0] for name, tensor in tensors.items()}
        if len(set(rows.values()) - {None}) > 1:
            raise ValueError(
                f"{self._name}: expected as many rows of each input; received {rows}"
            )
        return self._function(**tensors)


def _as_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Return an input in the type its signature wants, or refuse it."""
    given = value if tf.is_tensor(value) else np.asarray(value)
    received = tf.TensorSpec(given.shape, given.dtype)
    of_kind = received.dtype.is_integer or (
        spec.dtype.is_floating and received.dtype.is_floating
    )
    if not of_kind or not spec.shape.is_compatible_with(received.shape):
        raise ValueError(
            f"{spec.name}: expected {spec.dtype.name} of shape {spec.shape}; received "
            f"{received.dtype.name} of shape {received.shape}"
        )
    tensor = tf.cast(given, spec.dtype)
    changed = spec.dtype.is_integer and received.dtype != spec.dtype
    if changed and not np.array_equal(tensor, given):
        raise ValueError(
            f"{spec.name}: expected {spec.dtype.name}, from {spec.dtype.min} to "
            f"{spec.dtype.max}; received a number beyond"
        )
    return tensor


def _write(model: PosteriorModel, directory: Path) -> None:
    px, _, bands = model.image_shape
    shapes = {
        "images": (model.image_shape, tf.float32),
        "seed": ((), tf.int32),
        "parameters": ((len(model.parameter_names),), tf.float32),
        **{one.name: (one.sizes(px, bands), one.dtype) for one in CONTEXT},
    }
    specs = {
        name: tf.TensorSpec((None, *shape), dtype, name=name)
        for name, (shape, dtype) in shapes.items()
    }

    # in the file once for all signatures, with the tables it holds
    told = [one.name for one in CONTEXT] if model.takes_context else []
    whole = tf.function(
        lambda *inputs: model(
            dict(zip(("images", *told), inputs, strict=True)), training=False
        ),
        input_signature=[specs[name] for name in ("images", *told)],
    )

    def network(images: tf.Tensor, **context: tf.Tensor) -> dict[str, tf.Tensor]:
        context = whole_context(context, tf.shape(images)[0], model.target)
        return whole(images, *(context[name] for name in told))

    def checked(**inputs: tf.Tensor) -> list[tf.Tensor]:
        """Return the inputs if they have the shapes of a signature, row for row."""
        for name, values in inputs.items():
            # at the call too: what feeds a server need not heed the specification
            inputs[name] = tf.ensure_shape(values, specs[name].shape)
            tf.debugging.assert_equal(
                tf.shape(values)[0],
                tf.shape(inputs["images"])[0],
                f"{name}: expected as many rows as images",
            )
        return list(inputs.values())

    def summary(images: tf.Tensor) -> dict[str, tf.Tensor]:
        (images,) = checked(images=images)
        return model.summarise_outputs(network(images))

    def conditioned(images: tf.Tensor, *context: tf.Tensor) -> dict[str, tf.Tensor]:
        given = checked(images=images, **dict(zip(told, context, strict=True)))
        images, *context = given
        outputs = network(images, **dict(zip(told, context, strict=True)))
        return model.summarise_outputs(outputs)

    def samples(images: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        images, seed = checked(images=images, seed=seed)
        outputs = network(images)
        draws = model.draw_from(outputs["posterior"], seed, SAMPLES)
        return {"samples": draws, "bad_pixels": outputs["bad_pixels"]}

    def log_prob(images: tf.Tensor, parameters: tf.Tensor) -> dict[str, tf.Tensor]:
        images, parameters = checked(images=images, parameters=parameters)
        outputs = network(images)
        log_prob = model.posterior(outputs["posterior"]).log_prob(parameters)
        return {"log_prob": log_prob, "bad_pixels": outputs["bad_pixels"]}

    # not `track(model)`: the endpoints bring their variables, it would save them twice
    archive = keras.export.ExportArchive()
    for name, signature, inputs in (
        ("serving_default", summary, ("images",)),
        ("samples", samples, ("images", "seed")),
        ("log_prob", log_prob, ("images", "parameters")),
        *([("conditioned", conditioned, ("images", *told))] if told else []),
    ):
        archive.add_endpoint(
            name, signature, input_signature=[specs[key] for key in inputs]
        )
    archive.write_out(directory, verbose=False)


def _write_warmup(model: PosteriorModel, name: str, path: Path) -> None:
    """Write one request a signature, in the format TensorFlow Serving replays."""
    images = np.zeros((1, *model.image_shape), np.float32)
    box = [model.target.box[parameter] for parameter in model.parameter_names]
    middle = np.mean(box, axis=1, dtype=np.float32)[None]
    inputs = {
        "serving_default": {"images": images},
        "samples": {"images": images, "seed": np.zeros(1, np.int32)},
        "log_prob": {"images": images, "parameters": middle},
    }
    if model.takes_context:
        unknown = whole_context({}, 1, model.target)
        context = {name: value.numpy() for name, value in unknown.items()}
        inputs["conditioned"] = {"images": images, **context}
    path.parent.mkdir()
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
