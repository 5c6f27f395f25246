"""All methods on one mock set, scored by the same code, in one table.

Trained networks (``clusterkeras fit``; ``--model.backbone photometry`` is the dense
network on photometry), the classical stochastic grid, predictions that another
environment wrote (``benchmarks/bayesflow``), and two controls: the prior, and the first
network asked about each cluster with the image of another.

Writes ``competitors.md`` and ``competitors.json`` to the output directory, and the
grid's predictions, which ``--predictions grid=...`` takes instead of making them again.
Hours of training are those that a ``history.csv`` beside a model or predictions states.
"""

import argparse
import csv
import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from clusterkeras.diagnostics.metrics import scores
from clusterkeras.evaluation import card, evaluate, summary
from clusterkeras.evaluation.competitors.beside_classical import check_same_clusters
from clusterkeras.evaluation.competitors.ring_photometry import measure_rings
from clusterkeras.evaluation.competitors.stochastic_grid import fit_grid
from clusterkeras.evaluation.summary import Predictions
from clusterkeras.network.loading import load_model
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.running.plain_files import write_json

BATCH = 256
GRID = "stochastic grid"


def clusters_of(args: argparse.Namespace) -> Iterator[tuple[tf.Tensor, dict]]:
    """Read the clusters of the split, as every method is asked about them."""
    dataset = make_dataset(
        args.data, args.split, BATCH, training=False, limit=args.n_mocks
    )
    for images, labels in dataset:
        rows = labels["is_cluster"] > 0
        yield images[rows], {name: value[rows] for name, value in labels.items()}


def prior_only(args: argparse.Namespace, low: np.ndarray, high: np.ndarray):
    """Return the prior as everybody's posterior."""
    truth = [evaluate.truth_of(labels) for _, labels in clusters_of(args)]
    truth = {k: np.concatenate([part[k] for part in truth]) for k in truth[0]}
    n, log_prob = len(truth["truth"]), -scores.box_log_volume(low, high)
    draws = np.random.default_rng(0).uniform(low, high, (n, args.draws, len(low)))
    return Predictions.of_posterior(
        truth, np.full(n, log_prob), draws, np.full((n, args.draws), log_prob)
    )


def hours_of_training(model: str) -> float | None:
    """Return the hours of processor time that a run's history states."""
    history = Path(model) / "history.csv"
    if not history.is_file():
        return None
    with history.open(newline="") as file:
        hours = [row.get("cpu_hours") for row in csv.DictReader(file)]
    return sum(map(float, hours)) if hours and all(hours) else None


@dataclass(frozen=True)
class Answers:
    """What a method says, the hours it took to make and the seconds to ask."""

    predictions: Predictions
    hours: float | None = None
    seconds: float | None = None


def answers_of_all(args: argparse.Namespace) -> Iterator[tuple[str, Answers]]:
    """Yield the name and the answers of each method, one by one."""
    low, high = np.transpose(list(read_set(args.data).target.box.values()))
    yield "prior", Answers(prior_only(args, low, high), 0.0, 0.0)
    for i, model in enumerate(args.models):
        network = load_model(model)
        if i == 0:
            others = ((tf.roll(x, 1, axis=0), y) for x, y in clusters_of(args))
            shuffled = evaluate.predict(network, others, args.draws)
            yield f"{Path(model).name}, images shuffled", Answers(shuffled)
        began = time.process_time()
        found = evaluate.predict(network, clusters_of(args), args.draws)
        seconds = time.process_time() - began
        yield Path(model).name, Answers(found, hours_of_training(model), seconds)
    for given in args.predictions:
        name, _, path = given.partition("=")
        hours = hours_of_training(str(Path(path).parent))
        found = Answers(Predictions.read(path), hours)
        yield GRID if name == "grid" else name, found
    if not any(given.startswith("grid=") for given in args.predictions):
        began = time.process_time()
        mocks = args.grid_data or args.data
        grid = fit_grid(mocks, args.n_models, limit=args.n_train)
        made = time.process_time()
        print(f"{len(grid.flux)} models, {grid.kernels}", flush=True)
        objects = measure_rings(args.data, args.split, args.n_mocks)
        found = grid.predict(objects, args.draws)
        found.write(args.output / "grid.npz")
        answers = Answers(found, (made - began) / 3600, time.process_time() - made)
        yield f"{GRID}, {len(grid.flux)} models", answers


def score(predictions: Predictions, box: summary.Box) -> dict[str, Any]:
    """Return the numbers of one method."""
    clusters = predictions.select(predictions.is_cluster)
    scored = summary.score_clusters(clusters, box)
    return summary.posterior_report(clusters, scored, box)


def main() -> None:
    """Score all methods and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a mock set")
    parser.add_argument("--models", nargs="*", default=[], help="runs, files, presets")
    parser.add_argument(
        "--predictions", nargs="*", default=[], metavar="NAME=FILE", help="a .npz each"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--n_mocks", type=int, help="only the first so many records")
    parser.add_argument(
        "--grid_data", type=Path, help="the set the grid is made of, if another"
    )
    parser.add_argument(
        "--n_models", type=int, default=0, help="models of the grid beside its mocks"
    )
    parser.add_argument("--n_train", type=int, help="fewer mocks for the grid")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    box = read_set(args.data).target.box
    found: dict[str, dict[str, Any]] = {}
    asked = None
    for name, answers in answers_of_all(args):
        clusters = answers.predictions.mock_id[answers.predictions.is_cluster]
        check_same_clusters(name, clusters if asked is None else asked, clusters)
        asked = clusters
        found[name] = {
            "hours_to_make": answers.hours,
            "seconds_to_ask": answers.seconds,
            "posterior": score(answers.predictions, box),
        }
        loss = found[name]["posterior"]["overall"]["negative_log_probability"]
        print(f"{name}: {loss['mean']:.3f} nats", flush=True)
    regime = card.published_regime(next(iter(found.values()))["posterior"])
    text = (
        f"{len(asked)} clusters of {args.split}, {regime['n']} of them in the regime "
        "in which the published network is reliable (age < 100 Myr, A_V < 3, 3e3 to "
        "3e5 Msun, S/N > 10); scatter is there, coverage over all.\n\n"
        + card.method_table(found)
    )
    print(text)
    print(f"\n{platform.platform()}, {os.cpu_count()} cores")
    (args.output / "competitors.md").write_text(text + "\n")
    about = {"data": str(args.data), "split": args.split, "draws": args.draws}
    write_json(
        args.output / "competitors.json", evaluate.as_plain(about | {"found": found})
    )


if __name__ == "__main__":
    main()
