import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from clusterkeras.diagnostics.metrics import bands, coverage
from clusterkeras.diagnostics.plots import calibration as calibration_plots
from clusterkeras.evaluation import summary


@pytest.fixture(scope="module")
def scored(calibrated, box):
    clusters = calibrated.select(calibrated.is_cluster)
    return summary.score_clusters(clusters, box)


def drawn(figure):
    """Render a figure and give it back: drawing itself must not fail or warn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 1
    return figure


def test_coverage_curves_of_different_names_differ_without_colour(scored):
    levels = np.linspace(0, 1, 21)
    curves = {
        str(i): (levels, coverage.central_coverage(scored.pit[:, i % 4], levels))
        for i in range(6)
    }
    ranges = {"4": (levels, levels - 0.1, levels + 0.1)}
    figure = drawn(calibration_plots.coverage_curves(curves, len(scored.pit), ranges))
    lines = [line for line in figure.axes[1].lines if line.get_label() in curves]
    looks = {(line.get_marker(), str(line.get_linestyle())) for line in lines}
    assert len(lines) == len(looks) == 6
    assert lines[0].get_ydata() == pytest.approx(curves["0"][1] - levels)


def test_a_bootstrap_has_the_colour_of_its_curve(scored):
    levels = np.linspace(0, 1, 21)
    curve = coverage.cumulative(scored.tarp, levels)
    figure = calibration_plots.coverage_curves(
        {"one": (levels, curve), "two": (levels, curve)},
        len(scored.tarp),
        {"two": (levels, curve - 0.1, curve + 0.1)},
    )
    (line,) = [x for x in figure.axes[1].lines if x.get_label() == "two"]
    (band,) = [
        x for x in figure.axes[1].collections if x.get_label().startswith("two: ")
    ]
    assert to_rgba(line.get_color(), 0.25) == pytest.approx(band.get_facecolor()[0])


def test_rank_plots_hold_every_cluster_and_leave_the_band_only_where_it_fails(scored):
    pit = scored.pit.copy()
    pit[:, 1] **= 1.3
    figure = drawn(calibration_plots.rank_plots(pit, bands.rank_levels(scored.n_draws)))
    above, below = figure.axes[:4], figure.axes[4:]
    for ax in above:
        (steps,) = [p for p in ax.patches if hasattr(p, "get_data")]
        assert steps.get_data().values.sum() == len(pit)
    failed = [ax.get_title() == "leaves the band" for ax in below]
    assert failed == [False, True, False, False]


def test_strata_picture_leaves_out_empty_strata(calibrated, box, scored):
    clusters = calibrated.select(calibrated.is_cluster)
    rows = summary.posterior_report(clusters, scored, box)["strata"]["predicted"]
    figure = drawn(
        calibration_plots.strata_coverage([*rows, {"label": "nobody", "n": 0}])
    )
    ticks = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(ticks) == len(rows)
    assert figure.axes[0].get_title() == "joint (TARP)"
    assert len(figure.axes) == 5
