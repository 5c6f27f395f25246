"""A page of colour cutouts, each with what the catalogue says about it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.table import QTable
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from data_tools.imaging.colours import as_rgb, brightness, colour_planes
from data_tools.mosaics.mosaic import Mosaics
from data_tools.running.output import check_file
from data_tools.schema import FLAGS

#: Suffixes of a preview.
FORMATS = (".png", ".pdf")
#: Cutouts in a row, and the side of one on the page in inches.
COLUMNS = 5
SIDE_INCH = 2.1
#: Height of a cutout's caption in units of its side.
CAPTION = 0.46


def best_rows(catalogue: QTable, n: int) -> NDArray[np.intp]:
    """Choose the rows most likely to be clusters, most likely first.

    Parameters
    ----------
    catalogue : QTable
        As `clusterkeras.catalogue.infer` makes it.
    n : int
        Rows at most; those without a posterior, and overlaps with a likelier cluster,
        are left out.

    Returns
    -------
    ndarray of int
        Row numbers.
    """
    p = np.asarray(catalogue["p_cluster"], float)
    overlap = np.asarray(catalogue["flags"]) & FLAGS["overlap"][0]
    p = np.where(overlap, np.nan, p)
    order = np.argsort(-np.nan_to_num(p, nan=-1.0), kind="stable")
    return order[: min(n, int(np.isfinite(p).sum()))]


def draw_preview(
    catalogue: QTable,
    mosaics: Mosaics,
    output: str | Path,
    rows: NDArray[np.intp] | None = None,
    *,
    px: int = 64,
    n: int = 50,
) -> None:
    """Draw cutouts of a catalogue's rows in colour, with their numbers.

    Colours are those of `data_tools.imaging.colours`. The median of each cutout is
    taken off; all share one stretch in nJy, so that they can be compared.

    Parameters
    ----------
    catalogue : QTable
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
    rows = best_rows(catalogue, n) if rows is None else np.asarray(rows)
    x, y = (np.asarray(getattr(catalogue[k], "value", catalogue[k])) for k in "xy")
    cutouts = [mosaics.cutout(x[i], y[i], px).filled() for i in rows]
    colours: Sequence[NDArray[np.uint8]] = ()
    if cutouts:
        pivots = [c.photplam for c in mosaics.calibrations]
        planes = colour_planes(np.stack(cutouts), pivots)
        colours = as_rgb(planes, brightness(planes))

    lines = max(math.ceil(len(rows) / COLUMNS), 1)
    height = lines * SIDE_INCH * (1 + CAPTION)
    figure = Figure(figsize=(COLUMNS * SIDE_INCH, height), facecolor="black")
    FigureCanvasAgg(figure)
    for k, (row, colour) in enumerate(zip(rows, colours, strict=True)):
        line, column = divmod(k, COLUMNS)
        axes = figure.add_axes(
            (
                (column + 0.01) / COLUMNS,
                1 - (line + 1 / (1 + CAPTION)) / lines,
                0.98 / COLUMNS,
                0.98 / (1 + CAPTION) / lines,
            )
        )
        axes.imshow(colour, origin="lower", interpolation="nearest")
        axes.set_axis_off()
        axes.text(
            *(0, -0.03, caption(catalogue, row)),
            color="white",
            fontsize=6.5,
            linespacing=1.5,
            va="top",
            transform=axes.transAxes,
        )
    if not len(rows):
        figure.text(0.5, 0.5, "no row has a posterior", color="white", ha="center")
    figure.savefig(output, dpi=150, facecolor=figure.get_facecolor())


def caption(catalogue: QTable, row: int) -> str:
    """Put a row's numbers into words: four lines of plain text."""

    def number(name: str) -> float:
        value = catalogue[name][row]
        return float(getattr(value, "value", value))

    def interval(name: str) -> str:
        middle = number(f"{name}_median")
        down, up = middle - number(f"{name}_p16"), number(f"{name}_p84") - middle
        return f"{middle:.2f} $_{{-{down:.2f}}}^{{+{up:.2f}}}$"

    identity = catalogue["id"][row] if "id" in catalogue.colnames else row
    bits = int(catalogue["flags"][row])
    flags = " ".join(name for name, (bit, _) in FLAGS.items() if bits & bit)
    return "\n".join(
        [
            f"{identity}   p {number('p_cluster'):.2f}   "
            f"log S/N {number('log_snr'):.1f}",
            f"log age {interval('log_age')}  $A_V$ {interval('a_v')}",
            f"log M {interval('log_mass')}  log $r_h$ "
            f"{interval('log_half_light_radius')}",
            flags,
        ]
    )
