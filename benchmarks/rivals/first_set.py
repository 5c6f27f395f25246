r"""The first test set as arrays that this version's code reads.

The first set of mocks is of schema version 2, which this version no longer reads: it is
made, measured and read here by the code of commit 681e351, from whose seed it comes.
This file is run with that commit's packages and imports nothing of this version::

    git worktree add ../first 681e351
    cd ../first && python -m clusterkeras.cli simulate -o mocks \
        --mocks.n 300000 --mocks.n_validation 8192 --mocks.n_test 12288
    PYTHONPATH=. python ../clusterkeras/benchmarks/rivals/first_set.py \
        --data mocks -o first_set --n_models 1800000

It writes the photometry of the splits' clusters, ``train.npz``, ``validation.npz`` and
``test.npz``, as `clusterkeras.evaluation.competitors.ring_photometry.Measured.read`
reads it; ``populations.npz``, for the fit of deterministic ones; the records of the
test split, ``images.npy`` and ``labels.npz``, for networks; ``target.yaml``; and
``models``, a directory of models drawn from the set's priors. What is there is not made
again.
"""

import argparse
import os
import shutil
from functools import partial
from pathlib import Path

# one thread a process: there are as many processes as cores
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import numpy as np
import tensorflow as tf
from clusterkeras.photometry import AperturePhotometry
from data_tools.cluster import ClusterMaker
from data_tools.observation import draw_observation
from data_tools.population import population_of
from data_tools.render import Renderer
from shards import write_models
from tqdm import tqdm

from clusterkeras import ring_photometry
from data_tools import records
from data_tools.priors import Priors
from data_tools.schema import PARAMETER_NAMES

MARGIN_PX = 16
BATCH = 256
#: Steps in log age and A_V between deterministic populations.
AGE_STEP, A_V_STEP = 0.05, 0.05


def write_photometry(data: Path, split: str, path: Path) -> None:
    """Write the photometry of a split's clusters, and their truth."""
    found = ring_photometry.measure(data, split)
    part = path.with_name("part-" + path.name)
    fluxes = {name: getattr(found, name) for name in ("flux", "error", "noise_free")}
    np.savez(part, **fluxes, **found.truth)
    os.replace(part, path)


def write_populations(data: Path, path: Path) -> None:
    """Write the light of deterministic populations, in nJy of one Msun."""
    target = records.read_set(data).target
    ages, a_vs = (
        np.linspace(low, high, round((high - low) / step) + 1)
        for (low, high), step in (
            (target.box["log_age"], AGE_STEP),
            (target.box["a_v"], A_V_STEP),
        )
    )
    populations = [population_of(target, age) for age in ages]
    flux = [[found.mean_flux(a_v) for a_v in a_vs] for found in populations]
    np.savez(path, log_age=ages, a_v=a_vs, flux=flux)


def draw(n: int, seed: int, data: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw models from the set's priors: parameters, and fluxes without noise."""
    info, rng = records.read_set(data), np.random.default_rng(seed)
    target, priors = info.target, Priors(**info.configuration["priors"])
    clusters = ClusterMaker(target, priors)
    layer = AperturePhotometry(ring_photometry.SOFTENING_NJY)
    measure = tf.function(layer.call, reduce_retracing=True)
    renderer = Renderer(target.cutout_px, MARGIN_PX)
    low, high = np.transpose([target.box[name] for name in PARAMETER_NAMES])
    middle = (target.cutout_px - 1) / 2
    parameters = rng.uniform(low, high, (n, len(low)))
    fluxes = []
    for first in range(0, n, BATCH):
        psf = draw_observation(target, priors, rng).psf(target, renderer.grid)
        filters = renderer.filters(psf)
        images = []
        for row in parameters[first : first + BATCH]:
            x, y, flux = clusters.stars(row, rng)
            dx, dy = middle + rng.uniform(-1, 1, 2) * priors.centre_offset_px
            images.append(renderer.draw(x + dx, y + dy, flux, filters))
        fluxes.append(measure(np.float32(images))["flux"].numpy().astype(float))
    rings = np.diff(np.concatenate(fluxes), axis=1, prepend=0)
    return parameters, rings.reshape(n, -1)


def write_records(data: Path, output: Path) -> None:
    """Write the images and labels of the test split."""
    info = records.read_set(data)
    n, target = info.splits["test"], info.target
    shape = (n, target.cutout_px, target.cutout_px, len(target.bands))
    part = output / "part-images.npy"
    images = np.lib.format.open_memmap(part, "w+", np.float32, shape)
    labels, first = [], 0
    dataset = records.make_dataset(data, "test", BATCH, training=False)
    for batch, said in tqdm(dataset, "records"):
        images[first : first + len(batch)] = batch.numpy()
        first += len(batch)
        labels.append({name: value.numpy() for name, value in said.items()})
    images.flush()
    joined = {k: np.concatenate([part[k] for part in labels]) for k in labels[0]}
    np.savez(output / "labels.npz", **joined)
    os.replace(part, output / "images.npy")


def main() -> None:
    """Write what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the first mock set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--n_models", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(args.data / "target.yaml", args.output / "target.yaml")
    for split in ("test", "validation", "train"):
        path = args.output / f"{split}.npz"
        if not path.exists():
            write_photometry(args.data, split, path)
    if not (args.output / "populations.npz").exists():
        write_populations(args.data, args.output / "populations.npz")
    if not (args.output / "images.npy").exists():
        write_records(args.data, args.output)
    of_set = partial(draw, data=str(args.data))
    write_models(args.output / "models", of_set, args.n_models, args.seed, args.workers)


if __name__ == "__main__":
    main()
