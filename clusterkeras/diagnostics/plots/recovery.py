"""Pictures of what a model predicts; of its calibration: `calibration`.

Every function gives a `matplotlib.figure.Figure` and touches no global state, so that
it can be saved, shown or handed to TensorBoard. Curves differ in line style as well as
in colour (Okabe & Ito's palette) and densities are grey: all is readable without
colour vision and in print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import corner
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from clusterkeras.diagnostics.metrics import classification
from data_tools.schema import PARAMETERS, Parameter

#: Okabe & Ito's (2008) colours, each with its own line.
STYLES: tuple[dict[str, Any], ...] = (
    {"color": "black", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": "--"},
    {"color": "#D55E00", "linestyle": "-."},
    {"color": "#009E73", "linestyle": ":"},
    {"color": "#CC79A7", "linestyle": (0, (6, 1, 1, 1, 1, 1))},
    {"color": "0.5", "linestyle": (0, (9, 3))},
)
MARKERS = ("o", "s", "^", "D", "v", "P")
#: The truth, and what fails.
TRUTH_COLOUR = "#D55E00"

_UNITS = {"dex(yr)": "yr", "dex(solMass)": "M$_\\odot$", "dex(arcsec)": "arcsec"}


def axis_label(parameter: Parameter) -> str:
    """Return the label of a parameter's axis, with its unit.

    That of a logarithm is the unit of what it is of, as astronomers write it: log age
    [yr].
    """
    symbol = {"A_V": "$A_V$", "log r_h": "log $r_h$"}
    label = symbol.get(parameter.label, parameter.label)
    return f"{label} [{_UNITS.get(parameter.unit, parameter.unit)}]"


def probability_label(p: float) -> str:
    """Return a probability with its sign, as ``= 0.93``; what is small is no zero."""
    return "< 0.01" if p < 0.01 else f"= {p:.2f}"


def predicted_against_true(
    truth: ArrayLike,
    median: ArrayLike,
    box: Mapping[str, tuple[float, float]],
    parameters: Sequence[Parameter] = PARAMETERS,
) -> Figure:
    """Draw a panel of posterior median against truth for each parameter.

    Grey is the number of clusters a cell; the thick line joins the running median of
    the prediction, the thin dashed ones its 16 and 84 %.

    Parameters
    ----------
    truth, median : array_like, shape (N, P)
        True parameters and medians of the posteriors.
    box : mapping of str to (float, float)
        Range of each parameter: that of its axes.
    parameters : sequence of Parameter
        The P parameters.
    """
    truth, median = np.asarray(truth), np.asarray(median)
    columns = min(2, len(parameters))
    rows = -(-len(parameters) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.1 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes[len(parameters) :]:
        ax.set_visible(False)
    for p, (parameter, ax) in enumerate(zip(parameters, axes, strict=False)):
        low, high = box[parameter.name]
        image = _density(ax, truth[:, p], median[:, p], (low, high), (low, high))
        ax.axline((low, low), slope=1, color="black", linewidth=0.8)
        _running(ax, truth[:, p], median[:, p], np.linspace(low, high, 15))
        ax.set(
            xlabel=f"true {axis_label(parameter)}",
            ylabel=f"posterior median of {axis_label(parameter)}",
            xlim=(low, high),
            ylim=(low, high),
        )
        figure.colorbar(image, ax=ax, label="clusters per cell")
    axes[0].legend(loc="upper left", fontsize=8)
    figure.suptitle(f"{len(truth)} clusters")
    return figure


def presence(
    is_cluster: ArrayLike,
    p_cluster: ArrayLike,
    groups: Mapping[str, ArrayLike] | None = None,
    field_id: ArrayLike | None = None,
) -> Figure:
    """Draw ROC, purity against completeness, and reliability of `p_cluster`.

    Parameters
    ----------
    is_cluster : array_like of bool, shape (N,)
        Whether the record has a cluster.
    p_cluster : array_like, shape (N,)
        Probability of one.
    groups : mapping of str to array_like of bool, shape (N,)
        Clusters to draw a ROC curve of their own for, against all negatives.
    field_id : array_like of int, shape (N,), optional
        Field of each record: those of one err together.
    """
    truth, probability = np.asarray(is_cluster, dtype=bool), np.asarray(p_cluster)
    figure = Figure(figsize=(14, 4.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _roc_curves(left, truth, probability, groups or {})
    _purity_curve(middle, truth, probability)
    _reliability(right, truth, probability, field_id)
    return figure


def _roc_curves(
    ax: Axes,
    truth: np.ndarray,
    probability: np.ndarray,
    groups: Mapping[str, ArrayLike],
) -> None:
    curves = {"all": truth} | {k: truth & np.asarray(v) for k, v in groups.items()}
    for i, (name, clusters) in enumerate(curves.items()):
        rows = clusters | ~truth
        if not clusters.any():
            continue
        roc = classification.roc_curve(clusters[rows], probability[rows])
        ax.plot(
            roc.false_positive_rate,
            roc.true_positive_rate,
            label=f"{name}: AUC {roc.auc:.3f} (N {roc.n_positive})",
            linewidth=2.2 if i == 0 else 1.3,
            **STYLES[i % len(STYLES)],
        )
    others = np.count_nonzero(~truth)
    chance = np.geomspace(0.5 / others, 1, 100)
    ax.plot(chance, chance, color="0.6", linewidth=0.8)
    ax.set(
        xscale="log",
        xlabel="share of non-clusters taken",
        ylabel="share of clusters taken (completeness)",
        title=f"ROC against {others} non-clusters; thin grey: chance",
        xlim=(0.5 / others, 1),
        ylim=(0, 1.01),
    )
    ax.legend(fontsize=8, loc="best")


def _purity_curve(ax: Axes, truth: np.ndarray, probability: np.ndarray) -> None:
    curve = classification.purity_curve(truth, probability)
    point = classification.purity_at_completeness(truth, probability)
    ax.plot(curve.completeness, curve.purity, **STYLES[0])
    ax.axhline(truth.mean(), color="0.6", linewidth=0.8)
    ax.plot(
        point.completeness,
        point.purity,
        marker="o",
        markersize=8,
        color="black",
        markerfacecolor="white",
        linestyle="none",
        label=f"purity {point.purity:.3f} at {point.completeness:.0%}\n"
        f"completeness, p_cluster >= {point.threshold:.3f}",
    )
    ax.set(
        xlabel="completeness",
        ylabel=f"purity (share of clusters in the set: {truth.mean():.2f})",
        title=f"average purity {curve.average_purity:.3f}",
        xlim=(0, 1),
        ylim=(min(0.9 * truth.mean(), curve.purity.min()), 1.005),
    )
    ax.legend(fontsize=8, loc="lower left")


def _reliability(
    ax: Axes,
    truth: np.ndarray,
    probability: np.ndarray,
    field_id: ArrayLike | None,
) -> None:
    bins = classification.reliability(truth, probability, group=field_id)
    ax.axline((0, 0), slope=1, color="black", linewidth=0.8)
    ax.errorbar(
        bins.probability,
        bins.fraction,
        yerr=1.96 * bins.noise,
        fmt="o",
        color="black",
        markerfacecolor="white",
        capsize=3,
        label="bars: 95 % if the probabilities are right",
    )
    check = classification.check_probabilities(truth, probability, group=field_id)
    ax.set(
        xlabel="mean p_cluster of the bin",
        ylabel="share of clusters in the bin",
        title=f"Brier {check.brier:.4f} (if right: "
        f"{check.brier_expected:.4f} ± {check.noise:.4f})",
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
    )
    ax.legend(fontsize=8, loc="upper left")


def visibility_residuals(true: ArrayLike, mean: ArrayLike, std: ArrayLike) -> Figure:
    """Draw predicted minus true visibility, in dex and in predicted sigmas.

    Parameters
    ----------
    true, mean, std : array_like, shape (N,)
        True log S/N, and mean and standard deviation of its posterior, in dex.
    """
    true, mean, std = np.asarray(true), np.asarray(mean), np.asarray(std)
    residual = mean - true
    figure = Figure(figsize=(10.5, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    x_range = tuple(np.quantile(true, [0.002, 0.998]) + np.array([-0.05, 0.05]))
    limit = max(float(np.quantile(np.abs(residual), 0.99)), 0.05)
    image = _density(left, true, residual, x_range, (-limit, limit))
    left.axhline(0, color="black", linewidth=0.8)
    _running(left, true, residual, np.linspace(*x_range, 15))
    left.set(
        xlabel="true visibility, log S/N",
        ylabel="predicted - true log S/N [dex]",
        title=f"{len(true)} objects",
        xlim=x_range,
        ylim=(-limit, limit),
    )
    left.legend(fontsize=8, loc="best")
    figure.colorbar(image, ax=left, label="objects per cell")
    grid = np.linspace(-5, 5, 401)
    right.hist(
        np.clip(residual / std, -5, 5),
        bins=np.linspace(-5, 5, 51),
        density=True,
        histtype="step",
        color="black",
        linewidth=1.5,
        label="predicted - true, in predicted sigmas",
    )
    right.plot(
        grid,
        np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi),
        label="perfect posterior",
        **STYLES[1],
    )
    right.set(
        xlabel="(predicted - true) / predicted sigma",
        ylabel="probability density",
        title="values beyond 5 are in the last bins",
        xlim=(-5.1, 5.1),
    )
    right.set_ylim(top=1.25 * right.get_ylim()[1])
    right.legend(fontsize=8, loc="upper left")
    return figure


def corner_plot(
    draws: ArrayLike,
    truth: ArrayLike | None = None,
    title: str = "",
    parameters: Sequence[Parameter] = PARAMETERS,
) -> Figure:
    """Draw the joint posterior of one cluster, the truth marked if it is known.

    Lines enclose 68 and 95 % of the draws; dashed lines in the histograms are 16, 50
    and 84 %; the square and the solid lines across mark the truth.

    Parameters
    ----------
    draws : array_like, shape (S, P)
        Draws of the posterior.
    truth : array_like, shape (P,), optional
        True parameters.
    title : str
        Title of the picture.
    parameters : sequence of Parameter
        The P parameters.
    """
    draws = np.asarray(draws, dtype=float)
    together = np.quantile(draws, [0.003, 0.997], axis=0)
    if truth is not None:
        truth = np.asarray(truth, dtype=float)
        together = np.vstack([together, truth])
    low, high = together.min(axis=0), together.max(axis=0)
    margin = 0.06 * (high - low) + 1e-6
    side = 2.4 * len(parameters)
    figure = corner.corner(
        draws,
        fig=Figure(figsize=(side, side)),
        labels=[axis_label(p) for p in parameters],
        range=list(zip(low - margin, high + margin, strict=True)),
        truths=truth,
        truth_color=TRUTH_COLOUR,
        color="black",
        bins=25,
        smooth=1.0,
        levels=(0.68, 0.95),
        quantiles=(0.16, 0.5, 0.84),
        plot_datapoints=True,
        data_kwargs={"alpha": 0.25},
        max_n_ticks=4,
        label_kwargs={"fontsize": 11},
    )
    figure.suptitle(title, x=0.98, y=0.97, ha="right", va="top", fontsize=12)
    return figure


def _density(
    ax: Axes,
    x: np.ndarray,
    y: np.ndarray,
    x_range: tuple[float, float],
    y_range: tuple[float, float],
):  # the mesh, for a colour bar
    cells = int(np.clip(np.sqrt(len(x)), 12, 60))
    counts, *edges = np.histogram2d(x, y, bins=cells, range=[x_range, y_range])
    norm = LogNorm(vmin=0.5, vmax=max(counts.max(), 2))
    shown = np.ma.masked_equal(counts.T, 0)
    return ax.pcolormesh(*edges, shown, cmap="Greys", norm=norm, rasterized=True)


def _running(ax: Axes, x: np.ndarray, y: np.ndarray, edges: np.ndarray) -> None:
    """Draw median, 16 and 84 % of y in bins of x that hold at least 5 points."""
    which = np.digitize(x, edges) - 1
    bins = [b for b in range(len(edges) - 1) if np.count_nonzero(which == b) >= 5]
    middle = (edges[:-1] + edges[1:])[bins] / 2
    levels = [np.quantile(y[which == b], [0.16, 0.5, 0.84]) for b in bins]
    low, median, high = np.reshape(levels, (-1, 3)).T
    ax.plot(middle, median, color="#0072B2", linewidth=2.5, label="running median")
    for line, label in ((low, "16 and 84 %"), (high, None)):
        ax.plot(middle, line, "--", color="#0072B2", linewidth=1.3, label=label)
