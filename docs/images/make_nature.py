"""Draw the same twelve mocks with one thing of nature each; docs/images/nature.png.

The first row has none of it: single stars of one age behind an even screen, no gas, no
neighbours of their age, a perfect mosaic. Each row below has one thing more, at the end
of the range that training sets draw from.

Example:
  .venv/bin/python docs/images/make_nature.py docs/images/nature.png
"""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from data_tools.mocks.mock import MockMaker
from data_tools.pictures.colours import as_rgb, colour_planes, scale_of
from data_tools.priors import Priors
from data_tools.schema import PIXEL_UNIT_NJY
from data_tools.target import Target

COLUMNS, SEED = 12, 8
#: Young and heavy enough that everything shows.
BOX = {
    "log_age": (6.1, 7.3),
    "a_v": (0.5, 1.5),
    "log_mass": (4.0, 5.0),
    "log_half_light_radius": (-1.1, -0.7),
}
NOTHING: dict[str, Any] = {
    "cluster_fraction": 1.0,
    "neighbour_fraction": 0.0,
    "stellar_models": {"MIST": 1.0},
    "r_v": (3.1, 3.1),
    "binary_fraction": (0.0, 0.0),
    "uneven_fraction": 1.0,
    "a_v_scatter": (0.0, 0.0),
    "a_v_front": (0.0, 0.0),
    "segregation": (1.0, 1.0),
    "axis_ratio": (1.0, 1.0),
    "host_fraction": 0.0,
    "young_stars_fraction": 0.0,
    "nebular_covering": (0.0, 0.0),
    "sky_pedestal": (0.0, 0.0),
    "full_well": (1e12, 1e12),
    "transfer_loss": (0.0, 0.0),
    "cosmic_ray_fraction": 0.0,
    "gap_fraction": 0.0,
    "field_sfr_density": (-2.5, -2.0),
    "field_nebular_covering": (0.0, 0.0),
}
FULL = (1.0, 1.0)
ROWS: dict[str, dict[str, Any]] = {
    "none of it": {},
    "PARSEC's stars": {"stellar_models": {"PARSEC": 1.0}},
    "SSE's stars": {"stellar_models": {"SSE": 1.0}},
    "$R_V$ = 5": {"r_v": (5.0, 5.0)},
    "$A_V$ scatters by 0.5 $A_V$": {"a_v_scatter": (0.5, 0.5)},
    "30 % of the stars\nbefore the dust": {"a_v_front": (0.3, 0.3)},
    "70 % with\na companion": {"binary_fraction": (0.7, 0.7)},
    "brightest fifth at\nhalf the radius": {"segregation": (0.5, 0.5)},
    "axis ratio 0.6": {"axis_ratio": (0.6, 0.6)},
    "association\nof its age": {"host_fraction": 1.0},
    "young stars of\nanother age": {"young_stars_fraction": 1.0},
    "gas on the stars": {"nebular_covering": FULL, "nebular_compact": FULL},
    "a shell of gas": {
        "nebular_covering": FULL,
        "nebular_compact": (0.0, 0.0),
        "nebular_radius_pc": (10.0, 30.0),
    },
    "sky taken away": {"sky_pedestal": FULL},
    "pixels fill\n(20,000 electrons)": {"full_well": (2e4, 2e4)},
    "15 % of the\nlight trails": {"transfer_loss": (0.15, 0.15)},
    "cosmic rays": {"cosmic_ray_fraction": 1.0},
    "no data": {"gap_fraction": 1.0},
}


def images(target: Target, own: dict[str, Any]) -> np.ndarray:
    """Return (COLUMNS, px, px, bands) in nJy of mocks that have one thing more."""
    maker = MockMaker(target, Priors(**NOTHING | own))
    of_field, of_mocks, of_noise = (np.random.default_rng([SEED, i]) for i in range(3))
    field = maker.make_field(of_field)
    seen = field.observation
    out = []
    for record in maker.mocks(field, COLUMNS, of_mocks, 0, 0):
        cluster, background = (
            record[name].astype(np.float32) * PIXEL_UNIT_NJY
            for name in ("cluster", "background")
        )
        out.append(background + cluster + seen.noise(cluster, of_noise))
    return np.array(out)


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", help="PNG to write")
    arguments = parser.parse_args()
    target = Target.load("m83-wfc3-uvis")
    target = dataclasses.replace(target, box=BOX)
    pivots = [band.photplam for band in target.bands]
    figure = Figure(figsize=(0.82 * COLUMNS + 1.6, 0.82 * len(ROWS)), dpi=90)
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(ROWS), COLUMNS)
    scales = None
    for row, (name, own) in zip(axes, ROWS.items(), strict=True):
        planes = colour_planes(images(target, own), pivots)
        if scales is None:
            # each column as bright as its mock without anything
            scales = [scale_of(one, 0.3) for one in planes]
        for ax, one, scale in zip(row, planes, scales, strict=True):
            ax.imshow(as_rgb(one[None], scale)[0], origin="lower")
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    figure.subplots_adjust(0.145, 0.003, 0.998, 0.997, 0.03, 0.03)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[..., :3])
    # as good to the eye at a third of the size
    picture.quantize(256).save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()
