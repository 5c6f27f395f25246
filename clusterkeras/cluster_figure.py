"""One cluster of a catalogue as a figure: cutout, joint posterior, numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from clusterkeras.config import InferenceConfig
from clusterkeras.diagnostics.plots.recovery import axis_label, corner_plot
from clusterkeras.measurement import compile_network, cut_out
from clusterkeras.report.clusters import flag_names, numbers
from data_tools.imaging.colours import as_rgb, brightness, colour_planes
from data_tools.mosaics.mosaic import ROUNDING_PX, open_mosaics
from data_tools.schema import PARAMETERS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.target import Target

#: Draws of the posterior.
_DRAWS = 2048

_RADIUS = "#F0E442"


def plot_cluster(
    catalogue: Table,
    row: int,
    images: Sequence[str | Path],
    model: PosteriorModel | str | Path | None = None,
) -> Figure:
    """Draw a cluster: its joint posterior, its cutout in colour, its numbers.

    The posterior is drawn from anew: the model is asked once more at the place.

    Parameters
    ----------
    catalogue : Table
        As `clusterkeras.catalogue.infer` makes it.
    row : int
        Number of the row, from 0.
    images : sequence of str or Path
        The mosaics it was made from, in the model's order of bands.
    model : PosteriorModel, str or Path, optional
        The model that made it; by default what the catalogue's metadata name.

    Returns
    -------
    Figure
        A notebook shows it; ``savefig`` saves it.

    Raises
    ------
    IndexError
        If there is no such row.
    ValueError
        If there are no data at the place, so that it has no posterior.
    """
    from clusterkeras.network.loading import load_model

    if not -len(catalogue) <= row < len(catalogue):
        raise IndexError(f"row {row}: the catalogue has {len(catalogue)} rows")
    if model is None:
        model = str(catalogue.meta["model"])
    if isinstance(model, str | Path):
        model = load_model(model)
    target = model.target
    place = np.array([[numbers(catalogue, axis)[row]] for axis in "xy"])
    with open_mosaics(images, target.band_names, target.pixel_scale_arcsec) as mosaics:
        cut = cut_out(mosaics, *place, target, InferenceConfig())
        pivots = [c.photplam for c in mosaics.calibrations]
    if not cut.usable.all():
        raise ValueError(
            f"row {row}: no usable pixel at x, y = {place[0, 0]:.1f}, "
            f"{place[1, 0]:.1f}, so there is no posterior to draw"
        )
    network = compile_network(model, _DRAWS)
    (draws,) = network(cut.images, cut.seeds)["draws"]
    figure = corner_plot(draws)
    planes = colour_planes(cut.images, pivots)
    # the room above the diagonal
    cutout = figure.add_axes((0.57, 0.62, 0.34, 0.34))
    cutout.imshow(
        as_rgb(planes, brightness(planes))[0], origin="lower", interpolation="nearest"
    )
    _mark(cutout, catalogue, row, target)
    figure.text(
        *(0.765, 0.57, numbers_in_words(catalogue, row, target)),
        fontsize=9,
        va="top",
        linespacing=1.5,
    )
    return figure


def numbers_in_words(catalogue: Table, row: int, target: Target) -> str:
    """Give a row's numbers, one a line, with units and flags.

    Parameters
    ----------
    catalogue : Table
        As `clusterkeras.catalogue.infer` makes it.
    row : int
        Number of the row.
    target : Target
        Gives the distance.
    """

    def number(name: str) -> float:
        return float(numbers(catalogue, name)[row])

    name = catalogue["id"][row] if "id" in catalogue.colnames else row
    lines = [
        f"{name}:  p = {number('p_cluster'):.2f}",
        f"log S/N = {number('log_snr'):.2f} dex",
    ]
    for parameter in PARAMETERS:
        low, middle, high = (
            number(f"{parameter.name}_{key}") for key in ("p16", "median", "p84")
        )
        lines.append(
            f"{axis_label(parameter)}: {middle:.2f} "
            f"$_{{-{middle - low:.2f}}}^{{+{high - middle:.2f}}}$"
        )
    size = 10 ** number("log_half_light_radius_median") * target.pc_per_arcsec
    flags = ", ".join(flag_names(int(catalogue["flags"][row])))
    return "\n".join([*lines, f"$r_h$ = {size:.2f} pc", f"flags: {flags or 'none'}"])


def _mark(axes: Axes, catalogue: Table, row: int, target: Target) -> None:
    """Draw the half-light radius around the place."""
    place = np.array([numbers(catalogue, axis)[row] for axis in "xy"])
    # the cutout is placed by whole pixels
    x, y = target.cutout_px / 2 - 1 + place - np.floor(place + ROUNDING_PX)
    radius = 10 ** numbers(catalogue, "log_half_light_radius_median")[row]
    axes.add_patch(
        Circle((x, y), radius / target.pixel_scale_arcsec, fill=False, color=_RADIUS)
    )
    side = target.cutout_px * target.pixel_scale_arcsec
    axes.set_axis_off()
    axes.set_title(f"{side:.1f} arcsec a side; circle: median $r_h$", fontsize=10)
