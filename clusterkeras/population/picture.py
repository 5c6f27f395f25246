"""Pictures of a population: its distributions, and its slopes against each other."""

from __future__ import annotations

from typing import Any

import corner
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.diagnostics.plots.recovery import axis_label
from clusterkeras.population.cluster_sample import ClusterSample
from clusterkeras.population.likelihood import Likelihood
from clusterkeras.population.model import PopulationModel
from data_tools.schema import PARAMETER_NAMES, PARAMETERS

_COLOUR = "#0072B2"
_BINS, _POINTS, _POPULATIONS = 8, 100, 200
#: What a corner plot shows of the unknowns, and how it calls them.
_LABELS = {
    "mass_slope": "mass slope",
    "age_slope": "age slope",
    "cutoff_mass": "log cutoff mass [M$_\\odot$]",
    "number": "log number",
}
#: In this order: what is fitted for, then what comes with it.
_PANELS = ("log_mass", "log_age", "a_v", "log_half_light_radius")


def draw_distributions(
    likelihood: Likelihood, clusters: ClusterSample, sampled: NDArray[np.float64]
) -> Figure:
    """Draw clusters in a unit of each parameter, the fit and the corrected counts.

    The bands hold 68 and 95 % of the populations. Points are the clusters expected in
    a bin from the draws of the rows, each draw and row as likely as under the fit's
    middle, over the completeness of that bin under it; bars are their Poisson errors.
    Grey: the same without correction.

    Parameters
    ----------
    likelihood : Likelihood
        Of the catalogue.
    clusters : ClusterSample
        Rows and injected clusters.
    sampled : ndarray, shape (k, U)
        Draws of populations.
    """
    middle = np.median(sampled, axis=0)[None]
    chosen = sampled[:: max(1, len(sampled) // _POPULATIONS)]
    figure = Figure(figsize=(10, 8), layout="constrained")
    for axes, name in zip(figure.subplots(2, 2).ravel(), _PANELS, strict=True):
        parameter = PARAMETERS[PARAMETER_NAMES.index(name)]
        x = np.linspace(*clusters.box[name], _POINTS)
        density = likelihood.model.marginal(name, x, chosen)
        density *= likelihood.number(chosen)[:, None]
        for low, high, alpha in ((2.5, 97.5, 0.2), (16, 84, 0.35)):
            edges = np.percentile(density, [low, high], axis=0)
            label = f"{high - low:.0f} % of the populations"
            axes.fill_between(x, *edges, color=_COLOUR, alpha=alpha, lw=0, label=label)
        axes.plot(
            x, np.median(density, axis=0), color=_COLOUR, label="median population"
        )
        _draw_counts(axes, name, likelihood, clusters, middle)
        # a cutoff falls without end
        top = 3 * density.max()
        axes.set(
            xlabel=axis_label(parameter),
            ylabel=f"clusters in a {_unit_of(parameter.unit)}",
            yscale="log",
            ylim=(top / 1e5, top),
        )
    figure.axes[0].legend(fontsize="small")
    return figure


def _unit_of(unit: str) -> str:
    return "dex" if unit.startswith("dex") else unit


def _draw_counts(
    axes: Any,
    name: str,
    likelihood: Likelihood,
    clusters: ClusterSample,
    middle: NDArray[np.float64],
) -> None:
    i = PARAMETER_NAMES.index(name)
    edges = np.linspace(*clusters.box[name], _BINS + 1)
    ratio = likelihood.ratio_of_draws(middle)[..., 0]
    weight = likelihood.p_under(middle) * ratio / ratio.sum(axis=1, keepdims=True)
    counts, _ = np.histogram(clusters.draws[..., i], edges, weights=weight)
    true, recovered = clusters.injected, clusters.recovered
    each = likelihood.model.ratio(likelihood.model.statistics(true), middle)[:, 0]
    every, _ = np.histogram(true[:, i], edges, weights=each)
    found, _ = np.histogram(true[recovered, i], edges, weights=each[recovered])
    x, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    axes.stairs(counts / width, edges, color="0.5", label="rows that count")
    known = found > 0
    share = found[known] / every[known]
    value, error = counts[known] / share, np.sqrt(counts[known]) / share
    axes.errorbar(
        x[known],
        value / width[known],
        error / width[known],
        fmt="o",
        ms=4,
        color="black",
        label="corrected for completeness",
    )


def draw_corner(model: PopulationModel, sampled: NDArray[np.float64]) -> Figure:
    """Draw slopes, cutoff and number against each other, 68 and 95 % contours.

    Parameters
    ----------
    model : PopulationModel
        Gives the names of the unknowns.
    sampled : ndarray, shape (k, U)
        Draws of populations.
    """
    shown = [i for i, name in enumerate(model.names) if name in _LABELS]
    return corner.corner(
        sampled[:, shown],
        fig=Figure(figsize=(2.6 * len(shown),) * 2),
        labels=[_LABELS[model.names[i]] for i in shown],
        levels=(0.68, 0.95),
        quantiles=(0.16, 0.5, 0.84),
        show_titles=True,
        plot_datapoints=False,
        max_n_ticks=4,
    )
