import numpy as np
import pytest
from scipy import special, stats
from scipy.spatial.distance import cdist, pdist

from clusterkeras.diagnostics.metrics import scores


def test_log_score_of_a_normal_posterior_is_its_entropy():
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.3, 20_000)
    score = scores.negative_log_probability(stats.norm.logpdf(truth, 0, 0.3))
    entropy = 0.5 * np.log(2 * np.pi * np.e * 0.3**2)
    assert score.n == 20_000
    assert score.standard_error == pytest.approx(np.sqrt(0.5 / 20_000), rel=0.05)
    assert abs(score.mean - entropy) < 4 * score.standard_error


def test_truths_without_probability_are_counted_and_kept_out_of_the_mean():
    score = scores.negative_log_probability([-1.0, -np.inf, -3.0, np.nan])
    assert (score.n, score.n_not_finite) == (4, 2)
    assert score.mean == score.median == 2.0


def test_error_of_the_log_score_is_that_of_fields_that_lose_together():
    field = np.repeat(np.arange(100), 40)
    shift = np.random.default_rng(4).normal(0, 1, 100)[field]
    shift[::7] = np.nan
    score = scores.negative_log_probability(shift, field)
    assert score.standard_error == pytest.approx(0.1, rel=0.15)


def test_log_score_of_nothing_is_nan():
    score = scores.negative_log_probability([])
    assert score.n == 0
    assert np.isnan([score.mean, score.standard_error, score.median]).all()


def test_prior_s_log_score_is_the_log_volume_of_the_box():
    assert scores.box_log_volume([6.6, 0], [10.1, 4]) == pytest.approx(np.log(14.0))


def test_box_without_width_is_refused():
    with pytest.raises(ValueError, match="low < high"):
        scores.box_log_volume([0, 1], [1, 1])


def test_bias_and_scatter_of_shifted_normal_estimates():
    rng = np.random.default_rng(1)
    truth = rng.uniform(6, 10, (50_000, 2))
    estimate = truth + rng.normal([0.1, -0.2], [0.3, 0.05], truth.shape)
    assert scores.bias(truth, estimate) == pytest.approx([0.1, -0.2], abs=0.01)
    assert scores.robust_scatter(truth, estimate) == pytest.approx(
        [0.3, 0.05], rel=0.03
    )


def test_scatter_is_unmoved_by_a_tenth_of_wild_estimates():
    rng = np.random.default_rng(2)
    residual = rng.normal(0, 1, 20_000)
    residual[::10] = 100
    scatter = scores.robust_scatter(np.zeros(20_000), residual)
    assert 1.0 < scatter < 1.25


def test_catastrophic_fraction_has_one_threshold_a_parameter():
    truth = np.zeros((4, 2))
    estimate = np.array([[0.9, 0.4], [-1.1, 0.6], [1.0, 0.5], [3.0, -9.0]])
    fraction = scores.catastrophic_fraction(truth, estimate, [1.0, 0.5])
    assert fraction.tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "score",
    [scores.bias, scores.robust_scatter, lambda t, e: scores.crps(t, e[:, None])],
)
def test_mismatched_rows_are_refused(score):
    with pytest.raises(ValueError, match="received"):
        score(np.zeros((3, 2)), np.zeros((4, 2)))


def test_no_rows_give_nan_for_each_parameter():
    nothing = np.empty((0, 3))
    assert np.isnan(scores.bias(nothing, nothing)).tolist() == [True] * 3
    assert np.isnan(scores.robust_scatter(nothing, nothing)).all()
    assert np.isnan(scores.catastrophic_fraction(nothing, nothing, 1.0)).all()


def test_crps_of_normal_draws_is_the_closed_form():
    # Gneiting & Raftery 2007, JASA 102, 359, eq. 21
    rng = np.random.default_rng(3)
    truth, sigma = np.array([[0.0], [1.0], [-2.0]]), 0.7
    draws = rng.normal(0, sigma, (3, 40_000, 1))
    z = truth / sigma
    exact = sigma * (
        z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)
    )
    assert scores.crps(truth, draws) == pytest.approx(exact, abs=0.01)


def test_crps_is_half_the_squared_energy_distance_of_scipy_made_fair():
    rng = np.random.default_rng(5)
    truth, draws = rng.normal(size=(6, 1)), rng.normal(size=(6, 20, 1))
    for row, found in enumerate(scores.crps(truth, draws)[:, 0]):
        distance = stats.energy_distance(draws[row, :, 0], truth[row])
        # scipy's mean over pairs counts each draw with itself
        pairs = pdist(draws[row]).sum() / 20
        assert found == pytest.approx(distance**2 / 2 - pairs / 20 / 19)


def test_energy_score_of_a_right_normal_posterior_is_the_closed_form():
    # half the mean distance of two points: Gamma((d + 1) / 2) / Gamma(d / 2) sigma
    rng = np.random.default_rng(6)
    truth, draws = rng.normal(0, 0.7, (4000, 3)), rng.normal(0, 0.7, (4000, 60, 3))
    found = scores.energy_score(truth, draws)
    exact = 0.7 * special.gamma(2) / special.gamma(1.5)
    error = found.std() / np.sqrt(4000)
    assert abs(found.mean() - exact) < 4 * error < 0.03 * exact
    for wrong in (draws + 0.3, 0.6 * draws, 1.5 * draws):
        assert scores.energy_score(truth, wrong).mean() > found.mean() + error


def test_energy_score_of_one_parameter_is_the_crps():
    rng = np.random.default_rng(7)
    truth, draws = rng.normal(size=(50, 1)), rng.normal(size=(50, 17, 1))
    expected = scores.crps(truth, draws)[:, 0]
    assert scores.energy_score(truth, draws) == pytest.approx(expected)


def test_energy_score_is_the_mean_over_pairs_of_draws_in_units_of_the_scale():
    rng = np.random.default_rng(8)
    truth, draws = rng.normal(size=(5, 2)), rng.normal(size=(5, 9, 2))
    scale = np.array([2.0, 0.5])
    expected = [
        cdist(d / scale, t[None] / scale).mean() - pdist(d / scale).mean() / 2
        for t, d in zip(truth, draws, strict=True)
    ]
    assert scores.energy_score(truth, draws, scale) == pytest.approx(expected)
    with pytest.raises(ValueError, match="scale must be positive"):
        scores.energy_score(truth, draws, 0.0)


def test_crps_does_not_depend_on_the_number_of_draws():
    rng = np.random.default_rng(4)
    truth = rng.normal(size=(20_000, 1))
    few = scores.crps(truth, rng.normal(size=(20_000, 3, 1))).mean()
    assert few == pytest.approx(1 / np.sqrt(np.pi), abs=0.02)
