"""Known populations, from mock mosaics to the fit: are slopes and numbers found.

Each mock mosaic has a population of its own: dN/dM ~ M^beta and dN/dt ~ t^gamma over
the target's box, beta and gamma drawn evenly from `BETA` and `GAMMA`; A_V and size are
flat. `detect`, `infer` and `completeness` are run on it as a user would, then
`fit_population`. Printed is how many sigmas the truth is from the posterior's median,
and how often the truth lies within 68 and 95 %: with so few mosaics the error of that
stands beside it.

Everything is kept in the output directory, and what was interrupted goes on. Needs,
for each mosaic of 1024 x 1024 pixels and 2,000 injected clusters, some minutes of one
free core.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from astropy.stats import binom_conf_interval
from astropy.table import QTable
from tqdm import tqdm

from clusterkeras.catalogue.infer import infer
from clusterkeras.completeness.measure import measure_completeness
from clusterkeras.config import CompletenessConfig
from clusterkeras.detection.candidates import detect
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.network.loading import load_model
from clusterkeras.population.fit import fit_population
from data_tools.mocks.mock_mosaic import TRUTH_FILE, make_mosaic

#: Ranges of the slopes of mass and age.
BETA, GAMMA = (-2.0, -1.5), (-1.0, -0.4)
NAMES = ("mass_slope", "age_slope", "number", "number_above_10000")


def main() -> None:
    """Make mosaics, fit their populations, compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", default=DEFAULT_PRESET)
    parser.add_argument("--n", type=int, default=8, help="mosaics")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--size_px", type=int, default=1024)
    parser.add_argument("--n_clusters", type=int, default=1500)
    parser.add_argument("--n_injected", type=int, default=2000)
    args = parser.parse_args()
    model = load_model(args.model)
    rows = []
    for seed in tqdm(range(args.first, args.first + args.n), "mosaics"):
        rows.append(recovered(args.output / f"{seed}", seed, model, args))
        (args.output / "population.json").write_text(json.dumps(rows, indent=2))
    print(markdown(rows))


def recovered(directory: Path, seed: int, model, args) -> dict:
    """Return truth, posterior and pulls of one mosaic's population."""
    rng = np.random.default_rng([seed, 1])
    truth = {
        "mass_slope": rng.uniform(*BETA),
        "age_slope": rng.uniform(*GAMMA),
        "number": args.n_clusters,
    }
    images = [directory / f"{band}.fits" for band in model.target.band_names]
    if not (directory / TRUTH_FILE).is_file():
        make_mosaic(
            model.target,
            output=directory,
            size_px=args.size_px,
            n=args.n_clusters,
            # most are too faint to be seen: they may stand closely
            min_separation_px=10.0,
            seed=seed,
            mass_slope=truth["mass_slope"],
            age_slope=truth["age_slope"],
        )
    candidates, catalogue, draws = (
        directory / name for name in ("candidates.ecsv", "catalogue.ecsv", "draws.h5")
    )
    if not (catalogue.is_file() and draws.is_file()):
        detect(images, candidates, model, progress=False)
        infer(images, candidates, catalogue, model, draws_file=draws, progress=False)
    completeness = directory / "completeness"
    measure_completeness(
        *(images, completeness, model),
        CompletenessConfig(n=args.n_injected, seed=seed),
        catalogue=catalogue,
        progress=False,
    )
    fit = fit_population(
        *(catalogue, completeness, directory / "population"),
        draws_file=draws,
        progress=False,
    )
    clusters = QTable.read(directory / TRUTH_FILE)
    truth["number_above_10000"] = int((clusters["log_mass"].value >= 4).sum())
    return {
        "seed": seed,
        "seen": int((clusters["log_snr"].value > 1).sum()),
        "rows": fit.summary["rows"],
        "effective_injected": fit.summary["effective_injected"],
        **{name: against(fit.draws[name], truth[name]) for name in NAMES},
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
        f"| mosaic | rows | effective injected | {' | '.join(NAMES)} |",
        f"| --- | --- | --- | {' | '.join(['---'] * len(NAMES))} |",
    ]
    for row in rows:
        found = " | ".join(
            f"{row[n]['median']:.4g} ± {row[n]['sigma']:.2g} ({row[n]['truth']:.4g})"
            for n in NAMES
        )
        lines.append(
            f"| {row['seed']} | {row['rows']} | {row['effective_injected']:.0f} "
            f"| {found} |"
        )
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
