r"""Models of the first set's priors, for the stochastic grid.

The first set of mocks (``first_mocks.py``) is that of commit 681e351. Models of the
same clusters are drawn by the same code: this file is run with that commit's packages,
and imports nothing of this version::

    cd ../first
    PYTHONPATH=. python ../clusterkeras/benchmarks/rivals/first/first_models.py \
        --data mocks -o first_models --n_models 1900000

Run again, it goes on with what is missing. ``first_set.py`` makes the set itself one
that this version reads.
"""

import argparse
import os
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
from data_tools.render import Renderer
from shards import SHARD, write_models

from clusterkeras import ring_photometry
from data_tools import records
from data_tools.priors import Priors
from data_tools.schema import PARAMETER_NAMES

MARGIN_PX = 16
BATCH = 256


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


def main() -> None:
    """Draw what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="the first mock set")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--n_models", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--shard", type=int, default=SHARD, help="models of a file")
    args = parser.parse_args()
    of_set = partial(draw, data=str(args.data))
    write_models(
        args.output, of_set, args.n_models, args.seed, args.workers, args.shard
    )


if __name__ == "__main__":
    main()
