"""Mock mosaics to find clusters on, their truth, and our catalogues of them."""

from pathlib import Path

import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from tqdm import tqdm

from clusterkeras.catalogue.infer import infer
from clusterkeras.completeness.function import place_feature
from clusterkeras.detection.candidates import detect
from data_tools.mocks.injected_mosaics import Injector
from data_tools.mocks.mock_mosaic import TRUTH_FILE, make_mosaic
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.priors import Priors
from data_tools.stars.cluster import ClusterMaker
from data_tools.target import Target, njy_to_ab
from detection.found import Sources, join


def mosaics_of(
    output: Path, split: str, seeds: range, target: Target, size_px: int, n: int
) -> list[Path]:
    """Return directories of mosaics of n clusters, made where they are not there."""
    directories = []
    for seed in tqdm(seeds, f"{split} mosaics"):
        directory = output / "mosaics" / f"{split}-{seed}"
        if not (directory / TRUTH_FILE).is_file():
            config = MosaicConfig(size_px=size_px, n=n, seed=seed)
            make_mosaic(target, Priors(), config, directory)
        directories.append(directory)
    return directories


def truth_of(directories: list[Path], target: Target) -> dict[str, NDArray]:
    """Return the true clusters of all mosaics, with magnitude and crowding."""
    maker = ClusterMaker(target, Priors())
    parts = []
    for number, directory in enumerate(directories):
        table = QTable.read(directory / TRUTH_FILE)
        part = {
            name: np.asarray(getattr(table[name], "value", table[name]))
            for name in table.colnames
        }
        part["mosaic"] = np.full(len(table), number)
        radius = 10 ** part["log_half_light_radius"]
        part["half_light_radius_px"] = radius / target.pixel_scale_arcsec
        magnitude = []
        for age, a_v, mass in zip(
            part["log_age"], part["a_v"], part["log_mass"], strict=True
        ):
            population = maker.population(age)
            dust = 10 ** (-0.4 * a_v * population.extinction[:, -1])
            flux = (population.number * population.flux[:, -1] * dust).sum()
            magnitude.append(njy_to_ab(10**mass * flux))
        part["mag"] = np.array(magnitude)
        paths = [directory / f"{band}.fits" for band in target.band_names]
        with open_mosaics(
            paths, target.band_names, target.pixel_scale_arcsec
        ) as mosaics:
            scatter = Injector(target, Priors(), mosaics).log_scatter(64)
        part["log_scatter"] = place_feature(part["x"], part["y"], scatter, 64)
        parts.append(part)
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def our_sources(directories: list[Path], model) -> Sources:
    """Return the rows of our catalogues, overlaps left out."""
    parts = []
    for number, directory in enumerate(tqdm(directories, "detect and infer")):
        images = [directory / f"{band}.fits" for band in model.target.band_names]
        candidates, catalogue = (
            directory / f"{name}.ecsv" for name in ("candidates", "catalogue")
        )
        detect(images, candidates, model, progress=False)
        table = infer(images, candidates, catalogue, model, progress=False)
        table = table[table.are_clusters(0.0)]
        place = np.column_stack([table.numbers("x"), table.numbers("y")])
        score = table.numbers("p_cluster")
        parts.append(Sources(score, np.full(len(score), number), place))
    return join(parts)


def share_with_candidate(
    directories: list[Path], truth: dict[str, NDArray], least_snr: float
) -> float:
    """Return share of the clusters above an S/N with a candidate within 3 pixels."""
    seen = truth["log_snr"] >= np.log10(least_snr)
    near = np.zeros(len(seen), bool)
    for number, directory in enumerate(directories):
        table = QTable.read(directory / "candidates.ecsv")
        place = np.column_stack([table["x"].value, table["y"].value])
        here = truth["mosaic"] == number
        offset = np.hypot(
            truth["x"][here, None] - place[:, 0],
            truth["y"][here, None] - place[:, 1],
        )
        near[here] = offset.min(axis=1) < 3
    return float(near[seen].mean())
