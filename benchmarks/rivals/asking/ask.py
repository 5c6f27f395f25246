"""What a row says of the test split, and what asking it has cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clusterkeras.diagnostics.metrics.scores import box_log_volume
from clusterkeras.evaluation.asking import predict
from clusterkeras.evaluation.competitors.ssp_fit import describe, fit_populations
from clusterkeras.evaluation.competitors.stochastic_grid import grid_of
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.network.loading import load_model
from rivals.asking.asked_set import AskedSet
from rivals.asking.macs import millions_of_macs
from rivals.rows import Row

#: Predictions, and what is known of their costs and settings.
Said = tuple[Predictions, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """How methods are asked.

    Attributes
    ----------
    draws : int
        Draws of each posterior.
    n_choose : int
        Validation clusters on which a classical method's settings are chosen.
    workers : int
        Processes that draw models.
    """

    draws: int = 500
    n_choose: int = 1000
    workers: int = 1


def source(row: Row, seed: int) -> Path | None:
    """Return the file that answers, None of a classical method."""
    if not row.sources:
        return None
    path = row.sources[seed]
    return path / "model.keras" if path.is_dir() else path


def ask(row: Row, seed: int, data: AskedSet, options: Options) -> Said:
    """Ask a row's model of a seed, or make a classical method and ask it."""
    began = time.process_time()
    how: Callable[[Row, AskedSet, Options], Said]
    if row.predictions:
        return Predictions.read(row.predictions[seed]), {}
    if row.models:
        model = load_model(source(row, seed))
        found = predict(model, data.records(), options.draws)
        said: dict[str, Any] = {"mmac": millions_of_macs(model)}
    else:
        how = {"prior": _prior, "grid": _grid}.get(row.classical, _ssp)
        found, said = how(row, data, options)
    return found, said | {"hours_with_asking": (time.process_time() - began) / 3600}


def _ssp(row: Row, data: AskedSet, options: Options) -> Said:
    began = time.process_time()
    fit = fit_populations(
        data.populations(),
        data.measured("train"),
        data.measured("validation"),
        data.target.box,
        row.classical == "legus",
        options.n_choose,
    )
    hours = (time.process_time() - began) / 3600
    said = {"settings": describe(fit.settings), "training_hours": hours}
    return fit.predict(data.measured("test"), options.draws), said


def _grid(row: Row, data: AskedSet, options: Options) -> Said:
    seconds, models = 0.0, []
    for path in data.model_files(row.n_models, options.workers):
        with np.load(path) as shard:
            models.append((shard["parameters"], shard["flux"]))
            seconds += float(shard["cpu_seconds"])
    train = data.measured("train")
    began = time.process_time()
    grid = grid_of(
        train, data.measured("validation"), models, data.target.box, options.n_choose
    )
    said = {
        "settings": f"{len(grid.flux):,} models, {grid.kernels}",
        "pairs": len(grid.flux),
        "hours_of_models": seconds / 3600,
        "training_hours": (time.process_time() - began) / 3600,
    }
    print(said["settings"], flush=True)
    return grid.predict(data.measured("test"), options.draws), said


def _prior(row: Row, data: AskedSet, options: Options) -> Said:
    truth = data.truth()
    low, high = np.transpose(list(data.target.box.values()))
    n, log_prob = len(truth["truth"]), -box_log_volume(low, high)
    drawn = np.random.default_rng(0).uniform(low, high, (n, options.draws, len(low)))
    at_draws = np.full((n, options.draws), log_prob)
    found = Predictions.of_posterior(truth, np.full(n, log_prob), drawn, at_draws)
    return found, {}
