"""Known populations, from mock mosaics to the fit: are slopes and numbers found.

Each mock mosaic has a population of its own: dN/dM ~ M^beta and dN/dt ~ t^gamma over
the target's box, beta and gamma drawn evenly from `BETA` and `GAMMA`; A_V and size are
flat. Several populations lie on the same field, since injections are what is costly:
clusters are injected into some of its mosaics, and those of all of them are the
completeness of each. For that ``p_cluster`` is under the same stated share everywhere;
the fit takes it back. `detect`, `infer` and `completeness` are run as a user would,
then `fit_population`.

Printed is the posterior beside the truth, and how often the truth lies within 68 and
95 %, with the error that so few mosaics leave. To tell why it may not, the clusters
that came to count stand beside those that the true population and the completeness
lead one to expect, and the false rows beside what ``p_cluster`` says of them.

Everything is kept in the output directory, and what was interrupted goes on. A
population takes about a minute of one core, a hundred injections half a minute.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from astropy.stats import binom_conf_interval
from astropy.table import QTable, vstack
from tqdm import tqdm

from clusterkeras import Catalogue, InferenceConfig, PopulationConfig, fit_population
from clusterkeras.catalogue.infer import infer
from clusterkeras.catalogue.truth.matching import match_selected, reach_px
from clusterkeras.completeness.measure import TABLE_FILE, measure_completeness
from clusterkeras.config import CompletenessConfig
from clusterkeras.detection.candidates import detect
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.population.cluster_sample import (
    LEFT_OUT,
    ClusterSample,
    sample_of_clusters,
)
from clusterkeras.population.likelihood import Likelihood
from clusterkeras.population.model import PopulationModel
from clusterkeras.serving.served_model import facts_of
from data_tools.mocks.mock_mosaic import TRUTH_FILE, make_mosaic
from data_tools.running.table_file import write_table

#: Ranges of the slopes of mass and age.
BETA, GAMMA = (-2.0, -1.5), (-1.0, -0.4)
NAMES = ("mass_slope", "age_slope", "number", "number_above_10000")
#: Stated share of clusters among the candidates.
SHARE = 0.05
#: Injected clusters are just further apart than a cutout is wide.
SPACING_PX = 70.0
HEAVY = 4.0


def main() -> None:
    """Make mosaics, fit their populations, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--n", type=int, default=20, help="populations")
    parser.add_argument("--n_fields", type=int, default=2)
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--size_px", type=int, default=1024)
    parser.add_argument("--n_clusters", type=int, default=1500)
    parser.add_argument("--n_injected", type=int, default=2000, help="in each field")
    parser.add_argument("--n_into", type=int, default=5, help="into so many mosaics")
    parser.add_argument("--draws", type=int, default=64)
    args = parser.parse_args()
    populations = np.arange(args.first, args.first + args.n)
    rows = []
    for field, seeds in enumerate(np.array_split(populations, args.n_fields), 1):
        into = min(args.n_into, len(seeds))
        places = [args.output / f"{field}" / f"{seed}" for seed in seeds]
        for i, seed in enumerate(tqdm(seeds, f"field {field}")):
            observe(places[i], int(seed), field, args)
            if i < into:
                inject(places[i], int(seed), -(-args.n_injected // into), args)
        directory = args.output / f"{field}" / "completeness"
        completeness = together(places[:into], directory)
        for seed, place in zip(seeds, places, strict=True):
            rows.append(recovered(place, int(seed), completeness, args.n_clusters))
            (args.output / "population.json").write_text(json.dumps(rows, indent=2))
    print(markdown(rows))


def slopes(seed: int) -> dict[str, float]:
    """Return the slopes of a population."""
    rng = np.random.default_rng([seed, 1])
    return {"mass_slope": rng.uniform(*BETA), "age_slope": rng.uniform(*GAMMA)}


def observe(place: Path, seed: int, field: int, args) -> None:
    """Make a mosaic and its catalogue."""
    # by its name: its SavedModel is asked, and nothing compiled anew for each call
    model = args.model
    if not (place / TRUTH_FILE).is_file():
        make_mosaic(
            facts_of(model).target,
            output=place,
            size_px=args.size_px,
            n=args.n_clusters,
            # most are too faint to be seen: they may stand closely, and at the edge
            min_separation_px=10.0,
            edge_px=0.0,
            seed=seed,
            field_seed=field,
            **slopes(seed),
        )
    images = images_of(place, args)
    candidates, catalogue, draws = (
        place / name for name in ("candidates.ecsv", "catalogue.ecsv", "draws.h5")
    )
    if not (catalogue.is_file() and draws.is_file()):
        detect(images, candidates, model, progress=False)
        infer(
            *(images, candidates, catalogue, model),
            InferenceConfig(cluster_share=SHARE, draws=args.draws),
            draws_file=draws,
            progress=False,
        )


def images_of(place: Path, args) -> list[Path]:
    """Return the mosaics of a directory."""
    return [place / f"{band}.fits" for band in facts_of(args.model).target.band_names]


def inject(place: Path, seed: int, n: int, args) -> None:
    """Inject clusters into a mosaic."""
    measure_completeness(
        *(images_of(place, args), place / "completeness", args.model),
        CompletenessConfig(n=n, seed=seed, spacing_px=SPACING_PX),
        inference=InferenceConfig(cluster_share=SHARE),
        catalogue=place / "catalogue.ecsv",
        progress=False,
    )


def together(places: list[Path], directory: Path) -> Path:
    """Join the clusters that were injected into all mosaics of a field."""
    tables = [QTable.read(place / "completeness" / TABLE_FILE) for place in places]
    joined = vstack(tables, metadata_conflicts="silent")
    joined.meta = tables[0].meta
    directory.mkdir(exist_ok=True)
    write_table(joined, directory / TABLE_FILE)
    return directory


def recovered(place: Path, seed: int, completeness: Path, n_clusters: int) -> dict:
    """Return truth, posterior and what came to count of one mosaic's population.

    Where the fit is refused there is no posterior.
    """
    catalogue = Catalogue.read(place / "catalogue.ecsv", draws_file=place / "draws.h5")
    truth = {**slopes(seed), "number": float(n_clusters)}
    clusters = sample_of_clusters(catalogue, completeness)
    row = {"seed": seed, **counts(catalogue, place / TRUTH_FILE, clusters, truth)}
    heavier = row.pop("heavier")
    truth["number_above_10000"] = n_clusters * heavier
    try:
        fit = fit_population(
            *(catalogue, completeness, place / "population"),
            PopulationConfig(seed=seed),
            progress=False,
        )
    except ValueError as error:
        return {**row, "refused": str(error)}
    return {**row, **{n: against(fit.draws[n], truth[n]) for n in NAMES}}


def as_sampled(model: PopulationModel, truth: dict[str, float]) -> np.ndarray:
    """Return the true population (1, U) as the fit samples it."""
    # A_V and size: as wide as a normal distribution may be, which is nearly flat
    middle = {
        u.name: u.high if u.logarithmic else (u.low + u.high) / 2
        for u in model.unknowns
    }
    values = {**middle, **truth}
    return np.array(
        [
            [
                np.log10(values[u.name]) if u.logarithmic else values[u.name]
                for u in model.unknowns
            ]
        ]
    )


def counts(
    catalogue: Catalogue, truth_file: Path, clusters: ClusterSample, truth: dict
) -> dict[str, float]:
    """Return rows that count, what they are, and what was to be expected of them."""
    model = PopulationModel(clusters.box)
    likelihood = Likelihood(
        *(model, clusters.draws, clusters.p_cluster),
        *(clusters.injected[clusters.recovered], len(clusters.injected)),
        clusters.flat_number,
        clusters.trust,
    )
    sampled = as_sampled(model, truth)
    count = catalogue.are_clusters(clusters.threshold)
    for name in LEFT_OUT:
        count &= ~catalogue.flagged(name)
    true = QTable.read(truth_file)
    scale = catalogue.meta["target"]["pixel_scale_arcsec"]
    radius = 10 ** np.asarray(true["log_half_light_radius"].value) / scale
    of = match_selected(
        *(catalogue.numbers(axis) for axis in "xy"),
        count,
        *(np.asarray(true[axis].value) for axis in "xy"),
        4.0,
        reach_px(4.0, radius),
    )
    share = likelihood.ratio_of_injected(sampled).sum() / likelihood.injected
    return {
        "rows": int(count.sum()),
        "clusters": int(of.taken.sum()),
        "expected_clusters": float(truth["number"] * share),
        "pieces": len(of.piece),
        "expected_false": float((1 - likelihood.p_under(sampled)).sum()),
        "effective_injected": float(likelihood.effective_injected(sampled)[0]),
        "heavier": float(model.heavier(HEAVY, sampled)[0]),
    }


def against(draws, truth: float) -> dict[str, float]:
    """Return a truth, the median, the pull, and the share of draws below the truth."""
    draws = np.asarray(draws, float)
    low, median, high = np.quantile(draws, [0.16, 0.5, 0.84])
    sigma = high - median if truth > median else median - low
    return {
        "truth": float(truth),
        "median": float(median),
        "sigma": float((high - low) / 2),
        "pull": float((median - truth) / sigma),
        "below": float((draws < truth).mean()),
    }


def markdown(rows: list[dict]) -> str:
    """Return the tables."""
    lines = [
        "| mosaic | rows | clusters (expected) | false (expected) | pieces | "
        f"effective injected | {' | '.join(NAMES)} |",
        f"| {' | '.join(['---'] * (6 + len(NAMES)))} |",
    ]
    for row in rows:
        found = "refused | | |"
        if "refused" not in row:
            found = " | ".join(
                f"{row[n]['median']:.4g} ± {row[n]['sigma']:.2g} "
                f"({row[n]['truth']:.4g})"
                for n in NAMES
            )
        false = row["rows"] - row["clusters"] - row["pieces"]
        lines.append(
            f"| {row['seed']} | {row['rows']} "
            f"| {row['clusters']} ({row['expected_clusters']:.0f}) "
            f"| {false} ({row['expected_false']:.0f}) | {row['pieces']} "
            f"| {row['effective_injected']:.0f} | {found} |"
        )
    rows = [row for row in rows if "refused" not in row]
    if not rows:
        return "\n".join(lines)
    lines += ["", "| | mean pull | truth within 68 % | within 95 % |"]
    lines.append("| --- | --- | --- | --- |")
    for name in NAMES:
        pull = np.array([row[name]["pull"] for row in rows])
        below = np.array([row[name]["below"] for row in rows])
        shares = []
        for level in (0.68, 0.95):
            inside = int((np.abs(below - 0.5) < level / 2).sum())
            low, high = binom_conf_interval(inside, len(rows))
            shares.append(f"{inside} of {len(rows)} ({low:.2f} to {high:.2f})")
        lines.append(f"| {name} | {pull.mean():+.2f} | {' | '.join(shares)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
