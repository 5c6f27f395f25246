"""Two posteriors of one object drawn over each other, plane by plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray

from clusterkeras.diagnostics.metrics.contours import (
    CELLS,
    SHARES,
    agreement_of,
    density,
    levels,
)
from clusterkeras.diagnostics.plots.recovery import axis_label
from data_tools.schema import Parameter

_NETWORK = "#0072B2"
_TRUTH = "#D55E00"


@dataclass(frozen=True)
class Panel:
    """What is drawn of one object.

    Attributes
    ----------
    first, second : ndarray (S, 2)
        Draws of both posteriors in the plane.
    truth : ndarray (2,)
        Where the truth is.
    title : str
        A line or two above it.
    """

    first: NDArray[np.floating]
    second: NDArray[np.floating]
    truth: NDArray[np.floating]
    title: str = ""


def draw_contours(
    groups: Mapping[str, Sequence[Panel]],
    parameters: tuple[Parameter, Parameter],
    box: Mapping[str, tuple[float, float]],
    names: tuple[str, str] = ("stochastic grid", "network"),
) -> Figure:
    """Draw the second posterior's contours over the first's, object by object.

    Grey areas are the first's 68 and 95 % regions, the thick and the thin lines the
    second's, and a cross the truth. The number in each panel is the overlap of both.

    Parameters
    ----------
    groups : mapping of str to sequence of Panel
        Panels under a common heading: two columns of the picture each.
    parameters : tuple of Parameter
        What the plane's two axes are.
    box : mapping of str to (float, float)
        Range of each parameter.
    names : tuple of str
        What the two methods are called in the legend.
    """
    low, high = np.transpose([box[p.name] for p in parameters])
    rows = max(-(-len(panels) // 2) for panels in groups.values())
    figure = Figure(figsize=(4.4 * len(groups), 2.2 * rows + 0.9))
    figure.set_layout_engine("constrained", h_pad=0.02, w_pad=0.02)
    parts = figure.subfigures(1, len(groups), squeeze=False)[0]
    for part, (heading, panels) in zip(parts, groups.items(), strict=True):
        part.suptitle(heading, fontsize=11, fontweight="bold")
        axes = part.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).ravel()
        axes[0].set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes[0].locator_params(nbins=5)
        for ax, panel in zip(axes, panels, strict=False):
            _draw_panel(ax, panel, low, high)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        part.supxlabel(axis_label(parameters[0]), fontsize=10)
        part.supylabel(axis_label(parameters[1]), fontsize=10)
    handles = [
        Patch(facecolor="0.62", label=f"{names[0]}, 68 %"),
        Patch(facecolor="0.85", label="95 %"),
        Line2D([], [], color=_NETWORK, linewidth=2, label=f"{names[1]}, 68 %"),
        Line2D([], [], color=_NETWORK, linewidth=0.9, label="95 %"),
        _truth_marker(label="truth"),
        Line2D([], [], linestyle="none", label="%: overlap of both"),
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=6, fontsize=9, frameon=False
    )
    return figure


def _draw_panel(ax: Axes, panel: Panel, low: NDArray, high: NDArray) -> None:
    first, second = (
        levels(density(draws, low, high), draws, low, high)
        for draws in (panel.first, panel.second)
    )
    edges = np.linspace(low, high, CELLS + 1)
    x, y = ((edges[1:] + edges[:-1]) / 2).T
    # regions of highest density: the level falls towards the middle
    ax.contourf(x, y, first.T, levels=(0, *SHARES), colors=("0.62", "0.85"), zorder=1)
    ax.contour(
        x,
        y,
        second.T,
        levels=SHARES,
        colors=_NETWORK,
        linewidths=(2, 0.9),
        zorder=2,
    )
    ax.add_line(_truth_marker(panel.truth))
    agreement = agreement_of(panel.first, panel.second, panel.truth, low, high)
    ax.set_title(panel.title, fontsize=8, pad=3)
    ax.tick_params(labelsize=8, length=2, pad=1.5)
    ax.text(
        0.97,
        0.96,
        f"{agreement.overlap:.0%}",
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=9,
        zorder=4,
        bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1},
    )


def _truth_marker(at: ArrayLike = (), **kwargs) -> Line2D:
    """Return the truth's mark, which stands out on white, on grey and in print."""
    at = np.asarray(at, float)
    return Line2D(
        at[:1],
        at[1:],
        linestyle="none",
        marker="P",
        markersize=6,
        markerfacecolor=_TRUTH,
        markeredgecolor="white",
        markeredgewidth=0.8,
        # under the lines: a needle's contours are smaller than the mark
        zorder=1.5,
        **kwargs,
    )
