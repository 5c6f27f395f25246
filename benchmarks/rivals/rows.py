"""The rows of the table: what each method is and what it cost, as a file says."""

from __future__ import annotations

import csv
import json
import re
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
        Its name in commands and files: small letters, digits and underscores.
    title : str
        Its name in the table.
    models, predictions : tuple of Path
        Trained networks (runs or files), or what others said
        (`clusterkeras.evaluation.numbers.predictions.Predictions.write`): one a seed.
    classical : str
        One of `CLASSICAL`, or empty.
    n_models : int
        Models of the grid beside the clusters of its training split.
    pairs : int or None
        Clusters and backgrounds it was trained on, each time counted. If it is not
        said, what the run says of itself: the epochs of its history times its mocks,
        or its steps times its batch.
    mocks_an_epoch : int or None
        Records of the training split.
    mmac : float or None
        Millions of multiplications an image; counted where a model is asked.
    simulation_hours, training_hours : float or None
        Hours of processor time; the training's as the history of a run states them.
    """

    name: str
    title: str = ""
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
        if not re.fullmatch("[a-z0-9_]+", str(self.name)):
            raise ValueError(
                f"row {self.name!r}: expected a name of small letters, digits and "
                "underscores, since files have it; what the table says is its title"
            )
        given = [bool(self.models), bool(self.predictions), bool(self.classical)]
        if sum(given) != 1 or (self.classical and self.classical not in CLASSICAL):
            raise ValueError(
                f"row {self.name!r}: expected models, predictions or classical, one "
                f"of {', '.join(CLASSICAL)}; received {self}"
            )

    @property
    def sources(self) -> tuple[Path, ...]:
        """Files or directories of what answers, one a seed."""
        return self.models or self.predictions

    @property
    def n_seeds(self) -> int:
        """How often it is asked."""
        return max(1, len(self.sources))

    def directory(self, seed: int) -> Path | None:
        """Return where a seed's run lies, None of a classical method."""
        if not self.sources:
            return None
        source = self.sources[seed]
        return source if source.is_dir() else source.parent

    def made(self, seed: int) -> dict[str, Any]:
        """Return how a seed's run was made, as it says itself; places are left out."""
        directory = self.directory(seed)
        said: dict[str, Any] = {}
        if directory and (directory / "configuration.yaml").is_file():
            said = yaml.safe_load((directory / "configuration.yaml").read_text())
        elif directory and (directory / "run.json").is_file():
            said = json.loads((directory / "run.json").read_text())
        return {k: v for k, v in said.items() if k not in ("data", "target")}

    def costs(self, seed: int = 0) -> dict[str, float | None]:
        """Return pairs, mmac, simulation_hours and training_hours, as far as known."""
        made, history = self.made(seed), self._history(seed)
        pairs, hours = self.pairs, self.training_hours
        if history and pairs is None:
            if "steps" in history[-1] and "batch_size" in made:
                pairs = int(history[-1]["steps"]) * made["batch_size"]
            else:
                some = made.get("training", {}).get("n_mocks")
                mocks = some or self.mocks_an_epoch
                pairs = mocks * len(history) if mocks else None
        if history and hours is None and all(row.get("cpu_hours") for row in history):
            hours = sum(float(row["cpu_hours"]) for row in history)
        return {
            "pairs": pairs,
            "mmac": self.mmac,
            "simulation_hours": self.simulation_hours,
            "training_hours": hours,
        }

    def _history(self, seed: int) -> list[dict[str, str]] | None:
        """Return a seed's epochs, None without a history beside it."""
        directory = self.directory(seed)
        if directory is None or not (directory / "history.csv").is_file():
            return None
        with (directory / "history.csv").open(newline="") as file:
            return list(csv.DictReader(file))


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
