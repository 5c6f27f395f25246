r"""All methods on one test set, scored by the same code, in one table.

A method that is asked leaves a small file, ``NAME-SEED.npz``, with what it says of each
record of the test set and what it cost; of these files alone the table is made, with
neither mocks nor models. So each method can be trained and asked on its own, on a
machine that keeps nothing, and its file is committed. ``questions.npz`` beside them
has the truths; an answer to others is refused.

The methods are in a YAML file, the first is ours, to which the others are compared::

    - name: ours
      models: [runs/ours]          # one run or .keras file a seed
      mocks_an_epoch: 300000
      simulation_hours: 0.4
    - name: dense7
      title: dense network, seven apertures
      models: [runs/dense7_0, runs/dense7_1, runs/dense7_2]
    - name: bayesflow
      predictions: [runs/bayesflow/predictions.npz]
    - name: grid
      title: stochastic grid
      classical: grid
      n_models: 1900000
    - name: legus
      title: SSP fit, best value and chi2 + 1
      classical: legus
    - name: phangs
      title: SSP fit, likelihood
      classical: phangs
    - name: prior
      classical: prior

See `rivals.rows.Row` for all keys; hours are of the processor. The set is a mock set
of this version; the first one is made into one, and models of its priors are drawn, by
the commands of ``benchmarks/rivals/first``.
"""

import argparse
import datetime
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from rivals.answer import Answer
from rivals.questions import Questions
from rivals.rows import Row, read_rows
from rivals.scores import in_regime, score

from clusterkeras.evaluation.evaluate import as_plain
from clusterkeras.evaluation.words.markdown import markdown_table
from data_tools.running.plain_files import write_json
from data_tools.schema import PARAMETER_NAMES

HERE = Path(__file__).parent / "rivals"
QUESTIONS = "questions.npz"

COLUMNS = (
    "method",
    "pairs",
    "MMAC",
    "CPU hours of simulation",
    "of training",
    "-log p [nats]",
    "worse than the first by",
    "in the regime",
    "worse there by",
    *(f"scatter {name}" for name in ("log age", "A_V", "log mass", "log r_h")),
    "68 %",
    "max abs(ECP - alpha)",
    "AUC",
)

EXAMPLE = """example, one method on a machine that keeps nothing, the table anywhere:
  clusterkeras fit --data first_set -o runs/dense4_0
  python benchmarks/bench_rivals.py ask dense4 --data first_set
  git add benchmarks/rivals/answers/dense4-0.npz
  python benchmarks/bench_rivals.py table
"""


def ask_rows(args: argparse.Namespace) -> None:
    """Ask methods, and keep what each has answered."""
    # what only the mocks and models need takes seconds to import
    from rivals.asking.ask import Options, ask, source
    from rivals.asking.asked_set import AskedSet

    rows = {row.name: row for row in read_rows(args.rows)}
    unknown = [name for name in args.names if name not in rows]
    if unknown:
        raise SystemExit(
            f"{args.rows}: expected names among {', '.join(rows)}; received {unknown}"
        )
    kept = args.data.resolve().parent / f"{args.data.name}_models"
    data = AskedSet(args.data, kept, args.models)
    questions = _same_questions(args.answers / QUESTIONS, data.questions(), args.data)
    options = Options(args.draws, args.n_choose, args.workers)
    for row in (rows[name] for name in args.names):
        before = len(_kept(args.answers, row))
        for seed in range(row.n_seeds):
            path, there = _path(args.answers, row, seed), source(row, seed)
            if path.exists():
                print(f"{path}: answered before; remove it to ask again")
            elif there is not None and not there.is_file():
                print(f"{row.name}, {seed}: {there} is not there yet")
            else:
                print(f"asking {row.name}, {seed}", flush=True)
                found, said = ask(row, seed, data, options)
                about = _about(row, seed, said)
                Answer.of(found, questions, about).write(path)
                print(f"wrote {path}, {path.stat().st_size / 1000:.0f} kB")
        if not before and not _kept(args.answers, row):
            raise SystemExit(f"{row.name}: nothing there that could be asked")


def _same_questions(path: Path, asked: Questions, data: Path) -> Questions:
    """Return the questions that are kept, the first time those of the set."""
    if not path.exists():
        asked.write(path)
        print(f"wrote {path}, {len(asked.truth):,} clusters")
    kept = Questions.read(path)
    if kept.digest != asked.digest:
        raise SystemExit(
            f"{data}: expected the test set {kept.digest[:12]} of {path}, with "
            f"{len(kept.mock_id):,} records; received {asked.digest[:12]}, with "
            f"{len(asked.mock_id):,}. Make the same set, or name another --answers"
        )
    return kept


def _path(answers: Path, row: Row, seed: int) -> Path:
    return answers / f"{row.name}-{seed}.npz"


def _kept(answers: Path, row: Row) -> list[Path]:
    paths = (_path(answers, row, seed) for seed in range(row.n_seeds))
    return [path for path in paths if path.exists()]


def _about(row: Row, seed: int, said: dict[str, Any]) -> dict[str, Any]:
    """Return the header of an answer: costs, and how it was made and asked."""
    named = row.costs(seed)
    costs = {k: said.get(k) if v is None else v for k, v in named.items()}
    costs |= {k: v for k, v in said.items() if k not in (*named, "settings")}
    # where a set lay on that machine is nobody's concern
    argv = [Path(a).name if Path(a).is_absolute() else a for a in sys.argv]
    packages = ("clusterkeras", "numpy", "tensorflow", "keras")
    return {
        "row": row.name,
        "seed": seed,
        "costs": costs,
        "settings": said.get("settings"),
        "made": row.made(seed),
        "command": shlex.join([Path(argv[0]).name, *argv[1:]]),
        "commit": _commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "versions": {name: metadata.version(name) for name in packages},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }


def _commit() -> str | None:
    """Return the commit of this version, None where there is no repository."""
    command = ["git", "-C", str(HERE), "describe", "--always", "--dirty"]
    found = subprocess.run(
        [*command, "--abbrev=40", "--exclude=*"], capture_output=True, text=True
    )
    return found.stdout.strip() or None


def numbers(
    rows: Sequence[Row], answers: Path, questions: Questions
) -> dict[str, dict[str, Any] | None]:
    """Return the numbers of every row by its name, None of one that is missing."""
    found: dict[str, dict[str, Any] | None] = {}
    first = None
    for i, row in enumerate(rows):
        seeds = [Answer.read(path, questions) for path in _kept(answers, row)]
        if not seeds:
            found[row.name] = None
            continue
        of_row = score(seeds, questions, first)
        log_prob = of_row.pop("log_prob")
        if i == 0:
            first = log_prob
        costs = [said.about["costs"] for said in seeds]
        found[row.name] = {
            **{name: _mean([cost.get(name) for cost in costs]) for name in costs[0]},
            "n_seeds": len(seeds),
            "of_seeds": row.n_seeds,
            "settings": seeds[0].about["settings"],
            "made_by": [said.about["commit"] for said in seeds],
            **of_row,
        }
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def table(rows: Sequence[Row], found: dict[str, dict[str, Any] | None]) -> str:
    """Return the table as Markdown; what is missing is said in it and below it."""
    lines, notes = [], []
    for row in rows:
        title, said = row.title or row.name, found[row.name]
        if said is None:
            lines.append([title, *["missing"] * (len(COLUMNS) - 1)])
            continue
        if said["n_seeds"] < said["of_seeds"]:
            notes.append(f"{title}: {said['n_seeds']} of {said['of_seeds']} seeds.")
        if said["n_seeds"] > 1:
            each = ", ".join(f"{value:.3f}" for value in said["seeds"])
            notes.append(f"{title}: its seeds have {each}.")
        if said["settings"]:
            notes.append(f"{title}: {said['settings']}.")
        simulation = said["simulation_hours"]
        if "hours_of_models" in said:
            simulation = (simulation or 0.0) + said["hours_of_models"]
        covered = said["coverage_68"].values()
        scatter = (said["scatter"][name] for name in PARAMETER_NAMES)
        lines.append(
            [
                title,
                _number(said["pairs"], ",.0f"),
                _number(said["mmac"], ".1f"),
                _number(simulation, ".2f"),
                _number(said["training_hours"], ".2f"),
                _with_error(said["nll"]),
                _with_error(said.get("worse_than_first"), "+"),
                _with_error(said["nll_in_regime"]),
                _with_error(said.get("worse_in_regime"), "+"),
                *(_number(value, ".2f") for value in scatter),
                f"{min(covered):.2f} to {max(covered):.2f}",
                _number(said["tarp"], ".3f"),
                _number(said["auc"], ".3f"),
            ]
        )
    return "\n\n".join([markdown_table(COLUMNS, lines), *notes])


def _number(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def _with_error(value, sign: str = "") -> str:
    return "" if value is None else f"{value[0]:{sign}.3f} ± {value[1]:.3f}"


def write_table(args: argparse.Namespace) -> None:
    """Score the answers that there are, and print the table."""
    rows = read_rows(args.rows)
    questions = Questions.read(args.answers / QUESTIONS)
    found = numbers(rows, args.answers, questions)
    one = next((row for row in found.values() if row is not None), None)
    if one is None:
        raise SystemExit(f"{args.answers}: no answer of a row of {args.rows} yet")
    n, n_fields = len(questions.truth), len(set(questions.fields_of_clusters.tolist()))
    text = (
        f"{n:,} clusters of {n_fields} fields, {in_regime(questions).sum():,} of "
        "them in the regime in which the published network is reliable (age < 100 Myr, "
        "A_V < 3, 3e3 to 3e5 Msun, S/N > 10), where scatter is. Errors are by the "
        "scatter of fields, those of differences by that of the same clusters' "
        "differences; several seeds are averaged cluster by cluster; 68 %: least and "
        "largest coverage of the four parameters; a perfect posterior's "
        f"max abs(ECP - alpha) is below {one['tarp_noise']:.3f} in 95 of 100 sets."
        f"\n\n{table(rows, found)}\n"
    )
    print(text)
    if args.output:
        args.output.mkdir(parents=True, exist_ok=True)
        (args.output / "rivals.md").write_text(text)
        about = {"questions": questions.digest, "found": found}
        write_json(args.output / "rivals.json", as_plain(about))


def main() -> None:
    """Ask, or write the table."""
    about, _, more = __doc__.partition("\n")
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        description=about + "\n" + more, epilog=EXAMPLE, formatter_class=how
    )
    commands = parser.add_subparsers(required=True)
    asked = commands.add_parser(
        "ask",
        help="ask methods that have been trained, or classical ones",
        description="Ask methods and keep what they say, one file a seed; what is "
        "there already stays.",
        epilog=EXAMPLE,
        formatter_class=how,
    )
    asked.add_argument("names", nargs="+", metavar="NAME", help="of a row")
    asked.add_argument("--data", type=Path, required=True, help="a mock set")
    asked.add_argument(
        "--models", type=Path, help="models of its priors, if not of this version"
    )
    asked.add_argument("--draws", type=int, default=500)
    asked.add_argument(
        "--n_choose", type=int, default=1000, help="validation clusters for settings"
    )
    asked.add_argument("--workers", type=int, default=os.cpu_count())
    asked.set_defaults(run=ask_rows)
    scored = commands.add_parser(
        "table",
        help="print the table of what has been answered",
        description="Print the table of all rows; needs neither mocks nor models.",
        epilog=EXAMPLE,
        formatter_class=how,
    )
    scored.add_argument("-o", "--output", type=Path, help="for rivals.md, rivals.json")
    scored.set_defaults(run=write_table)
    for command in (asked, scored):
        command.add_argument(
            "--rows", type=Path, default=HERE / "rows.yaml", help="YAML file, see above"
        )
        command.add_argument(
            "--answers", type=Path, default=HERE / "answers", help="where they are kept"
        )
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
