import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clusterkeras.diagnostics.plots.sharpness import sharpness
from clusterkeras.evaluation.numbers.posterior import score_clusters


@pytest.fixture(scope="module")
def width(calibrated, box):
    clusters = calibrated.select(calibrated.is_cluster)
    return score_clusters(clusters, box).width


def texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(figure):
    """Render a figure and give it back: drawing itself must not fail or warn."""
    FigureCanvasAgg(figure).draw()
    return figure


def test_intervals_stand_beside_the_prior_s_and_presence_beside_what_is_needed(
    width, calibrated
):
    every, nobody = np.ones(len(width), bool), np.zeros(len(width), bool)
    figure = drawn(
        sharpness(
            width,
            {"all": every, "nobody": nobody},
            (calibrated.is_cluster, calibrated.p_cluster),
        )
    )
    left, right = figure.axes
    assert f"all (N {len(width)})" in texts(left)
    assert not any("nobody" in text for text in texts(left))
    assert left.get_xlim()[1] > 1
    assert any("p_cluster 0.5 where 3%" in text for text in texts(right))


def test_a_model_that_is_sure_or_knows_nothing_can_be_drawn(width):
    is_cluster = np.arange(40) % 2 == 0
    for p in (is_cluster.astype(float), np.full(40, 0.5)):
        figure = drawn(
            sharpness(width * 0 + 1, {"all": np.ones(len(width))}, (is_cluster, p))
        )
        share = "100.0%" if p[0] == 1 else "0.0%"
        assert f"clusters, {share} right of the line" in texts(figure.axes[1])


def test_without_look_alikes_there_is_one_panel(width):
    figure = drawn(sharpness(width, {"all": np.ones(len(width), bool)}))
    assert len(figure.axes) == 1
