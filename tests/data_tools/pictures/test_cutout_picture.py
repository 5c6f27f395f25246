"""A cutout with its mark and its scale bar."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from data_tools.pictures.cutout_picture import draw_cutout, scale_bar

PIVOTS = (3354.8, 4326.2, 8029.5)


def drawn(radius=np.nan, px=40, place=(20.3, 18.6)):
    axes = Figure().subplots()
    image = np.random.default_rng(1).normal(0, 1, (px, px, 3))
    scale = draw_cutout(axes, image, PIVOTS, place, 0.04, 20.0, radius)
    return axes, scale


@pytest.mark.parametrize("radius", [np.nan, 0.1, 0.4])
def test_two_ticks_point_at_the_object_and_leave_it_free(radius):
    axes, _ = drawn(radius)
    right, below, _ = (np.transpose(line.get_data()) for line in axes.lines)
    np.testing.assert_allclose(right[:, 1], 18.6)
    np.testing.assert_allclose(below[:, 0], 20.3)
    free = max(2.8, np.nan_to_num(radius) / 0.04)
    assert right[0, 0] - 20.3 >= free
    assert 18.6 - below[0, 1] >= free
    assert [patch.radius * 0.04 for patch in axes.patches] == pytest.approx(
        [radius] if np.isfinite(radius) else []
    )


def test_the_bar_is_as_long_as_it_says():
    axes, _ = drawn()
    bar = axes.lines[-1].get_xdata()
    assert axes.texts[0].get_text() == "0.5″ = 10 pc"
    assert np.ptp(bar) * 0.04 == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("side", "length", "words"),
    [(2.53, 0.5, "0.5″"), (0.1, 0.05, "0.05″"), (3.0, 1.0, "1″"), (400, 20, "20″")],
)
def test_a_bar_is_a_round_length(side, length, words):
    assert scale_bar(side) == (length, words)


def test_the_first_row_is_at_the_bottom():
    axes, _ = drawn()
    assert axes.images[0].origin == "lower"
    assert axes.get_ylim() == (-0.5, 39.5)
