"""The picture of how much a model knows that the prior does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from clusterkeras.diagnostics.metrics import classification
from clusterkeras.diagnostics.plots.recovery import STYLES, TRUTH_COLOUR, axis_label
from data_tools.schema import PARAMETERS, Parameter

#: Odds gained beyond these are in the last bins, so that a 0 or 1 can be drawn.
_MOST_ODDS = 1e4


def sharpness(
    width: ArrayLike,
    groups: Mapping[str, ArrayLike],
    presence: tuple[ArrayLike, ArrayLike] | None = None,
    share: float = 0.03,
    parameters: Sequence[Parameter] = PARAMETERS,
) -> Figure:
    """Draw 68 % intervals beside the prior's, and what the look says of presence.

    Parameters
    ----------
    width : array_like, shape (N, P)
        Length of each cluster's 68 % intervals over those under the prior.
    groups : mapping of str to array_like of bool, shape (N,)
        Clusters to draw together; empty groups are left out.
    presence : pair of array_like, shape (M,), optional
        Whether each record has a cluster, and `p_cluster`; without it there is one
        panel.
    share : float
        Share of clusters among candidates for which the line of `p_cluster` 0.5 is
        drawn.
    parameters : sequence of Parameter
        The P parameters.
    """
    panels = 1 if presence is None else 2
    figure = Figure(figsize=(6.5 * panels, 4.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _widths(axes[0], np.asarray(width), groups, parameters)
    if presence is not None:
        truth, probability = presence
        _odds(axes[1], np.asarray(truth, bool), np.asarray(probability), share)
    return figure


def _widths(
    ax: Axes,
    width: np.ndarray,
    groups: Mapping[str, ArrayLike],
    parameters: Sequence[Parameter],
) -> None:
    filled = {k: width[np.asarray(v, bool)] for k, v in groups.items() if np.any(v)}
    lines = np.arange(len(parameters))[::-1]
    for i, (name, rows) in enumerate(filled.items()):
        low, median, high = np.quantile(rows, [0.16, 0.5, 0.84], axis=0)
        ax.errorbar(
            median,
            lines + 0.22 * ((len(filled) - 1) / 2 - i),
            xerr=[median - low, high - median],
            marker="os^D"[i % 4],
            markersize=7,
            capsize=4,
            color=STYLES[i % len(STYLES)]["color"],
            linestyle="none",
            label=f"{name} (N {len(rows)})",
        )
    ax.axvline(1, color=TRUTH_COLOUR, linestyle="--", label="prior: nothing learnt")
    ax.set_yticks(lines, [axis_label(p) for p in parameters])
    ax.set(
        xlabel="length of the 68 % interval / the prior's",
        title="What the posterior knows: median and 16 to 84 % of clusters",
        xlim=(0, max(1.1, 1.05 * float(width.max(initial=0)))),
        ylim=(-1.2, len(parameters) - 0.5),
    )
    ax.legend(fontsize=8, loc="lower left", ncols=2)


def _odds(ax: Axes, truth: np.ndarray, probability: np.ndarray, share: float) -> None:
    gained = classification.odds_gained(probability, truth.mean())
    needed = (1 - share) / share
    shown = np.log10(np.clip(gained, 1 / _MOST_ODDS, _MOST_ODDS))
    edges = np.linspace(-np.log10(_MOST_ODDS), np.log10(_MOST_ODDS), 65)
    for rows, name, style in (
        (truth, "clusters", {"color": "black"}),
        (~truth, "look-alikes", {"color": "#0072B2", "linestyle": "--"}),
    ):
        weights = np.full(rows.sum(), 1 / rows.sum())
        ax.hist(
            *(shown[rows], edges),
            weights=weights,
            histtype="step",
            linewidth=1.6,
            label=f"{name}, {np.mean(gained[rows] >= needed):.1%} right of the line",
            **style,
        )
    ax.axvline(0, color="0.6", linewidth=0.8)
    ax.axvline(
        np.log10(needed),
        color=TRUTH_COLOUR,
        linestyle="--",
        label=f"p_cluster 0.5 where {share:.0%} of candidates are clusters",
    )
    ax.set(
        xlabel="log10 of how many times likelier the image makes a cluster",
        ylabel="share of records in the bin",
        title="What it knows of presence; thin grey: nothing learnt",
        xlim=(edges[0], edges[-1]),
    )
    ax.set_ylim(top=1.4 * ax.get_ylim()[1])
    ax.legend(fontsize=8, loc="upper left")
