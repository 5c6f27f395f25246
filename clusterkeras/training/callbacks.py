"""What happens beside the steps of a fit: a stop, the best model, where it was."""

from __future__ import annotations

import math
import time
from pathlib import Path

import keras

from clusterkeras.model_files.model_file import save_model
from clusterkeras.network.backbones import FusedBatchNormalization

#: Steps from whose time that of an epoch is told.
TIMED_STEPS = 20


class StopOnNonFinite(keras.callbacks.Callback):
    """Stop with an error as soon as a part of the loss is not finite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None):
        """Look at the running means, which a single bad batch spoils."""
        self._check(logs)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None):
        """Look at the validation too: no epoch is the best without its loss."""
        self._check(logs)

    def _check(self, logs: dict[str, float] | None) -> None:
        bad = {k: v for k, v in (logs or {}).items() if not math.isfinite(v)}
        if bad:
            raise FloatingPointError(
                f"training: expected a finite loss; received {bad} at step "
                f"{int(self.model.optimizer.iterations)}. Look for parameters outside "
                "the target's box or pixels that are not finite, or lower "
                "training.learning_rate; the last whole epoch is kept"
            )


class KeepBest(keras.callbacks.Callback):
    """Save the model after each epoch with a lower validation loss than before.

    Unlike `keras.callbacks.ModelCheckpoint` it never leaves half a file behind.

    Parameters
    ----------
    path : Path
        A ``.keras`` file.
    best : float
        Validation loss of the model that lies there already.
    """

    def __init__(self, path: Path, best: float = math.inf) -> None:
        super().__init__()
        self.path, self.best = path, best

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None):
        """Save if the epoch was the best so far."""
        if logs["val_loss"] < self.best:
            self.best = logs["val_loss"]
            save_model(self.model, self.path)


class SayAtOnce(keras.callbacks.Callback):
    """Say what a fit is doing in the minutes before Keras can: how long it will take.

    Parameters
    ----------
    steps : int
        Steps of an epoch.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps
        self._done = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None):
        """Say that the first step takes longer than all others."""
        if not self._done:
            self._began = time.monotonic()
            print(
                f"epoch {epoch + 1} of {self.params['epochs']}, {self.steps} steps "
                "each; the network is traced first, for about a minute",
                flush=True,
            )

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None):
        """Say when the first step is done, and how long an epoch takes."""
        self._done += 1
        passed = time.monotonic() - self._began
        if self._done == 1:
            print(f"the first step is done after {passed:.0f} s", flush=True)
            self._began += passed
        elif self._done == 1 + TIMED_STEPS < self.steps:
            epoch = passed / TIMED_STEPS * self.steps
            print(f"an epoch of training takes about {epoch:.0f} s", flush=True)


class Backup(keras.callbacks.Callback):
    """Keep all that a fit needs to go on after its last whole epoch.

    Unlike `keras.callbacks.BackupAndRestore` it counts an epoch only when all other
    callbacks are done with it, so that none is left without its best model or its row
    of the history. It has to be the last of them: then the weights are those that are
    trained, also if a callback before has had others in their place.

    Parameters
    ----------
    path : Path
        A ``.keras`` file, of the model and its optimizer, whose ``iterations`` say how
        many epochs are done.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None):
        """Keep where the epoch before has ended."""
        if int(self.model.optimizer.iterations):
            save_model(self.model, self.path)

    def on_train_end(self, logs: dict[str, float] | None = None):
        """Keep that all epochs are done."""
        save_model(self.model, self.path)


class FixNormalisation(keras.callbacks.Callback):
    """Normalise by what was kept, and no longer by the batch, from some epoch on.

    Parameters
    ----------
    epoch : int
        The first such epoch, from 0.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None):
        """Trace the training step anew once it is another."""
        layers = [
            layer
            for layer in self.model.backbone.layers
            if isinstance(layer, FusedBatchNormalization) and not layer.fixed
        ]
        if epoch >= self.epoch and layers:
            for layer in layers:
                layer.fixed = True
            self.model.make_train_function(force=True)


class EndAfter(keras.callbacks.Callback):
    """End a part of a fit, whose bar still counts the epochs of the whole.

    Parameters
    ----------
    epochs : int
        Epochs that are done at its end.
    """

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None):
        """Stop once they are."""
        if epoch + 1 >= self.epochs:
            self.model.stop_training = True


class ProcessorHours(keras.callbacks.Callback):
    """Note the hours of processor time, all threads together, of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None):
        """Start the clock."""
        self._began = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None):
        """Put the hours among the numbers of the epoch."""
        logs["cpu_hours"] = (time.process_time() - self._began) / 3600
