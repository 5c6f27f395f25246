"""Recalibrate a trained model on one half of a validation set; judge it on the other.

Each part, posterior, presence and visibility, is switched on only if it makes the
log-probability of records it was not fitted on higher by more than the error of that
gain.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras.diagnostics.metrics.coverage import LEVELS, central_coverage, pit
from clusterkeras.diagnostics.metrics.groups import clustered_error
from clusterkeras.model_files.runs import new_model_file, write_run
from clusterkeras.network.loading import load_model
from clusterkeras.network.posterior_model import PosteriorModel, check_same_target
from clusterkeras.network.recalibration import Recalibration
from clusterkeras.training.recalibration_fit import (
    Outputs,
    fit_recalibration,
    presence_log_prob,
)
from data_tools.records.dataset import damage_named, make_dataset
from data_tools.records.finished_set import read_set
from data_tools.schema import PARAMETERS

#: Draws of each posterior for the coverage.
DRAWS = 256

#: Seed of the records' photon noise.
SEED = 0

#: What belongs to each part of a recalibration.
PARTS = {
    "posterior": ("stretch",),
    "presence": ("presence_temperature", "presence_offset"),
    "visibility": ("visibility_factor",),
}


@dataclass(frozen=True)
class Effect:
    """What one part of a recalibration does to records it was not fitted on.

    Attributes
    ----------
    before, after : float
        Mean of minus the log-probability of the truth, in nats.
    gain, error : float
        Mean of what is gained in each record, and its standard error by fields.
    """

    before: float
    after: float
    gain: float
    error: float

    @property
    def on(self) -> bool:
        """Whether the gain is above its error."""
        return self.gain > self.error


def log_probs(
    model: PosteriorModel, outputs: Outputs, recalibration: Recalibration
) -> dict[str, NDArray[np.float64]]:
    """Return the log-probability of each truth that counts.

    Parameters
    ----------
    model : PosteriorModel
        A model with `recalibration`.
    outputs : Outputs
        Of the model without it, and the truth.
    recalibration : Recalibration
        Its presence is applied here; the rest is the model's.

    Returns
    -------
    dict of str to ndarray
        ``posterior`` of clusters, ``presence`` of all records, ``visibility`` of
        objects; in nats.
    """
    clusters, seen = outputs.is_cluster, outputs.has_object
    posterior = model.posterior(tf.constant(outputs.posterior[clusters]))
    visibility = model.visibility(tf.constant(outputs.visibility[seen]))
    logit = recalibration.presence(outputs.presence)
    return {
        "posterior": posterior.log_prob(outputs.parameters[clusters]).numpy(),
        "presence": presence_log_prob(logit, clusters),
        "visibility": visibility.log_prob(outputs.log_snr[seen]).numpy(),
    }


def coverage(model: PosteriorModel, outputs: Outputs) -> NDArray[np.float64]:
    """Return the share of clusters inside central intervals: (levels, P)."""
    clusters = outputs.is_cluster
    seeds = np.arange(np.count_nonzero(clusters), dtype=np.int32)
    # as a graph: each row's own random numbers are slow to make one by one
    draw = tf.function(lambda raw, seeds: model.draw_from(raw, seeds, DRAWS))
    draws = draw(tf.constant(outputs.posterior[clusters]), tf.constant(seeds)).numpy()
    return central_coverage(pit(outputs.parameters[clusters], draws))


def recalibrate(
    model: str | Path,
    data: str | Path,
    output: str | Path,
    batch_size: int = 256,
    limit: int | None = None,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Recalibrate a model and write it as a run, with what it gained.

    The first half of the validation split fits; the second, of other fields, judges.

    Parameters
    ----------
    model : str or Path
        Trained model: the name of one that ships, a ``.keras`` file, or the directory
        of a run. A recalibration that it has is forgotten; those of an ensemble's
        members stay.
    data : str or Path
        A mock set written by ``clusterkeras simulate``, with a split ``validation`` on
        which the model was not trained.
    output : str or Path
        Directory to write: ``model.keras``, with what is switched on,
        ``configuration.yaml`` and ``recalibration.json``.
    batch_size : int
        Images a step.
    limit : int, optional
        Only the first so many records of the split.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    dict
        What ``recalibration.json`` holds: for each part whether it is on, minus the
        mean log-probability before and after, the gain and its error; the coverage
        before and after; the recalibration that was found and the one in use.

    Raises
    ------
    FileExistsError
        If `output` holds a model already, or another file that may not be replaced.
    FileNotFoundError, ValueError
        If model or set are missing, damaged or made for other targets, the posterior
        is a grid, or there are too few clusters.
    """
    path = new_model_file(output, [model], overwrite=overwrite)
    network = load_model(model).recalibrated(Recalibration())
    outputs = run_model(network, data, batch_size, limit)
    middle = len(outputs.presence) // 2
    fitted, held_out = outputs.rows(slice(middle)), outputs.rows(slice(middle, None))
    for half in (fitted, held_out):
        clusters, total = int(half.is_cluster.sum()), len(half.is_cluster)
        if not 1 < clusters < total - 1:
            raise ValueError(
                f"{data}: expected two clusters and two others in each half of the "
                f"validation split; received {clusters} clusters of {total} in one. "
                "Name a larger set or limit"
            )
    found = fit_recalibration(network, fitted)
    changed = network.recalibrated(found)
    before = log_probs(network, held_out, Recalibration())
    after = log_probs(changed, held_out, found)
    field = held_out.field_id
    fields_of = {
        "posterior": field[held_out.is_cluster],
        "presence": field,
        "visibility": field[held_out.has_object],
    }
    effects = {
        name: effect_of(before[name], after[name], fields_of[name]) for name in before
    }
    used = _only(found, {name for name, effect in effects.items() if effect.on})
    report = {
        "model": str(model),
        "data": str(data),
        "n_fitted": middle,
        "n_held_out": len(held_out.presence),
        "effects": {
            name: {"on": effect.on, **asdict(effect)}
            for name, effect in effects.items()
        },
        "coverage": {
            "levels": list(LEVELS),
            "parameters": [p.name for p in PARAMETERS],
            "before": coverage(network, held_out).tolist(),
            "after": coverage(changed, held_out).tolist(),
        },
        "found": asdict(found),
        "used": asdict(used),
    }
    configuration = {"recalibrated": str(model), "recalibration": asdict(used)}
    write_run(
        network.recalibrated(used),
        path,
        configuration,
        beside={"recalibration.json": report},
        overwrite=overwrite,
    )
    return report


def run_model(
    model: PosteriorModel, data: str | Path, batch_size: int, limit: int | None
) -> Outputs:
    """Run a model over the validation split of a mock set.

    Parameters
    ----------
    model : PosteriorModel
        The model.
    data : str or Path
        The mock set.
    batch_size : int
        Images a step.
    limit : int or None
        Only the first so many records.
    """
    info = read_set(data)
    check_same_target(model.target, info.target, data)
    if "validation" not in info.splits:
        raise ValueError(
            f"{data}: expected a mock set with a split validation; received "
            f"{', '.join(info.splits)}. Simulate one with --mocks.n_validation"
        )
    dataset = make_dataset(
        data,
        "validation",
        batch_size,
        training=False,
        context=True,
        seed=SEED,
        limit=limit,
    )
    total = min(info.splits["validation"], limit or info.splits["validation"])
    step = tf.function(lambda inputs: model(inputs, training=False))
    parts = []
    with damage_named():
        for inputs, labels in tqdm(
            dataset, "recalibrate", math.ceil(total / batch_size)
        ):
            outputs = step(inputs)
            parts.append(
                Outputs(
                    posterior=outputs["posterior"].numpy(),
                    visibility=outputs["visibility"].numpy(),
                    presence=outputs["presence"].numpy()[:, 0],
                    parameters=labels["parameters"].numpy(),
                    is_cluster=labels["is_cluster"].numpy() > 0,
                    has_object=labels["has_object"].numpy() > 0,
                    log_snr=labels["log_snr"].numpy(),
                    field_id=labels["field_id"].numpy(),
                )
            )
    return Outputs(
        **{
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(Outputs)
        }
    )


def effect_of(
    before: NDArray[np.floating],
    after: NDArray[np.floating],
    field: NDArray[np.integer],
) -> Effect:
    """Compare the log-probabilities (N,) of the same truths, in nats.

    Parameters
    ----------
    before, after : ndarray (N,)
        Without the recalibration and with it.
    field : ndarray of int (N,)
        Field that each lies in; the error is that of fields drawn again.
    """
    gain = np.asarray(after, float) - before
    return Effect(
        before=float(-np.mean(before)),
        after=float(-np.mean(after)),
        gain=float(gain.mean()),
        error=float(clustered_error(gain, field)),
    )


def _only(found: Recalibration, parts: Collection[str]) -> Recalibration:
    """Keep the parts that are switched on."""
    return Recalibration(
        **{name: getattr(found, name) for part in parts for name in PARTS[part]}
    )


def report_lines(report: dict[str, Any]) -> list[str]:
    """Return what a recalibration did as lines of text.

    Parameters
    ----------
    report : dict
        What `recalibrate` gives.
    """
    lines = [
        f"fitted on {report['n_fitted']} records, judged on {report['n_held_out']} "
        "others; -log p in nats"
    ]
    for part, effect in report["effects"].items():
        lines.append(
            f"  {part:<11}{effect['before']:>8.4f} -> {effect['after']:.4f}, gain "
            f"{effect['gain']:.4f} +- {effect['error']:.4f}: "
            f"{'on' if effect['on'] else 'off'} ({_numbers(report['found'], part)})"
        )
    covered = report["coverage"]
    for i, level in enumerate(covered["levels"]):
        pairs = zip(
            covered["parameters"],
            covered["before"][i],
            covered["after"][i],
            strict=True,
        )
        words = ", ".join(f"{name} {a:.1%} -> {b:.1%}" for name, a, b in pairs)
        lines.append(f"  {level:.0%} interval covers: {words}")
    return lines


def _numbers(found: dict[str, Any], part: str) -> str:
    words = []
    for name in PARTS[part]:
        value = found[name]
        values = value if isinstance(value, list | tuple) else [value]
        words.append(f"{name} " + " ".join(f"{v:.3f}" for v in values))
    return ", ".join(words)
