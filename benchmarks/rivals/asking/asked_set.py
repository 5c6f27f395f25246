"""The set that all methods are asked about, and what the classical ones know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from clusterkeras.evaluation.asking import truth_of
from clusterkeras.evaluation.competitors.ring_photometry import (
    Measured,
    draw_models,
    measure_rings,
)
from clusterkeras.evaluation.competitors.ssp_fit import Populations
from data_tools.priors import Priors
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.target import Target
from rivals.first.shards import write_models
from rivals.questions import Questions

BATCH = 256


class AskedSet:
    """A mock set.

    Parameters
    ----------
    data : Path
        Where it lies.
    kept : Path
        Where models of its priors are drawn.
    models : Path or None
        Where they are, if another version draws them.
    """

    def __init__(self, data: Path, kept: Path, models: Path | None) -> None:
        self.data, self.kept, self.models = data, kept, models
        self.info = read_set(data)
        self.target = self.info.target
        self._measured: dict[str, Measured] = {}

    def questions(self) -> Questions:
        """Return what the test split asks."""
        box = list(self.target.box.values())
        return Questions.of((labels for _, labels in self.records()), box)

    def records(self) -> Iterator[tuple[tf.Tensor, dict[str, tf.Tensor]]]:
        """Yield images and labels of the test split."""
        yield from make_dataset(self.data, "test", BATCH, training=False)

    def truth(self) -> dict[str, NDArray]:
        """Return the truths of the test split's clusters, as `truth_of` names them."""
        parts = [truth_of(labels) for _, labels in self.records()]
        whole = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
        return {k: values[whole["is_cluster"]] for k, values in whole.items()}

    def measured(self, split: str) -> Measured:
        """Return the photometry of a split's clusters."""
        if split not in self._measured:
            self._measured[split] = measure_rings(self.data, split)
        return self._measured[split]

    def populations(self) -> Populations:
        """Return the deterministic populations."""
        return Populations.of(self.target)

    def model_files(self, n: int, workers: int) -> list[Path]:
        """Return the files of models: those that are there, or so many in all."""
        if self.models is None:
            priors = Priors(**self.info.configuration["priors"])
            of_set = partial(_draw, target=self.target, priors=priors)
            write_models(self.kept / "models", of_set, n, 1000, workers)
        where = self.models or self.kept / "models"
        files = sorted(where.glob("models-?????.npz"))
        if n and not files:
            raise FileNotFoundError(f"{where}: expected models-00000.npz and so on")
        return files


def _draw(n: int, seed: int, target: Target, priors: Priors):
    return draw_models(target, priors, n, seed)
