"""A catalogue beside the truth: completeness, purity, bias, scatter and coverage."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import Table
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from clusterkeras.catalogue.table import P_CLUSTER, numbers
from clusterkeras.diagnostics.plots.recovery import axis_label
from data_tools.positions.read_positions import read_positions
from data_tools.running.output import whole_path
from data_tools.running.plain_files import write_text
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK, KEY, PICTURE_METADATA
from data_tools.schema import PARAMETERS

if TYPE_CHECKING:
    from clusterkeras.catalogue.read import Catalogue

logger = logging.getLogger(__name__)

#: What is written of a comparison.
FILES = ("comparison.json", "comparison.png")

#: Edges in visibility (dex) of the bins in which completeness is given.
VISIBILITY_EDGES = (-np.inf, 0.5, 1.0, 1.5, 2.0, 2.5, np.inf)

#: Standard deviation of a normal distribution over its median absolute deviation.
_SIGMA_PER_MAD = 1.4826

#: Radii by which the truth is moved aside to count the matches that chance makes.
_ASIDE = 5

#: What becomes of a true cluster that has no number in a column; of a parameter, it is
#: left out of the scores.
_WITHOUT = {
    "x": "count as not found",
    "y": "count as not found",
    "log_snr": "are in no bin of visibility",
}

_PANEL_INCHES = 4.0

#: What the picture shows, in its sixth panel.
_LEGEND = """Points and bars: median, 16 and 84 % of the
posterior of each cluster that is taken;
line: the truth.

bias: median of posterior median - truth
scatter: 1.48 median absolute deviation
inside: share of truths between 16 and 84 %,
which should be 68 %

Bars at the left: of all true clusters,
grey those with a row within the radius,
blue those whose row is taken for a cluster.
What is missed is in no other panel."""

#: Of the columns of a truth.
_UNITS = {
    **{"x": u.pix, "y": u.pix, "log_snr": u.dex},
    **{p.name: u.Unit(p.unit) for p in PARAMETERS},
}


def match(
    x: NDArray, y: NDArray, true_x: NDArray, true_y: NDArray, match_px: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair rows with clusters that are each other's nearest within a radius.

    Parameters
    ----------
    x, y : (rows,) ndarray
        Positions in the catalogue in pixels; NaN matches nothing.
    true_x, true_y : (clusters,) ndarray
        True positions in pixels; NaN matches nothing.
    match_px : float
        Largest distance of a pair.

    Returns
    -------
    row, cluster : (pairs,) ndarray of int
        Indices of each pair; no row and no cluster is in two.
    """
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(known) or not len(true_x):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    rows = np.column_stack([x[known], y[known]])
    placed = np.flatnonzero(np.isfinite(true_x) & np.isfinite(true_y))
    if not len(placed):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    clusters = np.column_stack([true_x[placed], true_y[placed]])
    distance, nearest_row = cKDTree(rows).query(clusters)
    _, nearest_cluster = cKDTree(clusters).query(rows)
    cluster = np.arange(len(clusters))
    mutual = (distance <= match_px) & (nearest_cluster[nearest_row] == cluster)
    return known[nearest_row[mutual]], placed[cluster[mutual]]


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Mapping[str, Any]):
    """How a catalogue stands to the truth: numbers by name, in words, as a picture.

    Attributes
    ----------
    numbers : dict
        ``completeness``: share of the true clusters with a match, and with a match
        that counts as a cluster, in all and in bins of true visibility; ``by_chance``:
        the same of clusters that were moved five radii aside, for a crowded table has
        a row near any place. ``purity``: share of the rows that count as clusters that
        have a match. ``parameters``: of those matches, for each parameter the bias
        (median of posterior median minus truth), the scatter (1.4826 median absolute
        deviation) and the share of truths between the 16 and 84 % columns, which
        should be 0.68. ``highest_p_cluster``: of all rows; None where none has one.
    posterior : dict of str to ndarray (pairs,)
        ``<parameter>_median``, ``_p16`` and ``_p84`` of the rows of those matches.
    truth : dict of str to ndarray (pairs,)
        Their true parameters.
    not_taken : pair of dict
        The same two of the matches that do not count as clusters.
    """

    numbers: dict[str, Any]
    posterior: dict[str, NDArray[np.float64]]
    truth: dict[str, NDArray[np.float64]]
    not_taken: tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]

    def __getitem__(self, name: str) -> Any:
        """Return some of the numbers."""
        return self.numbers[name]

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the numbers."""
        return iter(self.numbers)

    def __len__(self) -> int:
        """Count the names of the numbers."""
        return len(self.numbers)

    def __repr__(self) -> str:
        """Say it in words: a notebook shows them."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        everything = self["completeness"]["all"]
        chance = self["completeness"]["by_chance"]
        yield f"{self['clusters']} clusters, {self['rows']} rows"
        yield (
            f"found: {_percent(everything['found'])} (by chance "
            f"{_percent(chance['found'])}), found and taken for a cluster: "
            f"{_percent(everything['taken'])} (by chance {_percent(chance['taken'])})"
        )
        yield (
            f"rows with p_cluster >= {P_CLUSTER} that are clusters: "
            f"{_percent(self['purity'])}{self._why_none()}"
        )
        yield f"{'parameter':<24}{'n':>5}{'bias':>9}{'scatter':>9}{'in 68 %':>9}"
        for name, score in self["parameters"].items():
            if score["n"]:
                numbers = f"{score['bias']:>9.3f}{score['scatter']:>9.3f}"
                inside = f"{_percent(score['coverage']):>9}"
                yield f"{name:<24}{score['n']:>5}{numbers}{inside}"

    def _why_none(self) -> str:
        highest = self["highest_p_cluster"]
        if highest is None or highest >= P_CLUSTER:
            return ""
        return f" (the highest p_cluster is {highest:.2g})"

    def plot(self) -> Figure:
        """Draw posterior against truth, and the completeness."""
        return _draw(self)

    def write(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write ``comparison.json`` and ``comparison.png``.

        Parameters
        ----------
        directory : str or Path
            It is made if it is not there.
        overwrite : bool
            Whether to write also over files that are not as this package wrote them,
            or into a directory with other files.

        Raises
        ------
        FileExistsError
            If something is there that may not be written over.
        """
        directory = check_replaced_in(directory, FILES, overwrite=overwrite)
        directory.mkdir(parents=True, exist_ok=True)
        numbers, picture = (directory / name for name in FILES)
        write_text(numbers, json.dumps({**self.numbers, KEY: BLANK}, indent=2))
        with whole_path(picture) as path:
            self.plot().savefig(path, dpi=120, metadata=PICTURE_METADATA)


def compare(
    catalogue: Catalogue,
    truth: Table | str | Path,
    match_px: float = 4.0,
) -> Comparison:
    """Match a catalogue with the truth.

    Parameters
    ----------
    catalogue : Catalogue
        A catalogue written by ``clusterkeras infer``.
    truth : Table, str or Path
        The ``truth.ecsv`` of a mock mosaic, or any table with ``x``, ``y``, the
        parameters' names and, if known, ``log_snr`` as columns.
    match_px : float
        Largest distance of a match in pixels, above 0.

    Returns
    -------
    Comparison
        Numbers, words and picture.

    Raises
    ------
    FileNotFoundError
        If a table is missing.
    ValueError
        If a table cannot be read or lacks a column, or the radius is not above 0.
    """
    if not match_px > 0:
        raise ValueError(f"match_px must be above 0; received {match_px}")
    names = [p.name for p in PARAMETERS]
    true = _columns(truth, ["x", "y", *names], optional=["log_snr"])
    x, y = (catalogue.numbers(axis) for axis in "xy")
    are_clusters = catalogue.are_clusters(P_CLUSTER)

    row, cluster = match(x, y, true["x"], true["y"], match_px)
    taken = are_clusters[row]
    aside = true["x"] + _ASIDE * match_px
    chance_row, chance_cluster = match(x, y, aside, true["y"], match_px)
    by_chance = _completeness(true, chance_cluster, are_clusters[chance_row])

    def of(chosen: NDArray[np.bool_]) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
        posterior = {
            f"{name}_{part}": catalogue.numbers(f"{name}_{part}")[row[chosen]]
            for name in names
            for part in ("median", "p16", "p84")
        }
        return posterior, {name: true[name][cluster[chosen]] for name in names}

    posterior, truth_of_taken = of(taken)
    p_cluster = catalogue.numbers("p_cluster")
    p_cluster = p_cluster[np.isfinite(p_cluster)]
    found = {
        "rows": len(catalogue),
        "clusters": len(true["x"]),
        "radius_px": match_px,
        "completeness": {
            **_completeness(true, cluster, taken),
            "by_chance": by_chance["all"],
        },
        "purity": _share(int(taken.sum()), int(are_clusters.sum())),
        "highest_p_cluster": float(p_cluster.max()) if len(p_cluster) else None,
        "parameters": {
            name: _score(posterior, truth_of_taken[name], name) for name in names
        },
    }
    return Comparison(found, posterior, truth_of_taken, of(~taken))


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _columns(
    truth: Table | str | Path, names: list[str], optional: list[str]
) -> dict[str, NDArray[np.float64]]:
    name, table = "truth", truth
    if not isinstance(truth, Table):
        name, table = str(truth), read_positions(truth)
    missing = [column for column in names if column not in table.colnames]
    if missing:
        raise ValueError(f"{name}: expected the columns {names}; {missing} are missing")
    present = [*names, *(column for column in optional if column in table.colnames)]
    found = {column: _in_our_unit(table, column, name) for column in present}
    for column, values in found.items():
        missing = np.flatnonzero(~np.isfinite(values)) + 1
        if len(missing):
            logger.warning(
                "%s: no number in %s of %d of %d rows (%s%s, counted from 1): they %s",
                name,
                column,
                len(missing),
                len(values),
                ", ".join(map(str, missing[:5])),
                ", ..." if len(missing) > 5 else "",
                _WITHOUT.get(column, "are left out of its scores"),
            )
    return found


def _in_our_unit(table: Table, column: str, name: str) -> NDArray[np.float64]:
    """Return a column of a truth as plain floats, in the unit of a catalogue's."""
    try:
        values = numbers(table, column)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected numbers in the column {column}: {error}"
        ) from error
    unit = getattr(table[column], "unit", None)
    ours = _UNITS[column]
    # nothing can be told from a unit that is not known, or of which only dex is left
    untold = unit is None or isinstance(unit, u.UnrecognizedUnit)
    if untold or str(unit) in ("", "dex", str(ours)):
        return values
    try:
        if isinstance(unit, u.LogUnit) != isinstance(ours, u.LogUnit):
            raise u.UnitTypeError("a number and its logarithm")
        # of a logarithm too: dex(Myr) to dex(yr)
        return u.Quantity(values, unit, subok=True).to_value(ours)
    except (u.UnitConversionError, u.UnitTypeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected {column} in {ours}; received {unit}"
        ) from error


def _completeness(
    true: dict[str, NDArray], cluster: NDArray, taken: NDArray
) -> dict[str, Any]:
    found = np.zeros(len(true["x"]), bool)
    found[cluster] = True
    believed = np.zeros(len(true["x"]), bool)
    believed[cluster[taken]] = True

    def of(chosen: NDArray) -> dict[str, Any]:
        n = int(chosen.sum())
        return {
            "n": n,
            "found": _share(int(found[chosen].sum()), n),
            "taken": _share(int(believed[chosen].sum()), n),
        }

    result: dict[str, Any] = {"all": of(np.ones(len(found), bool))}
    if "log_snr" in true:
        edges = itertools.pairwise(VISIBILITY_EDGES)
        result["by_log_snr"] = [
            {
                "low": low if np.isfinite(low) else None,
                "high": high if np.isfinite(high) else None,
                **of((true["log_snr"] >= low) & (true["log_snr"] < high)),
            }
            for low, high in edges
        ]
    return result


def _score(posterior: dict[str, NDArray], truth: NDArray, name: str) -> dict[str, Any]:
    median, low, high = (posterior[f"{name}_{k}"] for k in ("median", "p16", "p84"))
    residual = median - truth
    known = np.isfinite(residual)
    residual = residual[known]
    if not len(residual):
        return {"n": 0, "bias": None, "scatter": None, "coverage": None}
    bias = float(np.median(residual))
    inside = ((low <= truth) & (truth <= high))[known]
    return {
        "n": len(residual),
        "bias": bias,
        "scatter": float(_SIGMA_PER_MAD * np.median(np.abs(residual - bias))),
        "coverage": float(inside.mean()),
    }


def _draw(found: Comparison) -> Figure:
    figure = Figure(figsize=(3 * _PANEL_INCHES, 2 * _PANEL_INCHES + 0.6))
    figure.set_layout_engine("constrained")
    *panels, last, words = figure.subplots(2, 3).ravel()
    taken = len(next(iter(found.truth.values())))
    title = (
        f"Of {found['clusters']} true clusters the {taken} that are found and taken "
        f"for a cluster (p_cluster ≥ {P_CLUSTER}, no overlap)"
    )
    drawn, true, grey = found.posterior, found.truth, {}
    if not taken:
        # what was found instead: bars as long as the axes are a model that knows little
        (drawn, true), grey = found.not_taken, {"color": "0.5"}
        title += (
            f"\nInstead, in grey, the {len(next(iter(true.values())))} that are only "
            f"found{found._why_none()}"
        )
    figure.suptitle(title)
    for axes, parameter in zip(panels, PARAMETERS, strict=True):
        median, low, high = (
            drawn[f"{parameter.name}_{part}"] for part in ("median", "p16", "p84")
        )
        axes.errorbar(
            *(true[parameter.name], median, [median - low, high - median]),
            **{"fmt": ".", "alpha": 0.5, "lw": 0.8, **grey},
        )
        ends = (parameter.low, parameter.high)
        axes.plot(ends, ends, color="black", lw=0.8)
        score = found["parameters"][parameter.name]
        if score["n"]:
            axes.set_title(
                f"bias {score['bias']:+.2f}, scatter {score['scatter']:.2f}, "
                f"{_percent(score['coverage'])} inside",
                fontsize="medium",
            )
        axes.set(
            xlabel=f"true {axis_label(parameter)}",
            ylabel=f"{axis_label(parameter)}",
        )
    _draw_completeness(last, found)
    words.set_axis_off()
    words.text(0, 1, _LEGEND, va="top", wrap=True, linespacing=1.6)
    return figure


def _draw_completeness(axes: Any, found: Comparison) -> None:
    bins = [b for b in found["completeness"].get("by_log_snr", []) if b["n"]]
    place = np.arange(len(bins))
    axes.bar(place, [b["found"] for b in bins], color="0.8", label="found")
    axes.bar(place, [b["taken"] for b in bins], width=0.5, label="taken for a cluster")
    labels = [
        f"<{b['high']}" if b["low"] is None
        else f"≥{b['low']}" if b["high"] is None
        else f"{b['low']}-{b['high']}"
        for b in bins
    ]  # fmt: skip
    axes.set_xticks(
        place, [f"{label}\nn = {b['n']}" for label, b in zip(labels, bins, strict=True)]
    )
    axes.tick_params(axis="x", labelsize="small")
    axes.set(
        xlabel="true visibility [dex]",
        ylabel="share of true clusters",
        ylim=(0, 1.05),
        title="no row is taken for a cluster"
        if found["purity"] is None
        else f"{_percent(found['purity'])} of the rows taken are clusters",
    )
    axes.title.set_fontsize("medium")
    if bins:
        axes.legend(fontsize="small")
