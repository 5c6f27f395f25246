"""Train a model on a mock set; a fit that was killed goes on."""

from __future__ import annotations

import csv
import dataclasses
import math
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from clusterkeras.config import ModelConfig, TrainingConfig
from clusterkeras.model_files.model_file import save_model
from clusterkeras.network.backbones import convolve_in_bfloat16
from clusterkeras.network.layers.unlike import fit_unlike
from clusterkeras.network.loading import load_model
from clusterkeras.network.model import model_class
from clusterkeras.network.trainable_model import TrainableModel
from clusterkeras.training.callbacks import (
    Backup,
    EndAfter,
    FixNormalisation,
    KeepBest,
    ProcessorHours,
    SayAtOnce,
    StopOnNonFinite,
)
from clusterkeras.training.fresh_mocks import (
    fresh_directory,
    fresh_set,
    remove_fresh_sets,
)
from clusterkeras.training.monitoring import Monitor
from clusterkeras.training.optimizer import make_optimizer
from clusterkeras.training.transfer import carry_over
from clusterkeras.workers.local import run_workers
from clusterkeras.workers.sums import (
    check_alike,
    current_workers,
    first_says,
    join_workers,
    own_rows,
    take_from_first,
    wait_for_workers,
)
from data_tools.records.dataset import damage_named, make_dataset
from data_tools.records.finished_set import read_set
from data_tools.running.output import whole_path
from data_tools.running.work_directory import claimed
from data_tools.schema import SCHEMA_VERSION

#: Packages whose versions go into ``configuration.yaml``.
PACKAGES = ("clusterkeras", "tensorflow", "keras", "tensorflow-probability", "numpy")

#: What a fit needs until its end: the best epoch so far, and where it is.
BEST, BACKUP = "best.keras", "backup.keras"


def fit(
    data: str | Path,
    output: str | Path,
    model: ModelConfig | None = None,
    training: TrainingConfig | None = None,
    *,
    overwrite: bool = False,
    workers: int = 1,
) -> Path:
    """Train a model on a mock set.

    Run again with the same arguments, a fit that was cut off goes on after its last
    whole epoch and ends as it would have, and one that was finished returns at once.
    It may go on with another number of workers: these share every batch, and what is
    learnt is the same but for rounding.

    Parameters
    ----------
    data : path
        A mock set written by ``clusterkeras simulate``, with splits ``train`` and
        ``validation``.
    output : path
        Directory of the run, in which one that was killed goes on where it was:
        ``model.keras`` (the epoch with the lowest validation
        loss, without the optimiser), ``configuration.yaml``, ``history.csv``,
        ``tensorboard/``; until the end also ``best.keras`` and ``backup.keras``.
    model : ModelConfig, optional
        Shape of the network.
    training : TrainingConfig, optional
        How it is trained.
    overwrite : bool
        Whether to write also into a directory that holds other things.
    workers : int
        Processes that share every batch, each with a GPU of its own where there are
        any; 0 for one a GPU, or one a core where there is none. With 1, ``TF_CONFIG``
        names those of several machines, of which the first alone writes.

    Returns
    -------
    Path
        ``output/model.keras``.

    Raises
    ------
    FileNotFoundError, ValueError
        If `data` is not a whole mock set, `output` holds another run, or there is no
        model of this shape to start from.
    OSError
        If `output` cannot be written, or another process trains there.
    FloatingPointError
        If the loss stops being finite.
    ChildProcessError
        If a worker was lost.

    Examples
    --------
    >>> from clusterkeras import ModelConfig, TrainingConfig, fit
    >>> from data_tools import MockSet, Priors, Target, simulate
    >>> numbers = MockSet(n_train=32, n_validation=16, n_test=0, shard_size=32)
    >>> priors = Priors(field_px=128, mocks_per_field=16)
    >>> target = Target.load("m83-wfc3-uvis")
    >>> mocks = simulate("mocks", target, priors, numbers, workers=1, progress=False)
    >>> config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
    >>> path = fit(mocks, "run", config, TrainingConfig(epochs=1, batch_size=16))
    epoch 1 of 1, 2 steps each; ...
    >>> path.name
    'model.keras'
    """
    data, output = Path(data), Path(output)
    model, training = model or ModelConfig(), training or TrainingConfig()
    if workers != 1:
        read_set(data)  # refused before there are processes
        return run_workers(
            workers, _fit_one, (data, output, model, training), overwrite
        )
    return _fit_one((data, output, model, training), overwrite)


def _fit_one(
    run: tuple[Path, Path, ModelConfig, TrainingConfig], overwrite: bool
) -> Path:
    """Train in one process, which may be one of several workers."""
    data, output, model, training = run
    finished = output / "model.keras"
    configuration = {
        "data": str(data.resolve()),
        "target": read_set(data).target.to_dict(),
        "model": dataclasses.asdict(model),
        "training": dataclasses.asdict(training),
    }
    versions = {"python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in PACKAGES}
    notes = {"versions": versions, "schema_version": SCHEMA_VERSION}
    if not join_workers().leads:
        if first_says(False):
            _train(data, output, configuration, model, training)
        return finished
    with claimed(
        *(output, "configuration.yaml", configuration),
        notes=notes,
        empty=not overwrite,
    ):
        if first_says(not finished.exists()):
            _train(data, output, configuration, model, training)
        for name in (BACKUP, BEST):
            (output / name).unlink(missing_ok=True)
    return finished


def _train(
    data: Path,
    output: Path,
    configuration: dict[str, Any],
    model: ModelConfig,
    training: TrainingConfig,
) -> None:
    """Train, from the last whole epoch on; write the model when all are done."""
    info = read_set(data)
    keras.utils.set_random_seed(training.seed)
    validation = make_dataset(
        data, "validation", training.batch_size, training=False, context=True
    )
    network = model_class(model)(
        info.target,
        model,
        presence_weight=training.presence_weight,
        visibility_weight=training.visibility_weight,
        cluster_share=info.configuration["priors"]["cluster_fraction"],
        negatives=info.configuration["priors"]["negatives"],
    )
    here = current_workers()
    if training.batch_size < here.number:
        raise ValueError(
            f"training.batch_size: expected at least {here.number}, an image for each "
            f"worker; received {training.batch_size}"
        )
    if here.leads and training.start_from and not (output / BACKUP).exists():
        _start_from(network, training.start_from)
    if training.mixed_precision:
        convolve_in_bfloat16(network.backbone)
    steps = int(_batches(data, training).cardinality())
    network.compile(make_optimizer(training, training.epochs * steps))
    # variables that a step makes when it is traced have it traced twice
    network.optimizer.build(network.trainable_variables)
    done = _go_on(network, output / BACKUP, steps)
    best = output / BEST
    first_decayed = math.ceil((1 - training.decay) * training.epochs)
    callbacks = [
        StopOnNonFinite(),
        FixNormalisation(first_decayed),
        *(
            [keras.callbacks.SwapEMAWeights(swap_on_epoch=True)]
            if training.ema_momentum > 0
            else []
        ),
    ]
    if here.leads:
        history = output / "history.csv"
        callbacks = [
            SayAtOnce(steps),
            ProcessorHours(),
            *callbacks,
            KeepBest(best, best=_best_loss(history, done)),
            keras.callbacks.CSVLogger(str(history), append=True),
            Monitor(
                output / "tensorboard",
                validation,
                configuration,
                picture_epochs=training.picture_epochs,
            ),
            Backup(output / BACKUP),
        ]
    for number, until in enumerate(_ends(training)):
        began = number * training.fresh_mocks
        if done >= until:
            continue
        if here.leads:
            fresh_set(data, output, number)
        wait_for_workers()
        mocks = fresh_directory(data, output, number)
        batches = own_rows(_batches(mocks, training, number))
        for _ in range(done - began):
            # orders and noise of an epoch follow from how often the set was read
            # before; Keras opens it once more at the end of an epoch
            next(iter(batches))
            iter(batches)
        with damage_named():
            network.fit(
                batches,
                validation_data=own_rows(validation),
                initial_epoch=done,
                epochs=training.epochs,
                # the dataset shuffles itself
                shuffle=False,
                verbose=_verbosity(),
                callbacks=[EndAfter(until), *callbacks],
            )
        check_alike([*network.weights, *network.optimizer.variables])
        done = until
    if here.leads:
        print("what is unlike the mocks is told apart last", flush=True)
        trained = keras.models.load_model(best, compile=False)
        with damage_named():
            # anew: those above have been read
            fit_unlike(trained, _batches(data, training), validation)
        save_model(trained, output / "model.keras")
        remove_fresh_sets(output)
    wait_for_workers()


def _verbosity() -> int:
    """Return what Keras shows: a bar with the time left, or a line an epoch in a log.

    One of several workers shows it.
    """
    if not current_workers().leads:
        return 0
    return 1 if sys.stdout.isatty() else 2


def _ends(training: TrainingConfig) -> list[int]:
    """Return the epochs at whose end the set changes, or the training is done."""
    step = training.fresh_mocks or training.epochs
    return [
        min(end, training.epochs) for end in range(step, training.epochs + step, step)
    ]


def _batches(data: Path, training: TrainingConfig, number: int = 0) -> tf.data.Dataset:
    """Read what is trained on: the set that is given, or the so-manieth after it."""
    total = read_set(data).splits["train"]
    total = min(training.n_mocks or total, total)
    rest = total % training.batch_size
    if rest < current_workers().number:
        # a last batch in which a worker would have no row
        total -= rest
    return make_dataset(
        data,
        "train",
        training.batch_size,
        training=True,
        context=True,
        seed=training.seed + number,
        limit=total,
    )


def _start_from(network: TrainableModel, name_or_path: str) -> None:
    """Set the weights of a network to those of a trained one."""
    try:
        carry_over(load_model(name_or_path), network)
    except ValueError as error:
        raise ValueError(f"training.start_from: {name_or_path}: {error}") from error


def _go_on(network: TrainableModel, backup: Path, steps: int) -> int:
    """Set a network where a fit was, if it was begun; return the epochs it had done.

    All workers have it from the first.
    """
    if current_workers().leads and backup.exists():
        network.load_weights(backup)
    take_from_first([*network.variables, *network.optimizer.variables])
    return int(network.optimizer.iterations) // steps


def _best_loss(history: Path, done: int) -> float:
    """Return the lowest validation loss of the epochs that are done.

    The rows of others are removed: those of an epoch that was cut off, which comes
    again.
    """
    if not history.exists():
        return math.inf
    with history.open(newline="") as file:
        rows = list(csv.DictReader(file))[:done]
    with whole_path(history) as path, path.open("w", newline="") as file:
        if rows:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    return min((float(row["val_loss"]) for row in rows), default=math.inf)
