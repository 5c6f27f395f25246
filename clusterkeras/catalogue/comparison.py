"""A catalogue beside the truth: completeness, purity, bias, scatter and coverage."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from data_tools.positions.read_positions import read_positions
from data_tools.schema import FLAGS, PARAMETERS

#: Edges in visibility (dex) of the bins in which completeness is given.
VISIBILITY_EDGES = (-np.inf, 0.5, 1.0, 1.5, 2.0, 2.5, np.inf)

#: Rows with at least this probability, no overlaps, count as clusters.
P_CLUSTER = 0.5

#: Standard deviation of a normal distribution over its median absolute deviation.
_SIGMA_PER_MAD = 1.4826

#: Radii by which the truth is moved aside to count the matches that chance makes.
_ASIDE = 5

_PANEL_INCHES = 3.6


def match(
    x: NDArray, y: NDArray, true_x: NDArray, true_y: NDArray, radius_px: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair rows with clusters that are each other's nearest within a radius.

    Parameters
    ----------
    x, y : (rows,) ndarray
        Positions in the catalogue in pixels; NaN matches nothing.
    true_x, true_y : (clusters,) ndarray
        True positions in pixels.
    radius_px : float
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
    clusters = np.column_stack([true_x, true_y])
    distance, nearest_row = cKDTree(rows).query(clusters)
    _, nearest_cluster = cKDTree(clusters).query(rows)
    cluster = np.arange(len(clusters))
    mutual = (distance <= radius_px) & (nearest_cluster[nearest_row] == cluster)
    return known[nearest_row[mutual]], cluster[mutual]


def compare(
    catalogue: str | Path,
    truth: str | Path,
    output: str | Path,
    radius_px: float = 4.0,
) -> dict[str, Any]:
    """Match a catalogue with the truth; write ``comparison.json`` and ``.png``.

    Parameters
    ----------
    catalogue : str or Path
        A catalogue as `clusterkeras.catalogue.infer` writes it.
    truth : str or Path
        A table with ``x``, ``y``, the parameters and, if known, ``log_snr``.
    output : str or Path
        Directory for the two files; made if it is not there.
    radius_px : float
        Largest distance of a match in pixels, above 0.

    Returns
    -------
    dict
        ``completeness``: share of the true clusters with a match, and with a match
        of ``p_cluster`` >= 0.5, in all and in bins of true visibility; ``by_chance``:
        the same of clusters that were moved five radii aside, for a crowded table has
        a row near any place. ``purity``: share of the rows of ``p_cluster`` >= 0.5,
        overlaps left out, that have a match. ``parameters``: of those matches, for
        each parameter the bias (median of posterior median minus truth), the scatter
        (1.4826 median absolute deviation) and the share of truths between the 16 and
        84 % columns, which should be 0.68.

    Raises
    ------
    FileNotFoundError
        If a table is missing.
    ValueError
        If a table cannot be read or lacks a column, or the radius is not above 0.
    """
    if not radius_px > 0:
        raise ValueError(f"radius_px must be above 0; received {radius_px}")
    names = [p.name for p in PARAMETERS]
    posterior_names = [
        f"{n}_{part}" for n in names for part in ("median", "p16", "p84")
    ]
    rows = _columns(
        catalogue, ["x", "y", "p_cluster", *posterior_names], optional=["flags"]
    )
    taken_rows = rows["p_cluster"] >= P_CLUSTER
    if "flags" in rows:
        taken_rows &= (rows["flags"].astype(int) & FLAGS["overlap"][0]) == 0
    true = _columns(truth, ["x", "y", *names], optional=["log_snr"])

    row, cluster = match(rows["x"], rows["y"], true["x"], true["y"], radius_px)
    taken = taken_rows[row]
    aside = true["x"] + _ASIDE * radius_px
    chance_row, chance_cluster = match(
        rows["x"], rows["y"], aside, true["y"], radius_px
    )
    by_chance = _completeness(true, chance_cluster, taken_rows[chance_row])
    believed = int(taken_rows.sum())
    result = {
        "rows": len(rows["x"]),
        "clusters": len(true["x"]),
        "radius_px": radius_px,
        "completeness": {
            **_completeness(true, cluster, taken),
            "by_chance": by_chance["all"],
        },
        "purity": _share(int(taken.sum()), believed),
        "parameters": {
            name: _score(rows, true[name][cluster[taken]], row[taken], name)
            for name in names
        },
    }
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps(result, indent=2)
    (output / "comparison.json").write_text(text + "\n")
    figure = _draw(rows, true, row[taken], cluster[taken], result)
    figure.savefig(output / "comparison.png", dpi=120)
    return result


def summary_lines(result: dict[str, Any]) -> list[str]:
    """Return what `compare` found as lines of text."""
    everything = result["completeness"]["all"]
    chance = result["completeness"]["by_chance"]
    lines = [
        f"{result['clusters']} clusters, {result['rows']} rows",
        f"found: {_percent(everything['found'])} (by chance {_percent(chance['found'])}"
        f"), found and taken for a cluster: {_percent(everything['taken'])} (by chance "
        f"{_percent(chance['taken'])})",
        f"rows with p_cluster >= {P_CLUSTER} that are clusters: "
        f"{_percent(result['purity'])}",
        f"{'parameter':<24}{'n':>5}{'bias':>9}{'scatter':>9}{'in 68 %':>9}",
    ]
    for name, score in result["parameters"].items():
        if score["n"]:
            numbers = f"{score['bias']:>9.3f}{score['scatter']:>9.3f}"
            lines.append(
                f"{name:<24}{score['n']:>5}{numbers}{_percent(score['coverage']):>9}"
            )
    return lines


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _columns(
    path: str | Path, names: list[str], optional: list[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    table = read_positions(path)
    missing = [name for name in names if name not in table.colnames]
    if missing:
        raise ValueError(f"{path}: expected the columns {names}; {missing} are missing")
    present = [*names, *(n for n in optional or [] if n in table.colnames)]
    return {name: _numbers(table[name]) for name in present}


def _numbers(column: Any) -> NDArray[np.float64]:
    """Return a column without its unit, NaN where it is masked."""
    values = getattr(column, "value", column)
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


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


def _score(
    rows: dict[str, NDArray], truth: NDArray, row: NDArray, name: str
) -> dict[str, Any]:
    residual = rows[f"{name}_median"][row] - truth
    known = np.isfinite(residual)
    residual, truth, row = residual[known], truth[known], row[known]
    if not len(row):
        return {"n": 0, "bias": None, "scatter": None, "coverage": None}
    bias = float(np.median(residual))
    inside = (rows[f"{name}_p16"][row] <= truth) & (truth <= rows[f"{name}_p84"][row])
    return {
        "n": len(row),
        "bias": bias,
        "scatter": float(_SIGMA_PER_MAD * np.median(np.abs(residual - bias))),
        "coverage": float(inside.mean()),
    }


def _draw(
    rows: dict[str, NDArray],
    true: dict[str, NDArray],
    row: NDArray,
    cluster: NDArray,
    result: dict[str, Any],
) -> Figure:
    n_panels = len(PARAMETERS) + 1
    figure = Figure(
        figsize=(_PANEL_INCHES * n_panels, _PANEL_INCHES), layout="constrained"
    )
    *panels, last = figure.subplots(1, n_panels)
    for axes, parameter in zip(panels, PARAMETERS, strict=True):
        truth = true[parameter.name][cluster]
        median, low, high = (
            rows[f"{parameter.name}_{part}"][row] for part in ("median", "p16", "p84")
        )
        axes.errorbar(
            truth, median, [median - low, high - median], fmt=".", alpha=0.5, lw=0.8
        )
        ends = (parameter.low, parameter.high)
        axes.plot(ends, ends, color="black", lw=0.8)
        score = result["parameters"][parameter.name]
        if score["n"]:
            axes.set_title(
                f"bias {score['bias']:.2f}, scatter {score['scatter']:.2f}, "
                f"{_percent(score['coverage'])} inside",
                fontsize="medium",
            )
        axes.set(
            xlabel=f"true {parameter.label} [{parameter.unit}]",
            ylabel="posterior median, 16-84 %",
        )
    _draw_completeness(last, result)
    return figure


def _draw_completeness(axes: Any, result: dict[str, Any]) -> None:
    bins = [b for b in result["completeness"].get("by_log_snr", []) if b["n"]]
    place = np.arange(len(bins))
    axes.bar(place, [b["found"] for b in bins], color="lightgrey", label="found")
    axes.bar(
        place, [b["taken"] for b in bins], width=0.5, label=f"p_cluster ≥ {P_CLUSTER}"
    )
    labels = [
        f"<{b['high']}" if b["low"] is None
        else f"≥{b['low']}" if b["high"] is None
        else f"{b['low']}-{b['high']}"
        for b in bins
    ]  # fmt: skip
    axes.set_xticks(place, labels, rotation=45)
    axes.set(
        xlabel="true visibility [dex]",
        ylabel="share of true clusters",
        ylim=(0, 1.05),
        title=f"{_percent(result['purity'])} of the rows taken are clusters",
    )
    axes.title.set_fontsize("medium")
    if bins:
        axes.legend(fontsize="small")
