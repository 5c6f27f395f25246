"""Rate and memory of inference on a whole mosaic.

Writes three synthetic bands into a temporary folder (0.5 GB for 5000 x 8500 pixels) and
runs `clusterkeras.catalogue.infer` on random positions in a process of its own, whose
peak memory is measured with everything in it, TensorFlow included. In the same process
and on cutouts that are already in memory are timed the network with its posterior's
summary, which is what a SavedModel gives: what it is ahead of `infer` is the cost of
reading, flagging and writing; and the network's forward pass alone: what that is ahead
is the cost of the summary.

The three take turns, and their processor time is what is compared, so that other work
on the machine weighs on all alike. The PSF's width, which a network with context is
told, is measured on a mosaic once, however many positions there are: it is timed apart.

The network need not be trained to be timed: by default it is one of the default shape
with random weights.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

BLOCK_ROWS = 250


def write_mosaics(directory: Path, shape: tuple[int, int]) -> list[Path]:
    """Write three bands of noise and stars, a block of rows at a time."""
    from astropy.io import fits

    from data_tools.target import Target

    target = Target.load("m83-wfc3-uvis")
    rng = np.random.default_rng(0)
    step = target.pixel_scale_arcsec / 3600
    paths = []
    for band in target.bands:
        header = fits.Header(
            {
                "SIMPLE": True,
                "BITPIX": -32,
                "NAXIS": 2,
                "NAXIS1": shape[1],
                "NAXIS2": shape[0],
                "FILTER": band.name,
                "BUNIT": "ELECTRONS/S",
                "EXPTIME": band.exposure_s,
                "PHOTFLAM": band.photflam,
                "PHOTPLAM": band.photplam,
                "CTYPE1": "RA---TAN",
                "CTYPE2": "DEC--TAN",
                "CRPIX1": shape[1] / 2,
                "CRPIX2": shape[0] / 2,
                "CRVAL1": 204.25,
                "CRVAL2": -29.87,
                "CD1_1": -step,
                "CD2_2": step,
            }
        )
        paths.append(directory / f"{band.name}.fits")
        stream = fits.StreamingHDU(paths[-1], header)
        for first in range(0, shape[0], BLOCK_ROWS):
            rows = min(BLOCK_ROWS, shape[0] - first)
            block = rng.normal(0.05, 0.01, (rows, shape[1])).astype(np.float32)
            stars = rng.integers(0, block.size, block.size // 2000)
            block.flat[stars] += rng.exponential(1.0, len(stars)).astype(np.float32)
            stream.write(block)
        stream.close()
    return paths


def measure(
    directory: Path,
    shape: tuple[int, int],
    n: int,
    batch_size: int,
    rounds: int,
    model: str | None,
) -> dict[str, float]:
    """Time `infer` and the bare network; give rates and this process's peak memory.

    A rate is positions a second of one core's processor time, the median of the rounds.
    """
    import tensorflow as tf
    from astropy.table import Table

    from clusterkeras.catalogue.asking.graph import compile_network
    from clusterkeras.catalogue.infer import infer
    from clusterkeras.config import InferenceConfig
    from clusterkeras.network.loading import load_model
    from clusterkeras.network.model import ClusterModel
    from data_tools.mosaics.mosaic import opened
    from data_tools.preparation.psf_width import measure_psf_widths
    from data_tools.target import Target

    target = Target.load("m83-wfc3-uvis")
    network = load_model(model) if model else ClusterModel(target)
    images = [directory / f"{name}.fits" for name in target.band_names]
    rng = np.random.default_rng(1)
    psf_s = 0.0
    if network.takes_context:
        with opened(images, target) as mosaics:
            began = time.process_time()
            measure_psf_widths(mosaics, target, progress=False)
            psf_s = time.process_time() - began
    widths = (2.2,) * len(images) if network.takes_context else None
    config = InferenceConfig(batch_size=batch_size, psf_fwhm_px=widths)
    positions = directory / "positions.ecsv"

    def place(rows: int) -> None:
        x, y = rng.uniform(0, 1, (2, rows)) * np.array([[shape[1]], [shape[0]]])
        Table({"x": x, "y": y}).write(positions, overwrite=True)

    def run() -> None:
        out = directory / "out.ecsv"
        infer(images, positions, out, network, config, overwrite=True)

    px = target.cutout_px
    cutouts = rng.normal(20, 4, (batch_size, px, px, len(images))).astype(np.float32)
    seeds = np.zeros(batch_size, np.int32)
    summary = compile_network(network)
    forward = tf.function(lambda images: network(images, training=False))
    batches = max(n // batch_size, 1)

    def for_all(ask: Callable[[], object]) -> Callable[[], None]:
        def several() -> None:
            for _ in range(batches):
                ask()

        return several

    turns = {
        "infer_per_s": run,
        "summary_per_s": for_all(lambda: summary(cutouts, seeds)),
        "forward_per_s": for_all(lambda: forward(cutouts)["posterior"].numpy()),
    }
    place(batches * batch_size)
    run()  # compiles the network
    peak_gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    for ask in (lambda: summary(cutouts, seeds), lambda: forward(cutouts)):
        ask()
    taken: dict[str, list[float]] = {key: [] for key in turns}
    for _ in range(rounds):
        for key, turn in turns.items():
            began = time.process_time()
            turn()
            taken[key].append(time.process_time() - began)
    rates = {k: batches * batch_size / np.median(v) for k, v in taken.items()}
    return {**rates, "psf_s": psf_s, "peak_gb": peak_gb}


def main() -> None:
    """Print a table, the machine, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=8192, help="positions a turn")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument(
        "--shape", type=int, nargs=2, default=(5000, 8500), help="rows and columns"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of each")
    parser.add_argument("--model", help="name or path; without, a default one")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        shape, how = tuple(args.shape), (args.n, args.batch_size, args.rounds)
        found = measure(args.measure, shape, *how, args.model)
        print(json.dumps(found))
        return
    with tempfile.TemporaryDirectory() as directory:
        write_mosaics(Path(directory), args.shape)
        command = [sys.executable, __file__, "--measure", directory]
        command += ["--n", str(args.n), "--batch_size", str(args.batch_size)]
        command += ["--shape", *map(str, args.shape), "--rounds", str(args.rounds)]
        command += ["--model", args.model] if args.model else []
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    rows, columns = args.shape
    about = args.model or "a default network"
    print(f"{rows} x {columns} px, 3 bands, {args.n} positions; {about}")
    print(f"{'by processor time of a core':40}{'cutouts/s':>10}{'infer is':>10}")
    for key, words in (
        ("infer_per_s", "infer, file to catalogue"),
        ("summary_per_s", "network and summary, cutouts in memory"),
        ("forward_per_s", "network alone, cutouts in memory"),
    ):
        print(f"{words:40}{found[key]:10.0f}{found['infer_per_s'] / found[key]:10.0%}")
    print(f"width of the PSF, once a mosaic: {found['psf_s']:.1f} s")
    print(f"peak memory of infer: {found['peak_gb']:.2f} GB")
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))


if __name__ == "__main__":
    main()
