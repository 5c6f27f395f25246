"""A picture of which clusters are found."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.stats import binom_conf_interval
from astropy.table import Table
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.diagnostics.plots.recovery import axis_label
from data_tools.running.output import whole_file
from data_tools.schema import PARAMETERS

if TYPE_CHECKING:
    from clusterkeras.completeness.function import Completeness

#: Okabe & Ito's colours, told apart without colour vision, and different markers.
_STYLES = {"detected": ("#56B4E9", "o"), "recovered": ("#D55E00", "s")}
_LABELS = {"detected": "is a candidate", "recovered": "taken for a cluster"}
_CELLS, _BINS = 8, 10


def draw_completeness(
    table: Table,
    functions: Mapping[str, Completeness],
    checks: Mapping[str, Any],
    path: Path,
) -> None:
    """Draw completeness against mass and age, magnitude, size, A_V, and the check.

    Points are shares of the injected clusters with their 68 % intervals (Wilson's),
    lines the mean of the fitted function over the same clusters.

    Parameters
    ----------
    table : Table
        Injected clusters, as `clusterkeras.completeness.measure` writes them.
    functions : dict of str to Completeness
        The function of each outcome.
    checks : dict
        What `clusterkeras.completeness.function.fit_completeness` gives.
    path : Path
        PNG; it appears when it is whole.
    """
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    predicted = {name: function(table) for name, function in functions.items()}
    magnitude = [name for name in table.colnames if name.startswith("mag_")][-1]
    labels = {p.name: axis_label(p) for p in PARAMETERS}
    _draw_plane(figure, panels[0], table)
    panels[0].set(xlabel=labels["log_age"], ylabel=labels["log_mass"])
    axes_of = {
        magnitude: f"{magnitude.removeprefix('mag_')} [AB mag]",
        "log_snr": "true visibility, log S/N",
        "log_half_light_radius": labels["log_half_light_radius"],
        "a_v": labels["a_v"],
    }
    for axes, (name, label) in zip(panels[1:], axes_of.items(), strict=False):
        _draw_against(axes, np.asarray(table[name], float), table, predicted)
        axes.set(xlabel=label, ylabel="share of injected clusters", ylim=(0, 1.03))
    panels[1].invert_xaxis()
    panels[1].legend(fontsize="small")
    _draw_check(panels[5], checks)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    with whole_file(path) as file:
        file.write(buffer.getvalue())


def _draw_plane(figure: Figure, axes: Any, table: Table) -> None:
    age, mass = (np.asarray(table[name], float) for name in ("log_age", "log_mass"))
    found, edges_x, edges_y = np.histogram2d(
        age, mass, _CELLS, weights=np.asarray(table["recovered"], float)
    )
    every, *_ = np.histogram2d(age, mass, (edges_x, edges_y))
    share = np.divide(found, every, out=np.full_like(found, np.nan), where=every > 0)
    percent = 100 * share
    image = axes.pcolormesh(
        edges_x, edges_y, percent.T, vmin=0, vmax=100, cmap="cividis"
    )
    for i, x in enumerate((edges_x[1:] + edges_x[:-1]) / 2):
        for j, y in enumerate((edges_y[1:] + edges_y[:-1]) / 2):
            if every[i, j]:
                colour = "white" if percent[i, j] < 50 else "black"
                text = f"{percent[i, j]:.0f}"
                axes.text(x, y, text, color=colour, ha="center", va="center", size=8)
    axes.set_title("all sizes and $A_V$; white: none injected", fontsize="medium")
    figure.colorbar(image, ax=axes, label="taken for a cluster [%]")


def _draw_against(
    axes: Any, x: NDArray, table: Table, predicted: Mapping[str, NDArray]
) -> None:
    known = np.isfinite(x)
    edges = np.unique(np.quantile(x[known], np.linspace(0, 1, _BINS + 1)))
    which = np.clip(np.searchsorted(edges, x, "right") - 1, 0, len(edges) - 2)
    for name, (colour, marker) in _STYLES.items():
        found = np.asarray(table[name], bool)
        points = []
        for i in range(len(edges) - 1):
            rows = known & (which == i)
            if rows.any():
                low, high = binom_conf_interval(int(found[rows].sum()), int(rows.sum()))
                share, fitted = found[rows].mean(), predicted[name][rows].mean()
                points.append((x[rows].mean(), share, low, high, fitted))
        middle, share, low, high, fitted = np.array(points).T
        error = np.abs([share - low, high - share])
        # what has both is seen as both
        size = {"detected": 7, "recovered": 4}[name]
        axes.errorbar(
            middle, share, error, fmt=marker, ms=size, color=colour, label=_LABELS[name]
        )
        axes.plot(middle, fitted, color=colour, lw=1)


def _draw_check(axes: Any, checks: Mapping[str, Any]) -> None:
    axes.plot([0, 1], [0, 1], color="black", lw=0.8)
    for name, (colour, marker) in _STYLES.items():
        bins = checks[name]["bins"]
        low, high = np.transpose(
            [binom_conf_interval(round(b["share"] * b["n"]), b["n"]) for b in bins]
        )
        share = np.array([b["share"] for b in bins])
        axes.errorbar(
            [b["predicted"] for b in bins],
            share,
            np.abs([share - low, high - share]),
            fmt=marker,
            ms=4,
            color=colour,
            label=f"{_LABELS[name]}, {checks[name]['n']} clusters",
        )
    axes.set(
        xlabel="completeness by the function",
        ylabel="share found",
        xlim=(0, 1.03),
        ylim=(0, 1.03),
    )
    axes.set_title("on injections that it was not fitted to", fontsize="medium")
    axes.legend(fontsize="small")
