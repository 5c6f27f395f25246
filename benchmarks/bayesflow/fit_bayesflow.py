"""BayesFlow as it comes, trained and asked on the records of a mock set.

Its convolutional summary network, its coupling flow, its optimiser and schedule, all
with BayesFlow's defaults. From this package come the records, as everywhere paired anew
and turned in each epoch, the asinh scaling of the images and the box of the parameters.

It needs an environment of its own (see requirements.txt) and writes
``predictions.npz``, which `benchmarks/bench_competitors.py --predictions` scores like
every other method, and ``history.json`` with the hours of processor time.
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import bayesflow
import keras
import numpy as np
import tensorflow as tf

from clusterkeras.config import ModelConfig
from clusterkeras.diagnostics.report import Predictions
from clusterkeras.evaluation import truth_of
from data_tools.records import make_dataset, read_set
from data_tools.target import Target


class Records(bayesflow.simulators.Simulator):
    """The clusters of a mock set, as BayesFlow's simulator: each batch is the next one.

    Parameters
    ----------
    data : Path
        The mock set.
    split : {"train", "validation", "test"}
        Part of it.
    batch_size : int
        Records read at a time; those without a cluster are left out.
    training : bool
        Whether to go on for ever, paired anew and turned in each epoch.
    seed : int
        Seed of order, pairs and noise.
    """

    def __init__(
        self, data: Path, split: str, batch_size: int, training: bool, seed: int = 0
    ) -> None:
        dataset = make_dataset(data, split, batch_size, training=training, seed=seed)
        self.batches = int(dataset.cardinality())
        self._read = iter(dataset.repeat() if training else dataset)

    def sample(self, batch_shape: tuple[int, ...], **kwargs) -> dict[str, np.ndarray]:
        """Give the next batch, whatever its size."""
        images, labels = next(self._read)
        chosen = labels["is_cluster"] > 0
        return {
            "images": np.arcsinh(images[chosen] / ModelConfig().softening_njy) / 4,
            "parameters": labels["parameters"][chosen].numpy(),
            "labels": {name: value[chosen] for name, value in labels.items()},
        }


def make_adapter(target: Target, condition: str, role: str) -> bayesflow.Adapter:
    """Give the adapter: parameters inside the box, `condition` in its `role`."""
    low, high = np.transpose(list(target.box.values()))
    return (
        bayesflow.Adapter()
        .keep(["parameters", condition])
        .convert_dtype("float64", "float32")
        .constrain("parameters", lower=low, upper=high)
        .rename("parameters", "inference_variables")
        .rename(condition, role)
    )


def ask(
    approximator: bayesflow.ContinuousApproximator,
    target: Target,
    records: Records,
    draws: int,
) -> Predictions:
    """Ask the trained flow for its posteriors of all clusters of a split."""
    # the same flow on summaries that are computed once, not once a draw
    flow = bayesflow.ContinuousApproximator(
        inference_network=approximator.inference_network,
        adapter=make_adapter(target, "summaries", "inference_conditions"),
    )
    flow.standardizer = approximator.standardizer
    parts: list[dict[str, np.ndarray]] = []
    for number in itertools.count():
        try:
            batch = records.sample(())
        except StopIteration:
            break
        summaries = approximator.summarize({"images": batch["images"]})
        given = {"summaries": summaries}
        drawn = flow.sample(num_samples=draws, conditions=given, seed=number)
        drawn = drawn["parameters"].astype(np.float32)
        repeated = {
            "summaries": np.repeat(summaries, draws, axis=0),
            "parameters": drawn.reshape(-1, drawn.shape[-1]),
        }
        log_prob = flow.log_prob(given | {"parameters": batch["parameters"]})
        parts.append(
            truth_of(batch["labels"])
            | {
                "log_prob": log_prob,
                "draws": drawn,
                "log_prob_draws": flow.log_prob(repeated).reshape(drawn.shape[:2]),
            }
        )
    found = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    said = {k: found.pop(k) for k in ("log_prob", "draws", "log_prob_draws")}
    return Predictions.of_posterior(found, **said)


def main() -> None:
    """Train, ask, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a mock set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--steps", type=int, help="steps an epoch; default: the set's")
    parser.add_argument("--split", default="test", help="what is asked for")
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    keras.utils.set_random_seed(args.seed)
    args.output.mkdir(parents=True, exist_ok=True)
    target = read_set(args.data).target
    records = Records(args.data, "train", args.batch_size, True, args.seed)
    workflow = bayesflow.BasicWorkflow(
        simulator=records,
        adapter=make_adapter(target, "images", "summary_variables"),
        inference_network=bayesflow.networks.CouplingFlow(),
        summary_network=bayesflow.networks.ConvolutionalNetwork(),
        checkpoint_filepath=str(args.output),
    )
    used = time.process_time()
    history = workflow.fit_online(
        epochs=args.epochs,
        num_batches_per_epoch=args.steps or records.batches,
        batch_size=args.batch_size,
        verbose=2,
    )
    cpu_hours = (time.process_time() - used) / 3600
    figures = {
        "cpu_hours": cpu_hours,
        "weights": workflow.approximator.count_params(),
        "versions": {m.__name__: m.__version__ for m in (bayesflow, keras, tf)},
        "history": history.history,
    }
    (args.output / "history.json").write_text(json.dumps(figures, indent=1))
    test = Records(args.data, args.split, args.batch_size, False)
    predictions = ask(workflow.approximator, target, test, args.draws)
    predictions.write(args.output / "predictions.npz")
    print(f"{cpu_hours:.2f} hours of processor time; wrote {args.output}")


if __name__ == "__main__":
    main()
