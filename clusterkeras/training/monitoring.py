"""What TensorBoard shows of a training."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import yaml
from matplotlib.figure import Figure
from tensorboard.plugins.hparams import api as hparams
from tensorboard.plugins.pr_curve import metadata as pr_metadata

from clusterkeras.diagnostics.metrics.coverage import central_coverage, pit
from data_tools.schema import PARAMETERS

#: Validation rows that pictures are made of, at most.
PICTURE_ROWS = 4096
PICTURE_DRAWS = 200

#: Steps between two points of the training curves.
CURVE_STEPS = 50

#: Thresholds of the PR curve.
THRESHOLDS = 101


class Monitor(keras.callbacks.Callback):
    """Write a training to TensorBoard.

    Curves of the loss and its parts and of the learning rate, with the number of the
    step on the x axis; the PR curve of presence; predicted against true; coverage; the
    configuration as text and as hyper-parameters. A fit that goes on after a restart
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
        self._infer: Callable[..., tuple[tf.Tensor, tf.Tensor]] | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Open the files and write the configuration."""
        self._writers = {
            name: tf.summary.create_file_writer(str(self.directory / name))
            for name in ("train", "validation")
        }
        text = yaml.safe_dump(self.configuration, sort_keys=False)
        indented = "".join(f"    {line}\n" for line in text.splitlines())
        with self._writers["train"].as_default(step=self._step()):
            tf.summary.text("configuration", indented)
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
            self._write_pictures()

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

    def _write_pictures(self) -> None:
        if self._infer is None:
            self._infer = presence_and_draws(self.model)
        seen = predict_validation(self._infer, self.validation)
        box = self.model.target.box
        with self._writers["validation"].as_default(step=self._step()):
            write_pr_curve("presence_pr", seen["is_cluster"], seen["p_cluster"])
            if len(seen["truth"]):
                predicted = draw_predicted_against_true(
                    seen["truth"], seen["draws"], box
                )
                tf.summary.image("predicted_against_true", as_image(predicted))
                coverage = draw_coverage(pit(seen["truth"], seen["draws"]))
                tf.summary.image("coverage", as_image(coverage))
        self._writers["validation"].flush()


def presence_and_draws(
    model: keras.Model,
) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Return a graph that turns images and seeds into ``p_cluster`` (B,) and draws.

    It is traced once, and once more for batches of any other size.
    """

    @tf.function(reduce_retracing=True, autograph=False)
    def infer(inputs: Any, seeds: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = model(inputs, training=False)
        draws = model.draw_from(outputs["posterior"], seeds, PICTURE_DRAWS)
        return tf.math.sigmoid(outputs["presence"][:, 0]), draws

    return infer


def predict_validation(
    infer: Callable[..., tuple[tf.Tensor, tf.Tensor]],
    validation: tf.data.Dataset,
    rows: int = PICTURE_ROWS,
) -> dict[str, np.ndarray]:
    """Return presence and posterior draws for the first rows of a dataset.

    Parameters
    ----------
    infer : callable
        See `presence_and_draws`.
    validation : tf.data.Dataset
        Of images and labels.
    rows : int
        At least so many, if there are.

    Returns
    -------
    dict of str to ndarray
        ``is_cluster`` and ``p_cluster`` (N,); of the C clusters among them ``truth``
        (C, P) and ``draws`` (C, `PICTURE_DRAWS`, P).
    """
    seen: dict[str, list[np.ndarray]] = {
        name: [] for name in ("is_cluster", "p_cluster", "truth", "draws")
    }
    count = 0
    for inputs, labels in validation:
        size = len(labels["parameters"])
        p_cluster, draws = infer(inputs, tf.range(count, count + size))
        is_cluster = labels["is_cluster"].numpy() > 0
        seen["is_cluster"].append(is_cluster)
        seen["p_cluster"].append(p_cluster.numpy())
        seen["truth"].append(labels["parameters"].numpy()[is_cluster])
        seen["draws"].append(draws.numpy()[is_cluster])
        count += size
        if count >= rows:
            break
    return {name: np.concatenate(values) for name, values in seen.items()}


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


def draw_predicted_against_true(
    truth: np.ndarray, draws: np.ndarray, box: dict[str, tuple[float, float]]
) -> Figure:
    """Draw posterior draws against the truth, a panel a parameter.

    Parameters
    ----------
    truth : ndarray (N, P)
        True parameters.
    draws : ndarray (N, S, P)
        Draws of each posterior.
    box : dict of str to (float, float)
        Range of each parameter.
    """
    figure = Figure(figsize=(10, 9), layout="constrained")
    for i, (axes, parameter) in enumerate(
        zip(figure.subplots(2, 2).flat, PARAMETERS, strict=True)
    ):
        limits = box[parameter.name]
        counts, *edges = np.histogram2d(
            np.repeat(truth[:, i], draws.shape[1]),
            draws[:, :, i].ravel(),
            bins=40,
            range=[limits, limits],
        )
        # each column is one density: what the network says where the truth is so
        density = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.pcolormesh(*edges, density.T, cmap="Greys", rasterized=True)
        axes.plot(limits, limits, color="tab:red", linewidth=1)
        axes.plot(truth[:, i], np.median(draws[:, :, i], axis=1), ".", markersize=1)
        label = f"{parameter.label} [{parameter.unit}]"
        axes.set(xlabel=f"true {label}", ylabel=f"predicted {label}")
        axes.set(xlim=limits, ylim=limits, aspect="equal")
    return figure


def draw_coverage(pit_values: np.ndarray) -> Figure:
    """Draw the coverage of central intervals against what they claim.

    Parameters
    ----------
    pit_values : ndarray (N, P)
        Probability integral transform of the truth.
    """
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    levels = np.linspace(0, 1, 101)
    covered = central_coverage(pit_values, levels)
    noise = 2 * np.sqrt(levels * (1 - levels) / len(pit_values))
    axes.fill_between(levels, levels - noise, levels + noise, color="0.85")
    axes.plot(levels, levels, color="black", linewidth=1)
    for i, parameter in enumerate(PARAMETERS):
        axes.plot(levels, covered[:, i], label=parameter.label)
    axes.set(xlabel="claimed", ylabel="covered", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(title="below the line: over-confident")
    return figure


def as_image(figure: Figure) -> tf.Tensor:
    """Return a figure as a batch of one image (1, height, width, 4) of uint8."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return tf.io.decode_png(buffer.getvalue(), channels=4)[None]
