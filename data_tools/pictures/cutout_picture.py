"""A cutout as a picture: its colours, a mark on the object, a scale bar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from data_tools.pictures.colours import Scale, as_rgb, colour_planes, scale_of

#: Okabe & Ito's yellow, with a dark edge: seen on any light.
MARK = "#F0E442"

#: Share of a cutout's sides, about its middle, that sets what is drawn white.
MIDDLE = 0.3

_EDGE = [withStroke(linewidth=2.5, foreground="black", alpha=0.6)]

#: In shares of the side: from the object to the mark's two ticks, and their length.
_GAP, _TICK = 0.07, 0.09

#: Lengths of scale bars in arcsec.
_BARS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


def draw_cutout(
    axes: Axes,
    image: NDArray[np.floating],
    pivots: Sequence[float],
    place: tuple[float, float],
    pixel_scale_arcsec: float,
    pc_per_arcsec: float | None = None,
    radius_arcsec: float = np.nan,
    fontsize: float = 8,
) -> Scale:
    """Draw a cutout in colour, two ticks beside the object, and a scale bar.

    Parameters
    ----------
    axes : Axes
        Where to draw; its own frame is taken away.
    image : ndarray, shape (px, px, bands)
        nJy per pixel; NaN where there are no data.
    pivots : sequence of float
        Pivot wavelength of each band, in Angstrom.
    place : (float, float)
        x and y of the object, in the cutout's 0-based pixels.
    pixel_scale_arcsec : float
        Side of a pixel.
    pc_per_arcsec : float, optional
        Gives the bar's length in parsecs too.
    radius_arcsec : float
        Of a circle around the object; NaN draws none.
    fontsize : float
        Of the bar's words, in points.

    Returns
    -------
    Scale
        What is drawn white.
    """
    planes = colour_planes(image[None], pivots)
    scale = scale_of(planes[0], MIDDLE)
    axes.imshow(as_rgb(planes, scale)[0], origin="lower", interpolation="nearest")
    axes.set_axis_off()
    side = len(image)
    style = {"color": MARK, "linewidth": 1.2, "path_effects": _EDGE}
    (x, y), radius = place, radius_arcsec / pixel_scale_arcsec
    near = max(_GAP * side, np.nan_to_num(radius) + 0.02 * side)
    far = near + _TICK * side
    axes.plot([x + near, x + far], [y, y], **style)
    axes.plot([x, x], [y - near, y - far], **style)
    if np.isfinite(radius):
        axes.add_patch(Circle((x, y), radius, fill=False, color=MARK, linewidth=1))
    bar, words = scale_bar(side * pixel_scale_arcsec, pc_per_arcsec)
    left, bottom = 0.05 * side, 0.06 * side
    white = {**style, "color": "white", "linewidth": 2}
    axes.plot([left, left + bar / pixel_scale_arcsec], [bottom, bottom], **white)
    axes.text(
        *(left, bottom + 0.02 * side, words),
        color="white",
        fontsize=fontsize,
        va="bottom",
        path_effects=_EDGE,
    )
    axes.set(xlim=(-0.5, side - 0.5), ylim=(-0.5, side - 0.5))
    return scale


def scale_bar(
    side_arcsec: float, pc_per_arcsec: float | None = None
) -> tuple[float, str]:
    """Return a bar's length in arcsec, a third of a picture's side at most, in words.

    Parameters
    ----------
    side_arcsec : float
        Side of the picture.
    pc_per_arcsec : float, optional
        Gives the length in parsecs too.
    """
    bar = max((b for b in _BARS if b <= side_arcsec / 3), default=_BARS[0])
    words = f"{bar:g}″"
    return (
        bar,
        words if pc_per_arcsec is None else f"{words} = {bar * pc_per_arcsec:.3g} pc",
    )
