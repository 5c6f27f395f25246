"""Strata of a test set: where a model is good, and where it is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Edges of the strata, in the quantity's unit; the outer ones are open.
EDGES: dict[str, tuple[float, ...]] = {
    "log_snr": (-np.inf, 0.5, 1.0, 1.5, 2.0, np.inf),
    "log_age": (-np.inf, 7.0, 8.0, 9.0, np.inf),
    "a_v": (-np.inf, 1.0, 2.0, 3.0, np.inf),
    "log_mass": (-np.inf, 3.5, 4.5, 5.5, np.inf),
    "crowding": (-np.inf, 0.2, 0.5, 0.8, np.inf),
}

#: Where the published network is called reliable (Bialopetravicius & Narbutis 2020,
#: A&A 633, A148, abstract): age < 100 Myr, A_V < 3 mag, 3e3-3e5 Msun; here with
#: S/N > 10 as well. Each is (low, high).
PUBLISHED_REGIME: dict[str, tuple[float, float]] = {
    "log_snr": (1.0, np.inf),
    "log_age": (-np.inf, 8.0),
    "a_v": (-np.inf, 3.0),
    "log_mass": (float(np.log10(3e3)), float(np.log10(3e5))),
}


#: Rows of a report; see `clusterkeras.evaluation.numbers.posterior.stratum_row`.
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Stratum:
    """Some of the objects.

    Attributes
    ----------
    quantity : str
        What it is cut in; ``all`` and ``published_regime`` for those two.
    low, high : float
        Its range, ``low <= value < high``.
    rows : ndarray of bool, shape (N,)
        Which objects lie in it.
    """

    quantity: str
    low: float
    high: float
    rows: NDArray[np.bool_]

    @property
    def label(self) -> str:
        """What the stratum is called in a table or a picture."""
        if np.isinf(self.low) and np.isinf(self.high):
            return self.quantity
        if np.isinf(self.low):
            return f"{self.quantity} < {self.high:g}"
        if np.isinf(self.high):
            return f"{self.quantity} >= {self.low:g}"
        return f"{self.quantity} {self.low:g} to {self.high:g}"


def bins(quantity: str, values: ArrayLike) -> list[Stratum]:
    """Cut objects into the bins of one quantity.

    Parameters
    ----------
    quantity : str
        A key of `EDGES`.
    values : array_like, shape (N,)
        The quantity of each object.
    """
    values = np.asarray(values)
    edges = EDGES[quantity]
    return [
        Stratum(quantity, low, high, (values >= low) & (values < high))
        for low, high in pairwise(edges)
    ]


def published_regime(values: Mapping[str, ArrayLike]) -> Stratum:
    """Return the objects in the regime where the published network is reliable.

    Parameters
    ----------
    values : mapping of str to array_like, shape (N,)
        The quantities of `PUBLISHED_REGIME`.
    """
    inside = [
        (np.asarray(values[name]) > low) & (np.asarray(values[name]) < high)
        for name, (low, high) in PUBLISHED_REGIME.items()
    ]
    rows = np.logical_and.reduce(inside)
    return Stratum("published_regime", -np.inf, np.inf, rows)


def all_strata(values: Mapping[str, ArrayLike]) -> list[Stratum]:
    """Return the published regime and the bins of every quantity that is given.

    Parameters
    ----------
    values : mapping of str to array_like, shape (N,)
        Quantities of `EDGES`, those of `PUBLISHED_REGIME` among them.
    """
    cuts = [bins(name, values[name]) for name in EDGES if name in values]
    return [published_regime(values), *(stratum for cut in cuts for stratum in cut)]


def worst_calibrated_first(rows: Rows) -> list[Mapping[str, Any]]:
    """Sort rows of a report: those that fail their limit, then by worst coverage.

    Its distance from nominal is in sigmas of a perfect posterior's coverage, so that a
    small stratum is not the worst by chance alone. Empty strata are left out.
    """
    filled = [row for row in rows if row["n"]]
    return sorted(
        filled,
        key=lambda row: (row.get("ok", True), -abs(row["worst_coverage"]["sigmas"])),
    )


def least_known_first(rows: Rows) -> list[Mapping[str, Any]]:
    """Sort rows of a report by their gain over the prior; empty ones are left out."""
    filled = [row for row in rows if row["n"]]
    return sorted(
        filled, key=lambda row: row["negative_log_probability"]["gain_over_prior"]
    )


def score_table(rows: Rows, parameter: str = "log_age") -> str:
    """Write rows of a report as a table for the terminal, in the order given.

    Parameters
    ----------
    rows : sequence of mapping
        The rows; none of them empty.
    parameter : str
        The parameter whose bias, scatter and catastrophic fraction are shown.
    """
    width = max([len("stratum"), *(len(row["label"]) for row in rows)])
    names = list(rows[0]["parameters"]) if rows else []
    head = (
        f"{'stratum':<{width}} {'N':>6} {'-log p':>7} {'gain':>6} {'error':>6}  "
        f"{'max |ECP-a|':<14} "
        f"{'worst coverage':<47} {'bias':>6} {'scatter':>7} {'catastr.':>8}  "
        + " ".join(f"{'68% ' + name[:8]:>12}" for name in names)
    )
    lines = [
        f"bias, scatter and catastrophic fraction of {parameter}; in brackets what 95 "
        "of 100 perfect posteriors stay below",
        head,
    ]
    for row in rows:
        score, worst = row["negative_log_probability"], row["worst_coverage"]
        shown = row["parameters"][parameter]
        what = (
            f"{worst['parameter']} {worst['level']:.0%}: {worst['coverage']:.3f} "
            f"({worst['sigmas']:+.1f} sigma)"
        )
        joint = (
            f"{row['tarp']['max_deviation']:.3f} "
            f"({row['tarp']['max_deviation_noise']:.3f})"
        )
        lines.append(
            f"{row['label']:<{width}} {row['n']:>6} {score['mean']:>7.2f} "
            f"{score['gain_over_prior']:>6.2f} {score['standard_error']:>6.2f}  "
            f"{joint:<14} {what:<47} "
            f"{shown['bias']:>+6.2f} {shown['scatter']:>7.2f} "
            f"{shown['catastrophic_fraction']:>8.1%}  "
            + " ".join(
                f"{row['parameters'][name]['coverage_68']:>12.3f}" for name in names
            )
        )
    return "\n".join(lines)


def published_row(posterior: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the row of the regime in which the published network is reliable."""
    rows = posterior["strata"]["true"]
    return next(row for row in rows if row["label"] == "published_regime")
