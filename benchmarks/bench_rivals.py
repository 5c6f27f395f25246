r"""All methods on one test set, scored by the same code, in one table.

The rows are in a YAML file, the first is ours, to which the others are compared::

    - name: ours
      models: [runs/ours]          # one run or .keras file a seed
      mocks_an_epoch: 300000
      simulation_hours: 0.4
    - name: dense network on seven apertures
      models: [runs/dense7_0, runs/dense7_1, runs/dense7_2]
    - name: BayesFlow
      predictions: [bayesflow/predictions.npz]
    - name: stochastic grid
      classical: grid
      n_models: 1900000
    - name: SSP fit, best value and chi2 + 1
      classical: legus
    - name: SSP fit, likelihood
      classical: phangs
    - name: prior
      classical: prior

What a method says is kept under the output directory, and a later call asks only those
that are missing there; a row whose model or predictions are not there yet stands in the
table as missing. ``--only_there`` asks nobody. ``rivals.md`` and ``rivals.json`` have
the table. See `rivals.rows.Row` for all keys; hours are of the processor.

The set is a mock set of this version; the first one is made into one, and models of its
priors are drawn, by ``benchmarks/rivals/first_set.py`` and ``first_models.py``::

    python benchmarks/bench_rivals.py rows.yaml --data first_set \
        --models ../first/first_models -o rivals
"""

import argparse
import os
import platform
import re
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from rivals.asked_set import AskedSet
from rivals.macs import millions_of_macs
from rivals.rows import Row, read_rows
from rivals.scores import score

from clusterkeras.diagnostics.metrics.scores import box_log_volume
from clusterkeras.evaluation.competitors.beside_classical import check_same_clusters
from clusterkeras.evaluation.competitors.ssp_fit import describe, fit_populations
from clusterkeras.evaluation.competitors.stochastic_grid import grid_of
from clusterkeras.evaluation.evaluate import as_plain, predict
from clusterkeras.evaluation.markdown import markdown_table
from clusterkeras.evaluation.predictions import Predictions
from clusterkeras.network.loading import load_model
from data_tools.running.plain_files import read_json, write_json

COLUMNS = (
    "method",
    "pairs",
    "MMAC",
    "CPU hours of simulation",
    "of training",
    "-log p [nats]",
    "worse than the first by",
    "in the regime",
    "AUC",
    "68 %",
)


class Table:
    """Ask the methods that have not been asked, and score all."""

    def __init__(self, data: AskedSet, output: Path, args) -> None:
        self.data, self.output, self.args = data, output, args

    def answers(self, row: Row) -> tuple[list[Predictions], dict[str, Any]] | None:
        """Return what a row says, one a seed, and what it cost; None if missing."""
        kept = self.output / re.sub(r"\W+", "_", row.name).strip("_")
        costs = {"mmac": row.mmac, **row.costs()}
        wanted = max(1, len(row.sources))
        paths = [kept / f"predictions-{i}.npz" for i in range(wanted)]
        about = kept / "about.json"
        if row.predictions:
            paths = list(row.predictions)
        elif not self.args.only_there:
            for i, path in enumerate(paths):
                if path.exists() or (row.models and not _is_trained(row.models[i])):
                    continue
                if not row.models and not row.classical:
                    continue
                kept.mkdir(parents=True, exist_ok=True)
                print(f"asking {row.name}, {i}", flush=True)
                found, said = self._ask(row, i)
                found.write(path)
                before = read_json(about) if about.exists() else {}
                write_json(about, as_plain(before | said))
        there = [path for path in paths if path.exists()]
        if not there:
            return None
        said = read_json(about) if about.exists() else {}
        costs = {k: said.get(k) if v is None else v for k, v in costs.items()}
        seeds = [Predictions.read(path) for path in there]
        return seeds, {
            **costs,
            "n_seeds": len(there),
            "of_seeds": wanted,
            **_more(said),
        }

    def _ask(self, row: Row, seed: int) -> tuple[Predictions, dict[str, Any]]:
        began, draws = time.process_time(), self.args.draws
        said: dict[str, Any] = {}
        if row.models:
            model = load_model(_model_file(row.models[seed]))
            found = predict(model, self.data.records(), draws)
            said["mmac"] = millions_of_macs(model)
        elif row.classical == "prior":
            found = self._prior(draws)
        elif row.classical == "grid":
            found, said = self._grid(row, draws)
        else:
            fit = fit_populations(
                self.data.populations(),
                self.data.measured("train"),
                self.data.measured("validation"),
                self.data.target.box,
                row.classical == "legus",
                self.args.n_choose,
            )
            said = {"settings": describe(fit.settings)}
            said["training_hours"] = (time.process_time() - began) / 3600
            found = fit.predict(self.data.measured("test"), draws)
        said["hours_with_asking"] = (time.process_time() - began) / 3600
        return found, said

    def _grid(self, row: Row, draws: int) -> tuple[Predictions, dict[str, Any]]:
        paths = self.data.model_files(row.n_models, self.args.workers)
        seconds, models = 0.0, []
        for path in paths:
            with np.load(path) as shard:
                models.append((shard["parameters"], shard["flux"]))
                seconds += float(shard["cpu_seconds"])
        train = self.data.measured("train")
        began = time.process_time()
        grid = grid_of(
            train,
            self.data.measured("validation"),
            models,
            self.data.target.box,
            self.args.n_choose,
        )
        said = {
            "settings": f"{len(grid.flux):,} models, {grid.kernels}",
            "pairs": len(grid.flux),
            "hours_of_models": seconds / 3600,
            "training_hours": (time.process_time() - began) / 3600,
        }
        print(said["settings"], flush=True)
        return grid.predict(self.data.measured("test"), draws), said

    def _prior(self, draws: int) -> Predictions:
        truth = self.data.measured("test").truth
        low, high = np.transpose(list(self.data.target.box.values()))
        n, log_prob = len(truth["truth"]), -box_log_volume(low, high)
        drawn = np.random.default_rng(0).uniform(low, high, (n, draws, len(low)))
        return Predictions.of_posterior(
            truth, np.full(n, log_prob), drawn, np.full((n, draws), log_prob)
        )

    def numbers(self, rows: list[Row]) -> dict[str, dict[str, Any] | None]:
        """Return the numbers of every row by its name, None of one that is missing."""
        found: dict[str, dict[str, Any] | None] = {}
        first = asked = None
        for i, row in enumerate(rows):
            answered = self.answers(row)
            if answered is None:
                found[row.name] = None
                continue
            seeds, about = answered
            for said in seeds:
                clusters = said.mock_id[said.is_cluster]
                asked = clusters if asked is None else asked
                check_same_clusters(row.name, asked, clusters)
            of_row = score(seeds, first)
            log_prob = of_row.pop("log_prob")
            if i == 0:
                first = log_prob
            found[row.name] = {**about, **of_row}
            print(f"{row.name}: {of_row['nll'][0]:.3f} nats", flush=True)
        return found


def _is_trained(model: Path) -> bool:
    return _model_file(model).is_file()


def _model_file(model: Path) -> Path:
    return model / "model.keras" if model.is_dir() else model


def _more(said: dict[str, Any]) -> dict[str, Any]:
    names = ("settings", "hours_of_models", "hours_with_asking")
    return {name: said[name] for name in names if name in said}


def table(found: dict[str, dict[str, Any] | None]) -> str:
    """Return the table as Markdown; what is missing is said below the others."""
    lines, notes = [], []
    for name, row in found.items():
        if row is None:
            lines.append([name, *["missing"] * (len(COLUMNS) - 1)])
            continue
        if row["n_seeds"] < row["of_seeds"]:
            notes.append(f"{name}: {row['n_seeds']} of {row['of_seeds']} seeds.")
        if row["n_seeds"] > 1:
            said = ", ".join(f"{value:.3f}" for value in row["seeds"])
            notes.append(f"{name}: its seeds have {said}.")
        if "settings" in row:
            notes.append(f"{name}: {row['settings']}.")
        covered = row["coverage_68"].values()
        simulation = row["simulation_hours"]
        if "hours_of_models" in row:
            simulation = (simulation or 0.0) + row["hours_of_models"]
        lines.append(
            [
                name,
                _number(row["pairs"], ",.0f"),
                _number(row["mmac"], ".1f"),
                _number(simulation, ".2f"),
                _number(row["training_hours"], ".2f"),
                _with_error(row["nll"]),
                _with_error(row.get("worse_than_first"), "+"),
                _with_error(row["nll_in_regime"]),
                _number(row["auc"], ".3f"),
                f"{min(covered):.2f} to {max(covered):.2f}",
            ]
        )
    return "\n\n".join([markdown_table(COLUMNS, lines), *notes])


def _number(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def _with_error(value, sign: str = "") -> str:
    return "" if value is None else f"{value[0]:{sign}.3f} ± {value[1]:.3f}"


def main() -> None:
    """Ask, score, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("rows", type=Path, help="YAML file, see above")
    parser.add_argument("--data", type=Path, required=True, help="a mock set")
    parser.add_argument(
        "--models", type=Path, help="models of its priors, if not of this version"
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument(
        "--n_choose", type=int, default=1000, help="validation clusters for settings"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument(
        "--only_there", action="store_true", help="score what has been asked before"
    )
    args = parser.parse_args()
    rows = read_rows(args.rows)
    args.output.mkdir(parents=True, exist_ok=True)
    asked = AskedSet(args.data, args.output, args.models)
    found = Table(asked, args.output, args).numbers(rows)
    one = next((row for row in found.values() if row is not None), None)
    if one is None:
        raise SystemExit(f"{args.rows}: nothing that it names is there yet")
    text = (
        f"{one['n']:,} clusters of {one['n_fields']} fields, {one['n_in_regime']:,} of "
        "them in the regime in which the published network is reliable (age < 100 Myr, "
        "A_V < 3, 3e3 to 3e5 Msun, S/N > 10). Errors by bootstrap over fields; "
        "several seeds are averaged cluster by cluster; 68 %: least and largest "
        f"coverage of the four parameters.\n\n{table(found)}\n"
    )
    print(text)
    print(f"{platform.platform()}, {os.cpu_count()} cores")
    (args.output / "rivals.md").write_text(text)
    write_json(
        args.output / "rivals.json",
        as_plain({"data": str(args.data), "draws": args.draws, "found": found}),
    )


if __name__ == "__main__":
    main()
