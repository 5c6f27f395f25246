"""Draw docs/images/overview.png: mock clusters beside their joint posteriors.

Example, after scripts/demo:
  .venv/bin/python docs/images/make_overview.py demo/mosaic docs/images/overview.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf
from astropy.table import Table
from corner import hist2d
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from clusterkeras.diagnostics.plots.recovery import axis_label
from clusterkeras.network.loading import load_model
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.pictures.colours import say_colours
from data_tools.pictures.cutout_picture import draw_cutout
from data_tools.schema import PARAMETER_NAMES, PARAMETERS

DRAWS = 20_000
PAIRS = (("log_age", "a_v"), ("log_mass", "log_half_light_radius"))
#: What is shown: true log age, A_V and log mass nearest to these.
WANTED = {
    "young, dusty": (7.0, 2.0, 4.5),
    "young, clean": (7.3, 0.4, 4.3),
    "intermediate": (8.5, 0.8, 4.8),
    "old": (9.7, 0.5, 5.3),
}


def choose(truth: Table) -> dict[str, int]:
    """Return the row of the cluster nearest to each of WANTED that the eye sees too."""
    values = np.column_stack([truth[n] for n in PARAMETER_NAMES[:3]]).astype(float)
    # the light of a wide one is below the sky's noise in every pixel
    compact = np.asarray(truth["log_half_light_radius"]) < -0.6
    visible = compact & (np.asarray(truth["log_snr"]) > 1.3)
    rows = {}
    for name, wanted in WANTED.items():
        distance = (((values - wanted) / (0.5, 0.5, 0.7)) ** 2).sum(1)
        rows[name] = int(np.argmin(np.where(visible, distance, np.inf)))
    return rows


def main() -> None:
    """Read the mosaic, infer and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mosaic", type=Path, help="directory of a mock mosaic")
    parser.add_argument("output", type=Path, help="PNG to write")
    arguments = parser.parse_args()

    model = load_model("m83-wfc3-uvis")
    target = model.target
    truth = Table.read(arguments.mosaic / "truth.ecsv")
    rows = choose(truth)
    paths = [arguments.mosaic / f"{band}.fits" for band in target.band_names]
    with open_mosaics(paths, target.band_names, target.pixel_scale_arcsec) as mosaics:
        pivots = [c.photplam for c in mosaics.calibrations]
        images = np.stack(
            [
                mosaics.cutout(truth["x"][i], truth["y"][i], target.cutout_px).filled()
                for i in rows.values()
            ]
        )
    raw = model(images, training=False)["posterior"]
    draws = np.asarray(model.draw_from(raw, tf.range(len(images)), DRAWS))

    figure = Figure(figsize=(2.6 * len(rows), 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1 + len(PAIRS), len(rows), sharey="row")
    colours = say_colours(target.band_names, pivots)
    figure.suptitle(
        f"Cutouts: {colours}; a star of type A0 is white; circle: true $r_h$",
        fontsize=10,
    )
    for column, (name, row) in enumerate(rows.items()):
        top = axes[0, column]
        place = [truth[axis][row] for axis in "xy"]
        draw_cutout(
            *(top, images[column], pivots),
            place - np.floor(place) + target.cutout_px / 2 - 1,
            *(target.pixel_scale_arcsec, target.pc_per_arcsec),
            10 ** truth["log_half_light_radius"][row],
            fontsize=9,
        )
        top.set_title(name, fontsize=12)
        for line, pair in enumerate(PAIRS, start=1):
            ax = axes[line, column]
            x, y = (PARAMETER_NAMES.index(p) for p in pair)
            ranges = [target.box[p] for p in pair]
            hist2d(
                draws[column, :, x],
                draws[column, :, y],
                bins=60,
                range=ranges,
                levels=(0.393, 0.865),
                smooth=1.2,
                plot_datapoints=False,
                color="#20639b",
                fill_contours=True,
                ax=ax,
            )
            ax.plot(
                *(truth[p][row] for p in pair), "P", ms=10, mfc="#f6a800", mec="black"
            )
            ax.set(xlim=ranges[0], ylim=ranges[1])
            ax.set_xlabel(axis_label(PARAMETERS[x]), fontsize=10)
            if column == 0:
                ax.set_ylabel(axis_label(PARAMETERS[y]), fontsize=10)
            ax.tick_params(labelsize=9)
    figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
