import numpy as np
import pytest
from scipy import stats
from tarp import get_tarp_coverage

from clusterkeras.diagnostics.metrics import tarp

N, S, P = 2000, 200, 3


@pytest.fixture(scope="module")
def problem():
    """Make correlated normal posteriors and truths drawn from exactly them."""
    rng = np.random.default_rng(0)
    cholesky = np.array([[1.0, 0, 0], [-0.9, 0.4, 0], [0.3, 0.3, 0.5]])
    centre = rng.uniform(-3, 3, (N, P))
    truth = centre + rng.normal(size=(N, P)) @ cholesky.T
    offsets = rng.normal(size=(N, S, P)) @ cholesky.T
    references = tarp.reference_points(N, [-5] * P, [5] * P, rng)
    return truth, centre, offsets, references


def fractions(problem, stretch=1.0, shift=0.0):
    truth, centre, offsets, references = problem
    draws = centre[:, None] + shift + stretch * offsets
    return tarp.tarp_fractions(truth, draws, references, scale=10.0)


def test_expected_coverage_of_calibrated_posteriors_is_the_diagonal(problem):
    check = tarp.check_tarp(fractions(problem), confidence=0.999)
    assert check.ok
    assert abs(check.area) < check.area_noise
    alpha = np.linspace(0, 1, 21)
    curve = tarp.expected_coverage(fractions(problem), alpha)
    assert np.abs(curve - alpha).max() <= check.max_deviation + 1e-12


def test_over_confident_posteriors_fail_with_a_negative_area(problem):
    check = tarp.check_tarp(fractions(problem, stretch=0.7))
    assert not check.ok
    assert check.area < -check.area_noise


def test_too_wide_posteriors_fail_with_a_positive_area(problem):
    check = tarp.check_tarp(fractions(problem, stretch=1.4))
    assert not check.ok
    assert check.area > check.area_noise


def test_joint_without_its_correlation_fails_though_its_marginals_are_right(problem):
    truth, centre, offsets, references = problem
    rng = np.random.default_rng(1)
    shuffled = np.stack([rng.permuted(offsets[..., p], axis=1) for p in range(P)], -1)
    draws = centre[:, None] + shuffled
    assert not tarp.check_tarp(tarp.tarp_fractions(truth, draws, references)).ok


def test_stated_noise_is_what_perfect_posteriors_show():
    rng = np.random.default_rng(2)
    checks = [tarp.check_tarp(rng.uniform(size=2000)) for _ in range(500)]
    deviation = np.quantile([c.max_deviation for c in checks], 0.95)
    area = np.quantile(np.abs([c.area for c in checks]), 0.95)
    assert checks[0].max_deviation_noise == pytest.approx(deviation, rel=0.07)
    assert checks[0].area_noise == pytest.approx(area, rel=0.1)
    assert np.mean([c.area for c in checks]) == pytest.approx(0, abs=5e-4)


def test_fraction_counts_the_draws_closer_to_the_reference():
    draws = np.array([[[0.1, 0.0], [0.0, 0.2], [0.5, 0.5], [2.0, 2.0]]])
    found = tarp.tarp_fractions([[0.4, 0.0]], draws, [[0.0, 0.0]])
    assert found.tolist() == [0.5]


def test_scale_sets_which_draws_are_closer():
    draws = np.array([[[0.0, 3.0], [0.5, 0.0]]])
    plain = tarp.tarp_fractions([[1.0, 0.0]], draws, [[0.0, 0.0]])
    scaled = tarp.tarp_fractions([[1.0, 0.0]], draws, [[0.0, 0.0]], scale=[1.0, 10.0])
    assert plain[0] == 0.5
    assert scaled[0] == pytest.approx(2.5 / 3)


def test_curve_is_that_of_the_authors_own_code(problem):
    truth, centre, offsets, references = problem
    draws = centre[:, None] + 0.8 * offsets
    # 37 bins of k / S, so that no edge falls on a value
    ecp, alpha = get_tarp_coverage(
        np.swapaxes(draws, 0, 1), truth, references=references, num_alpha_bins=37
    )
    found = tarp.tarp_fractions(truth, draws, references)
    at = (alpha[1:-1] * S + 0.5) / (S + 1)
    assert tarp.expected_coverage(found, at) == pytest.approx(ecp[1:-1])


def test_bootstrap_is_that_of_objects_drawn_again(problem):
    found = fractions(problem, stretch=0.8)[:300]
    alpha = [0.1, 0.5, 0.9]
    low, high = tarp.bootstrap_coverage(found, alpha)
    rng = np.random.default_rng(3)
    curves = [
        tarp.expected_coverage(rng.choice(found, len(found)), alpha)
        for _ in range(1500)
    ]
    assert low == pytest.approx(np.quantile(curves, 0.025, axis=0), abs=0.008)
    assert high == pytest.approx(np.quantile(curves, 0.975, axis=0), abs=0.008)
    assert (low < tarp.expected_coverage(found, alpha)).all()


def test_fields_that_err_together_widen_what_tarp_states():
    rng = np.random.default_rng(4)
    field = np.repeat(np.arange(150), 40)
    shift, own = np.sqrt(0.15) * rng.normal(size=150), rng.normal(size=6000)
    found = stats.norm.cdf(shift[field] + np.sqrt(0.85) * own)
    alpha = np.arange(1, 10) / 10
    alone, together = (
        (
            tarp.check_tarp(found, group=g),
            *tarp.bootstrap_coverage(found, alpha, group=g),
        )
        for g in (None, field)
    )
    assert together[0].max_deviation == alone[0].max_deviation
    assert together[0].max_deviation_noise > 1.5 * alone[0].max_deviation_noise
    assert together[0].area_noise > 1.5 * alone[0].area_noise
    wider = (together[2] - together[1]) / (alone[2] - alone[1])
    assert wider[4] > 1.8 and (wider > 1.1).all()
    # fields at random are none
    usual = tarp.check_tarp(found, group=rng.permutation(field))
    assert usual.max_deviation_noise == pytest.approx(
        alone[0].max_deviation_noise, rel=0.1
    )


def test_bad_input_is_refused(problem):
    truth, _, offsets, references = problem
    with pytest.raises(ValueError, match="references must have the shape"):
        tarp.tarp_fractions(truth, offsets, references[:5])
    with pytest.raises(ValueError, match="scale must be positive"):
        tarp.tarp_fractions(truth, offsets, references, scale=0.0)
