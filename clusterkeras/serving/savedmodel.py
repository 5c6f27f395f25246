"""A trained model written as a SavedModel.

Whoever serves it needs TensorFlow alone: the posterior is in the graph as plain
operations.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from clusterkeras.model_files.model_file import find_model
from clusterkeras.network.layers.context import whole_context
from clusterkeras.network.loading import load_model
from clusterkeras.network.posterior_model import PosteriorModel
from clusterkeras.serving.beside import METADATA_FILE, SOURCE, WEIGHTS, weights_files
from clusterkeras.serving.contract import SAMPLES, about_model, signatures
from clusterkeras.serving.loading import reason_of
from clusterkeras.serving.warmup import WARMUP_FILE, write_warmup
from data_tools.running.output import whole_directory
from data_tools.running.plain_files import sha256_of, write_json
from data_tools.schema import CONTEXT

#: For people: the model's card.
CARD_FILE = "assets.extra/README.md"

#: TensorFlow Serving keeps versions in signed integers of 64 bits.
LAST_VERSION = 2**63 - 1


def export(
    model: PosteriorModel | str | Path,
    output: str | Path,
    name: str | None = None,
    version: int = 1,
    card: str | Path | None = None,
) -> Path:
    """Write a model as ``output/name/version``, the layout TensorFlow Serving reads.

    Its signatures are those of `clusterkeras.serving.contract`, with names, shapes and
    units: a summary of each row, the same where more is known than the pixels, draws,
    densities, and what the model is. The posterior is mixed with the flat prior, the
    more so the less the image is like the mocks; see
    `clusterkeras.network.posteriors.flat`. A batch whose shapes are not these, or whose
    inputs differ in length, is refused. A row with a band that has no data gets NaN;
    other rows never feel it.

    Beside them, in ``assets.extra``: one request of each signature for warm-up, and for
    people ``metadata.json`` and the model's card, if it has one. Of a model's file the
    metadata tell which it was: where ``name/version`` lies beside that file, `infer`
    asks the SavedModel in its place; see `clusterkeras.serving.beside`.

    Parameters
    ----------
    model : PosteriorModel, str or Path
        Trained model, or an ensemble: the name of one that ships, a ``.keras`` file, or
        the directory of a run; in Python also one in memory.
    output : str or Path
        Directory of the served models, in which ``NAME/VERSION`` is made; made itself
        if it is not there.
    name : str, optional
        Name the model is served under: letters, digits, ``.``, ``_``, ``-``; by
        default that of its target.
    version : int
        Version, from 1 to 2^63 - 1; one that exists is never overwritten.
    card : str or Path, optional
        A text about the model to go with it, such as the ``README.md`` beside its file.

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
    source = {}
    if isinstance(model, str | Path):
        # before it is read: of another file that appears meanwhile it is not the hash
        sha256 = sha256_of(find_model(model))
        model = load_model(model)
        plain = json.loads(json.dumps(model.get_config(), default=str))
        source = {SOURCE: {"sha256": sha256, "configuration": plain}}
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
            about = _write(model, part)
            write_warmup(model, name, part / WARMUP_FILE)
            about |= {WEIGHTS: weights_files(part), **source}
            write_json(part / METADATA_FILE, about)
            if card is not None:
                shutil.copy(card, part / CARD_FILE)
    except tf.errors.OpError as error:
        raise OSError(
            f"{final}: TensorFlow could not write it: {reason_of(error)}. Make room, "
            "then run the same again"
        ) from error
    return final


def _write(model: PosteriorModel, directory: Path) -> dict[str, Any]:
    """Write the graph; return what the model says of itself."""
    about = about_model(model)
    promised = signatures(model.tells_kinds, model.takes_context)
    specs = {
        one.name: tf.TensorSpec(one.sizes(about), one.dtype, name=one.name)
        for signature in promised
        for one in signature.inputs
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

    def conditioned_samples(
        images: tf.Tensor, seed: tf.Tensor, *context: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        given = dict(zip(told, context, strict=True))
        images, seed, *context = checked(images=images, seed=seed, **given)
        outputs = network(images, **dict(zip(told, context, strict=True)))
        draws = model.draw_from(outputs["posterior"], seed, SAMPLES)
        return {"samples": draws, "bad_pixels": outputs["bad_pixels"]}

    def log_prob(images: tf.Tensor, parameters: tf.Tensor) -> dict[str, tf.Tensor]:
        images, parameters = checked(images=images, parameters=parameters)
        outputs = network(images)
        log_prob = model.posterior(outputs["posterior"]).log_prob(parameters)
        return {"log_prob": log_prob, "bad_pixels": outputs["bad_pixels"]}

    stated = _as_tensors(about)
    # without inputs Keras wants it traced
    metadata = tf.function(
        lambda: {name: tf.constant(value) for name, value in stated.items()},
        input_signature=(),
    )
    metadata.get_concrete_function()

    # not `track(model)`: the endpoints bring their variables, it would save them twice
    archive = keras.export.ExportArchive()
    functions = {
        "serving_default": summary,
        "conditioned": conditioned,
        "samples": samples,
        "conditioned_samples": conditioned_samples,
        "log_prob": log_prob,
        "metadata": metadata,
    }
    for signature in promised:
        inputs = [specs[one.name] for one in signature.inputs]
        archive.add_endpoint(
            signature.name, functions[signature.name], input_signature=inputs or None
        )
    archive.write_out(directory, verbose=False)
    return about


def _as_tensors(about: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return what the signature ``metadata`` gives, as arrays."""
    parameters = about["parameters"]
    return {
        "contract": np.int32(about["contract"]),
        "name": np.array(about["name"], object),
        "bands": np.array(about["bands"], object),
        "pixel_scale_arcsec": np.float32(about["pixel_scale_arcsec"]),
        "parameters": np.array([p["name"] for p in parameters], object),
        "units": np.array([p["unit"] for p in parameters], object),
        "box": np.array([(p["low"], p["high"]) for p in parameters], np.float32),
        "kinds": np.array(about["kinds"], object),
        "stellar_models": np.array(about["stellar_models"], object),
        "json": np.array(json.dumps(about), object),
    }
