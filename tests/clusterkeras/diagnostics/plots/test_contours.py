"""The picture of two posteriors of the same objects, plane by plane."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from clusterkeras.diagnostics.plots import contours
from clusterkeras.diagnostics.plots.contours import Panel
from data_tools.schema import PARAMETERS

PLANE = PARAMETERS[:2]
BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose([BOX[p.name] for p in PLANE])


def blob(x, y, width, n=4000, seed=0):
    """Draw from a round Gaussian, all in units of the box."""
    share = np.random.default_rng(seed).normal((x, y), width, (n, 2))
    return (LOW + (HIGH - LOW) * np.clip(share, 0, 1)).astype(np.float32)


def at(x, y):
    return LOW + (HIGH - LOW) * np.array([x, y])


def panel(i):
    x, y = 0.1 + 0.08 * i, 0.9 - 0.08 * i
    return Panel(
        blob(x, y, 0.1, 1000, i), blob(x, y, 0.01, 1000, i), at(x, y), f"mock {i}"
    )


@pytest.fixture(scope="module")
def picture():
    groups = {"some": [panel(i) for i in range(5)], "others": [panel(i) for i in (6,)]}
    figure = contours.draw_contours(groups, PLANE, BOX)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return figure, np.asarray(canvas.buffer_rgba())[..., :3]


def test_every_panel_is_drawn_under_its_title_and_states_its_overlap(picture):
    figure, _ = picture
    shown = [ax for ax in figure.axes if ax.get_visible()]
    assert [ax.get_title() for ax in shown] == [f"mock {i}" for i in (0, 1, 2, 3, 4, 6)]
    for ax in shown:
        (overlap,) = [text.get_text() for text in ax.texts]
        assert 0 <= float(overlap.rstrip("%")) < 20


def test_all_panels_show_the_whole_box_and_the_truth_in_its_place(picture):
    figure, _ = picture
    for ax, i in zip(figure.axes, range(5), strict=False):
        assert (*ax.get_xlim(), *ax.get_ylim()) == (*BOX["log_age"], *BOX["a_v"])
        (mark,) = ax.lines
        np.testing.assert_allclose(
            mark.get_xydata()[0], at(0.1 + 0.08 * i, 0.9 - 0.08 * i)
        )


def test_the_two_methods_differ_without_colour(picture):
    figure, pixels = picture
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    # white, both greys of the areas, and lines darker than either
    for shade in (255, 0.85 * 255, 0.62 * 255):
        assert np.mean(np.abs(grey - shade) < 2) > 0.005
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[0] == "stochastic grid, 68 %" and names[2] == "network, 68 %"


def test_small_multiples_have_letters_of_eight_points_at_least():
    figure = contours.draw_contours({"a": [panel(i) for i in range(4)]}, PLANE, BOX)
    FigureCanvasAgg(figure).draw()
    words = [text for text in figure.findobj(Text) if text.get_text()]
    assert len(words) > 20
    assert min(text.get_fontsize() for text in words) >= 8
