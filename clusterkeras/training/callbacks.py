"""What happens beside the steps of a fit: a stop, the best model, its hours."""

from __future__ import annotations

import math
import time
from pathlib import Path

import keras

from clusterkeras.network.model_file import save_model


class StopOnNonFinite(keras.callbacks.Callback):
    """Stop with an error as soon as a part of the loss is not finite."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None):
        """Look at the running means, which a single bad batch spoils."""
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


class ProcessorHours(keras.callbacks.Callback):
    """Note the hours of processor time, all threads together, of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None):
        """Start the clock."""
        self._began = time.process_time()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None):
        """Put the hours among the numbers of the epoch."""
        logs["cpu_hours"] = (time.process_time() - self._began) / 3600
