"""Training runs side by side, as the table of docs/how/experiments.md.

Reads ``configuration.yaml`` and ``history.csv`` of each run, so that no number is
copied by hand; the best epoch is that with the lowest validation loss.

    python benchmarks/tabulate_runs.py 'mixture=runs/a' 'flow=runs/b'
"""

import argparse
import csv
from pathlib import Path

import yaml

from clusterkeras.evaluation.words.markdown import markdown_table

COLUMNS = (
    "run",
    "pairs",
    "CPU hours",
    "best epoch",
    "-log p [nats]",
    "presence [nats]",
    "AUC",
    "visibility [nats]",
    "-log p in training",
)


def row(name: str, run: Path, mocks: int | None) -> list[str]:
    """Return the cells of a run."""
    with (run / "history.csv").open(newline="") as file:
        epochs = [{k: float(v) for k, v in r.items()} for r in csv.DictReader(file)]
    best = min(epochs, key=lambda epoch: epoch["val_loss"])
    hours = sum(epoch["cpu_hours"] for epoch in epochs)
    planned = yaml.safe_load((run / "configuration.yaml").read_text())["training"]
    pairs = "" if mocks is None else f"{mocks * len(epochs):,}"
    return [
        name,
        pairs,
        f"{hours:.2f}",
        f"{int(best['epoch']) + 1} of {planned['epochs']}",
        f"{best['val_nll']:.3f}",
        f"{best['val_presence']:.3f}",
        f"{best['val_presence_auc']:.3f}",
        f"{best['val_visibility']:.3f}",
        f"{best['nll']:.3f}",
    ]


def main() -> None:
    """Print the table, the runs in the order given."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--mocks", type=int, help="records of the training split")
    args = parser.parse_args()
    split = [run.partition("=") for run in args.runs]
    rows = [row(name, Path(path), args.mocks) for name, _, path in split]
    print(markdown_table(COLUMNS, rows))


if __name__ == "__main__":
    main()
