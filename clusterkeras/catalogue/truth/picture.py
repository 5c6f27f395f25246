"""The picture of a comparison: posterior against truth, and what is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.diagnostics.plots.recovery import axis_label
from data_tools.schema import PARAMETERS

_PANEL_INCHES = 4.0

#: What the picture shows, in words.
_LEGEND = """Points and bars: median, 16 and 84 % of the
posterior of each cluster that is taken;
line: the truth.

bias: median of posterior median - truth
scatter: 1.48 median absolute deviation
inside: share of truths between 16 and 84 %,
which should be 68 %

Bars at the left: of all true clusters,
grey those with a row on them,
blue those whose row is taken for a cluster.
What is missed is in no other panel."""


def percent(share: float | None) -> str:
    """Return a share in words."""
    return "none" if share is None else f"{100 * share:.0f} %"


def why_none(found: Mapping[str, Any]) -> str:
    """Say how likely the likeliest row is, if no row counts as a cluster by it."""
    highest = found["highest_p_cluster"]
    if highest is None or highest >= found["p_cluster"]:
        return ""
    return f" (the highest p_cluster is {highest:.2g})"


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
    (drawn, true), grey = taken, {}
    if not n:
        # what was found instead: bars as long as the axes are a model that knows little
        (drawn, true), grey = not_taken, {"color": "0.5"}
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
        ends = (parameter.low, parameter.high)
        axes.plot(ends, ends, color="black", lw=0.8)
        score = found["parameters"][parameter.name]
        if score["n"]:
            axes.set_title(
                f"bias {score['bias']:+.2f}, scatter {score['scatter']:.2f}, "
                f"{percent(score['coverage'])} inside",
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


def _draw_completeness(axes: Any, found: Mapping[str, Any]) -> None:
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
        else f"{percent(found['purity'])} of the rows taken are clusters",
    )
    axes.title.set_fontsize("medium")
    if bins:
        axes.legend(fontsize="small")
