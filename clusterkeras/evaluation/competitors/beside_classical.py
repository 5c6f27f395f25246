"""A model and the stochastic grid on the same clusters of a mock set."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.diagnostics.metrics.groups import paired_difference
from clusterkeras.diagnostics.plots.rivals import gain_and_coverage
from clusterkeras.evaluation.asking import SEED, ask
from clusterkeras.evaluation.competitors.ring_photometry import measure_rings
from clusterkeras.evaluation.competitors.stochastic_grid import fit_grid
from clusterkeras.evaluation.evaluate import (
    FILES,
    as_plain,
    write_metrics,
    write_report,
)
from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.posterior import posterior_report, score_clusters
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.evaluation.words import methods
from data_tools.records.finished_set import read_set
from data_tools.running.output import whole_path
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import PICTURE_METADATA
from data_tools.schema import PARAMETER_NAMES

_PICTURE = "classical.png"

#: Models that `draw_models` makes in a second, on one core of 2024.
_MODELS_A_SECOND = 130


def evaluate_beside_classical(
    model: str | Path,
    data: str | Path,
    output: str | Path,
    draws: int = 500,
    batch_size: int = 256,
    limit: int | None = None,
    n_models: int = 20_000,
    *,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a model on a test split, and the stochastic grid on the same clusters.

    The grid is made of the set's training split and of more models, and its kernels
    are chosen on the validation split. What `clusterkeras.evaluation.evaluate` writes
    of the model is there before the grid is begun; then ``metrics.json`` gets the
    entry ``classical``, ``tables.md`` a section, and ``classical.png`` is drawn.

    Parameters
    ----------
    model, data, output, draws, batch_size, limit, overwrite
        As for `clusterkeras.evaluation.evaluate.evaluate`.
    n_models : int
        Models drawn from the set's priors beside the clusters of its training split;
        some 130 are made in a second.

    Returns
    -------
    dict
        What ``metrics.json`` holds. ``classical``: ``n_models``, ``kernels``,
        ``posterior`` as the model's, ``hours_to_make`` and ``seconds_to_ask``, the
        processor time that the grid took; ``model``: the same two of the model, the
        first None; ``gain``: see `gains`.

    Raises
    ------
    OSError, ValueError
        As `clusterkeras.evaluation.evaluate.evaluate`, or if the set has no clusters
        to make the grid of, or cutouts too small for aperture photometry.
    """
    if n_models < 0:
        raise ValueError(f"n_models must be >= 0; received {n_models}")
    check_replaced_in(output, (*FILES, _PICTURE), overwrite=overwrite)
    splits = read_set(data).splits
    empty = [name for name in ("train", "validation") if not splits.get(name)]
    if empty:
        raise ValueError(
            f"{data}: the stochastic grid is made of the splits train and validation; "
            f"{empty} without records. Simulate a set with both"
        )
    output, began = Path(output), time.process_time()
    predictions, box, about = ask(model, data, "test", draws, batch_size, limit)
    by_model = {"hours_to_make": None, "seconds_to_ask": time.process_time() - began}
    metrics = write_metrics(predictions, box, output, about)

    minutes = n_models / _MODELS_A_SECOND / 60
    print(f"\nthe stochastic grid: {n_models:,} models, some {minutes:.0f} minutes")
    began = time.process_time()
    grid = fit_grid(data, n_models)
    made = time.process_time()
    rival = grid.predict(measure_rings(data, "test", limit), draws)
    asked = time.process_time()

    clusters = predictions.select(predictions.is_cluster)
    check_same_clusters("stochastic grid", clusters.mock_id, rival.mock_id)
    scored = score_clusters(rival, box, SEED)
    found = {
        "n_models": len(grid.flux),
        "kernels": dataclasses.asdict(grid.kernels),
        "hours_to_make": (made - began) / 3600,
        "seconds_to_ask": asked - made,
        "model": by_model,
        "posterior": posterior_report(rival, scored, box),
        "gain": gains(clusters, rival),
    }
    metrics["classical"] = as_plain(found)
    with whole_path(output / _PICTURE) as path:
        _picture(metrics).savefig(path, dpi=110, metadata=PICTURE_METADATA)
    write_report(metrics, output)
    print("", *methods.classical_part(metrics)[1:], sep="\n\n")
    return metrics


def _picture(metrics: dict[str, Any]) -> Figure:
    rival = metrics["classical"]
    joint = {
        name: found["posterior"]["joint"]["tarp"]
        for name, found in (("the model", metrics), ("the grid", rival))
    }
    return gain_and_coverage(
        rival["gain"]["strata"],
        {name: (found["alpha"], found["ecp"]) for name, found in joint.items()},
        metrics["n_clusters"],
        max(found["max_deviation_noise"] for found in joint.values()),
    )


def check_same_clusters(
    name: str, asked: NDArray[np.int64], answered: NDArray[np.int64]
) -> None:
    """Refuse the answers of a method that was asked about other clusters.

    Parameters
    ----------
    name : str
        The method.
    asked, answered : ndarray of int
        ``mock_id`` of the clusters, in order.

    Raises
    ------
    ValueError
        If they differ.
    """
    if not np.array_equal(asked, answered):
        raise ValueError(
            f"{name}: expected predictions of the same {len(asked)} clusters in their "
            f"order; received {len(answered)} others"
        )


def gains(first: Predictions, second: Predictions) -> dict[str, Any]:
    """Return how much more of its density one method gives the truth than another.

    Parameters
    ----------
    first, second : Predictions
        Of the same clusters.

    Returns
    -------
    dict
        ``overall`` and ``strata``, those of the truth: mean gain and its error [nats],
        clusters and fields. A truth that one of the two rules out has no finite gain
        and counts among ``n_ruled_out`` alone.
    """

    def mean(rows: NDArray[np.bool_]) -> dict[str, Any]:
        gain = paired_difference(
            first.log_prob[rows], second.log_prob[rows], first.field_id[rows]
        )
        return {
            "n": gain.n,
            "n_ruled_out": gain.n_left_out,
            "n_fields": gain.n_groups,
            "mean": gain.mean,
            "error": gain.error,
        }

    quantities = dict(zip(PARAMETER_NAMES, first.truth.T, strict=True))
    cuts = strata.all_strata(quantities | {"log_snr": first.log_snr})
    return {
        "overall": mean(np.ones(len(first), bool)),
        "strata": [{"label": cut.label, **mean(cut.rows)} for cut in cuts],
    }
