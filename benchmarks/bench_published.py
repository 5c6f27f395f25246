r"""What a network says of real clusters, made again from their published photometry.

For each object of class 1 or 2 of a LEGUS table with all of the model's bands, or of
the M83 catalogue of Chandar et al. (2010), a mock cluster of the published best age,
E(B-V) and mass is drawn, its light in each band is brought to the published magnitude,
moved to the distance of the model's target, and it is put on a synthetic field,
observed as the training's fields are. The network is asked, and its posterior compared
with the published values.

It compares two ways of reading the same colours: one network, stochastic populations of
three stellar models, three bands and a size; LEGUS (Adamo et al. 2017, ApJ 841, 131),
Yggdrasil's deterministic populations on Padova isochrones, five bands; and Chandar et
al. (2010, ApJ 719, 966), populations of Bruzual & Charlot of twice the solar
metallicity, four broad bands and H alpha. The published values are not the truth, and
the images are not HST's: the places of the stars, the size (log-normal about 2.5 pc,
0.25 dex: near what LEGUS's own sizes show, Brown & Gnedin 2021, MNRAS 508, 5935) and
the field are ours. A_V is 3.1 E(B-V). How much brighter a cluster was published than
our populations of its age, dust and mass are is printed too: what of a difference in
mass or age comes from the populations.

Writes ``published.ecsv``, ``published.json`` and ``published.png`` to the output.

Example:
  python benchmarks/bench_published.py -o published \
      hlsp_legus_hst_wfc3_ic559_multiband_v2_padagb-mwext-avgapcor.tab=5.3 \
      --m83 hlsp_wfc3ers_hst_wfc3_m83_cat_cluster_auto_v1.txt \
      hlsp_m83_autocat_ages_public.data
"""

import argparse
import math
import os
import platform
from pathlib import Path

import matplotlib
import numpy as np
from astropy.table import QTable, vstack
from published.legus import read_objects
from published.m83 import read_m83
from tqdm import tqdm

from clusterkeras.catalogue.asking.graph import compile_network
from clusterkeras.evaluation.words.markdown import markdown_table
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.network.loading import load_model
from data_tools.imaging.render import Renderer
from data_tools.mocks.mock import MockMaker
from data_tools.priors import Priors
from data_tools.running.plain_files import write_json
from data_tools.schema import PARAMETER_NAMES, PARAMETERS
from data_tools.target import Target

matplotlib.use("agg")

#: Median half-light radius in pc and its spread in dex.
RADIUS_PC, RADIUS_DEX = 2.5, 0.25
PC_PER_ARCSEC_MPC = 4.848
#: Objects a field.
PER_FIELD = 8
MARGIN_PX = 16
#: What is compared: the model's parameter, axis, and where it misses badly.
COMPARED = {
    "log_age": ("log age [yr]", 1.0),
    "a_v": ("A_V [mag]", 1.0),
    "log_mass": ("log mass [Msun]", 0.5),
}


def render(
    objects: QTable, target: Target, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make each object's cutout.

    Gives images (n, px, px, bands) in nJy, log r_h (n,) in arcsec, and the published
    light over that of our populations (n, bands) in dex.
    """
    maker = MockMaker(target, Priors())
    renderer = Renderer(target.cutout_px, MARGIN_PX)
    middle = (renderer.size_px - 1) / 2
    box = np.transpose([target.box[name] for name in PARAMETER_NAMES])
    arcsec = RADIUS_PC / PC_PER_ARCSEC_MPC / target.distance_mpc
    images, sizes, brighter = [], [], []
    for i, row in enumerate(tqdm(objects, "render")):
        rng = np.random.default_rng([seed, i])
        if i % PER_FIELD == 0:
            field = maker.make_field(rng)
            seen = field.observation
            psf = renderer.filters(seen.psf(target, renderer.grid))
        size = math.log10(arcsec) + RADIUS_DEX * rng.standard_normal()
        wanted = [row["log_age"], row["a_v"], row["log_mass"], size]
        parameters = np.clip(wanted, *box)
        drawn = maker.clusters.draw(parameters, rng)
        x, y, flux = drawn.x, drawn.y, drawn.flux
        factor = row["flux"] / flux.sum(axis=0)
        flux *= factor
        x0, y0 = rng.uniform(-1, 1, 2)
        light = renderer.draw(x + middle + x0, y + middle + y0, flux, psf)
        px = target.cutout_px
        r, c = rng.integers(0, len(field.image) - px + 1, 2)
        background = field.image[r : r + px, c : c + px]
        images.append(background + light + seen.noise(light, rng))
        sizes.append(parameters[3])
        brighter.append(np.log10(factor))
    return np.array(images, np.float32), np.array(sizes), np.array(brighter)


def ask(model: str, images: np.ndarray, batch: int = 256) -> dict[str, np.ndarray]:
    """Return the model's summaries of images."""
    network = compile_network(load_model(model))
    parts = [
        network(images[i : i + batch], np.zeros(len(images[i : i + batch]), np.int32))
        for i in range(0, len(images), batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare(table: QTable) -> dict[str, dict[str, float]]:
    """Return, for each parameter, how the posterior stands to the published value."""
    found = {}
    for name, (_, far) in COMPARED.items():
        off = table[f"{name}_median"] - table[name]
        inside = (table[f"{name}_p16"] <= table[name]) & (
            table[name] <= table[f"{name}_p84"]
        )
        found[name] = {
            "n": len(table),
            "median_difference": float(np.median(off)),
            "scatter": float(1.4826 * np.median(np.abs(off - np.median(off)))),
            "far_off": float(np.mean(np.abs(off) > far)),
            "published_in_68": float(np.mean(inside)),
            "width_68": float(np.median(table[f"{name}_p84"] - table[f"{name}_p16"])),
        }
    return found


def rows_of(numbers: dict[str, dict[str, dict[str, float]]]) -> list[list[str]]:
    """Return the rows of the printed table."""
    return [
        [
            name,
            str(row["n"]),
            parameter,
            f"{row['median_difference']:+.2f}",
            f"{row['scatter']:.2f}",
            f"{row['far_off']:.0%}",
            f"{row['published_in_68']:.0%}",
            f"{row['width_68']:.2f}",
        ]
        for name, entry in numbers.items()
        for parameter, row in entry.items()
    ]


def draw(table: QTable, path: Path) -> None:
    """Draw the network's intervals over the published values."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.6), layout="constrained")
    figure.suptitle(
        "Median and 68 % of the network's posterior over the published best value"
    )
    for ax, (name, (label, _)) in zip(axes, COMPARED.items(), strict=True):
        median = table[f"{name}_median"]
        error = [median - table[f"{name}_p16"], table[f"{name}_p84"] - median]
        # published values are on a grid: points would hide each other
        shift = np.random.default_rng(0).uniform(-0.03, 0.03, len(table))
        x = table[name] + shift
        ax.errorbar(x, median, error, fmt="none", ecolor="0.6", elinewidth=0.9)
        points = ax.scatter(
            x, median, 22, table["log_snr"], cmap="viridis", vmin=0.5, vmax=3, zorder=3
        )
        middle = float(np.median(x))
        ax.axline((middle, middle), slope=1, color="0.3", lw=0.8)
        ax.set_xlabel(f"published {label}", fontsize=12)
        ax.set_ylabel(f"network {label}", fontsize=12)
    figure.colorbar(points, ax=axes, label="network log S/N", pad=0.01)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Make the images, ask, compare, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE=MPC", help="LEGUS table and its distance"
    )
    parser.add_argument(
        "--m83",
        nargs=2,
        type=Path,
        metavar=("PHOTOMETRY", "AGES"),
        help="Tables of Chandar et al. (2010); see published/m83.py.",
    )
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    if not args.tables and not args.m83:
        parser.error("expected LEGUS tables, --m83 or both; received neither")
    args.output.mkdir(parents=True, exist_ok=True)
    target = load_model(args.model).target
    parts = []
    for given in args.tables:
        path, _, distance = given.rpartition("=")
        parts.append(read_objects(Path(path), float(distance), target))
    if args.m83:
        parts.append(read_m83(*args.m83, target))
    table = vstack(parts)
    images, size, brighter = render(table, target, args.seed)
    table["log_half_light_radius"], table["brighter_dex"] = size, brighter
    found = ask(args.model, images)
    table["log_snr"] = found["log_snr"]
    table["p_cluster"] = found["p_cluster"]
    for i, parameter in enumerate(PARAMETERS):
        for key, summary in (("median", "median"), ("p16", "lower"), ("p84", "upper")):
            table[f"{parameter.name}_{key}"] = found[summary][:, i]
    table.write(args.output / "published.ecsv", overwrite=True)
    draw(table, args.output / "published.png")
    box = target.box
    inside = np.all(
        [
            (table[n] >= box[n][0]) & (table[n] <= box[n][1])
            for n in ("log_age", "a_v", "log_mass")
        ],
        axis=0,
    )
    visible = inside & (table["log_snr"] > 1)
    of_m83 = np.char.startswith(table["name"], "M83")
    numbers = {
        f"{survey}, {words}": compare(table[survey_rows & rows])
        for survey, survey_rows in (("LEGUS", ~of_m83), ("M83", of_m83))
        for words, rows in (
            ("all", True),
            ("in the box, S/N > 10", visible),
            # younger ages rest on H alpha, of which three broad bands see little
            ("these above 10 Myr", visible & (table["log_age"] > 7)),
        )
        if np.any(survey_rows & rows)
    }
    print(f"{platform.platform()}, {os.cpu_count()} cores")
    print("published light over that of our populations, median [dex]:")
    for band, dex in zip(target.band_names, np.median(brighter, axis=0), strict=True):
        print(f"  {band}: {dex:+.2f}")
    head = [
        "clusters",
        "N",
        "parameter",
        "median difference",
        "scatter",
        "far off",
        "published in 68 %",
        "width of 68 %",
    ]
    print(markdown_table(head, rows_of(numbers)))
    about = {
        "tables": [Path(given).name for given in args.tables],
        "m83": [path.name for path in args.m83 or ()],
        "model": args.model,
        "seed": args.seed,
    }
    write_json(args.output / "published.json", about | {"found": numbers})


if __name__ == "__main__":
    main()
