"""Questions whose answers are known: images, and what a SavedModel says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow_serving.apis import predict_pb2

from clusterkeras.serving.loading import load_savedmodel

Answer = Mapping[str, NDArray]

#: Rows of a batch in which a SavedModel is asked directly.
DIRECT_ROWS = 64


@dataclass(frozen=True)
class Question:
    """A request, and its right answer by each version.

    Attributes
    ----------
    message : bytes
        A ``PredictRequest``.
    rows : int
        That it has.
    answers : mapping of int to Answer
        By version.
    """

    message: bytes
    rows: int
    answers: Mapping[int, Answer]


class Direct:
    """A SavedModel in this process, asked for summaries.

    Parameters
    ----------
    directory : Path
        ``NAME/VERSION``.
    """

    def __init__(self, directory: Path) -> None:
        self._signature = load_savedmodel(directory)["serving_default"]
        self.image_shape = tuple(self._signature.specs["input"]["images"].shape[1:])

    def __call__(self, images: NDArray) -> Answer:
        """Return the summaries of one batch."""
        outputs = self._signature(images=images)
        return {name: values.numpy() for name, values in outputs.items()}


def draw_poison(shape: Sequence[int], n: int, rng: np.random.Generator) -> NDArray:
    """Return images that are none: no number in them, or far beyond any light."""
    images = draw_images(shape, n, rng)
    for i, value in enumerate((np.nan, np.inf, -np.inf, 3e38, -3e38, 1e-40)):
        images[i::6] = value
    return images


def draw_images(shape: Sequence[int], n: int, rng: np.random.Generator) -> NDArray:
    """Return images, no two alike: three decades of light, gaps in every eighth."""
    level = 10 ** rng.uniform(0, 3, (n, 1, 1, 1))
    images = (level * (1 + 0.3 * rng.standard_normal((n, *shape)))).astype("f4")
    images[::8, : shape[0] // 4] = np.nan
    return images


def make_questions(
    directory: Path,
    versions: Mapping[int, Callable[[NDArray], Answer]],
    images: NDArray,
    rows: int,
) -> list[Question]:
    """Return questions of a served model.

    Parameters
    ----------
    directory : Path
        ``NAME``; the model is asked by it.
    versions : mapping of int to callable
        Give the right answers.
    images : (N, px, px, bands) array
        Of all questions.
    rows : int
        Of each question.
    """
    answers = {number: ask(direct, images) for number, direct in versions.items()}
    return [
        Question(
            message(directory.name, images[i : i + rows]),
            rows,
            {
                number: {name: values[i : i + rows] for name, values in one.items()}
                for number, one in answers.items()
            },
        )
        for i in range(0, len(images), rows)
    ]


def ask(direct: Callable[[NDArray], Answer], images: NDArray) -> Answer:
    """Return a model's answer to any number of rows."""
    parts = [
        direct(images[i : i + DIRECT_ROWS]) for i in range(0, len(images), DIRECT_ROWS)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def message(model: str, images: NDArray) -> bytes:
    """Return the bytes of a request."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs["images"].CopyFrom(tf.make_tensor_proto(images))
    return request.SerializeToString()


def deviation(raw: bytes, question: Question) -> tuple[int, float]:
    """Return which version has answered, and how far it is from that version's answer.

    The largest of all numbers, relative to 1 or to the number, whichever is larger;
    infinite where names, rows or gaps differ.
    """
    response = predict_pb2.PredictResponse.FromString(raw)
    version = response.model_spec.version.value
    wanted = question.answers.get(version, {})
    if set(wanted) != set(response.outputs):
        return version, np.inf
    worst = 0.0
    for name, right in wanted.items():
        found = tf.make_ndarray(response.outputs[name])
        if found.shape != right.shape or (np.isnan(found) != np.isnan(right)).any():
            return version, np.inf
        off = np.abs(found - right) / np.maximum(1, np.abs(right))
        worst = max(worst, float(np.nanmax(off, initial=0)))
    return version, worst
