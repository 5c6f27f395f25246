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
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from clusterkeras.diagnostics.metrics import scores
from clusterkeras.evaluation import evaluate, summary
from clusterkeras.evaluation.competitors.ring_photometry import measure_rings
from clusterkeras.evaluation.competitors.stochastic_grid import fit_grid
from clusterkeras.evaluation.summary import Predictions
from clusterkeras.network.loading import load_model
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.running.plain_files import write_json
from data_tools.schema import PARAMETERS

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


def predictions_of_all(
    args: argparse.Namespace,
) -> Iterator[tuple[str, Predictions, float | None]]:
    """Yield the name, the predictions and the hours of each method, one by one."""
    low, high = np.transpose(list(read_set(args.data).target.box.values()))
    yield "prior", prior_only(args, low, high), 0.0
    for i, model in enumerate(args.models):
        network = load_model(model)
        if i == 0:
            others = ((tf.roll(x, 1, axis=0), y) for x, y in clusters_of(args))
            shuffled = evaluate.predict(network, others, args.draws)
            yield f"{Path(model).name}, images shuffled", shuffled, None
        found = evaluate.predict(network, clusters_of(args), args.draws)
        yield Path(model).name, found, hours_of_training(model)
    for given in args.predictions:
        name, _, path = given.partition("=")
        hours = hours_of_training(str(Path(path).parent))
        yield GRID if name == "grid" else name, Predictions.read(path), hours
    if not any(given.startswith("grid=") for given in args.predictions):
        used = time.process_time()
        mocks = args.grid_data or args.data
        grid = fit_grid(mocks, args.n_models, limit=args.n_train)
        hours = (time.process_time() - used) / 3600
        print(f"{len(grid.flux)} models, {grid.kernels}", flush=True)
        objects = measure_rings(args.data, args.split, args.n_mocks)
        found = grid.predict(objects, args.draws)
        found.write(args.output / "grid.npz")
        yield f"{GRID}, {len(grid.flux)} models", found, hours


def score(predictions: Predictions, box: summary.Box) -> dict[str, Any]:
    """Return the numbers of one method."""
    clusters = predictions.select(predictions.is_cluster)
    scored = summary.score_clusters(clusters, box)
    return summary.posterior_report(clusters, scored, box)


def markdown(found: dict[str, dict[str, Any]]) -> str:
    """Write the methods as one table, the best first."""
    symbols = [p.label for p in PARAMETERS]
    head = [
        "method",
        "-log p [nats]",
        "in the regime",
        *(f"scatter {s}" for s in symbols),
        *(f"68 % {s}" for s in symbols),
        "max abs(ECP - alpha)",
        "CPU hours",
    ]
    rows = []
    for name, entry in found.items():
        overall, regime = entry["posterior"]["overall"], regime_of(entry)
        loss, inside = (r["negative_log_probability"] for r in (overall, regime))
        lost = f", {loss['n_not_finite']} lost" if loss["n_not_finite"] else ""
        hours = entry["cpu_hours"]
        rows.append(
            [
                name,
                f"{loss['mean']:.3f} ± {loss['standard_error']:.3f}{lost}",
                f"{inside['mean']:.3f}",
                *(f"{p['scatter']:.2f}" for p in regime["parameters"].values()),
                *(f"{p['coverage_68']:.3f}" for p in overall["parameters"].values()),
                f"{entry['posterior']['joint']['tarp']['max_deviation']:.3f}",
                "" if hours is None else f"{hours:.2f}",
            ]
        )
    rows.sort(key=lambda row: float(row[1].split()[0]))
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def regime_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the row of the regime in which the published network is reliable."""
    rows = entry["posterior"]["strata"]["true"]
    return next(row for row in rows if row["label"] == "published_regime")


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
    for name, predictions, hours in predictions_of_all(args):
        clusters = predictions.mock_id[predictions.is_cluster]
        if asked is not None and not np.array_equal(asked, clusters):
            raise ValueError(
                f"{name}: expected predictions of the {len(asked)} clusters of "
                f"{args.split} in their order; received {len(clusters)} others"
            )
        asked = clusters
        found[name] = {"cpu_hours": hours, "posterior": score(predictions, box)}
        loss = found[name]["posterior"]["overall"]["negative_log_probability"]
        print(f"{name}: {loss['mean']:.3f} nats", flush=True)
    regime = regime_of(next(iter(found.values())))
    text = (
        f"{len(asked)} clusters of {args.split}, {regime['n']} of them in the regime "
        "in which the published network is reliable (age < 100 Myr, A_V < 3, 3e3 to "
        "3e5 Msun, S/N > 10); scatter is there, coverage over all.\n\n"
        + markdown(found)
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
