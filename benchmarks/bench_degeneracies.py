"""The degeneracy of age and extinction: a network beside the stochastic grid.

Old and clean, young and dusty: by their colours many clusters are either. For 20
clusters of a test set this draws what the network says of age and A_V over what the
stochastic grid says from aperture photometry of the same image. Ten are those that the
grid finds the most degenerate (`examples.degeneracy`), ten spread over true age, mass
and visibility (`examples.spread`); all are visible, by the network's own estimate.

What to look for: the network sees the image, with its resolved stars and its crowding,
so its contours may lie anywhere inside the grid's, and small in them. Where two modes
remain in the grey, a network that keeps one must be right: the truth must lie in it.
Contours outside the grey, or a truth outside both, say that one of the two is wrong.
Over all visible clusters three numbers say so: the truth is in the 95 % region of each
in 95 of 100 clusters, and 95 % of the network's probability is inside the grid's.

Writes ``degeneracies.png`` and ``degeneracies.json`` to the output directory.
"""

import argparse
import dataclasses
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from clusterkeras.diagnostics.metrics import contours
from clusterkeras.diagnostics.metrics.contours import Agreement
from clusterkeras.diagnostics.plots.contours import Panel
from clusterkeras.evaluation import asking, evaluate, examples
from clusterkeras.evaluation.competitors.ring_photometry import Measured, measure_rings
from clusterkeras.evaluation.competitors.stochastic_grid import StochasticGrid, fit_grid
from clusterkeras.network.loading import load_model
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.running.plain_files import write_json
from data_tools.schema import PARAMETER_NAMES, PARAMETERS

#: Clusters of each of the two kinds.
N_EACH = 10

BATCH = 256

#: Visibility in dex, as the network states it, below which nothing is asked.
LEAST_LOG_SNR = 0.7

PLANE = [PARAMETER_NAMES.index(name) for name in ("log_age", "a_v")]
MASS = PARAMETER_NAMES.index("log_mass")


def clusters_of(args: argparse.Namespace) -> Iterator[tuple[tf.Tensor, dict]]:
    """Read the clusters of the split."""
    dataset = make_dataset(
        args.data, args.split, BATCH, training=False, limit=args.n_mocks
    )
    for images, labels in dataset:
        rows = labels["is_cluster"] > 0
        yield images[rows], {name: value[rows] for name, value in labels.items()}


def draw_from_grid(grid: StochasticGrid, objects: Measured, n: int) -> np.ndarray:
    """Return n draws of age and A_V for each object: (N, n, 2)."""
    found = []
    for flux, error, mock_id in zip(
        tqdm(objects.flux, "stochastic grid"),
        objects.error,
        objects.truth["mock_id"],
        strict=True,
    ):
        rng = np.random.default_rng(int(mock_id))
        draws = grid.posterior(flux, error, rng).draw(n, rng)
        found.append(draws[:, PLANE].astype(np.float32))
    return np.array(found)


def choose(by_grid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Choose clusters: the most degenerate, and of the others some that stand for all.

    Parameters
    ----------
    by_grid : ndarray (N, S, 2)
        The grid's draws of age and A_V, in units of the box's width.
    values : ndarray (N, D)
        What the others are spread over.

    Returns
    -------
    ndarray (2, N_EACH)
        Their rows.
    """
    degenerate = examples.degeneracy(*np.moveaxis(by_grid, -1, 0))
    first = np.argsort(-degenerate, kind="stable")[:N_EACH]
    rest = np.setdiff1d(np.arange(len(values)), first)
    return np.array([first, rest[examples.spread(values[rest], N_EACH)]])


def summarise(found: list[Agreement]) -> dict[str, float]:
    """Average over clusters, with the standard error of what has an expectation."""
    every = {k: [getattr(a, k) for a in found] for k in dataclasses.asdict(found[0])}
    inside = {
        "network_inside_95_of_grid": np.array(every["inside"]),
        "truth_inside_95_of_grid": np.array(every["first_level"]) < 0.95,
        "truth_inside_95_of_network": np.array(every["second_level"]) < 0.95,
    }
    numbers = {"n": len(found), "median_overlap": np.median(every["overlap"])}
    numbers["median_area_ratio"] = np.median(every["area_ratio"])
    for name, values in inside.items():
        numbers[name] = values.mean()
        numbers[f"{name}_error"] = values.std() / np.sqrt(len(values))
    return numbers


def main() -> None:
    """Ask both, choose, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a mock set")
    parser.add_argument("--model", required=True, help="a run, a file or a preset")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--draws", type=int, default=2000)
    parser.add_argument(
        "--n_mocks", type=int, default=2000, help="only the first so many records"
    )
    parser.add_argument(
        "--grid_data", type=Path, help="the set the grid is made of, if another"
    )
    parser.add_argument(
        "--n_models", type=int, default=0, help="models of the grid beside its mocks"
    )
    parser.add_argument("--n_train", type=int, help="fewer mocks for the grid")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    box = read_set(args.data).target.box
    plane = tuple(PARAMETERS[p] for p in PLANE)
    low, high = np.transpose([box[p.name] for p in plane])

    network = load_model(args.model)
    predictions = asking.predict(network, clusters_of(args), args.draws)
    grid = fit_grid(args.grid_data or args.data, args.n_models, args.n_train)
    print(f"{len(grid.flux)} models, {grid.kernels}", flush=True)
    by_grid = draw_from_grid(
        grid, measure_rings(args.data, args.split, args.n_mocks), args.draws
    )

    visible = predictions.visibility_mean >= LEAST_LOG_SNR
    by_grid, predictions = by_grid[visible], predictions.select(visible)
    by_network = predictions.draws[..., PLANE]
    truth = predictions.truth[:, PLANE]
    found = [
        contours.agreement_of(*one, low, high)
        for one in zip(tqdm(by_grid, "comparison"), by_network, truth, strict=True)
    ]
    of_truth = predictions.truth[:, [PLANE[0], MASS]]
    values = np.column_stack([of_truth, predictions.log_snr])
    rows = choose(by_grid / (high - low), values)
    headings = ("most degenerate by the grid", "spread over age, mass, visibility")
    panels, clusters = {}, []
    for heading, group in zip(headings, rows, strict=True):
        panels[heading] = []
        for row in group:
            parameters = dict(
                zip(PARAMETER_NAMES, predictions.truth[row].tolist(), strict=True)
            )
            title = (
                f"log M {parameters['log_mass']:.1f}, "
                f"S/N {10 ** predictions.log_snr[row]:.0f}, "
                f"mock {predictions.mock_id[row]}"
            )
            panels[heading].append(
                Panel(by_grid[row], by_network[row], truth[row], title)
            )
            clusters.append(
                {
                    "mock_id": predictions.mock_id[row],
                    "chosen": heading,
                    "truth": parameters,
                    "log_snr": predictions.log_snr[row],
                    **dataclasses.asdict(found[row]),
                }
            )
    figure = contours.draw_contours(panels, plane, box)
    figure.savefig(args.output / "degeneracies.png", dpi=250)
    hours = (time.process_time() - began) / 3600
    numbers = summarise(found)
    about = {
        "model": args.model,
        "data": str(args.data),
        "split": args.split,
        "limit": args.n_mocks,
        "draws": args.draws,
        "grid": {
            "data": str(args.grid_data or args.data),
            "models": len(grid.flux),
            "kernels": dataclasses.asdict(grid.kernels),
        },
        "least_log_snr": LEAST_LOG_SNR,
        "cpu_hours": hours,
    }
    write_json(
        args.output / "degeneracies.json",
        evaluate.as_plain(about | {"all": numbers, "clusters": clusters}),
    )
    print(f"all {numbers['n']} visible clusters:")
    for name in ("median_overlap", "median_area_ratio"):
        print(f"  {name}: {numbers[name]:.3f}")
    for name in [n for n in numbers if f"{n}_error" in numbers]:
        print(f"  {name}: {numbers[name]:.3f} ± {numbers[f'{name}_error']:.3f}")
    print(f"{hours:.2f} hours of processor time, {platform.platform()}, ", end="")
    print(f"{os.cpu_count()} cores")


if __name__ == "__main__":
    main()
