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

from clusterkeras.diagnostics.plots.beside_cutouts import (
    Example,
    posteriors_beside_cutouts,
)
from clusterkeras.network.loading import load_model
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.schema import PARAMETER_NAMES

DRAWS = 20_000
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

    examples = []
    for column, (name, row) in enumerate(rows.items()):
        place = np.array([truth[axis][row] for axis in "xy"])
        examples.append(
            Example(
                name,
                images[column],
                place - np.floor(place) + target.cutout_px / 2 - 1,
                np.array([truth[p][row] for p in PARAMETER_NAMES]),
                draws[column],
            )
        )
    figure = posteriors_beside_cutouts(examples, target, pivots)
    figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
