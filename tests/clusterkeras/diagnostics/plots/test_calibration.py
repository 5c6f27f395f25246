import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from scipy import stats

from clusterkeras.diagnostics.metrics import bands, coverage
from clusterkeras.diagnostics.plots import calibration as calibration_plots
from clusterkeras.evaluation.numbers.posterior import posterior_report, score_clusters
from data_tools.schema import PARAMETERS


@pytest.fixture(scope="module")
def scored(calibrated, box):
    clusters = calibrated.select(calibrated.is_cluster)
    return score_clusters(clusters, box)


def drawn(figure):
    """Render a figure and give it back: drawing itself must not fail or warn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    assert np.asarray(canvas.buffer_rgba())[..., :3].std() > 1
    return figure


def test_coverage_curves_of_different_names_differ_without_colour(scored):
    nominal = {str(i): 2 * np.abs(scored.pit[:, i % 4] - 0.5) for i in range(6)}
    figure = drawn(calibration_plots.coverage_curves(nominal, scored.field_id, ("4",)))
    lines = [line for line in figure.axes[1].lines if line.get_label() in nominal]
    looks = {(line.get_marker(), str(line.get_linestyle())) for line in lines}
    assert len(lines) == len(looks) == 6
    levels = np.arange(1, 100) / 100
    covered = coverage.central_coverage(scored.pit[:, 0], levels)
    assert lines[0].get_ydata() == pytest.approx(covered - levels)


def test_a_bootstrap_has_the_colour_of_its_curve(scored):
    figure = calibration_plots.coverage_curves(
        {"one": scored.tarp, "two": scored.hpd}, scored.field_id, ("two",)
    )
    (line,) = [x for x in figure.axes[1].lines if x.get_label() == "two"]
    (band,) = [
        x for x in figure.axes[1].collections if x.get_label().startswith("two: ")
    ]
    assert to_rgba(line.get_color(), 0.25) == pytest.approx(band.get_facecolor()[0])


def height(figure, ax, label):
    """Return how high what has a label reaches above the middle."""
    (band,) = [x for x in figure.axes[ax].collections if x.get_label() == label]
    return band.get_paths()[0].vertices[:, 1].max()


def test_what_a_perfect_posterior_shows_is_wider_where_fields_err_together():
    rng = np.random.default_rng(0)
    field = np.repeat(np.arange(60), 50)
    pit = stats.norm.cdf(
        0.5 * rng.normal(size=60)[field] + 0.75**0.5 * rng.normal(size=3000)
    )
    curves = [
        calibration_plots.coverage_curves({"a": pit}, group, ("a",))
        for group in (None, field)
    ]
    for label in ("perfect, 95 %", "a: bootstrap, 95 %"):
        alone, together = (height(figure, 1, label) for figure in curves)
        assert together > 1.5 * alone
    columns = np.tile(pit[:, None], 4)
    grey = [
        calibration_plots.rank_plots(columns, bands.rank_levels(99), group)
        for group in (None, field)
    ]
    alone, together = (
        np.subtract(data.values, data.baseline).max()
        for data in (figure.axes[0].patches[0].get_data() for figure in grey)
    )
    assert together > 1.3 * alone


def test_rank_plots_hold_every_cluster_and_leave_the_band_only_where_it_fails(scored):
    pit = scored.pit.copy()
    pit[:, 1] **= 1.3
    figure = drawn(calibration_plots.rank_plots(pit, bands.rank_levels(scored.n_draws)))
    above, below = figure.axes[:4], figure.axes[4:]
    for ax in above:
        grey, steps = ax.patches
        assert (grey.get_data().baseline < len(pit) / 20).all()
        assert steps.get_data().values.sum() == len(pit)
    failed = [ax.get_title() == "leaves the band" for ax in below]
    assert failed == [False, True, False, False]


def test_strata_picture_leaves_out_empty_strata(calibrated, box, scored):
    clusters = calibrated.select(calibrated.is_cluster)
    rows = posterior_report(clusters, scored, box)["strata"]["predicted"]
    figure = drawn(
        calibration_plots.strata_coverage([*rows, {"label": "nobody", "n": 0}])
    )
    ticks = [t.get_text() for t in figure.axes[0].get_yticklabels()]
    assert len(ticks) == len(rows)
    assert figure.axes[0].get_title() == "joint (TARP)"
    assert len(figure.axes) == 5


def test_strata_of_few_clusters_are_drawn_within_the_shares_that_there_are():
    score = {"coverage_68": 1.0, "coverage_68_error": 0.4}
    row = {"label": "few", "n": 3, "parameters": {p.name: score for p in PARAMETERS}}
    row["tarp"] = {"max_deviation": 0.5, "max_deviation_noise": 0.8}
    figure = drawn(calibration_plots.strata_coverage([row]))
    assert all(-0.1 < end < 1.1 for ax in figure.axes[1:] for end in ax.get_xlim())
