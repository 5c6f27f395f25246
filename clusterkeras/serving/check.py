"""A SavedModel held to the contract: what it declares, and what it does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from clusterkeras.serving.beside import METADATA_FILE, WEIGHTS, weights_files
from clusterkeras.serving.contract import CONTRACT, Tensor, signatures
from clusterkeras.serving.loading import load_savedmodel
from clusterkeras.serving.warmup import WARMUP_FILE
from data_tools.running.plain_files import read_json

#: A row's answer may differ by so much, over its size or one, from that in another
#: batch: kernels add in another order there.
ROUNDING = 1e-3
#: Draws of one seed in another batch: but for those that rounding puts into another
#: component of a mixture.
_MOST_OTHER_DRAWS = 0.01
#: Fluxes in nJy per pixel whose answers have to be numbers.
_SIZES = (0.0, 1e-30, 1.0, 1e6, 1e17)
_ROWS = 5


def check_savedmodel(directory: str | Path) -> list[str]:
    """List what of a SavedModel is not as the contract has it.

    Looks at every tensor of every signature, at what it says of itself, at the hashes
    of its weights, at its requests for warm-up; and asks it: whether a row's answer
    depends on its neighbours, draws on their seed alone, gaps are flagged and leave
    others alone, and extreme fluxes give numbers.

    Parameters
    ----------
    directory : str or Path
        ``NAME/VERSION``, as ``clusterkeras export`` writes it.

    Returns
    -------
    list of str
        A line for each deviation; empty of a model that keeps the contract.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no SavedModel, or it cannot be read.
    """
    loaded = load_savedmodel(directory)
    if "metadata" not in loaded:
        return [
            "metadata: expected a signature of that name; the model is of before 0.2, "
            "export it again"
        ]
    about = json.loads(loaded["metadata"]()["json"].numpy().decode())
    if about["contract"] != CONTRACT:
        return [f"contract: expected version {CONTRACT}; received {about['contract']}"]
    found = list(_of_what_it_declares(loaded, about))
    # to ask what is not there would only say the same again
    return found or [
        *_of_weights(Path(directory)),
        *_of_warmup(Path(directory), loaded),
        *_of_answers(loaded, about),
    ]


def _of_weights(directory: Path) -> Iterator[str]:
    """Yield what of the weights is not as it was exported."""
    path = directory / METADATA_FILE
    if not path.is_file():
        yield f"{METADATA_FILE}: is missing"
        return
    exported, there = read_json(path).get(WEIGHTS, {}), weights_files(directory)
    for name in sorted(set(exported) | set(there)):
        if exported.get(name) != there.get(name):
            yield f"variables/{name}: is not the file that was exported"


def _of_what_it_declares(
    loaded: Mapping[str, Any], about: Mapping[str, Any]
) -> Iterator[str]:
    """Yield deviations of signatures and their tensors."""
    context = "conditioned" in about["signatures"]
    promised = {
        one.name: one for one in signatures(kinds=bool(about["kinds"]), context=context)
    }
    for name in sorted(set(promised) ^ set(loaded)):
        there = "is missing" if name in promised else "is none of the contract's"
        yield f"{name}: the signature {there}"
    for name in sorted(set(promised) & set(loaded)):
        signature, specs = promised[name], loaded[name].specs
        for side, wanted in (
            ("input", signature.inputs),
            ("output", signature.outputs),
        ):
            yield from _of_tensors(f"{name}, {side}", wanted, specs[side], about)


def _of_tensors(
    where: str,
    wanted: tuple[Tensor, ...],
    given: Mapping[str, tf.TensorSpec],
    about: Mapping[str, Any],
) -> Iterator[str]:
    names = {one.name for one in wanted}
    for name in sorted(names ^ set(given)):
        there = "is missing" if name in names else "is none of the contract's"
        yield f"{where} {name}: {there}"
    for one in wanted:
        if one.name not in given:
            continue
        spec = given[one.name]
        expected = tf.TensorSpec(one.sizes(about), one.dtype)
        if spec.dtype != expected.dtype or not expected.shape.is_compatible_with(
            spec.shape
        ):
            yield (
                f"{where} {one.name}: expected {expected.dtype.name} of shape "
                f"{expected.shape}; received {spec.dtype.name} of shape {spec.shape}"
            )


def _of_warmup(directory: Path, loaded: Mapping[str, Any]) -> Iterator[str]:
    """Yield deviations of the requests that a server runs first."""
    path = directory / WARMUP_FILE
    if not path.is_file():
        yield f"{WARMUP_FILE}: missing: a server's first answers will be slow"
        return
    asked = set()
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        name = request.model_spec.signature_name
        asked.add(name)
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        try:
            loaded[name](**inputs)
        except (KeyError, ValueError, tf.errors.OpError) as error:
            reason = str(error).partition("\n")[0]
            yield f"{WARMUP_FILE}: the request of {name} is not answered: {reason}"
    for name in sorted(set(loaded) - asked):
        yield f"{WARMUP_FILE}: expected a request of {name}; there is none"


def _of_answers(loaded: Mapping[str, Any], about: Mapping[str, Any]) -> Iterator[str]:
    """Yield deviations of what it answers."""
    images = _images(about)
    summary = loaded["serving_default"]
    together = _numbers(summary(images=images))
    apart = [_numbers(summary(images=images[i : i + 1])) for i in range(_ROWS)]
    for name, values in together.items():
        alone = np.concatenate([one[name] for one in apart])
        if not _alike(values, alone).all():
            yield f"serving_default, output {name}: depends on the rows beside it"
    yield from _of_draws(loaded["samples"], images)
    # a model that was saved without this score gives NaN for all
    scoreless = np.isnan(together["unlike_mocks"]).all()
    yield from _of_gaps(summary, images, together, scoreless)
    yield from _of_extremes(loaded, about, scoreless)
    none = _numbers(summary(images=images[:0]))
    for name, values in none.items():
        if len(values):
            yield f"serving_default, output {name}: expected no rows of no images"


def _of_draws(samples: Any, images: np.ndarray) -> Iterator[str]:
    seed = np.arange(_ROWS, dtype=np.int32)
    once, again = (samples(images=images, seed=seed)["samples"].numpy() for _ in "ab")
    if not np.array_equal(once, again):
        yield "samples: expected the same draws of the same seeds"
    turned = samples(images=images[::-1], seed=seed[::-1])["samples"].numpy()[::-1]
    if (~_alike(once, turned).all(axis=-1)).mean() > _MOST_OTHER_DRAWS:
        yield "samples: draws depend on the rows beside theirs"
    same = samples(images=np.repeat(images[:1], 2, 0), seed=seed[:2])["samples"]
    if np.array_equal(*same.numpy()):
        yield "samples: expected other draws of another seed"


def _of_gaps(
    summary: Any,
    images: np.ndarray,
    whole: Mapping[str, np.ndarray],
    scoreless: bool,
) -> Iterator[str]:
    gaps = images.copy()
    middle = images.shape[1] // 2
    gaps[0, middle, middle] = np.nan
    gaps[1, :, :, 0] = np.inf
    found = _numbers(summary(images=gaps))
    bad = found.pop("bad_pixels")
    if scoreless:
        found.pop("unlike_mocks")
    expected = [images.shape[-1], images.shape[1] * images.shape[2]]
    if bad[:2].tolist() != expected or bad[2:].any():
        yield f"bad_pixels: expected {expected} and then none; received {bad.tolist()}"
    for name, values in found.items():
        if not np.isfinite(values[0]).all():
            yield f"{name}: expected numbers of a row with one pixel missing"
        if name != "unlike_mocks" and not np.isnan(values[1]).all():
            yield f"{name}: expected NaN of a row with a band without data"
        if not np.array_equal(values[2:], whole[name][2:]):
            yield f"{name}: other rows feel the gaps of one"


def _of_extremes(
    loaded: Mapping[str, Any], about: Mapping[str, Any], scoreless: bool
) -> Iterator[str]:
    px, bands = about["cutout_px"], len(about["bands"])
    flat = np.ones((1, px, px, bands), np.float32)
    middle = [[(p["low"] + p["high"]) / 2 for p in about["parameters"]]]
    for size in _SIZES:
        for signed in (size, -size):
            images = np.float32(signed) * flat
            answers = _numbers(loaded["serving_default"](images=images))
            density = loaded["log_prob"](images=images, parameters=np.float32(middle))
            answers["log_prob"] = density["log_prob"].numpy()
            if scoreless:
                answers.pop("unlike_mocks")
            for name, values in answers.items():
                if not np.isfinite(values).all():
                    yield f"{name}: expected a number of {signed:g} nJy everywhere"


def _images(about: Mapping[str, Any]) -> np.ndarray:
    """Return noise with a blob of another brightness in each row."""
    px, bands = about["cutout_px"], len(about["bands"])
    place = np.arange(px) - (px - 1) / 2
    blob = np.exp(-0.5 * (place[:, None] ** 2 + place**2) / 2.0**2)
    rng = np.random.default_rng(0)
    noise = rng.normal(5.0, 1.0, (_ROWS, px, px, bands))
    bright = np.logspace(0, 4, _ROWS)[:, None, None, None]
    return (noise + bright * blob[..., None]).astype(np.float32)


def _numbers(answer: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in answer.items()}


def _alike(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    size = np.maximum(np.abs(one), 1.0)
    return (np.abs(one - other) <= ROUNDING * size) | (np.isnan(one) & np.isnan(other))
