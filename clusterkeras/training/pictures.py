"""Pictures of what a network says of validation mocks while it learns."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from clusterkeras.diagnostics.metrics.coverage import pit
from clusterkeras.diagnostics.plots.beside_cutouts import (
    Example,
    posteriors_beside_cutouts,
)
from clusterkeras.diagnostics.plots.calibration import coverage_curves
from clusterkeras.diagnostics.plots.recovery import predicted_against_true
from data_tools.schema import PARAMETER_NAMES
from data_tools.target import Target

#: Validation rows that pictures are made of, at most.
PICTURE_ROWS = 4096
PICTURE_DRAWS = 200

#: Clusters whose images are kept, of which some are drawn as examples, and which: their
#: places in the order of visibility, as shares.
KEPT_IMAGES = 256
EXAMPLES = np.array([0.4, 0.6, 0.8, 0.95])

#: Ranges of the true visibility [log10 S/N] that have a picture of their own.
STRATA = (("SN_below_10", -np.inf, 1.0), ("SN_above_10", 1.0, np.inf))


def looking(model: keras.Model) -> Callable[..., dict[str, tf.Tensor]]:
    """Return a graph that asks a model about inputs, with a seed a row.

    It gives ``p_cluster`` (B,), ``draws`` (B, `PICTURE_DRAWS`, P) and ``features``
    (B, F). It is traced once, and once more for batches of any other size.
    """

    @tf.function(reduce_retracing=True, autograph=False)
    def look(inputs: Any, seeds: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(inputs, training=False)
        draws = model.draw_from(outputs["posterior"], seeds, PICTURE_DRAWS)
        return {
            "p_cluster": tf.math.sigmoid(outputs["presence"][:, 0]),
            "draws": draws,
            "features": outputs["features"],
        }

    return look


def predict_validation(
    look: Callable[..., dict[str, tf.Tensor]],
    validation: tf.data.Dataset,
    rows: int = PICTURE_ROWS,
) -> dict[str, np.ndarray]:
    """Return what a model says of the first rows of a dataset.

    Parameters
    ----------
    look : callable
        See `looking`.
    validation : tf.data.Dataset
        Of inputs and labels.
    rows : int
        At least so many, if there are.

    Returns
    -------
    dict of str to ndarray
        ``is_cluster``, ``p_cluster`` and the true visibility ``log_snr`` (N,); of the C
        clusters among them ``truth`` (C, P), ``draws`` (C, `PICTURE_DRAWS`, P),
        ``features`` (C, F) and, of the first, `KEPT_IMAGES` at most, ``images``.
    """
    seen: dict[str, list[np.ndarray]] = defaultdict(list)
    count = kept = 0
    for inputs, labels in validation:
        size = len(labels["parameters"])
        said = look(inputs, tf.range(count, count + size))
        is_cluster = labels["is_cluster"].numpy() > 0
        images = inputs["images"] if isinstance(inputs, dict) else inputs
        images = images.numpy()[is_cluster][: KEPT_IMAGES - kept]
        of_batch = {
            "is_cluster": is_cluster,
            "p_cluster": said["p_cluster"].numpy(),
            "truth": labels["parameters"].numpy()[is_cluster],
            "log_snr": labels["log_snr"].numpy(),
            "draws": said["draws"].numpy()[is_cluster],
            "features": said["features"].numpy()[is_cluster],
            "images": images,
        }
        for name, values in of_batch.items():
            seen[name].append(values)
        count, kept = count + size, kept + len(images)
        if count >= rows:
            break
    return {name: np.concatenate(values) for name, values in seen.items()}


def draw_pictures(seen: dict[str, np.ndarray], target: Target) -> dict[str, Figure]:
    """Draw what the network says of validation clusters, by the picture's name.

    Examples beside their posteriors, coverage, and predicted against true: of all
    clusters and of those of each range of true visibility.

    Parameters
    ----------
    seen : dict of str to ndarray
        From `predict_validation`, of one cluster or more.
    target : Target
        What the network is for.
    """
    truth, draws, box = seen["truth"], seen["draws"], target.box
    median, log_snr = np.median(draws, axis=1), seen["log_snr"][seen["is_cluster"]]
    claimed = np.abs(2 * pit(truth, draws) - 1)
    pictures = {
        "examples": posteriors_beside_cutouts(choose_examples(seen), target),
        "coverage": coverage_curves(dict(zip(PARAMETER_NAMES, claimed.T, strict=True))),
        "predicted_against_true/all": predicted_against_true(truth, median, box),
    }
    for name, low, high in STRATA:
        rows = (log_snr >= low) & (log_snr < high)
        if rows.any():
            pictures[f"predicted_against_true/{name}"] = predicted_against_true(
                truth[rows], median[rows], box
            )
    return pictures


def choose_examples(seen: dict[str, np.ndarray]) -> list[Example]:
    """Return clusters from faint to bright, the same every time.

    Parameters
    ----------
    seen : dict of str to ndarray
        From `predict_validation`.
    """
    log_snr = seen["log_snr"][seen["is_cluster"]][: len(seen["images"])]
    order = np.argsort(log_snr, kind="stable")
    rows = order[np.unique(np.rint(EXAMPLES * (len(order) - 1)).astype(int))]
    middle = (seen["images"].shape[1] - 1) / 2
    return [
        Example(
            f"S/N {10 ** log_snr[row]:.3g}",
            seen["images"][row],
            (middle, middle),
            seen["truth"][row],
            seen["draws"][row],
        )
        for row in rows
    ]


def as_image(figure: Figure) -> tf.Tensor:
    """Return a figure as a batch of one image (1, height, width, 4) of uint8."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return tf.io.decode_png(buffer.getvalue(), channels=4)[None]
