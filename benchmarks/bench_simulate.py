"""Cost of a mock, stage by stage, beside two other ways of drawing the same stars.

Stages are timed in this process while it makes mocks, in processor time, so that other
work on the machine counts little. The whole of `data_tools.records.simulate.simulate`
is timed in processor time of all its processes, and in wall time with one and with two
workers: each a longer run minus a shorter one, so that starting up does not count.

The same clusters are drawn, in turns, here; with GalSim, as a sum of point sources
convolved with an image of the same PSF; and plainly: a NumPy histogram of the stars in
pixels, convolved with the PSF at the pixels by FFT. The plain way puts stars at the
middle of pixels, and so is another image; the largest differences are printed.
"""

import argparse
import contextlib
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from time import process_time
from unittest.mock import patch

import numpy as np
import scipy.fft

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.imaging.psf import OVERSAMPLING, psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.mocks.mock import MockMaker
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.shard_file import write_shard
from data_tools.records.simulate import simulate
from data_tools.schema import PARAMETER_NAMES
from data_tools.stars.cluster import ClusterMaker
from data_tools.target import Target

STAGES = {
    "field": "field, shared by its mocks",
    "sampling": "population sampling",
    "rendering": "rendering of mocks",
    "injection": "injection: cutout, negatives, visibility",
    "record": "record: serialise, write, checksum",
}


@contextlib.contextmanager
def timed(
    seconds: dict[str, float], stage: str, owner: type, *names: str
) -> Iterator[None]:
    """Add the processor time of methods to a stage while the context lasts."""

    def measured(method: Callable) -> Callable:
        def call(*args: object, **kwargs: object) -> object:
            began = process_time()
            try:
                return method(*args, **kwargs)
            finally:
                seconds[stage] += process_time() - began

        return call

    with contextlib.ExitStack() as stack:
        for name in names:
            method = measured(getattr(owner, name))
            stack.enter_context(patch.object(owner, name, method))
        yield


def time_stages(
    target: Target, priors: Priors, fields: int, directory: Path
) -> dict[str, float]:
    """Return processor seconds a mock of each stage, over some fields."""
    maker = MockMaker(target, priors)
    seconds: dict[str, float] = defaultdict(float)
    # caches of isochrones and PSFs fill once a process, not once a mock
    rng = np.random.default_rng(0)
    list(maker.mocks(maker.make_field(rng), 8, rng, 0, 0))

    for number in range(fields):
        rng = np.random.default_rng(1 + number)
        with timed(seconds, "field", FieldMaker, "make"):
            field = maker.make_field(rng)
        began = process_time()
        with (
            timed(seconds, "sampling", ClusterMaker, "draw"),
            timed(seconds, "rendering", Renderer, "filters", "draw"),
        ):
            examples = list(maker.mocks(field, priors.mocks_per_field, rng, number, 0))
        seconds["mocks"] += process_time() - began
        began = process_time()
        write_shard(directory / "shard", examples)
        seconds["record"] += process_time() - began
    seconds["injection"] = (
        seconds.pop("mocks") - seconds["sampling"] - seconds["rendering"]
    )
    return {k: v / (fields * priors.mocks_per_field) for k, v in seconds.items()}


def clusters(target: Target, renderer: Renderer, n: int) -> Iterator[tuple]:
    """Yield x, y (pixels of a cutout) and flux of the stars of clusters of the box."""
    rng = np.random.default_rng(99)
    maker = ClusterMaker(target, Priors())
    for _ in range(n):
        parameters = np.array([rng.uniform(*target.box[n]) for n in PARAMETER_NAMES])
        drawn = maker.draw(parameters, rng)
        x, y, flux = drawn.x, drawn.y, drawn.flux
        middle = (target.cutout_px - 1) / 2
        # stars far outside make GalSim's Fourier images needlessly large
        inside = np.maximum(abs(x), abs(y)) < middle + renderer.margin_px - 2
        yield x[inside] + middle, y[inside] + middle, flux[inside]


def drawn_with_galsim(images: np.ndarray, size_px: int) -> Callable | None:
    """Return a function that draws stars with GalSim; None where it isn't installed."""
    try:
        import galsim
    except ImportError:
        return None
    psfs = [
        # without its first row and column the PSF is centred on the middle pixel
        galsim.InterpolatedImage(
            galsim.Image(psf[1:, 1:].astype(float), scale=1 / OVERSAMPLING),
            flux=float(psf[1:, 1:].sum()) / OVERSAMPLING**2,
        )
        for psf in images
    ]
    middle = (size_px - 1) / 2

    def draw(x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
        bands = []
        for psf, fluxes in zip(psfs, flux.T, strict=True):
            stars = [
                galsim.DeltaFunction(one).shift(a - middle, b - middle)
                for a, b, one in zip(x, y, fluxes, strict=True)
            ]
            scene = galsim.Convolve(galsim.Sum(stars), psf)
            image = scene.drawImage(nx=size_px, ny=size_px, scale=1, method="no_pixel")
            bands.append(image.array)
        return np.stack(bands, axis=-1)

    return draw


def drawn_plainly(images: np.ndarray, renderer: Renderer) -> Callable:
    """Return a function that draws stars as a histogram, convolved by FFT."""
    margin = renderer.margin_px
    canvas = renderer.canvas_px
    middle = images.shape[1] // 2
    reach = min(canvas // 2, middle // OVERSAMPLING)
    part = slice(middle - reach * OVERSAMPLING, middle + reach * OVERSAMPLING)
    psf = np.zeros((len(images), canvas, canvas))
    psf[:, : 2 * reach, : 2 * reach] = images[:, part, part][
        :, ::OVERSAMPLING, ::OVERSAMPLING
    ]
    spectra = scipy.fft.rfft2(np.roll(psf, (-reach, -reach), (1, 2)))
    edges = np.arange(canvas + 1) - margin - 0.5
    keep = slice(margin, margin + renderer.size_px)

    def draw(x: np.ndarray, y: np.ndarray, flux: np.ndarray) -> np.ndarray:
        source = np.array(
            [np.histogram2d(y, x, (edges, edges), weights=f)[0] for f in flux.T]
        )
        image = scipy.fft.irfft2(scipy.fft.rfft2(source) * spectra, s=(canvas, canvas))
        return np.moveaxis(image[:, keep, keep], 0, -1)

    return draw


def time_drawing(
    target: Target, n_galsim: int, n_plain: int
) -> tuple[dict[str, float], dict[str, float]]:
    """Return seconds a cluster of each way over ours, and its largest difference.

    Both are dictionaries by way; ``here`` has our own seconds. A difference is in units
    of the image's maximum in its band. Each cluster is drawn in all ways in turns.
    """
    renderer = Renderer(target.cutout_px)
    blur = np.array([np.mean(Priors().blur_range(b)) for b in target.band_names])
    spectra = psf_spectra(target, renderer.grid, 0, blur)
    filters = renderer.filters(spectra)
    images = scipy.fft.fftshift(scipy.fft.irfft2(spectra), axes=(1, 2))
    ways = {
        "plain": (drawn_plainly(images, renderer), n_plain),
        "galsim": (drawn_with_galsim(images, target.cutout_px), n_galsim),
    }
    ratios, differences = {}, {}
    for name, (draw, n) in ways.items():
        if draw is None:
            continue
        here = there = worst = 0.0
        for stars in clusters(target, renderer, n):
            began = process_time()
            ours = renderer.draw(*stars, filters)
            here += process_time() - began
            began = process_time()
            theirs = draw(*stars)
            there += process_time() - began
            peak = theirs.max((0, 1))
            worst = max(worst, float((abs(ours - theirs).max((0, 1)) / peak).max()))
        ratios[name], differences[name] = there / here, worst
        ratios["here"] = here / n
    return ratios, differences


def processor_seconds() -> float:
    """Return processor time of this process and of all its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def time_whole(
    target: Target, priors: Priors, fields: int, directory: Path
) -> tuple[float, float]:
    """Return processor seconds a mock of `simulate`, and what a second worker gains.

    The gain is the ratio of wall times of one and of two workers.
    """
    spent: dict[tuple[int, int], tuple[float, float]] = {}
    shard = 2 * priors.mocks_per_field
    for shards in (2, 2 + fields):
        for workers in (1, 2):
            began = processor_seconds(), time.perf_counter()
            mocks = MockSet(shards * shard, 0, 0, shard_size=shard)
            output = directory / f"{shards}-{workers}"
            simulate(output, target, priors, mocks, workers=workers, progress=False)
            spent[shards, workers] = (
                processor_seconds() - began[0],
                time.perf_counter() - began[1],
            )
    processor, wall = np.array(
        [
            np.subtract(spent[2 + fields, workers], spent[2, workers])
            for workers in (1, 2)
        ]
    ).T
    return processor[0] / (fields * shard), wall[0] / wall[1]


def main() -> None:
    """Print a table, the machine, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fields", type=int, default=16, help="fields to make")
    parser.add_argument("--clusters", type=int, default=200, help="clusters to draw")
    parser.add_argument("--galsim", type=int, default=20, help="of them with GalSim")
    args = parser.parse_args()
    target, priors = Target.load("m83-wfc3-uvis"), Priors()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        stages = time_stages(target, priors, args.fields, directory)
        whole, scaling = time_whole(target, priors, args.fields, directory)
    ratios, differences = time_drawing(target, args.galsim, args.clusters)

    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{args.fields} fields of {priors.field_px} px, {priors.mocks_per_field} mocks "
        "each; processor time"
    )
    print(f"{'stage':48}{'ms a mock':>10}")
    for stage, label in STAGES.items():
        print(f"{label:48}{1e3 * stages[stage]:10.2f}")
    print(f"{'all stages':48}{1e3 * sum(stages.values()):10.2f}")
    print(f"{'whole of simulate, all its processes':48}{1e3 * whole:10.2f}")
    here = ratios.pop("here")
    print(f"{'one cluster drawn, the same stars: here':48}{1e3 * here:10.2f}")
    for way, label in (
        ("plain", "NumPy histogram and FFT, without places in a pixel"),
        ("galsim", "GalSim"),
    ):
        if way not in ratios:
            print(f"{label}: not installed")
            continue
        print(
            f"{label}: {ratios[way]:.1f} times as long; largest difference "
            f"{differences[way]:.1e} of a band's maximum"
        )
    figures = {
        "mocks_per_s_per_core": 1 / whole,
        "over_galsim": ratios.get("galsim"),
        "over_histogram": ratios["plain"],
        "scaling_2_workers": scaling,
    }
    print(json.dumps({k: v and round(v, 2) for k, v in figures.items()}))


if __name__ == "__main__":
    main()
