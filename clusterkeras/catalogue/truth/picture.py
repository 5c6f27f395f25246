"""The picture of a comparison: posterior against truth, and what is found."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.catalogue.truth.shares import binned_by
from clusterkeras.catalogue.truth.words import (
    axis_of,
    like_m83_in_words,
    percent,
    range_of,
    why_none,
)
from clusterkeras.diagnostics.plots.recovery import axis_label
from data_tools.schema import PARAMETERS

_PANEL_INCHES = 4.0

#: What the picture shows, in words.
_LEGEND = """Points and bars: median, 16 and 84 % of the
posterior of each cluster that is {shown};
line: the truth.

bias: median of posterior median - truth
scatter: 1.48 median absolute deviation
in 68 %: share of truths between 16 and 84 %,
which should be 68 %

Bars at the left: of all true clusters,
grey those that are found: a row is on them;
blue those found and taken for a cluster.
What is missed is in no other panel."""


def draw(
    found: Mapping[str, Any],
    taken: tuple[dict[str, NDArray], dict[str, NDArray]],
    not_taken: tuple[dict[str, NDArray], dict[str, NDArray]],
) -> Figure:
    """Draw posterior against truth of each parameter, and the completeness.

    Parameters
    ----------
    found : mapping
        The numbers of a `clusterkeras.catalogue.truth.result.Comparison`.
    taken, not_taken : pair of dict
        Its posteriors and truths of the pairs that count as clusters, and do not.

    Returns
    -------
    Figure
        Six panels, words in the last.
    """
    figure = Figure(figsize=(3 * _PANEL_INCHES, 2 * _PANEL_INCHES + 0.6))
    figure.set_layout_engine("constrained")
    *panels, last, words = figure.subplots(2, 3).ravel()
    n = len(next(iter(taken[1].values())))
    title = (
        f"Of {found['clusters']} true clusters the {n} that are found and taken "
        f"for a cluster (p_cluster ≥ {found['p_cluster']}, no overlap)"
    )
    (drawn, true), grey, shown = taken, {}, "found and taken"
    if not n:
        # what was found instead: bars as long as the axes are a model that knows little
        (drawn, true), grey, shown = not_taken, {"color": "0.5"}, "only found"
        title += (
            f"\nInstead, in grey, the {len(next(iter(true.values())))} that are only "
            f"found{why_none(found)}"
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
        # a target's box may reach beyond the usual one
        there = [parameter.low, parameter.high, *true[parameter.name]]
        ends = (np.nanmin(there), np.nanmax(there))
        axes.plot(ends, ends, color="black", lw=0.8)
        score = found["parameters"][parameter.name]
        if score["n"]:
            axes.set_title(
                f"bias {score['bias']:+.2f}, scatter {score['scatter']:.2f}, "
                f"in 68 %: {percent(score['coverage'])}",
                fontsize="medium",
            )
        axes.set(
            xlabel=f"true {axis_label(parameter)}",
            ylabel=axis_label(parameter),
        )
    _draw_completeness(last, found)
    words.set_axis_off()
    like = fill(f"Like M83's: {like_m83_in_words(found)}", 46)
    legend = _LEGEND.format(shown=shown)
    words.text(0, 1, f"{legend}\n\n{like}", va="top", wrap=True, linespacing=1.45)
    return figure


def _draw_completeness(axes: Any, found: Mapping[str, Any]) -> None:
    column = binned_by(found["completeness"])[0]
    bins = [b for b in found["completeness"][f"by_{column}"] if b["n"]]
    place = np.arange(len(bins))
    axes.bar(place, [b["found"] for b in bins], color="0.8", label="found")
    axes.bar(place, [b["taken"] for b in bins], width=0.5, label="found and taken")
    labels = [f"{range_of(b)} ({b['n']})" for b in bins]
    axes.set_xticks(place, labels, rotation=90)
    axes.tick_params(axis="x", labelsize="small")
    axes.set(
        xlabel=f"true {axis_of(column)} (number of clusters)",
        ylabel="share of true clusters",
        # room for the legend above all bars
        ylim=(0, 1.2),
        yticks=np.linspace(0, 1, 6),
        title=_title(found),
    )
    axes.title.set_fontsize("medium")
    if bins:
        axes.legend(fontsize="small", ncols=2, loc="upper center")


def _title(found: Mapping[str, Any]) -> str:
    if found["purity"] is None:
        return "no row is taken for a cluster"
    rate = found["false_per_million_pixels"]
    of_what = "area unknown" if rate is None else f"{rate:.2g} in a million pixels"
    return (
        f"{percent(found['purity'])} of the rows taken are clusters\n"
        f"false: {found['false']} ({of_what}); pieces: {found['pieces']}"
    )
