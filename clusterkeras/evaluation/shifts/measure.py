"""A model against domain shifts: mocks with one thing changed, images unlike mocks."""

from __future__ import annotations

import math
import shlex
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from clusterkeras.diagnostics.metrics import coverage
from clusterkeras.evaluation.asking import SEED, predict
from clusterkeras.evaluation.evaluate import as_plain
from clusterkeras.evaluation.shifts.kinds import (
    NOMINAL,
    Shift,
    UserFiles,
    choose,
    missing,
    mock_set,
    settings,
)
from clusterkeras.evaluation.shifts.summary import (
    Scores,
    summarise_shifts,
    write_shifts,
)
from clusterkeras.model_files.model_file import find_model
from clusterkeras.network.loading import load_model
from clusterkeras.network.posterior_model import PosteriorModel
from data_tools.priors import Priors
from data_tools.records.dataset import damage_named, make_dataset
from data_tools.records.plan import mocks_per_field
from data_tools.records.simulate import simulate
from data_tools.running.output import check_directory, remove_partial, whole_file
from data_tools.running.plain_files import sha256_of
from data_tools.running.work_directory import claimed

#: The split that a shift's records are in; see
#: `clusterkeras.evaluation.shifts.kinds.mock_set`.
_SPLIT = "train"


def measure_shifts(
    model: str | Path,
    output: str | Path,
    priors: Priors | None = None,
    given: UserFiles | None = None,
    *,
    n: int = 4000,
    seed: int = 0,
    only: Sequence[str] = (),
    draws: int = 200,
    batch_size: int = 256,
    workers: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Score a model where one thing is not as in its mocks.

    Each shift of `clusterkeras.evaluation.shifts.kinds.SHIFTS` has a mock set of its
    own, with the same clusters at the same places as the nominal set, or changes the
    nominal set's images. Run again with the same arguments it goes on where it was.
    Fewer mocks share a field than in training, as in a test split: the errors come from
    the scatter between fields.

    Parameters
    ----------
    model : str or Path
        Trained model: the name of one that ships, a ``.keras`` file, or the directory
        of a run.
    output : str or Path
        Directory to write: ``shifts.json``, ``shifts.md`` and ``shifts.png``; below it
        the sets and each record's scores. What was begun there is finished.
    priors : Priors, optional
        Of the nominal set: those that the model was trained with.
    given : UserFiles, optional
        Mosaics and isochrones for the shifts that need them.
    n : int
        Records a set, clusters and others, at least 16.
    seed : int
        Seed of all sets.
    only : sequence of str
        Names of the only shifts to measure; without, all. The nominal set is always
        there.
    draws : int
        Draws of each posterior, at least 16.
    batch_size : int
        Images a step.
    workers : int
        Processes that simulate; 0 for one a core.
    overwrite : bool
        Whether to write also into a directory that holds other things.

    Returns
    -------
    dict
        What ``shifts.json`` holds; see `clusterkeras.evaluation.shifts.summary`.

    Raises
    ------
    FileNotFoundError, ValueError
        If model, mosaics or isochrones are missing or do not fit, a name is unknown, an
        option is out of range, or `output` holds the shifts of another model or set.
    OSError
        If `output` cannot be written, or another process is writing it.
    """
    for name, value, low in (
        ("n", n, 16),
        ("draws", draws, 16),
        ("batch_size", batch_size, 1),
    ):
        if value < low:
            raise ValueError(f"{name} must be >= {low}; received {value}")
    chosen, mocks = choose(tuple(only)), mock_set(n, seed)
    priors, given, output = priors or Priors(), given or UserFiles(), Path(output)
    a_field = mocks_per_field(priors.mocks_per_field, n)
    priors = replace(priors, mocks_per_field=a_field)
    check_directory(output)
    network = load_model(model)
    target = network.target
    reasons = {shift.name: missing(shift, target, priors, given) for shift in chosen}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    depends_on = {
        "model": sha256_of(find_model(model)),
        "priors": asdict(priors),
        "given": asdict(given),
        "n": n,
        "seed": seed,
        "draws": draws,
    }

    def scores_of(shift: Shift) -> Scores:
        """Return what is kept of a shift; simulate and score it first if nothing is."""
        kept = output / "scores" / f"{shift.name}.npz"
        if not kept.exists():
            data = output / "sets" / (shift.name if shift.simulated else NOMINAL)
            if shift.simulated:
                print(f"{shift.name}: {shift.description}", flush=True)
                different = settings(shift, target, priors, given)
                simulate(data, mocks=mocks, workers=workers, paired=True, **different)
            _keep(kept, score(network, shift, data, draws, batch_size))
        return _kept(kept)

    settings_there = "configuration.json", as_plain(depends_on)
    with claimed(output, *settings_there, empty=not overwrite):
        if (output / "scores").exists():
            remove_partial(output / "scores")
        # first what the user's own files are for: they may be wrong
        in_order = sorted(chosen, key=lambda shift: not shift.needs)
        scores = {s.name: scores_of(s) for s in in_order if s.name not in left_out}
    about = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "model": str(model),
        "target": target.name,
        "n": n,
        "seed": seed,
        "draws": draws,
    }
    report = as_plain(summarise_shifts(scores, left_out) | {"about": about})
    write_shifts(report, output)
    return report


def score(
    model: PosteriorModel, shift: Shift, data: Path, draws: int, batch_size: int
) -> Scores:
    """Run a model over a shift's images.

    Parameters
    ----------
    model : PosteriorModel
        The model.
    shift : Shift
        What is shown to it.
    data : Path
        The shift's set, or the nominal one.
    draws : int
        Draws of each posterior.
    batch_size : int
        Images a step.
    """

    def changed() -> Iterator[tuple[dict, dict]]:
        dataset = make_dataset(
            data, _SPLIT, batch_size, training=False, context=True, seed=SEED
        )
        for number, (inputs, labels) in enumerate(
            tqdm(dataset, shift.name, math.ceil(dataset.cardinality()))
        ):
            if shift.images is not None:
                rng = np.random.default_rng([SEED, number])
                new = shift.images(inputs["images"].numpy(), model.target, rng)
                inputs = {**inputs, "images": tf.constant(new, tf.float32)}
            yield inputs, labels

    with damage_named():
        found = predict(model, changed(), draws)
    return Scores(
        mock_id=found.mock_id,
        field_id=found.field_id,
        is_cluster=found.is_cluster,
        truth=found.truth,
        log_prob=found.log_prob,
        pit=coverage.pit(found.truth, found.draws),
        p_cluster=found.p_cluster,
        unlike=found.unlike_mocks,
    )


def _keep(path: Path, scores: Scores) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        np.savez(file, **vars(scores))


def _kept(path: Path) -> Scores:
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            return Scores(**arrays)
    except (ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: expected scores that `clusterkeras shifts` kept; the file is "
            "damaged. Remove it and run the same again"
        ) from error
