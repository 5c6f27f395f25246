"""Rates of the training input, of the bare train step, and of `fit` with both.

The input is read from disk, decoded, paired, given noise and turned, and thrown away;
the bare step runs on one batch that is already in memory; `fit` is Keras' own, with the
input and no callback but the watch for losses that are not finite. The three take turns
and the median of the rounds counts, so that other work on the machine meets all alike.

Without ``--data`` a mock set is simulated first, three times the size of the buffer
that the input shuffles in.
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import keras
import numpy as np
import tensorflow as tf

from clusterkeras.config import TrainingConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.training.callbacks import StopOnNonFinite
from clusterkeras.training.optimizer import make_optimizer
from data_tools.priors import Priors
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.target import Target


def measure(data: Path, batch_size: int, limit: int, rounds: int) -> dict[str, list]:
    """Return images/s and processor seconds an image of the three, round by round."""
    keras.utils.set_random_seed(0)
    batches = make_dataset(data, "train", batch_size, training=True, limit=limit)
    steps = int(batches.cardinality())
    images = min(limit, read_set(data).splits["train"])
    network = ClusterModel(read_set(data).target)
    network.compile(make_optimizer(TrainingConfig(), steps * (rounds + 1)))

    def read() -> None:
        for _ in batches:
            pass

    def fit(epoch: tf.data.Dataset) -> None:
        network.fit(epoch, shuffle=False, verbose=0, callbacks=[StopOnNonFinite()])

    fit(batches.take(3))  # compiles
    train_step = tf.function(network.train_step)
    batch = next(iter(batches))
    train_step(batch)

    def step() -> None:
        for _ in range(steps):
            train_step(batch)

    rates: dict[str, list] = {"input": [], "step": [], "fit": []}
    for _ in range(rounds):
        for name, run in (
            ("input", read),
            ("step", step),
            ("fit", lambda: fit(batches)),
        ):
            began, used = perf_counter(), process_time()
            run()
            wall, core = perf_counter() - began, process_time() - used
            rates[name].append((images / wall, core / images))
    return rates


def main() -> None:
    """Print a table, the machine, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="a mock set; simulated if not given")
    parser.add_argument("--n_mocks", type=int, default=12_288, help="images a round")
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        data = args.data
        if data is None:
            mocks = MockSet(n_train=args.n_mocks, n_validation=0, n_test=0)
            target = Target.load("m83-wfc3-uvis")
            data = simulate(Path(directory) / "mocks", target, Priors(), mocks)
        rates = measure(data, args.batch_size, args.n_mocks, args.rounds)

    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{args.n_mocks} images, batch {args.batch_size}, "
        f"median of {args.rounds} rounds"
    )
    print(f"{'':36}{'images/s':>10}{'core ms/image':>15}")
    median = {name: np.median(values, axis=0) for name, values in rates.items()}
    for name, label in (
        ("input", "input: disk to batch"),
        ("step", "bare train step, batch in memory"),
        ("fit", "fit: input and step"),
    ):
        print(f"{label:36}{median[name][0]:10.0f}{1e3 * median[name][1]:15.2f}")
    figures = {
        "input_over_step": median["input"][0] / median["step"][0],
        "fit_over_step": median["fit"][0] / median["step"][0],
        "input_per_s": median["input"][0],
        "step_per_s": median["step"][0],
    }
    print(json.dumps({key: round(float(v), 3) for key, v in figures.items()}))


if __name__ == "__main__":
    main()
