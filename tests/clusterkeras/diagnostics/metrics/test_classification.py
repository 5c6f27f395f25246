import numpy as np
import pytest
from scipy import stats
from sklearn import metrics
from sklearn.calibration import calibration_curve

from clusterkeras.diagnostics.metrics import classification


@pytest.fixture(scope="module")
def calibrated():
    """Draw classes with exactly their probabilities."""
    rng = np.random.default_rng(0)
    probability = rng.beta(0.6, 0.4, 5000)
    return rng.uniform(size=5000) < probability, probability


def test_auc_of_two_normal_classes_is_the_closed_form():
    # AUC = Phi(d / sqrt 2) for unit normals a distance d apart
    rng = np.random.default_rng(1)
    score = np.concatenate([rng.normal(1.5, 1, 4000), rng.normal(0, 1, 3000)])
    roc = classification.roc_curve(np.arange(7000) < 4000, stats.norm.cdf(score))
    exact = stats.norm.cdf(1.5 / np.sqrt(2))
    assert (roc.n_positive, roc.n_negative) == (4000, 3000)
    assert abs(roc.auc - exact) < 4 * roc.auc_error
    assert 0.001 < roc.auc_error < 0.01


def test_auc_is_the_rank_statistic_with_ties_counted_half():
    rng = np.random.default_rng(2)
    probability = rng.integers(0, 6, 300) / 5
    positive = rng.uniform(size=300) < 0.3 + 0.4 * probability
    u = stats.mannwhitneyu(probability[positive], probability[~positive]).statistic
    expected = u / (positive.sum() * (~positive).sum())
    assert classification.roc_curve(positive, probability).auc == pytest.approx(
        expected
    )


@pytest.mark.parametrize("ties", [False, True])
def test_curves_and_scores_are_those_of_scikit_learn(calibrated, ties):
    label, probability = (values[:700] for values in calibrated)
    if ties:
        probability = np.round(probability, 1)
    roc = classification.roc_curve(label, probability)
    false, true, _ = metrics.roc_curve(label, probability, drop_intermediate=False)
    assert roc.true_positive_rate == pytest.approx(true)
    assert roc.false_positive_rate == pytest.approx(false)
    assert roc.auc == pytest.approx(metrics.roc_auc_score(label, probability))
    purity, completeness, _ = metrics.precision_recall_curve(label, probability)
    curve = classification.purity_curve(label, probability)
    assert curve.purity == pytest.approx(purity[-2::-1])
    assert curve.completeness == pytest.approx(completeness[-2::-1])
    assert curve.average_purity == pytest.approx(
        metrics.average_precision_score(label, probability)
    )
    assert classification.brier_score(label, probability) == pytest.approx(
        metrics.brier_score_loss(label, probability)
    )


def test_reliability_is_that_of_scikit_learn(calibrated):
    label, probability = calibrated
    bins = classification.reliability(label, probability, bins=10)
    fraction, mean = calibration_curve(label, probability, n_bins=10)
    assert bins.fraction == pytest.approx(fraction)
    assert bins.probability == pytest.approx(mean)


def test_auc_error_is_the_scatter_of_repeated_samples():
    rng = np.random.default_rng(3)
    label = np.arange(300) < 200
    rocs = [
        classification.roc_curve(label, stats.norm.cdf(rng.normal(label * 1.2)))
        for _ in range(300)
    ]
    scatter = np.std([r.auc for r in rocs])
    assert np.mean([r.auc_error for r in rocs]) == pytest.approx(scatter, rel=0.15)


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_auc_error_of_fields_that_err_together_is_the_scatter_of_sets(shared):
    # clusters alone are helped by their field, as by a sharp PSF
    rng = np.random.default_rng(4)
    field = np.repeat(np.arange(100), 20)
    label = np.arange(2000) % 10 < 7
    together, alone, found = [], [], []
    for _ in range(150):
        helped = shared * rng.normal(size=100)[field]
        score = rng.normal(label * (1 + helped))
        roc = classification.roc_curve(label, stats.norm.cdf(score), field)
        together.append(roc.auc_error)
        alone.append(classification.roc_curve(label, stats.norm.cdf(score)).auc_error)
        found.append(roc.auc)
    assert np.mean(together) == pytest.approx(np.std(found), rel=0.15)
    assert np.mean(alone) / np.mean(together) == pytest.approx(
        0.6 if shared else 1, abs=0.12
    )


def test_probabilities_wrong_by_fields_are_held_to_the_scatter_of_fields():
    rng = np.random.default_rng(5)
    field = np.repeat(np.arange(100), 30)
    p = rng.beta(3, 1.2, 3000)
    off = np.clip(p + rng.normal(0, 0.2, 100)[field], 0, 1)
    label = rng.uniform(size=3000) < off
    alone = classification.check_probabilities(label, p)
    together = classification.check_probabilities(label, p, group=field)
    assert together.brier == alone.brier
    assert together.noise > 1.3 * alone.noise
    bins = [classification.reliability(label, p, group=g) for g in (None, field)]
    assert (bins[1].noise >= bins[0].noise).all()
    assert np.median(bins[1].noise / bins[0].noise) > 1.2
    right = rng.uniform(size=3000) < p
    usual = classification.check_probabilities(right, p, group=field)
    assert usual.noise == pytest.approx(alone.noise, rel=0.2)


def test_perfect_and_useless_probabilities_have_auc_one_and_half():
    label = np.array([True, True, False, False])
    assert classification.roc_curve(label, [0.9, 0.8, 0.2, 0.1]).auc == 1.0
    assert classification.roc_curve(label, [0.5] * 4).auc == 0.5


def test_purity_and_completeness_are_counted_by_hand():
    label = [True, False, True, True, False]
    curve = classification.purity_curve(label, [0.9, 0.8, 0.7, 0.6, 0.1])
    assert curve.completeness == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1, 1])
    assert curve.purity == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4, 3 / 5])
    assert curve.average_purity == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)


def test_purity_at_90_percent_completeness_takes_nine_of_ten_clusters():
    probability = np.concatenate([np.linspace(0.95, 0.5, 10), [0.72, 0.3, 0.54]])
    point = classification.purity_at_completeness(np.arange(13) < 10, probability)
    assert point.completeness == pytest.approx(0.9)
    assert point.purity == pytest.approx(9 / 10)
    assert point.threshold == pytest.approx(0.55)
    assert point.false_positive_rate == pytest.approx(1 / 3)


def test_calibrated_probabilities_lie_on_the_diagonal_within_the_stated_noise(
    calibrated,
):
    bins = classification.reliability(*calibrated)
    assert bins.n.sum() == 5000
    assert (np.abs(bins.fraction - bins.probability) < 4 * bins.noise).all()
    assert classification.check_probabilities(*calibrated, confidence=0.999).ok


def test_over_confident_probabilities_fail_with_positive_z(calibrated):
    label, probability = calibrated
    logit = np.log(probability) - np.log1p(-probability)
    sharpened = 1 / (1 + np.exp(-2 * logit))
    check = classification.check_probabilities(label, sharpened)
    assert not check.ok
    assert check.z > 3
    assert check.brier > classification.brier_score(label, probability)


def test_right_probabilities_pass_as_often_as_the_confidence_says():
    rng = np.random.default_rng(4)
    probability = rng.beta(0.6, 0.4, 500)
    passed = [
        classification.check_probabilities(
            rng.uniform(size=500) < probability, probability
        )
        for _ in range(400)
    ]
    assert np.mean([p.ok for p in passed]) == pytest.approx(0.95, abs=0.035)


def test_certain_probabilities_pass_only_where_they_are_right():
    right = classification.check_probabilities([True, False], [1.0, 0.0])
    wrong = classification.check_probabilities([True, False], [1.0, 1.0])
    assert right.ok and right.z == 0
    assert not wrong.ok and wrong.z == np.inf


def test_brier_score_of_a_coin_is_a_quarter():
    assert classification.brier_score([True, False], [0.5, 0.5]) == 0.25


def test_empty_reliability_bins_are_nan():
    bins = classification.reliability([True, False], [0.95, 1.0], bins=4)
    assert bins.n.tolist() == [0, 0, 0, 2]
    assert np.isnan(bins.fraction[:3]).all()
    assert bins.fraction[3] == 0.5


def test_odds_gained_are_those_of_the_look_alone():
    """A share of 70 % that stays 70 % was told nothing; 0.5 there is a loss."""
    gained = classification.odds_gained([0.7, 0.5, 0.0, 1.0], 0.7)
    assert gained == pytest.approx([1, 3 / 7, 0, np.inf])


def test_one_class_alone_is_refused():
    with pytest.raises(ValueError, match="3 clusters and 0 others"):
        classification.roc_curve([True] * 3, [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="needs clusters"):
        classification.purity_curve([False], [0.1])


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="received 1 of 2 values"):
        classification.odds_gained([0.5, np.nan], 0.7)
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        classification.roc_curve([True, False], [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match=r"completeness must be in \(0, 1\]"):
        classification.purity_at_completeness([True, False], [0.1, 0.2], 0.0)
