"""A model asked about every record of a mock set."""

from __future__ import annotations

import math
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

import clusterkeras
from clusterkeras.evaluation.numbers.posterior import Box
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.network.loading import load_model
from clusterkeras.network.posterior_model import PosteriorModel, check_same_target
from data_tools.records.dataset import damage_named, make_dataset
from data_tools.records.finished_set import read_set

#: Seed of the records' photon noise and of TARP's reference points; draws are seeded
#: by each record's own ``mock_id``.
SEED = 0


def ask(
    model: str | Path,
    data: str | Path,
    split: str,
    draws: int,
    batch_size: int,
    limit: int | None,
) -> tuple[Predictions, Box, dict[str, Any]]:
    """Ask a model about every record of a split.

    Parameters
    ----------
    model, data, split, draws, batch_size, limit
        As for `evaluate`, and what it raises of them.

    Returns
    -------
    predictions : Predictions
        What it says, and the truth.
    box : mapping of str to (float, float)
        Range of each of its parameters.
    about : dict
        Model, data, options and versions, for `write_metrics`.
    """
    if draws < 16:
        raise ValueError(f"draws must be >= 16; received {draws}")
    network = load_model(model)
    info = read_set(data)
    check_same_target(network.target, info.target, data)
    dataset = make_dataset(
        data, split, batch_size, training=False, context=True, seed=SEED, limit=limit
    )
    total = min(info.splits[split], limit or info.splits[split])
    batches = tqdm(dataset, "evaluate", math.ceil(total / batch_size))
    with damage_named():
        predictions = predict(network, batches, draws)
    about = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "model": str(model),
        "data": str(data),
        "split": split,
        "limit": limit,
        "draws": draws,
        "seeds": {"records": SEED, "tarp": SEED, "draws": "mock_id of each record"},
        "versions": _versions(),
        "target": network.target.name,
    }
    return predictions, network.target.box, about


def predict(
    model: PosteriorModel, batches: Iterable[tuple[tf.Tensor, dict]], draws: int
) -> Predictions:
    """Run a model over batches of inputs and labels.

    Parameters
    ----------
    model : PosteriorModel
        The model.
    batches : iterable of (inputs, labels)
        As `data_tools.records.dataset.make_dataset` gives them.
    draws : int
        Draws of each posterior.
    """

    @tf.function(reduce_retracing=True)
    def step(inputs: Any, labels: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        outputs = model(inputs, training=False)
        posterior = model.posterior(outputs["posterior"])
        visibility = model.visibility(outputs["visibility"])
        seeds = tf.cast(labels["mock_id"] % tf.int32.max, tf.int32)
        drawn = model.draw_from(outputs["posterior"], seeds, draws)
        log_prob_drawn = posterior.log_prob(tf.transpose(drawn, (1, 0, 2)))
        return {
            "log_prob": posterior.log_prob(labels["parameters"]),
            "draws": drawn,
            "log_prob_draws": tf.transpose(log_prob_drawn),
            "p_cluster": tf.math.sigmoid(outputs["presence"][:, 0]),
            "visibility_mean": visibility.mean(),
            "visibility_std": visibility.stddev(),
            "unlike_mocks": outputs["unlike_mocks"],
        }

    parts: list[Predictions] = []
    for inputs, labels in batches:
        found = {name: value.numpy() for name, value in step(inputs, labels).items()}
        parts.append(Predictions(**found, **truth_of(labels)))
    return Predictions.joined(parts)


def truth_of(labels: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """Return what `Predictions` holds beside the predictions, from a batch's labels."""
    plain = {name: np.asarray(value) for name, value in labels.items()}
    return {
        "truth": plain["parameters"],
        "is_cluster": plain["is_cluster"] > 0,
        "has_object": plain["has_object"] > 0,
        "kind": plain["kind"],
        "mock_id": plain["mock_id"],
        "field_id": plain["field_id"],
        "log_snr": plain["log_snr"],
        "crowding": plain["crowding"],
    }


def _versions() -> dict[str, str]:
    return {
        "clusterkeras": clusterkeras.__version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    } | {name: metadata.version(name) for name in ("tensorflow-probability", "numpy")}
