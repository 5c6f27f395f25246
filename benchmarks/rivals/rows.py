"""The rows of the table: what each method is and what it cost, as a file says."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

#: Classical methods, which are made and asked where the table is.
CLASSICAL = ("grid", "legus", "phangs", "prior")


@dataclass(frozen=True)
class Row:
    """A method.

    Attributes
    ----------
    name : str
        Its name in the table.
    models, predictions : tuple of Path
        Trained networks (runs or files), or what others said
        (`clusterkeras.evaluation.predictions.Predictions.write`): one a seed.
    classical : str
        One of `CLASSICAL`, or empty.
    n_models : int
        Models of the grid beside the clusters of its training split.
    pairs : int or None
        Clusters and backgrounds it was trained on, each time counted; of a run, the
        epochs of its history times ``mocks_an_epoch``.
    mocks_an_epoch : int or None
        Records of the training split.
    mmac : float or None
        Millions of multiplications an image; counted where a model is asked.
    simulation_hours, training_hours : float or None
        Hours of processor time; the training's as the history of a run states them.
    """

    name: str
    models: tuple[Path, ...] = ()
    predictions: tuple[Path, ...] = ()
    classical: str = ""
    n_models: int = 0
    pairs: int | None = None
    mocks_an_epoch: int | None = None
    mmac: float | None = None
    simulation_hours: float | None = None
    training_hours: float | None = None

    def __post_init__(self) -> None:
        """Check that it is one thing."""
        given = [bool(self.models), bool(self.predictions), bool(self.classical)]
        if sum(given) > 1 or (self.classical and self.classical not in CLASSICAL):
            raise ValueError(
                f"row {self.name!r}: expected models, predictions or classical, one "
                f"of {', '.join(CLASSICAL)}; received {self}"
            )

    @property
    def sources(self) -> tuple[Path, ...]:
        """Files or directories of what answers, one a seed."""
        return self.models or self.predictions

    def history(self) -> list[dict[str, str]] | None:
        """Return the first run's epochs, None without a history beside it."""
        if not self.sources:
            return None
        first = self.sources[0]
        beside = first if first.is_dir() else first.parent
        path = beside / "history.csv"
        if not path.is_file():
            return None
        with path.open(newline="") as file:
            return list(csv.DictReader(file))

    def costs(self) -> dict[str, float | None]:
        """Return pairs, simulation_hours and training_hours, as far as known."""
        pairs, hours, history = self.pairs, self.training_hours, self.history()
        if history and pairs is None and self.mocks_an_epoch:
            pairs = self.mocks_an_epoch * len(history)
        if history and hours is None and all(row.get("cpu_hours") for row in history):
            hours = sum(float(row["cpu_hours"]) for row in history)
        return {
            "pairs": pairs,
            "simulation_hours": self.simulation_hours,
            "training_hours": hours,
        }


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a YAML file: a list of mappings with the attributes of `Row`.

    Paths are relative to the directory of work.
    """
    said: Any = yaml.safe_load(path.read_text())
    if not isinstance(said, list) or not all(isinstance(row, dict) for row in said):
        raise ValueError(f"{path}: expected a list of rows, each a mapping")
    rows = []
    for row in said:
        for key in ("models", "predictions"):
            row[key] = tuple(map(Path, row.get(key) or ()))
        try:
            rows.append(Row(**row))
        except TypeError as error:
            raise ValueError(
                f"{path}: row {row.get('name')!r}: expected keys among "
                f"{', '.join(Row.__dataclass_fields__)} ({error})"
            ) from error
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise ValueError(f"{path}: expected each name once; received {names}")
    return rows
