"""Pictures of the calibration, each beside what a perfect posterior would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from clusterkeras.diagnostics.metrics import bands
from clusterkeras.diagnostics.metrics.groups import clustered_error
from clusterkeras.diagnostics.metrics.limits import Limits
from clusterkeras.diagnostics.metrics.tarp import bootstrap_coverage
from clusterkeras.diagnostics.plots.recovery import (
    MARKERS,
    STYLES,
    TRUTH_COLOUR,
    axis_label,
)
from data_tools.schema import PARAMETERS, Parameter

#: What a perfect posterior shows by chance.
_BAND = {"color": "0.85", "linewidth": 0, "zorder": 0}


def coverage_curves(
    nominal: Mapping[str, ArrayLike],
    group: ArrayLike | None = None,
    again: Sequence[str] = (),
) -> Figure:
    """Draw observed against nominal coverage, and their difference.

    Grey is where the whole curve of a perfect posterior stays in 95 of 100 such sets,
    the widest of the curves' bands.

    Parameters
    ----------
    nominal : mapping of str to array_like, shape (N,)
        By the name in the legend: of each object the nominal coverage of the smallest
        region that holds the truth, uniform for a perfect posterior.
    group : array_like of int, shape (N,), optional
        Name of each object's group, whose objects err together.
    again : sequence of str
        Curves to draw in their colour the range of, if other groups had been drawn.
    """
    figure = Figure(figsize=(10.5, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    grid = np.arange(1, 100) / 100
    checks = {k: bands.check_band(v, grid, group=group) for k, v in nominal.items()}
    n = max(check.n for check in checks.values())
    low = np.min([check.low for check in checks.values()], axis=0)
    high = np.max([check.high for check in checks.values()], axis=0)
    left.fill_between(grid, low, high, **_BAND)
    right.fill_between(grid, low - grid, high - grid, **_BAND, label="perfect, 95 %")
    left.axline((0, 0), slope=1, color="black", linewidth=0.8)
    right.axhline(0, color="black", linewidth=0.8)
    for i, (name, check) in enumerate(checks.items()):
        style = STYLES[i % len(STYLES)] | {
            "marker": MARKERS[i % len(MARKERS)],
            "markevery": (2 * i, max(len(grid) // 6, 1)),
            "markersize": 5,
            "markerfacecolor": "white",
        }
        left.plot(grid, check.share, label=name, **style)
        right.plot(grid, check.share - grid, label=name, **style)
        if name in again:
            least, most = bootstrap_coverage(nominal[name], grid, group=group)
            right.fill_between(
                grid,
                least - grid,
                most - grid,
                color=style["color"],
                alpha=0.25,
                linewidth=0,
                label=f"{name}: bootstrap, 95 %",
            )
    left.set(
        xlabel="nominal coverage",
        ylabel="share of truths inside",
        xlim=(0, 1),
        ylim=(0, 1),
        title=f"coverage of {n} clusters",
    )
    right.set(
        xlabel="nominal coverage",
        ylabel="share of truths inside - nominal",
        xlim=(0, 1),
        title="below zero: over-confident",
    )
    limit = max(0.03, 1.1 * np.abs(right.dataLim.intervaly).max())
    right.set_ylim(-limit, limit)
    left.legend(*right.get_legend_handles_labels(), fontsize=8, loc="upper left")
    return figure


def rank_plots(
    pit: ArrayLike,
    levels: ArrayLike,
    group: ArrayLike | None = None,
    parameters: Sequence[Parameter] = PARAMETERS,
    bins: int = 20,
) -> Figure:
    """Draw how the ranks of the truth among the draws of each parameter lie.

    Above, the histogram: flat for a perfect posterior, most bars within the grey 95 %
    range of each; a cup is over-confident, a cap too wide, a slope biased. Below, their
    distribution function less the diagonal: for 95 of 100 perfect posteriors it stays
    in the grey from end to end.

    Parameters
    ----------
    pit : array_like, shape (N, P)
        Probability integral transform of the truth.
    levels : array_like, shape (L,)
        Where the distribution function is looked at, see `bands.rank_levels`.
    group : array_like of int, shape (N,), optional
        Name of each object's group, whose objects err together.
    parameters : sequence of Parameter
        The P parameters.
    bins : int
        Number of bins.
    """
    pit = np.asarray(pit)
    n = len(pit)
    figure = Figure(figsize=(3.1 * len(parameters), 5.8), layout="constrained")
    above, below = figure.subplots(2, len(parameters), squeeze=False, sharey="row")
    expected = n / bins
    binomial = np.sqrt(expected * (1 - 1 / bins))
    for p, parameter in enumerate(parameters):
        counts, edges = np.histogram(pit[:, p], bins=bins, range=(0, 1))
        in_bin = np.digitize(pit[:, p], edges[1:-1])[:, None] == np.arange(bins)
        noise = 1.96 * np.fmax(n * clustered_error(in_bin, group), binomial)
        ax = above[p]
        ax.stairs(
            expected + noise, edges, baseline=expected - noise, fill=True, **_BAND
        )
        ax.axhline(expected, color="black", linewidth=0.8)
        ax.stairs(counts, edges, color="black", linewidth=1.5)
        ax.set(title=axis_label(parameter), xlim=(0, 1))
        check = bands.check_band(pit[:, p], levels, group=group)
        ax = below[p]
        ax.fill_between(
            check.levels, check.low - check.levels, check.high - check.levels, **_BAND
        )
        ax.axhline(0, color="black", linewidth=0.8)
        ax.plot(
            check.levels,
            check.share - check.levels,
            color="black" if check.ok else TRUTH_COLOUR,
            linestyle="-" if check.ok else "-.",
        )
        ax.set(xlabel="rank of the truth / number of draws", xlim=(0, 1))
        ax.set_title(
            f"p {check.p_value:.2g}" if check.ok else "leaves the band", fontsize=10
        )
    above[0].set_ylim(bottom=0)
    above[0].set_ylabel(f"clusters (of {n})")
    below[0].set_ylabel("share of ranks below - diagonal")
    return figure


def strata_coverage(
    rows: Sequence[Mapping[str, Any]],
    parameters: Sequence[Parameter] = PARAMETERS,
    title: str = "",
) -> Figure:
    """Draw the joint's deviation and each parameter's 68 % coverage by stratum.

    Parameters
    ----------
    rows : sequence of mapping
        See `clusterkeras.evaluation.numbers.posterior.stratum_row`; empty ones are
        left out.
    parameters : sequence of Parameter
        The parameters.
    title : str
        What the strata are cut in.
    """
    rows = [row for row in rows if row["n"]]
    panels = 1 + len(parameters)
    height = 1.4 + 0.27 * len(rows)
    figure = Figure(figsize=(3 + 2.3 * panels, height), layout="constrained")
    joint, *axes = figure.subplots(1, panels, sharey=True)
    y = np.arange(len(rows))[::-1]
    tarp = [row["tarp"] for row in rows]
    noise = np.array([t["max_deviation_noise"] for t in tarp])
    joint.barh(y, noise, height=0.8, color="0.85")
    _points(joint, np.array([t["max_deviation"] for t in tarp]), y, 0 * noise, noise)
    joint.set(xlabel="largest\nabs(ECP - alpha)", title="joint (TARP)")
    joint.axvline(Limits().joint_in_stratum, color="black", linestyle="--")
    joint.set_xlim(left=0)
    scores = [row["parameters"][p.name] for row in rows for p in parameters]
    off = [np.abs(score["coverage_68"] - 0.68) for score in scores]
    reach = 1.1 * max(*off, *(1.96 * score["coverage_68_error"] for score in scores))
    for parameter, ax in zip(parameters, axes, strict=True):
        scores = [row["parameters"][parameter.name] for row in rows]
        covered = [score["coverage_68"] for score in scores]
        noise = 1.96 * np.array([score["coverage_68_error"] for score in scores])
        ax.barh(y, 2 * noise, left=0.68 - noise, height=0.8, color="0.85")
        ax.axvline(0.68, color="black", linewidth=0.8)
        _points(ax, np.array(covered), y, 0.68 - noise, 0.68 + noise)
        ax.set(xlabel="share of truths in\nthe 68 % interval")
        # a share, whatever the normal errors of few clusters reach to
        ax.set_xlim(max(0.68 - reach, -0.03), min(0.68 + reach, 1.03))
        ax.set_title(axis_label(parameter))
    joint.set_yticks(y, [f"{row['label']}  (N {row['n']})" for row in rows])
    joint.set_ylim(-0.6, len(rows) - 0.4)
    figure.suptitle(
        f"{title}\ngrey: 95 % of perfect posteriors; cross: outside; dashed: limit"
    )
    return figure


def _points(
    ax: Axes, values: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray
) -> None:
    """Draw a point a stratum, with a cross where it lies outside its range."""
    ax.plot(values, y, "o", color="black", markersize=5)
    far = (values < low) | (values > high)
    ax.plot(values[far], y[far], "x", color=TRUTH_COLOUR, markersize=11)
