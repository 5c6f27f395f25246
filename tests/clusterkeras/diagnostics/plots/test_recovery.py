import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from clusterkeras.diagnostics.plots import recovery as plots
from clusterkeras.evaluation.numbers import strata
from clusterkeras.evaluation.numbers.posterior import score_clusters
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


def labels(figure):
    return [text for ax in figure.axes for text in (ax.get_xlabel(), ax.get_ylabel())]


def test_axis_labels_carry_the_unit_and_a_logarithm_s_that_of_what_it_is_of():
    assert [plots.axis_label(p) for p in PARAMETERS] == [
        "log age [yr]",
        "$A_V$ [mag]",
        "log mass [M$_\\odot$]",
        "log $r_h$ [arcsec]",
    ]


def test_predicted_against_true_has_a_panel_a_parameter_over_its_box(scored, box):
    figure = drawn(plots.predicted_against_true(scored.truth, scored.median, box))
    panels = [ax for ax in figure.axes if ax.get_xlabel().startswith("true")]
    assert [ax.get_xlim() for ax in panels] == list(box.values())
    assert f"{len(scored.truth)} clusters" in figure.get_suptitle()


def test_presence_draws_a_curve_for_each_visibility_bin_that_has_clusters(calibrated):
    groups = {s.label: s.rows for s in strata.bins("log_snr", calibrated.log_snr)}
    groups["nobody"] = np.zeros(len(calibrated), bool)
    figure = drawn(plots.presence(calibrated.is_cluster, calibrated.p_cluster, groups))
    names = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    assert len(names) == 6
    assert names[0].startswith("all: AUC 0.")


def test_visibility_residuals_are_predicted_minus_true(calibrated):
    seen = calibrated.select(calibrated.has_object)
    figure = drawn(
        plots.visibility_residuals(
            seen.log_snr, seen.log_snr + 0.3, np.full(len(seen), 0.1)
        )
    )
    assert "predicted - true log S/N [dex]" in labels(figure)
    running = next(
        line for line in figure.axes[0].lines if line.get_label() == "running median"
    )
    assert running.get_ydata() == pytest.approx(0.3)


def test_corner_plot_marks_the_truth_even_far_from_the_draws(calibrated):
    truth = np.array([10.0, 3.9, 2.6, -1.5])
    draws = np.random.default_rng(0).normal([7, 1, 4, -1], 0.05, (300, 4))
    figure = drawn(plots.corner_plot(draws, truth, "far"))
    assert len(figure.axes) == 16
    for p in range(4):
        low, high = figure.axes[5 * p].get_xlim()
        assert low < truth[p] < high
