"""The test set that all methods are asked about, and what the classical ones know."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

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
from rivals.shards import write_models

BATCH = 256


class Arrays:
    """A set of before as `first_set.py` wrote it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.target = Target.load(directory / "target.yaml")

    def records(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
        """Yield images and labels of the test split."""
        images = np.load(self.directory / "images.npy", mmap_mode="r")
        with np.load(self.directory / "labels.npz") as content:
            labels = dict(content)
        for first in range(0, len(images), BATCH):
            rows = slice(first, first + BATCH)
            some = {name: tf.constant(value[rows]) for name, value in labels.items()}
            yield tf.constant(images[rows]), some

    def measured(self, split: str) -> Measured:
        """Return the photometry of a split's clusters."""
        return Measured.read(self.directory / f"{split}.npz")

    def populations(self) -> Populations:
        """Return the deterministic populations."""
        return Populations.read(self.directory / "populations.npz")

    def models(self, n: int, workers: int) -> list[Path]:
        """Return the files of models that are there."""
        return sorted((self.directory / "models").glob("models-?????.npz"))


class Mocks:
    """A mock set of this version; what is made of it is kept in a directory."""

    def __init__(self, data: Path, kept: Path) -> None:
        self.data, self.kept = data, kept
        self.info = read_set(data)
        self.target = self.info.target

    def records(self) -> Iterator[tuple[tf.Tensor, dict[str, tf.Tensor]]]:
        """Yield images and labels of the test split."""
        yield from make_dataset(self.data, "test", BATCH, training=False)

    def measured(self, split: str) -> Measured:
        """Return the photometry of a split's clusters."""
        return measure_rings(self.data, split)

    def populations(self) -> Populations:
        """Return the deterministic populations."""
        return Populations.of(self.target)

    def models(self, n: int, workers: int) -> list[Path]:
        """Draw models from the set's priors, but those that are there."""
        priors = Priors(**self.info.configuration["priors"])
        of_set = partial(_draw, target=self.target, priors=priors)
        write_models(self.kept / "models", of_set, n, 1000, workers)
        return sorted((self.kept / "models").glob("models-?????.npz"))


def _draw(n: int, seed: int, target: Target, priors: Priors):
    return draw_models(target, priors, n, seed)


def asked_set(data: Path, kept: Path) -> Arrays | Mocks:
    """Return a set of this version, or one of before as arrays."""
    if (data / "images.npy").exists():
        return Arrays(data)
    return Mocks(data, kept)
