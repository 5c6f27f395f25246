"""What TensorBoard shows of a training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml
from tensorboard.plugins import projector
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.pr_curve import metadata as pr_metadata

from clusterkeras.training.pictures import (
    STRATA,
    as_image,
    draw_pictures,
    looking,
    predict_validation,
)
from data_tools.schema import PARAMETER_NAMES

#: Steps between two points of the training curves.
CURVE_STEPS = 50

#: Thresholds of the PR curve.
THRESHOLDS = 101

#: Clusters in the projector, at most.
PROJECTED = 2048


class Monitor(keras.callbacks.Callback):
    """Write a training to TensorBoard.

    Curves of the loss and its parts and of the learning rate, with the number of the
    step on the x axis; PR curves of presence, of all clusters and by visibility;
    pictures of validation clusters (`clusterkeras.training.pictures`); after the last
    epoch their features for the projector; the configuration as text and as
    hyper-parameters, by which runs are compared. A fit that goes on after a restart
    continues its curves.

    Parameters
    ----------
    directory : Path
        Where TensorBoard looks; gets ``train`` and ``validation``.
    validation : tf.data.Dataset
        Of images and labels, in a fixed order.
    configuration : dict
        Nested configuration of the run; ``model`` and ``training`` are its
        hyper-parameters.
    picture_epochs : int
        Epochs between pictures; 0 for none.
    """

    def __init__(
        self,
        directory: str | Path,
        validation: tf.data.Dataset,
        configuration: dict[str, Any],
        picture_epochs: int = 2,
    ) -> None:
        super().__init__()
        self.directory = Path(directory)
        self.validation = validation
        self.configuration = configuration
        self.picture_epochs = picture_epochs
        self._look: Callable[..., dict[str, tf.Tensor]] | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the files and write the configuration."""
        self._writers = {
            name: tf.summary.create_file_writer(str(self.directory / name))
            for name in ("train", "validation", "")
        }
        text = yaml.safe_dump(self.configuration, sort_keys=False)
        indented = "".join(f"    {line}\n" for line in text.splitlines())
        with self._writers["train"].as_default(step=self._step()):
            tf.summary.text("configuration", indented)
        # above the curves, so that all of them count as this run's metrics
        with self._writers[""].as_default():
            hparams.hparams(
                {
                    f"{section}.{name}": value
                    for section in ("model", "training")
                    for name, value in self.configuration.get(section, {}).items()
                }
            )

    def on_train_batch_end(
        self, batch: int, logs: dict[str, float] | None = None
    ) -> None:
        """Write the running means every few steps."""
        if self._step() % CURVE_STEPS == 0:
            self._write("train", logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch's means and, when it is time, pictures."""
        validation = {k[4:]: v for k, v in logs.items() if k.startswith("val_")}
        self._write(
            "train", {k: v for k, v in logs.items() if not k.startswith("val_")}
        )
        self._write("validation", validation)
        last = epoch + 1 == self.params["epochs"]
        if self.picture_epochs and (last or (epoch + 1) % self.picture_epochs == 0):
            self._write_pictures(last)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _write(self, name: str, logs: dict[str, float]) -> None:
        with self._writers[name].as_default(step=self._step()):
            for key, value in logs.items():
                tf.summary.scalar(key, value)
            if name == "train":
                rate = float(self.model.optimizer.learning_rate)
                tf.summary.scalar("learning_rate", rate)
        self._writers[name].flush()

    def _write_pictures(self, last: bool) -> None:
        if self._look is None:
            self._look = looking(self.model)
        seen = predict_validation(self._look, self.validation)
        with self._writers["validation"].as_default(step=self._step()):
            for name, low, high in (("all", -np.inf, np.inf), *STRATA):
                log_snr, positive = seen["log_snr"], seen["is_cluster"]
                rows = ~positive | ((log_snr >= low) & (log_snr < high))
                write_pr_curve(
                    f"presence/{name}", positive[rows], seen["p_cluster"][rows]
                )
            if len(seen["truth"]):
                for name, figure in draw_pictures(seen, self.model.target).items():
                    tf.summary.image(name, as_image(figure))
        self._writers["validation"].flush()
        if last and len(seen["truth"]):
            write_projector(self.directory / "validation", seen)


def write_pr_curve(tag: str, is_positive: np.ndarray, probability: np.ndarray) -> None:
    """Write a PR curve for TensorBoard's own plugin to the default writer.

    Parameters
    ----------
    tag : str
        Name of the curve.
    is_positive : ndarray of bool (N,)
        Truth.
    probability : ndarray (N,)
        Probability of being positive.
    """
    thresholds = np.linspace(0, 1, THRESHOLDS)[:, None]
    chosen = probability >= thresholds
    true = np.sum(chosen & is_positive, axis=1)
    false = np.sum(chosen & ~is_positive, axis=1)
    missed = np.sum(is_positive) - true
    rejected = np.sum(~is_positive) - false
    precision = true / np.maximum(true + false, 1)
    recall = true / np.maximum(true + missed, 1)
    tf.summary.write(
        tag,
        np.stack([true, false, rejected, missed, precision, recall]).astype("float32"),
        metadata=pr_metadata.create_summary_metadata(
            tag, "", num_thresholds=THRESHOLDS
        ).SerializeToString(),
    )


def write_projector(directory: Path, seen: dict[str, np.ndarray]) -> None:
    """Write features for TensorBoard's projector, to be coloured by a parameter.

    Parameters
    ----------
    directory : Path
        Where TensorBoard looks.
    seen : dict of str to ndarray
        From `predict_validation`.
    """
    features, truth = seen["features"][:PROJECTED], seen["truth"][:PROJECTED]
    log_snr = seen["log_snr"][seen["is_cluster"]][:PROJECTED]
    np.savetxt(directory / "features.tsv", features, "%.4g", delimiter="\t")
    np.savetxt(
        directory / "clusters.tsv",
        np.column_stack([truth, log_snr]),
        "%.3f",
        delimiter="\t",
        header="\t".join([*PARAMETER_NAMES, "log_snr"]),
        comments="",
    )
    config = projector.ProjectorConfig()
    config.embeddings.add(
        tensor_name="features of validation clusters",
        tensor_path="features.tsv",
        metadata_path="clusters.tsv",
    )
    projector.visualize_embeddings(str(directory), config)
