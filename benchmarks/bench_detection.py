"""Which clusters are found: detect and infer beside the LEGUS way, on mock mosaics.

The LEGUS way (Adamo et al. 2017, ApJ 841, 131): sources of a finder whose light is
less concentrated than a star's, by the concentration index CI, the magnitude within 1
pixel less that within 3, at least 1.4 there. Here DAOFind (photutils) finds on the
same image of all bands that `detect` finds on, and what DAOFind's width and threshold,
the band of the CI, its limit and the least brightness should be is told by training
mosaics, where the truth may be looked at: for each purity the choice with the highest
completeness there. Ours, `detect` and `infer` with the model that ships, is used as it
is.

A true cluster is found if a source within 4 pixels is its, each other's nearest
(`clusterkeras.comparison.match`). Completeness is the share of true clusters found,
purity the share of sources taken that are true clusters. Both curves run over one
limit: ours over p_cluster, theirs over the brightness within 3 pixels.

Writes ``detection.md``, ``detection.json`` and ``detection.png`` to the output
directory, and keeps the mosaics there.
"""

import argparse
import itertools
import os
import platform
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.table import QTable
from matplotlib.figure import Figure
from numpy.typing import NDArray
from photutils.aperture import ApertureStats, CircularAnnulus, CircularAperture
from photutils.detection import DAOStarFinder
from photutils.utils.exceptions import NoDetectionsWarning
from tqdm import tqdm

from clusterkeras.catalogue import infer
from clusterkeras.comparison import match
from clusterkeras.completeness_function import place_feature
from clusterkeras.detection import detect
from clusterkeras.loading import load_model
from clusterkeras.presets import DEFAULT_PRESET
from data_tools.cluster import ClusterMaker
from data_tools.injection import Injector
from data_tools.manifest import write_json
from data_tools.mock_mosaic import TRUTH_FILE, MosaicConfig, make_mosaic
from data_tools.mosaic import open_mosaics
from data_tools.peaks import combine
from data_tools.priors import Priors
from data_tools.schema import FLAGS
from data_tools.target import AB_ZERO_NJY, Target

MATCH_PX = 4.0
BOX_PX = 48
#: LEGUS's own limit of the CI, and what is tried beside it.
LEGUS_CI = 1.4
WIDTHS_PX = (2.0, 3.0)
THRESHOLDS = (3.0,)
CI_LIMITS = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8)
#: Purities at which both are compared.
PURITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
#: Least p_cluster of rows that are taken, and bins in which it is held to the truth.
LIMITS = (0.2, 0.3, 0.5)
P_EDGES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9, 1.01)
#: Aperture radii of the CI and ring of the sky, in pixels, as LEGUS has them.
RADII_PX, SKY_PX = (1.0, 3.0), (7.0, 8.0)

BINS = {
    "mag": (np.array([14, 18, 19, 20, 21, 22, 23, 24, 26]), "F814W [AB mag]"),
    "log_snr": (np.array([0.5, 1, 1.5, 2, 2.5, 3, 4]), "log S/N [dex]"),
    "log_mass": (np.arange(2.5, 6.1, 0.5), "log mass [dex(Msun)]"),
    "log_age": (np.array([6.6, 7, 7.5, 8, 8.5, 9, 9.5, 10.1]), "log age [dex(yr)]"),
    "a_v": (np.arange(0, 4.1, 0.5), "A_V [mag]"),
    "log_half_light_radius": (
        np.array([-1.6, -1.4, -1.2, -1, -0.8, -0.6, -0.4, -0.2]),
        "log r_h [dex(arcsec)]",
    ),
    "log_scatter": (np.array([-1, -0.3, 0, 0.3, 0.6, 1, 2]), "crowding [dex(nJy)]"),
}


@dataclass(frozen=True)
class Sources:
    """What a method finds on some mosaics, and which of it is true.

    Attributes
    ----------
    score : (n,) ndarray
        The higher the rather taken.
    mosaic : (n,) ndarray of int
        Number of the mosaic.
    place : (n, 2) ndarray
        x and y in pixels.
    """

    score: NDArray
    mosaic: NDArray
    place: NDArray


def mosaics_of(args: argparse.Namespace, split: str, n: int, first_seed: int, target):
    """Give the directories of n mosaics, made where they are not there."""
    directories = []
    for seed in tqdm(range(first_seed, first_seed + n), f"{split} mosaics"):
        directory = args.output / "mosaics" / f"{split}-{seed}"
        if not (directory / TRUTH_FILE).is_file():
            config = MosaicConfig(size_px=args.size_px, n=args.n_clusters, seed=seed)
            make_mosaic(directory, target, Priors(), config)
        directories.append(directory)
    return directories


def truth_of(directories: list[Path], target: Target) -> dict[str, NDArray]:
    """Give the true clusters of all mosaics, with magnitude and crowding."""
    maker = ClusterMaker(target, Priors())
    parts = []
    for number, directory in enumerate(directories):
        table = QTable.read(directory / TRUTH_FILE)
        part = {
            name: np.asarray(getattr(table[name], "value", table[name]))
            for name in table.colnames
        }
        part["mosaic"] = np.full(len(table), number)
        magnitude = []
        for age, a_v, mass in zip(
            part["log_age"], part["a_v"], part["log_mass"], strict=True
        ):
            population = maker.population(age)
            dust = 10 ** (-0.4 * a_v * population.extinction[:, -1])
            flux = (population.number * population.flux[:, -1] * dust).sum()
            magnitude.append(-2.5 * np.log10(10**mass * flux / AB_ZERO_NJY))
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
    """Give the rows of our catalogues, overlaps left out."""
    parts = []
    for number, directory in enumerate(tqdm(directories, "detect and infer")):
        images = [directory / f"{band}.fits" for band in model.target.band_names]
        candidates, catalogue = (
            directory / f"{name}.ecsv" for name in ("candidates", "catalogue")
        )
        detect(images, candidates, model, progress=False)
        table = infer(images, candidates, catalogue, model, progress=False)
        rows = (np.asarray(table["flags"]) & FLAGS["overlap"][0]) == 0
        rows &= np.isfinite(table["p_cluster"])
        place = np.column_stack([table["x"].value, table["y"].value])[rows]
        score = np.asarray(table["p_cluster"], float)[rows]
        parts.append(Sources(score, np.full(len(score), number), place))
    return join(parts)


def join(parts: list[Sources]) -> Sources:
    """Put the sources of several mosaics together."""
    names = ("score", "mosaic", "place")
    return Sources(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


def dao_sources(
    directories: list[Path], target: Target
) -> dict[tuple[float, float], dict[str, NDArray]]:
    """Find with DAOFind at each width and threshold; measure CI and brightness."""
    found: dict[tuple[float, float], list[dict[str, NDArray]]] = {}
    for number, directory in enumerate(tqdm(directories, "DAOFind")):
        paths = [directory / f"{band}.fits" for band in target.band_names]
        with open_mosaics(
            paths, target.band_names, target.pixel_scale_arcsec
        ) as mosaics:
            pixels = mosaics.window(*(slice(0, size) for size in mosaics.shape))
        image, _ = combine(pixels, BOX_PX)[:2]
        for width, threshold in itertools.product(WIDTHS_PX, THRESHOLDS):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NoDetectionsWarning)
                finder = DAOStarFinder(
                    threshold, width, sharpness_range=None, roundness_range=None
                )
                table = finder(image)
            place = np.column_stack([table["x_centroid"], table["y_centroid"]])
            sky = CircularAnnulus(place, *SKY_PX)
            magnitudes = []
            for band in range(pixels.shape[-1]):
                level = ApertureStats(pixels[..., band], sky).median
                light = [
                    CircularAperture(place, r).do_photometry(pixels[..., band])[0]
                    - level * np.pi * r**2
                    for r in RADII_PX
                ]
                with np.errstate(invalid="ignore", divide="ignore"):
                    magnitudes.append(-2.5 * np.log10(light))
            inner, outer = np.moveaxis(np.array(magnitudes), 1, 0)
            found.setdefault((width, threshold), []).append(
                {
                    "place": place,
                    "mosaic": np.full(len(place), number),
                    "ci": (inner - outer).T,
                    "brightness": -outer.T,
                }
            )
    return {
        key: {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        for key, parts in found.items()
    }


def cut(found: dict[str, NDArray], band: int, ci: float) -> Sources:
    """Take DAOFind's sources of at least a CI in a band, by their brightness there."""
    brightness = found["brightness"][:, band]
    rows = np.isfinite(brightness) & (found["ci"][:, band] >= ci)
    return Sources(brightness[rows], found["mosaic"][rows], found["place"][rows])


def found_of(sources: Sources, truth: dict[str, NDArray], limit: float) -> NDArray:
    """Say which true clusters are found by the sources of at least a score."""
    found = np.zeros(len(truth["x"]), bool)
    for number in np.unique(truth["mosaic"]):
        rows = (sources.mosaic == number) & (sources.score >= limit)
        clusters = np.flatnonzero(truth["mosaic"] == number)
        _, cluster = match(
            *sources.place[rows].T,
            *(truth[k][clusters] for k in "xy"),
            MATCH_PX,
        )
        found[clusters[cluster]] = True
    return found


def curve(
    sources: Sources, truth: dict[str, NDArray], points: int = 60
) -> Iterator[tuple[float, float, float]]:
    """Give limit, completeness and purity at limits from the highest score down."""
    scores = np.sort(sources.score)[::-1]
    if not len(scores):
        return
    # a handful at least: the purity of one says nothing
    first = min(5, len(scores))
    counts = np.unique(np.geomspace(first, len(scores), points).astype(int))
    for limit in scores[counts - 1]:
        n = found_of(sources, truth, limit).sum()
        yield limit, n / len(truth["x"]), n / (sources.score >= limit).sum()


def at_purity(
    points: list[tuple[float, float, float]], purity: float
) -> tuple[float, float]:
    """Give limit and completeness of the most complete point of at least a purity."""
    pure = [(complete, limit) for limit, complete, p in points if p >= purity]
    complete, limit = max(pure, default=(0.0, np.inf))
    return limit, complete


def tuned(
    found: dict[tuple[float, float], dict[str, NDArray]],
    truth: dict[str, NDArray],
    bands: int,
) -> dict[float, dict]:
    """Give for each purity the choice that is the most complete."""
    best: dict[float, dict] = {purity: {"completeness": -1.0} for purity in PURITIES}
    choices = list(itertools.product(found, range(bands), CI_LIMITS))
    for key, band, ci in tqdm(choices, "tuning the LEGUS way"):
        points = list(curve(cut(found[key], band, ci), truth, 30))
        for purity in PURITIES:
            limit, complete = at_purity(points, purity)
            if complete > best[purity]["completeness"]:
                best[purity] = {
                    "completeness": complete,
                    "finder": key,
                    "band": band,
                    "ci": ci,
                    "limit": float(limit),
                }
    return best


def calibration(sources: Sources, truth: dict[str, NDArray]) -> list[dict]:
    """Give, in bins of p_cluster, the share of our rows that are true clusters."""
    is_true = np.zeros(len(sources.score), bool)
    for number in np.unique(truth["mosaic"]):
        rows = np.flatnonzero(sources.mosaic == number)
        clusters = truth["mosaic"] == number
        row, _ = match(
            *sources.place[rows].T, *(truth[k][clusters] for k in "xy"), MATCH_PX
        )
        is_true[rows[row]] = True
    bins = []
    for low, high in itertools.pairwise(P_EDGES):
        rows = (sources.score >= low) & (sources.score < high)
        if rows.any():
            bins.append(
                {
                    "low": low,
                    "high": high,
                    "n": int(rows.sum()),
                    "p_cluster": float(sources.score[rows].mean()),
                    "share": float(is_true[rows].mean()),
                }
            )
    return bins


def shares(found: NDArray, values: NDArray, edges: NDArray) -> list[dict]:
    """Give the share found in bins."""
    bins = []
    for low, high in itertools.pairwise(edges):
        rows = (values >= low) & (values < high)
        if rows.any():
            bins.append(
                {
                    "low": float(low),
                    "high": float(high),
                    "n": int(rows.sum()),
                    "share": float(found[rows].mean()),
                }
            )
    return bins


def draw(result: dict, path: Path) -> None:
    """Draw the curves, and completeness against everything at one purity."""
    figure = Figure(figsize=(14, 7), layout="constrained")
    panels = figure.subplots(2, 4).ravel()
    styles = {"ours": ("#D55E00", "s"), "legus": ("#0072B2", "o")}
    labels = {
        "ours": "detect + infer",
        "legus": "DAOFind + CI, tuned",
        "legus_1.4": "DAOFind + CI ≥ 1.4",
    }
    for name, points in result["curves"].items():
        _, complete, pure = np.transpose(points)
        style = styles.get(name, ("#999999", ""))
        panels[0].plot(pure, complete, color=style[0], label=labels[name])
    panels[0].set(xlabel="purity", ylabel="completeness", xlim=(0, 1), ylim=(0, 1))
    panels[0].legend(fontsize="small")
    for axes, (name, bins) in zip(panels[1:], result["bins"].items(), strict=True):
        for method, (colour, marker) in styles.items():
            x = [(b["low"] + b["high"]) / 2 for b in bins[method]]
            y = np.array([b["share"] for b in bins[method]])
            n = np.array([b["n"] for b in bins[method]])
            error = np.sqrt(y * (1 - y) / n)
            axes.errorbar(x, y, error, color=colour, marker=marker, ms=4)
        axes.set(xlabel=BINS[name][1], ylabel="completeness", ylim=(0, 1.03))
    panels[1].invert_xaxis()
    purity = f"both at purity {result['compared_at']:.2f}"
    panels[1].set_title(purity, fontsize="medium")
    figure.savefig(path, dpi=120)


def markdown(result: dict) -> str:
    """Give the tables."""
    lines = [
        f"{result['clusters']} true clusters on {result['mosaics']} mosaics.",
        "",
        "| purity | detect + infer | DAOFind + CI, tuned | its choice |",
        "| --- | --- | --- | --- |",
    ]
    for row in result["at_purity"]:
        lines.append(
            f"| {row['purity']:.2f} | {row['ours']:.3f} | {row['legus']:.3f} | "
            f"{row['choice']} |"
        )
    lines += ["", "| p_cluster | completeness | purity |", "| - | - | - |"]
    for row in result["at_limit"]:
        lines.append(
            f"| >= {row['limit']} | {row['completeness']:.3f} | {row['purity']:.3f} |"
        )
    lines += ["", "| p_cluster | rows | mean | true clusters |", "| - | - | - | - |"]
    for row in result["calibration"]:
        lines.append(
            f"| {row['low']:g} to {row['high']:g} | {row['n']} | "
            f"{row['p_cluster']:.3f} | {row['share']:.3f} |"
        )
    candidates = result["candidates"].items()
    lines += [
        "",
        "Clusters with a candidate within 3 px: "
        + ", ".join(f"S/N > {k}: {100 * v:.0f} %" for k, v in candidates)
        + ".",
        "",
        f"Completeness, both at purity {result['compared_at']:.2f}:",
    ]
    for name, bins in result["bins"].items():
        lines += [
            "",
            f"| {BINS[name][1]} | n | ours | LEGUS way |",
            "| - | - | - | - |",
        ]
        for ours, legus in zip(bins["ours"], bins["legus"], strict=True):
            lines.append(
                f"| {ours['low']:g} to {ours['high']:g} | {ours['n']} | "
                f"{ours['share']:.2f} | {legus['share']:.2f} |"
            )
    machine = f"{platform.platform()}, {os.cpu_count()} cores"
    return "\n".join([*lines, "", machine]) + "\n"


def main() -> None:
    """Make mosaics, find on them both ways, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--n_train", type=int, default=4, help="mosaics to tune on")
    parser.add_argument("--n_test", type=int, default=8, help="mosaics to compare on")
    parser.add_argument("--size_px", type=int, default=1024)
    parser.add_argument("--n_clusters", type=int, default=150)
    parser.add_argument(
        "--purity", type=float, default=0.8, help="purity at which the bins are made"
    )
    args = parser.parse_args()
    model = load_model(args.model)
    target = model.target
    train = mosaics_of(args, "train", args.n_train, 301, target)
    test = mosaics_of(args, "test", args.n_test, 401, target)
    train_truth, truth = truth_of(train, target), truth_of(test, target)
    best = tuned(dao_sources(train, target), train_truth, len(target.bands))

    ours, dao = our_sources(test, model), dao_sources(test, target)
    points = list(curve(ours, truth, 150))

    def theirs(choice: dict, ci: float | None = None) -> Sources:
        ci = choice["ci"] if ci is None else ci
        return cut(dao[choice["finder"]], choice["band"], ci)

    nearest = min(PURITIES, key=lambda p: abs(p - args.purity))
    rows = []
    for purity, choice in best.items():
        sources = theirs(choice)
        limit, complete = at_purity(list(curve(sources, truth, 150)), purity)
        rows.append(
            {
                "purity": purity,
                "ours": at_purity(points, purity)[1],
                # with hindsight: its best limit on the test mosaics themselves
                "legus": complete,
                "legus_limit": limit,
                "choice": f"CI >= {choice['ci']} in "
                f"{target.band_names[choice['band']]}, width {choice['finder'][0]} px",
            }
        )
    compared = next(row for row in rows if row["purity"] == nearest)
    found = {
        "ours": found_of(ours, truth, at_purity(points, nearest)[0]),
        "legus": found_of(theirs(best[nearest]), truth, compared["legus_limit"]),
    }
    candidates = {}
    for least in (5, 10, 30, 100):
        seen = truth["log_snr"] >= np.log10(least)
        near = np.zeros(len(seen), bool)
        for number, directory in enumerate(test):
            table = QTable.read(directory / "candidates.ecsv")
            place = np.column_stack([table["x"].value, table["y"].value])
            here = truth["mosaic"] == number
            offset = np.hypot(
                truth["x"][here, None] - place[:, 0],
                truth["y"][here, None] - place[:, 1],
            )
            near[here] = offset.min(axis=1) < 3
        candidates[least] = float(near[seen].mean())
    at_limit = []
    for limit in LIMITS:
        n = found_of(ours, truth, limit).sum()
        at_limit.append(
            {
                "limit": limit,
                "completeness": float(n / len(truth["x"])),
                "purity": float(n / max((ours.score >= limit).sum(), 1)),
            }
        )
    result = {
        "model": args.model,
        "mosaics": len(test),
        "clusters": len(truth["x"]),
        "candidates": candidates,
        "at_limit": at_limit,
        "calibration": calibration(ours, truth),
        "tuned": {str(k): {**v, "finder": list(v["finder"])} for k, v in best.items()},
        "at_purity": rows,
        "compared_at": nearest,
        "curves": {
            "ours": np.array(points).tolist(),
            "legus": np.array(list(curve(theirs(best[nearest]), truth))).tolist(),
            "legus_1.4": np.array(
                list(curve(theirs(best[nearest], LEGUS_CI), truth))
            ).tolist(),
        },
        "bins": {
            name: {
                method: shares(values, truth[name], edges)
                for method, values in found.items()
            }
            for name, (edges, _) in BINS.items()
        },
    }
    write_json(args.output / "detection.json", result)
    text = markdown(result)
    (args.output / "detection.md").write_text(text)
    draw(result, args.output / "detection.png")
    print(text)


if __name__ == "__main__":
    main()
