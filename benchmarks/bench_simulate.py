"""Cost of a mock, stage by stage, beside GalSim drawing the same stars.

Stages are timed in this process, one after the other, in processor time, so that other
work on the machine does not count. The last figure is the whole of
`data_tools.simulate.simulate` in processor time of all its processes: the difference of
a longer and a shorter run, so that starting up does not count either.

GalSim, where it is installed, draws the same stars through the same PSF image: a sum of
point sources convolved with an interpolated image, in each band.
"""

import argparse
import json
import os
import platform
import tempfile
from collections import defaultdict
from pathlib import Path
from time import process_time

import numpy as np
import scipy.fft

from data_tools.inject import MockMaker
from data_tools.priors import Priors
from data_tools.psf import OVERSAMPLING, psf_spectra
from data_tools.render import Renderer
from data_tools.schema import PARAMETER_NAMES
from data_tools.shard_file import write_shard
from data_tools.simulate import MockSet, simulate
from data_tools.target import Target


def time_stages(
    target: Target, priors: Priors, fields: int, directory: Path
) -> dict[str, float]:
    """Give processor seconds a mock of each stage, over some fields."""
    maker = MockMaker(target, priors)
    renderer = Renderer(target.cutout_px)
    seconds: dict[str, float] = defaultdict(float)
    # caches of isochrones and PSFs fill once a process, not once a mock
    list(maker.mocks(maker.make_field(np.random.default_rng(0)), 8, _rng(), 0, 0))

    for number in range(fields):
        rng = np.random.default_rng(1 + number)
        began = process_time()
        field = maker.make_field(rng)
        seconds["field"] += process_time() - began
        began = process_time()
        examples = list(maker.mocks(field, priors.mocks_per_field, rng, number, 0))
        seconds["mocks"] += process_time() - began
        began = process_time()
        write_shard(directory / "shard", examples)
        seconds["record"] += process_time() - began

        spectra = psf_spectra(target, renderer.grid, field.psf_position, field.blur_px)
        for example in examples:
            if not example["is_cluster"]:
                continue
            began = process_time()
            x, y, flux = maker.clusters.stars(example["parameters"].astype(float), rng)
            sampled = process_time()
            renderer.draw(x + 31.5, y + 31.5, flux, spectra)
            seconds["sampling"] += sampled - began
            seconds["rendering"] += process_time() - sampled
    # cutting, negatives, visibility, noise: what the mocks cost beside their clusters
    seconds["injection"] = (
        seconds.pop("mocks") - seconds["sampling"] - seconds["rendering"]
    )
    return {k: v / (fields * priors.mocks_per_field) for k, v in seconds.items()}


def _rng() -> np.random.Generator:
    return np.random.default_rng(99)


def time_galsim(
    target: Target, priors: Priors, clusters: int
) -> tuple[float, float, float] | None:
    """Give seconds a cluster here and with GalSim, and their largest difference.

    The difference is in units of the brightest pixel; None without GalSim.
    """
    try:
        import galsim
    except ImportError:
        return None
    maker, renderer, rng = MockMaker(target, priors), Renderer(target.cutout_px), _rng()
    blur = np.array([np.mean(priors.blur_range(b)) for b in target.band_names])
    spectra = psf_spectra(target, renderer.grid, 0, blur)
    fine = scipy.fft.fftshift(scipy.fft.irfft2(spectra), axes=(1, 2))
    psfs = [
        # without its first row and column the PSF is centred on the middle pixel
        galsim.InterpolatedImage(
            galsim.Image(psf[1:, 1:].astype(float), scale=1 / OVERSAMPLING),
            flux=float(psf[1:, 1:].sum()) / OVERSAMPLING**2,
        )
        for psf in fine
    ]
    params = galsim.GSParams(maximum_fft_size=16384)
    px = target.cutout_px
    middle = (px - 1) / 2
    here = there = largest = 0.0
    for _ in range(clusters):
        parameters = np.array([rng.uniform(*target.box[n]) for n in PARAMETER_NAMES])
        x, y, flux = maker.clusters.stars(parameters, rng)
        # stars far outside make GalSim's Fourier images needlessly large
        inside = np.maximum(abs(x), abs(y)) < px / 2 + renderer.margin_px - 4
        x, y, flux = x[inside], y[inside], flux[inside]
        began = process_time()
        ours = renderer.draw(x + middle, y + middle, flux, spectra)
        here += process_time() - began
        began = process_time()
        bands = []
        for band, psf in enumerate(psfs):
            stars = galsim.Sum(
                [
                    galsim.DeltaFunction(f).shift(a, b)
                    for a, b, f in zip(x, y, flux[:, band], strict=True)
                ]
            )
            scene = galsim.Convolve(stars, psf, gsparams=params)
            image = scene.drawImage(nx=px, ny=px, scale=1, method="no_pixel")
            bands.append(image.array)
        there += process_time() - began
        theirs = np.stack(bands, axis=-1)
        largest = max(largest, float(abs(ours - theirs).max() / theirs.max()))
    return here / clusters, there / clusters, largest


def processor_seconds() -> float:
    """Give processor time of this process and of all its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def time_whole(target: Target, priors: Priors, fields: int, directory: Path) -> float:
    """Give processor seconds a mock of whole runs of `simulate`."""
    spent = []
    for count in (1, 1 + fields):
        began = processor_seconds()
        mocks = MockSet(n=count * priors.mocks_per_field, n_validation=0, n_test=0)
        simulate(
            directory / str(count), target, priors, mocks, workers=1, progress=False
        )
        spent.append(processor_seconds() - began)
    return (spent[1] - spent[0]) / (fields * priors.mocks_per_field)


def main() -> None:
    """Print a table, the machine, and one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--fields", type=int, default=16, help="fields to make")
    parser.add_argument("--clusters", type=int, default=20, help="clusters for GalSim")
    args = parser.parse_args()
    target, priors = Target.load("m83-wfc3-uvis"), Priors()
    with tempfile.TemporaryDirectory() as directory:
        stages = time_stages(target, priors, args.fields, Path(directory))
        whole = time_whole(target, priors, args.fields, Path(directory))
    peer = time_galsim(target, priors, args.clusters)

    print(
        f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    print(
        f"{args.fields} fields of {priors.field_px} px, {priors.mocks_per_field} mocks "
        "each; processor time"
    )
    print(f"{'stage':44}{'ms a mock':>10}")
    for label, key in (
        ("population sampling, its share of mocks", "sampling"),
        ("rendering, its share of mocks", "rendering"),
        ("injection: cutout, negatives, visibility", "injection"),
        ("field, shared by its mocks", "field"),
        ("record: serialise, write, checksum", "record"),
    ):
        print(f"{label:44}{1e3 * stages[key]:10.2f}")
    print(f"{'all stages':44}{1e3 * sum(stages.values()):10.2f}")
    print(f"{'whole of simulate, all its processes':44}{1e3 * whole:10.2f}")
    figures = {"mocks_per_s_per_core": 1 / whole}
    if peer:
        here, there, largest = peer
        print(f"{'one cluster rendered, the same stars: here':44}{1e3 * here:10.2f}")
        print(f"{'one cluster rendered, the same stars: GalSim':44}{1e3 * there:10.2f}")
        print(f"largest difference between the two: {largest:.1e} of the maximum")
        figures["rendering_over_galsim"] = there / here
    else:
        print("GalSim is not installed: no peer")
    print(json.dumps({key: round(value, 2) for key, value in figures.items()}))


if __name__ == "__main__":
    main()
