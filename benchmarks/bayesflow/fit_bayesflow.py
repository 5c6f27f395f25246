r"""BayesFlow, trained and asked on the records of a mock set.

``--networks its_own``: all of BayesFlow 2.0.12's defaults: the summary network for
images, `ConvolutionalNetwork` (residual blocks of 32, 64 and 128 channels, two a stage,
layer norm, mish, average pooling, 16 summaries); the inference network, `CouplingFlow`
(six affine dual couplings with actnorm and fixed random permutations, an MLP of 128,
128 with dropout 0.05 in each, normal base).

``--networks our_backbone``: the default backbone of this package and the dense layer
behind it, 256 summaries, and the same flow with rational-quadratic splines of 16 bins,
which are BayesFlow's, in place of affine couplings: its authors advise splines for few
parameters with several modes. Without dropout, which is against learning by heart, and
no image is met twice.

Both: batches of 32; and of `BasicWorkflow` the optimiser for online training, Adam with
gradients clipped at 1.5, whose rate rises to 5e-4 over the first 5 % and falls to zero
as a cosine. Only what the rate follows is not the number of steps but the processor
time that is spent of ``--cpu_hours``, all threads and the reading of records together,
which is how the other methods' hours are counted.

From this package come the records, through `make_dataset`: as for every other method
paired anew and turned in each epoch; the asinh scaling of the images; and the box of
the parameters, which the flow sees as logits.

It needs an environment of its own, see ``requirements.txt``. Run again with the same
options, a training that was cut off goes on after its last 100 steps::

    python benchmarks/bayesflow/fit_bayesflow.py --data first_set \
        --networks our_backbone --cpu_hours 3.2 -o runs/bayesflow_ours
    python benchmarks/bench_rivals.py ask bayesflow_ours --data first_set

The second command, in this environment or the package's, keeps what
``predictions.npz`` says like what every other method does. Beside it lie
``model.keras``, ``history.csv``, ``run.json``.
"""

import argparse
import csv
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from clusterkeras.evaluation.asking import truth_of

os.environ["KERAS_BACKEND"] = "tensorflow"

import bayesflow
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from our_backbone import OurBackbone

from clusterkeras.config import ModelConfig
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.network.layers.scaling import JointAsinh
from data_tools.records.dataset import make_dataset
from data_tools.records.finished_set import read_set
from data_tools.target import Target

#: Records read at a time, of which those with a cluster are kept; steps after which
#: the training is written to disk.
READ = 256
STEPS = 100

#: Steps of the schedule, which are shares of the processor time.
TICKS = 10_000

#: What is trained, see above.
NETWORKS = ("its_own", "our_backbone")

#: Share of the box by which parameters stay off its edges, where a logit is infinite.
OFF_EDGE = 1e-6


def read_clusters(
    data: Path, split: str, *, training: bool, seed: int = 0, limit: int | None = None
) -> tf.data.Dataset:
    """Read the clusters of a split: scaled images and labels, in the records' order."""
    scale = JointAsinh(ModelConfig().softening_njy)

    def only_clusters(images: tf.Tensor, labels: dict) -> tuple[tf.Tensor, dict]:
        rows = labels["is_cluster"] > 0
        return scale(images[rows]), {name: v[rows] for name, v in labels.items()}

    return make_dataset(
        data, split, READ, training=training, seed=seed, limit=limit
    ).map(only_clusters)


class Clusters(bayesflow.simulators.Simulator):
    """The clusters of a training split, epoch after epoch, as BayesFlow's simulator.

    Parameters
    ----------
    data : Path
        The mock set.
    batch_size : int
        Clusters a batch.
    seed : int
        Seed of order, pairs and noise.
    """

    def __init__(self, data: Path, batch_size: int, seed: int) -> None:
        clusters = read_clusters(data, "train", training=True, seed=seed)
        self._batches = iter(clusters.repeat().rebatch(batch_size))

    def sample(self, batch_shape: tuple[int, ...], **kwargs) -> dict[str, np.ndarray]:
        """Return the next batch."""
        images, labels = next(self._batches)
        return {"images": images.numpy(), "parameters": labels["parameters"].numpy()}


class SpendProcessorTime(keras.callbacks.Callback):
    """Let the learning rate follow the processor time, and stop when it is spent.

    Parameters
    ----------
    hours : float
        Processor time of the whole training.
    spent : float
        What of it was spent before.
    schedule : callable
        Learning rate at a step of `TICKS`.
    history : Path
        Table to which each epoch adds a row: steps so far, its loss and its hours.
    """

    def __init__(
        self,
        hours: float,
        spent: float,
        schedule: Callable[[float], float],
        history: Path,
    ) -> None:
        super().__init__()
        self.hours, self.spent = hours, spent
        self.schedule, self.history = schedule, history

    def on_train_begin(self, logs=None):
        """Start the clock."""
        self._began = self._line = time.process_time()

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate."""
        share = min(self._now() / self.hours, 1.0)
        self.model.optimizer.learning_rate = float(self.schedule(share * TICKS))

    def on_train_batch_end(self, batch, logs=None):
        """Look at the clock."""
        self.model.stop_training = self._now() >= self.hours

    def on_epoch_end(self, epoch, logs=None):
        """Note loss and hours, and say how far the training is."""
        now = time.process_time()
        hours, self._line = (now - self._line) / 3600, now
        steps = int(self.model.optimizer.iterations)
        new = not self.history.exists()
        with self.history.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["steps", "loss", "cpu_hours"])
            writer.writerow([steps, logs["loss"], hours])
        print(
            f"step {steps}: loss {logs['loss']:.3f}, {self._now():.3f} of "
            f"{self.hours:g} hours of processor time",
            flush=True,
        )

    def _now(self) -> float:
        return self.spent + (time.process_time() - self._began) / 3600


def make_adapter(target: Target, condition: str, role: str) -> bayesflow.Adapter:
    """Return adapter: parameters as logits of the box, `condition` in its `role`."""
    low, high = np.transpose(list(target.box.values()))
    return (
        bayesflow.Adapter()
        .keep(["parameters", condition])
        .convert_dtype("float32", "float64", include="parameters")
        .constrain("parameters", lower=low, upper=high)
        .convert_dtype("float64", "float32")
        .rename("parameters", "inference_variables")
        .rename(condition, role)
    )


def make_networks(name: str, target: Target) -> dict[str, keras.Layer]:
    """Return the summary and the inference network of one of `NETWORKS`."""
    if name == "its_own":
        return {
            "summary_network": bayesflow.networks.ConvolutionalNetwork(),
            "inference_network": bayesflow.networks.CouplingFlow(),
        }
    px, bands = target.cutout_px, len(target.bands)
    return {
        "summary_network": OurBackbone((px, px, bands)),
        "inference_network": bayesflow.networks.CouplingFlow(
            transform="spline", subnet_kwargs={"dropout": 0.0}
        ),
    }


def train(
    data: Path,
    output: Path,
    hours: float,
    batch_size: int,
    seed: int,
    networks: str = "its_own",
) -> bayesflow.ContinuousApproximator:
    """Train for some hours of processor time, or go on."""
    history, finished = output / "history.csv", output / "model.keras"
    if finished.exists():
        return keras.saving.load_model(finished)
    rows: list[dict[str, str]] = []
    if history.exists():
        with history.open(newline="") as file:
            rows = list(csv.DictReader(file))
    spent = sum(float(row["cpu_hours"]) for row in rows)
    keras.utils.set_random_seed(seed)
    target = read_set(data).target
    workflow = bayesflow.BasicWorkflow(
        # what follows a restart must not repeat the order of what was before it
        simulator=Clusters(data, batch_size, seed + len(rows)),
        adapter=make_adapter(target, "images", "summary_variables"),
        **make_networks(networks, target),
    )
    # its own optimiser, but with a rate that can be set
    own = workflow.build_optimizer(epochs=1, num_batches=TICKS, strategy="online")
    config = own.get_config()
    schedule = keras.optimizers.schedules.deserialize(config["learning_rate"])
    rate = float(schedule(0))
    workflow.optimizer = type(own).from_config(config | {"learning_rate": rate})
    workflow.fit_online(
        epochs=10**9,
        num_batches_per_epoch=STEPS,
        batch_size=batch_size,
        verbose=0,
        callbacks=[
            keras.callbacks.BackupAndRestore(
                output / "backup", double_checkpoint=True, delete_checkpoint=False
            ),
            SpendProcessorTime(hours, spent, schedule, history),
        ],
    )
    part = output / "part-model.keras"
    workflow.approximator.save(part)
    os.replace(part, finished)
    shutil.rmtree(output / "backup")
    return workflow.approximator


def flow_on_summaries(
    approximator: bayesflow.ContinuousApproximator, target: Target
) -> bayesflow.ContinuousApproximator:
    """Return the same flow, asked with ``summaries`` that were computed before.

    Its ``log_prob`` of ``parameters`` is the natural log of the density in their own
    units, the logits' Jacobian and BayesFlow's standardisation included.
    """
    flow = bayesflow.ContinuousApproximator(
        inference_network=approximator.inference_network,
        adapter=make_adapter(target, "summaries", "inference_conditions"),
    )
    flow.standardizer = approximator.standardizer
    return flow


def ask(
    approximator: bayesflow.ContinuousApproximator,
    target: Target,
    clusters: tf.data.Dataset,
    draws: int,
) -> Predictions:
    """Ask the trained flow for its posteriors of clusters.

    Parameters
    ----------
    approximator : bayesflow.ContinuousApproximator
        What `train` gives.
    target : Target
        Target of the training set.
    clusters : tf.data.Dataset
        As `read_clusters` gives them.
    draws : int
        Draws of each posterior.
    """
    # summaries once, not once a draw
    flow = flow_on_summaries(approximator, target)
    low, high = np.transpose(list(target.box.values()))
    off = OFF_EDGE * (high - low)

    def inside(parameters: NDArray) -> NDArray[np.float32]:
        return np.clip(parameters, low + off, high - off).astype(np.float32)

    parts: list[dict[str, np.ndarray]] = []
    for number, (images, labels) in enumerate(clusters):
        summaries = np.asarray(approximator.summarize({"images": images.numpy()}))
        given = {"summaries": summaries}
        drawn = flow.sample(num_samples=draws, conditions=given, seed=number)
        drawn = inside(drawn["parameters"])
        repeated = {
            "summaries": np.repeat(summaries, draws, axis=0),
            "parameters": drawn.reshape(-1, drawn.shape[-1]),
        }
        truth = {"parameters": inside(labels["parameters"].numpy())}
        parts.append(
            truth_of(labels)
            | {
                "log_prob": flow.log_prob(given | truth),
                "draws": drawn,
                "log_prob_draws": flow.log_prob(repeated).reshape(drawn.shape[:2]),
            }
        )
    found = {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}
    said = {k: found.pop(k) for k in ("log_prob", "draws", "log_prob_draws")}
    return Predictions.of_posterior(found, **said)


def claim(output: Path, run: dict) -> None:
    """Write what the run is, or refuse a directory of another."""
    path = output / "run.json"
    if path.exists():
        there = json.loads(path.read_text())
        if there != run:
            raise ValueError(
                f"{path}: another run is kept here; expected {there}, received {run}. "
                "Name another output, or remove this one"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(run, indent=1))


def main(arguments: list[str] | None = None) -> None:
    """Train, ask, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="a mock set")
    parser.add_argument("--test_data", type=Path, help="the set asked, if another")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--networks", choices=NETWORKS, default="its_own")
    parser.add_argument(
        "--cpu_hours", type=float, default=1.0, help="processor time of the training"
    )
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="test", help="what is asked for")
    parser.add_argument("--n_mocks", type=int, help="only its first so many records")
    parser.add_argument("--draws", type=int, default=500)
    args = parser.parse_args(arguments)

    target = read_set(args.data).target
    asked = args.test_data or args.data
    if read_set(asked).target.box != target.box:
        raise ValueError(
            f"{asked}: expected the box of {args.data}, {target.box}; received "
            f"{read_set(asked).target.box}"
        )
    claim(
        args.output,
        {
            "data": str(args.data.resolve()),
            "networks": args.networks,
            "cpu_hours": args.cpu_hours,
            "batch_size": args.batch_size,
            "seed": args.seed,
            "versions": {m.__name__: m.__version__ for m in (bayesflow, keras, tf)},
        },
    )
    how = (args.cpu_hours, args.batch_size, args.seed, args.networks)
    approximator = train(args.data, args.output, *how)
    clusters = read_clusters(asked, args.split, training=False, limit=args.n_mocks)
    found = ask(approximator, target, clusters, args.draws)
    found.write(args.output / "predictions.npz")
    print(
        f"{approximator.count_params()} weights; -log p {-found.log_prob.mean():.3f} "
        f"nats over {len(found)} clusters; wrote {args.output}"
    )


if __name__ == "__main__":
    main()
