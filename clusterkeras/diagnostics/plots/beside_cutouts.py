"""What the network sees of a cluster, and below it what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from corner import hist2d
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.diagnostics.plots.recovery import axis_label
from data_tools.pictures.colours import say_colours
from data_tools.pictures.cutout_picture import draw_cutout
from data_tools.schema import PARAMETER_NAMES, PARAMETERS
from data_tools.target import Target

#: Parameters of each row of panels: x and y.
PAIRS = (("log_age", "a_v"), ("log_mass", "log_half_light_radius"))

#: Shares of the posterior inside the contours: one and two sigma of a normal in two
#: dimensions.
LEVELS = (0.393, 0.865)

#: Fewest and most cells along an axis.
BINS = (12, 60)


@dataclass(frozen=True)
class Example:
    """A cluster to draw.

    Attributes
    ----------
    title : str
        Above its cutout.
    image : (px, px, bands) ndarray
        nJy per pixel.
    place : (float, float)
        x and y of the cluster, in the cutout's 0-based pixels.
    truth : (P,) ndarray
        True parameters.
    draws : (S, P) ndarray
        Of its posterior.
    """

    title: str
    image: NDArray[np.floating]
    place: tuple[float, float]
    truth: NDArray[np.floating]
    draws: NDArray[np.floating]


def posteriors_beside_cutouts(
    examples: Sequence[Example], target: Target, pivots: Sequence[float] | None = None
) -> Figure:
    """Draw cutouts and joint posteriors, a column an example.

    Parameters
    ----------
    examples : sequence of Example
        One or more.
    target : Target
        Gives the bands, the scale and the axes' ranges.
    pivots : sequence of float, optional
        Pivot wavelength of each band in Angstrom, if not the target's.
    """
    if pivots is None:
        pivots = [band.photplam for band in target.bands]
    figure = Figure(figsize=(2.6 * len(examples), 7.6), layout="constrained")
    axes = figure.subplots(1 + len(PAIRS), len(examples), sharey="row", squeeze=False)
    colours = say_colours(target.band_names, pivots)
    figure.suptitle(
        f"Cutouts: {colours}; a star of type A0 is white; circle: true $r_h$",
        fontsize=10,
    )
    for example, (top, *panels) in zip(examples, axes.T, strict=True):
        truth = dict(zip(PARAMETER_NAMES, example.truth, strict=True))
        # no finer than so many draws can fill
        bins = int(np.clip(np.sqrt(len(example.draws)) / 2, *BINS))
        draw_cutout(
            top,
            example.image,
            pivots,
            example.place,
            target.pixel_scale_arcsec,
            target.pc_per_arcsec,
            10 ** truth["log_half_light_radius"],
            fontsize=9,
        )
        top.set_title(example.title, fontsize=12)
        for ax, pair in zip(panels, PAIRS, strict=True):
            x, y = (PARAMETER_NAMES.index(name) for name in pair)
            ranges = [target.box[name] for name in pair]
            hist2d(
                example.draws[:, x],
                example.draws[:, y],
                bins=bins,
                range=ranges,
                levels=LEVELS,
                smooth=1.2,
                plot_datapoints=False,
                color="#20639b",
                fill_contours=True,
                ax=ax,
            )
            at = [truth[name] for name in pair]
            ax.plot(*at, "P", ms=10, mfc="#f6a800", mec="black")
            ax.set(xlim=ranges[0], ylim=ranges[1])
            ax.set_xlabel(axis_label(PARAMETERS[x]), fontsize=10)
            if ax.get_subplotspec().is_first_col():
                ax.set_ylabel(axis_label(PARAMETERS[y]), fontsize=10)
            ax.tick_params(labelsize=9)
    return figure
