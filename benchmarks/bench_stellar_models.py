"""A model held to stellar models that it has never seen, beside those that it knows.

Of every stellar model the same clusters at the same places, all stars of clusters and
fields by it alone: those that mocks are drawn from, and the files that are given. What
the network says of their ages, told nothing but the image, and for those it knows also
told which it is. True ages pick the rows, so not even a perfect posterior covers 68 %
in each: the known models, in the same run, say what is normal. Errors are by the
scatter of fields, as a bootstrap over them has it, and at least a perfect posterior's.

Files are PARSEC's or MIST's, as a target's ``isochrones`` takes them; for others see
``benchmarks/isochrones`` and ``benchmarks/cosmic``. Run again, it makes no set twice::

    python benchmarks/bench_stellar_models.py --model m83-wfc3-uvis \
        --isochrones geneva.dat parsec12s.dat --fields 64 --clusters 64 -o stellar

Writes ``stellar_models.json`` and ``stellar_models.png``: what is said of the age less
the truth, against the truth.
"""

import argparse
import dataclasses
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clusterkeras.evaluation.asking import SEED, predict
from clusterkeras.evaluation.numbers.presence import flagged_share

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from clusterkeras.diagnostics.metrics import coverage
from clusterkeras.diagnostics.metrics.groups import paired_difference
from clusterkeras.diagnostics.metrics.scores import negative_log_probability
from clusterkeras.evaluation.evaluate import as_plain
from clusterkeras.evaluation.numbers.predictions import Predictions
from clusterkeras.evaluation.shifts.kinds import (
    UserFiles,
    choose,
    mock_set,
    settings,
)
from clusterkeras.evaluation.words.markdown import markdown_table
from clusterkeras.network.loading import load_model
from clusterkeras.network.posterior_model import PosteriorModel
from data_tools.priors import Priors
from data_tools.records.dataset import make_dataset
from data_tools.records.simulate import simulate
from data_tools.running.output import whole_path
from data_tools.running.plain_files import write_json
from data_tools.schema import PARAMETER_NAMES, STELLAR_MODELS

AGE = PARAMETER_NAMES.index("log_age")
LEVEL = 0.68
#: True ages in log10 years; the claim is about those below 100 Myr.
AGES = {
    "< 10 Myr": (-math.inf, 7.0),
    "10 to 100 Myr": (7.0, 8.0),
    "< 100 Myr": (-math.inf, 8.0),
    "> 100 Myr": (8.0, math.inf),
}
NOTHING, MODEL = "nothing", "the model"
#: Files of a set are made side by side; so many if it has as many fields.
SHARDS = 8

#: What was asked, by name of the stellar model and what was told.
Asked = Mapping[tuple[str, str], Predictions]


def make_sets(
    network: PosteriorModel,
    files: Mapping[str, UserFiles],
    output: Path,
    priors: Priors,
    fields: int,
    seed: int,
    workers: int,
) -> dict[str, Path]:
    """Make a set of each stellar model, or finish it; the files' first."""
    mocks = dataclasses.replace(
        mock_set(fields * priors.mocks_per_field, seed),
        shard_size=priors.mocks_per_field * math.ceil(fields / SHARDS),
    )
    (of_file,) = (shift for shift in choose(("isochrones",)) if shift.needs)
    made = {name: (of_file, given) for name, given in files.items()}
    for name in STELLAR_MODELS:
        shift = choose((f"stars_{name.lower()}",))[-1]
        made[name] = shift, UserFiles()
    for name, (shift, given) in made.items():
        print(f"{name}: {given.isochrones or shift.description}", flush=True)
        simulate(
            output / "sets" / name,
            mocks=mocks,
            workers=workers,
            paired=True,
            **settings(shift, network.target, priors, given),
        )
    return {name: output / "sets" / name for name in (*STELLAR_MODELS, *files)}


def ask(
    network: PosteriorModel, data: Path, draws: int, told: int | None = None
) -> Predictions:
    """Ask of all clusters of a set, telling the index of their stellar model or not."""

    def batches() -> Iterator[tuple[Any, dict]]:
        for images, labels in make_dataset(
            data, "train", 256, training=False, seed=SEED
        ):
            known = {} if told is None else {"stellar_model": tf.constant(told)}
            yield {"images": images, **known}, labels

    return predict(network, batches(), draws)


def ask_all(network: PosteriorModel, sets: Mapping[str, Path], draws: int) -> Asked:
    """Ask of all sets; a known model is told too, if the network can be."""
    asked = {}
    for name, data in sets.items():
        asked[name, NOTHING] = ask(network, data, draws)
        if name in STELLAR_MODELS and network.takes_context:
            index = STELLAR_MODELS.index(name)
            asked[name, MODEL] = ask(network, data, draws, index)
    first, *others = asked.values()
    for other in others:
        if not np.array_equal(first.mock_id, other.mock_id) or not np.allclose(
            first.truth, other.truth
        ):
            raise RuntimeError("expected the same clusters of every stellar model")
    return asked


def summarise(asked: Asked) -> list[dict[str, Any]]:
    """Return a row of numbers for each stellar model and what was told."""
    known = np.mean([asked[name, NOTHING].log_prob for name in STELLAR_MODELS], axis=0)
    rows = []
    for (name, told), found in asked.items():
        fields, log_age = found.field_id, found.truth[:, AGE]
        pit = coverage.pit(found.truth, found.draws)[:, AGE]
        inside = coverage.in_central(pit, LEVEL)
        loss = negative_log_probability(found.log_prob, fields)
        worse = paired_difference(known, found.log_prob, fields)
        row = {
            "stellar_model": name,
            "known": name in STELLAR_MODELS,
            "told": told,
            "n": len(found),
            "n_fields": len(np.unique(fields)),
            "coverage_68": {},
            "nll": loss.mean,
            "nll_error": loss.standard_error,
            "n_not_finite": loss.n_not_finite,
            "worse": worse.mean,
            "worse_error": worse.error,
            **flagged_share(found.unlike_mocks, fields),
        }
        for label, (low, high) in AGES.items():
            here = (low <= log_age) & (log_age < high)
            row["coverage_68"][label] = {
                "n": here.sum(),
                "share": inside[here].mean() if here.any() else np.nan,
                "error": coverage.coverage_error(inside[here], LEVEL, fields[here]),
            }
        rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Write the rows as a Markdown table."""
    head = ["stellar model", "told", *AGES, "-log p [nats]"]
    head += ["worse than known", "flagged"]
    cells = []
    for row in rows:
        covered = [row["coverage_68"][label] for label in AGES]
        lost = f", {row['n_not_finite']} lost" if row["n_not_finite"] else ""
        cells.append(
            [
                row["stellar_model"] + ("" if row["known"] else " (never drawn)"),
                row["told"],
                *(f"{c['share']:.3f} ± {c['error']:.3f}" for c in covered),
                f"{row['nll']:.3f} ± {row['nll_error']:.3f}{lost}",
                f"{row['worse']:+.3f} ± {row['worse_error']:.3f}",
                f"{row['flagged']:.1%} ± {row['flagged_error']:.1%}",
            ]
        )
    return markdown_table(head, cells)


def draw(asked: Asked) -> Figure:
    """Draw the median of the age less the truth against the truth, a panel a model.

    Points are clusters, told nothing; the thick line joins the median of bins of half
    a dex, thin dashed ones their 16 and 84 %, the dotted line the median where the
    model was told.
    """
    names = list(dict.fromkeys(name for name, _ in asked))
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(names) :]:
        panel.set_visible(False)
    for panel, name in zip(panels.flat, names, strict=False):
        for told, styles in (
            (NOTHING, (("k--", 1), ("k-", 2.5), ("k--", 1))),
            (MODEL, (None, ("k:", 2), None)),
        ):
            if (name, told) not in asked:
                continue
            found = asked[name, told]
            log_age = found.truth[:, AGE]
            off = np.median(found.draws[..., AGE], axis=1) - log_age
            if told == NOTHING:
                panel.plot(log_age, off, ".", color="0.7", markersize=2)
            cell = np.floor(2 * log_age)
            bins = [off[cell == c] for c in np.unique(cell)]
            places = [log_age[cell == c].mean() for c in np.unique(cell)]
            quantiles = np.array([np.quantile(b, [0.16, 0.5, 0.84]) for b in bins])
            for values, style in zip(quantiles.T, styles, strict=True):
                if style:
                    panel.plot(places, values, style[0], linewidth=style[1])
        panel.axhline(0, color="#D55E00", linewidth=1)
        panel.set_title(name + ("" if name in STELLAR_MODELS else " (never drawn)"))
    figure.supxlabel("true log age [yr]")
    figure.supylabel("median - truth [dex]")
    return figure


def measure(
    network: PosteriorModel,
    files: Mapping[str, UserFiles],
    output: Path,
    priors: Priors,
    *,
    fields: int,
    seed: int = 0,
    draws: int = 200,
    workers: int = 0,
) -> list[dict[str, Any]]:
    """Make the sets, ask, and write the numbers and the picture.

    Parameters
    ----------
    network : PosteriorModel
        The model.
    files : mapping of str to UserFiles
        Isochrones of stellar models that are not drawn, by name.
    output : Path
        Directory of sets, numbers and picture.
    priors : Priors
        Of the mocks; all of them are clusters here.
    fields, seed, draws, workers : int
        Fields a set, seed of all, draws of each posterior, processes that simulate.
    """
    priors = dataclasses.replace(priors, cluster_fraction=1.0)
    sets = make_sets(network, files, output, priors, fields, seed, workers)
    asked = ask_all(network, sets, draws)
    rows = summarise(asked)
    with whole_path(output / "stellar_models.png") as path:
        draw(asked).savefig(path, dpi=110)
    about = {"target": network.target.name, "seed": seed, "draws": draws}
    given = {name: given.isochrones for name, given in files.items()}
    report = {**about, "isochrones": given, "rows": rows}
    write_json(output / "stellar_models.json", as_plain(report))
    return rows


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="example: python benchmarks/bench_stellar_models.py --model "
        "m83-wfc3-uvis --isochrones geneva.dat --fields 64 --clusters 64 -o stellar",
    )
    parser.add_argument("--model", required=True, help="a preset, a run or a file")
    parser.add_argument("--isochrones", type=Path, nargs="+", default=[])
    parser.add_argument(
        "--isochrones_format", choices=("parsec", "mist"), default="parsec"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--fields", type=int, default=64)
    parser.add_argument("--clusters", type=int, default=64, help="of each field")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--workers", type=int, default=0, help="0 for one a core")
    args = parser.parse_args()
    files = {
        path.stem: UserFiles(
            isochrones=str(path), isochrones_format=args.isochrones_format
        )
        for path in args.isochrones
    }
    if len(files) < len(args.isochrones) or set(files) & set(STELLAR_MODELS):
        parser.error(
            "--isochrones: expected files of different names, none of them "
            f"{', '.join(STELLAR_MODELS)}; received {args.isochrones}"
        )
    if args.fields < 2 or args.clusters < 1 or args.draws < 16:
        parser.error(
            "expected --fields >= 2, --clusters >= 1 and --draws >= 16; received "
            f"{args.fields}, {args.clusters} and {args.draws}"
        )
    args.output.mkdir(parents=True, exist_ok=True)
    rows = measure(
        load_model(args.model),
        files,
        args.output,
        Priors(mocks_per_field=args.clusters),
        fields=args.fields,
        seed=args.seed,
        draws=args.draws,
        workers=args.workers,
    )
    print(f"{args.model}: {rows[0]['n']} clusters in {rows[0]['n_fields']} fields")
    print("share of true ages in the 68 % interval, by true age\n")
    print(table(rows))


if __name__ == "__main__":
    main()
