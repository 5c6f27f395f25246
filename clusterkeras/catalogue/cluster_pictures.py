"""Pictures of clusters: one with its posterior, or a page of the likeliest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.table import Table
from astropy.wcs.utils import proj_plane_pixel_scales
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clusterkeras.catalogue.measurement import look_again
from clusterkeras.catalogue.overlap import SMALLEST_PX
from clusterkeras.catalogue.table import (
    P_CLUSTER,
    are_clusters,
    asked_again,
    best_first,
    flag_names,
    numbers,
)
from clusterkeras.diagnostics.plots.recovery import (
    axis_label,
    corner_plot,
    probability_label,
)
from data_tools.imaging.peaks import strongest_apart
from data_tools.mosaics.mosaic import ROUNDING_PX, Mosaics
from data_tools.pictures.colours import say_colours
from data_tools.pictures.cutout_picture import draw_cutout
from data_tools.running.output import check_file, whole_path
from data_tools.running.seal import PICTURE_METADATA
from data_tools.schema import PARAMETERS

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel
    from data_tools.target import Target


#: Draws of the posterior.
_DRAWS = 2048


def plot_cluster(
    catalogue: Table,
    row: int,
    images: Sequence[str | Path] | Mosaics,
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
    images : sequence of str or Path, or Mosaics
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

    Examples
    --------
    >>> import clusterkeras
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> catalogue = clusterkeras.infer(galaxy.mosaics, galaxy.truth, progress=False)
    >>> figure = clusterkeras.plot_cluster(catalogue, 0, galaxy.mosaics)
    >>> figure.savefig("cluster.png")
    """
    from clusterkeras.serving.served_model import open_model

    if not -len(catalogue) <= row < len(catalogue):
        raise IndexError(f"row {row}: the catalogue has {len(catalogue)} rows")
    model = open_model(str(catalogue.meta["model"]) if model is None else model)
    target = model.target
    place = (numbers(catalogue, axis)[row] for axis in "xy")
    try:
        seen = look_again(images, *place, model, _DRAWS, asked_again(catalogue.meta))
    except ValueError as error:
        raise ValueError(f"row {row}: {error}") from error
    figure = corner_plot(seen.draws)
    # the room above the diagonal
    cutout = figure.add_axes((0.57, 0.62, 0.34, 0.34))
    scale = draw_cutout(
        *(cutout, seen.image, seen.pivots, _place(catalogue, row, target.cutout_px)),
        *(target.pixel_scale_arcsec, target.pc_per_arcsec),
        10 ** float(numbers(catalogue, "log_half_light_radius_median")[row]),
        fontsize=10,
    )
    cutout.set_title(
        f"{say_colours(target.band_names, seen.pivots)}\ncircle: median $r_h$; white: "
        f"{scale.white_mag(target.pixel_scale_arcsec):.1f} mag/arcsec$^2$ (Vega)",
        fontsize=9,
    )
    figure.text(
        *(0.765, 0.57, numbers_in_words(catalogue, row, target)),
        fontsize=9,
        va="top",
        linespacing=1.5,
    )
    return figure


def numbers_in_words(catalogue: Table, row: int, target: Target) -> str:
    """Return a row's numbers, one a line, with units and flags.

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
        f"{name}:  p {probability_label(number('p_cluster'))}",
        f"log S/N = {number('log_snr'):.2f}",
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


def _place(catalogue: Table, row: int, px: int) -> tuple[float, float]:
    """Return x and y of a row in its cutout, which is placed by whole pixels."""
    place = np.array([numbers(catalogue, axis)[row] for axis in "xy"])
    x, y = px / 2 - 1 + place - np.floor(place + ROUNDING_PX)
    return float(x), float(y)


#: Suffixes of a preview.
FORMATS = (".png", ".pdf")
#: Cutouts in a row, and the side of one on the page in inches.
COLUMNS = 10
SIDE_INCH = 2.0
#: Height of a cutout's caption, and of the page's head, in inches.
CAPTION_INCH = 0.66
HEAD_INCH = 0.7
#: Cutouts that the head's words need the width of.
_FEWEST = 5


def best_rows(catalogue: Table, n: int) -> NDArray[np.intp]:
    """Choose the rows most likely to be clusters, most likely first.

    Parameters
    ----------
    catalogue : Table
        As `clusterkeras.catalogue.infer` makes it.
    n : int
        Rows at most; those without a posterior, overlaps with a likelier cluster, and
        those within `SMALLEST_PX` of a likelier row are left out: they show the same.

    Returns
    -------
    ndarray of int
        Row numbers.
    """
    order = best_first(catalogue)
    order = order[are_clusters(catalogue, 0.0)[order]]
    x, y, p = (numbers(catalogue, name)[order] for name in ("x", "y", "p_cluster"))
    peaks = np.column_stack([x, y, p, np.zeros(len(order)), order])
    return strongest_apart(peaks, SMALLEST_PX)[:n, -1].astype(np.intp)


def draw_preview(
    catalogue: Table,
    mosaics: Mosaics,
    output: str | Path,
    rows: NDArray[np.intp] | None = None,
    *,
    px: int = 64,
    n: int = 50,
) -> None:
    """Draw cutouts of a catalogue's rows in colour, with their numbers, on one page.

    Colours are those of `data_tools.pictures.colours`. Each cutout has a stretch of its
    own, so that a faint cluster is seen beside bright ones; what is white in it is
    given in its corner, as surface brightness.

    Parameters
    ----------
    catalogue : Table
        As `clusterkeras.catalogue.infer` makes it.
    mosaics : Mosaics
        The mosaics it was made from.
    output : str or Path
        PNG or PDF.
    rows : ndarray of int, optional
        Rows to draw; by default the `n` most likely clusters.
    px : int
        Side of a cutout in pixels, even.
    n : int
        Number of cutouts if `rows` is not given.

    Raises
    ------
    ValueError
        If the suffix is neither .png nor .pdf.
    """
    output = check_file(output, "preview", FORMATS)
    output.parent.mkdir(parents=True, exist_ok=True)
    likeliest = rows is None
    rows = best_rows(catalogue, n) if likeliest else np.asarray(rows)
    x, y = (numbers(catalogue, axis) for axis in "xy")
    pivots = [c.photplam for c in mosaics.calibrations]
    pixel_scale = float(proj_plane_pixel_scales(mosaics.wcs).mean()) * 3600
    radius = 10 ** numbers(catalogue, "log_half_light_radius_median")

    lines = max(math.ceil(len(rows) / COLUMNS), 1)
    columns = max(min(len(rows), COLUMNS), _FEWEST)
    line_inch = SIDE_INCH + CAPTION_INCH
    width, height = columns * SIDE_INCH, HEAD_INCH + lines * line_inch
    figure = Figure(figsize=(width, height), facecolor="black")
    FigureCanvasAgg(figure)
    what = f"{len(rows)} {'likeliest ' if likeliest else ''}of {len(catalogue):,} rows"
    if likeliest:
        what += f" (none within {SMALLEST_PX:g} px of a likelier one)"
    clusters = are_clusters(catalogue, P_CLUSTER)[rows].sum()
    head = (
        f"{what}. Counting as clusters (p ≥ {P_CLUSTER}, no overlap): {clusters} of "
        f"these {len(rows)}.",
        f"Colours: {say_colours(mosaics.bands, pivots)}; a star of type A0 is white.",
        "Circle: median half-light radius. The number is white's surface brightness, "
        "Vega mag/arcsec²; each cutout has its own.",
    )
    style = {"color": "white", "fontsize": 10, "linespacing": 1.4}
    if len(rows):
        at = (0.004, 1 - 0.06 / height)
        figure.text(*at, "\n".join(head), va="top", **style)
    else:
        figure.text(0.5, 0.5, "no row has a posterior", ha="center", **style)
    for k, row in enumerate(rows):
        line, column = divmod(k, COLUMNS)
        top = height - HEAD_INCH - line * line_inch
        side = 0.97 * SIDE_INCH
        left, bottom = (column + 0.015) * SIDE_INCH, top - side
        axes = figure.add_axes(
            (left / width, bottom / height, side / width, side / height)
        )
        cutout = mosaics.cutout(x[row], y[row], px).filled()
        scale = draw_cutout(
            *(axes, cutout, pivots, _place(catalogue, row, px), pixel_scale),
            radius_arcsec=radius[row],
        )
        words = {"color": "white", "fontsize": 8, "va": "top", "linespacing": 1.35}
        axes.text(
            *(0.97, 0.97, f"white {scale.white_mag(pixel_scale):.1f}"),
            ha="right",
            transform=axes.transAxes,
            **words,
        )
        axes.text(0, -0.02, caption(catalogue, row), transform=axes.transAxes, **words)
    with whole_path(output) as path:
        colour = figure.get_facecolor()
        figure.savefig(path, dpi=100, facecolor=colour, metadata=PICTURE_METADATA)


def caption(catalogue: Table, row: int) -> str:
    """Put a row's numbers into words: four lines of plain text."""

    def number(name: str) -> float:
        return float(numbers(catalogue, name)[row])

    def interval(name: str) -> str:
        middle = number(f"{name}_median")
        down, up = middle - number(f"{name}_p16"), number(f"{name}_p84") - middle
        return f"{middle:.2f} $_{{-{down:.2f}}}^{{+{up:.2f}}}$"

    identity = catalogue["id"][row] if "id" in catalogue.colnames else row
    bits = int(catalogue["flags"][row])
    flags = " ".join(flag_names(bits))
    return "\n".join(
        [
            f"{identity}   p {probability_label(number('p_cluster'))}   "
            f"log S/N {number('log_snr'):.1f}",
            f"log age {interval('log_age')}  $A_V$ {interval('a_v')}",
            f"log M {interval('log_mass')}  log $r_h$ "
            f"{interval('log_half_light_radius')}",
            flags,
        ]
    )
