"""Cutouts with the posteriors below them."""

import numpy as np

from clusterkeras.diagnostics.plots.beside_cutouts import (
    PAIRS,
    Example,
    posteriors_beside_cutouts,
)
from data_tools.schema import PARAMETER_NAMES
from data_tools.target import Target


def test_each_example_has_its_cutout_and_its_truth_on_every_panel():
    target = Target.load("m83-wfc3-uvis")
    rng = np.random.default_rng(0)
    low, high = np.transpose([target.box[name] for name in PARAMETER_NAMES])
    px = target.cutout_px
    examples = [
        Example(
            title,
            rng.normal(0, 1, (px, px, 3)),
            (px / 2, px / 2),
            truth := rng.uniform(low, high),
            np.clip(truth + rng.normal(0, 0.1, (500, 4)), low, high),
        )
        for title in ("one", "two")
    ]
    figure = posteriors_beside_cutouts(examples, target)
    grid = np.reshape(figure.axes, (1 + len(PAIRS), 2))
    assert [axes.get_title() for axes in grid[0]] == ["one", "two"]
    for column, example in enumerate(examples):
        truth = dict(zip(PARAMETER_NAMES, example.truth, strict=True))
        for axes, pair in zip(grid[1:, column], PAIRS, strict=True):
            (marker,) = axes.lines
            np.testing.assert_allclose(
                np.ravel(marker.get_data()), [truth[name] for name in pair]
            )
            assert axes.get_xlim() == tuple(target.box[pair[0]])
