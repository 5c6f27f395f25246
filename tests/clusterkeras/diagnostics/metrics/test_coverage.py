import numpy as np
import pytest
from scipy import stats

from clusterkeras.diagnostics.metrics import coverage

N, S = 3000, 200


@pytest.fixture(scope="module")
def gaussian():
    """Make normal posteriors N(x, 0.5) and truths drawn from exactly them."""
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 2, (N, 2))
    truth = centre + rng.normal(0, 0.5, (N, 2))
    unit_draws = rng.normal(0, 0.5, (N, S, 2))
    return truth, centre, unit_draws


def posterior(gaussian, stretch=1.0, shift=0.0):
    truth, centre, unit_draws = gaussian
    return truth, centre[:, None] + shift + stretch * unit_draws


@pytest.mark.parametrize("stretch", [1.0, 0.8, 1.25])
def test_intervals_cover_what_the_width_of_the_posteriors_says(gaussian, stretch):
    found = coverage.central_coverage(coverage.pit(*posterior(gaussian, stretch)))
    nominal = np.array(coverage.LEVELS)[:, None]
    exact = 2 * stats.norm.cdf(stretch * stats.norm.ppf(0.5 + nominal / 2)) - 1
    assert found == pytest.approx(np.broadcast_to(exact, (2, 2)), abs=0.03)
    # chance alone makes none of the wrong widths, and the right one within 3.3 sigma
    noise = coverage.coverage_noise(N, nominal)
    sigmas = coverage.coverage_sigmas(found, nominal, noise)
    assert (np.abs(sigmas) < 3.3).all() == (stretch == 1)
    assert (np.sign(sigmas) == np.sign(stretch - 1)).all() or stretch == 1


def test_coverage_noise_is_binomial():
    assert coverage.coverage_noise(100, 0.5) == pytest.approx(0.05)
    assert np.isnan(coverage.coverage_noise(0, [0.68, 0.95])).all()


def test_sigmas_of_a_coverage_are_normal_for_many_objects_and_exact_for_few():
    sigma = coverage.coverage_noise(100_000, 0.68)
    many = coverage.coverage_sigmas([0.66, 0.68, 0.70], 0.68, sigma)
    assert many == pytest.approx([-0.02 / sigma, 0, 0.02 / sigma], rel=0.01)
    # one of two outside a 95 % interval: a chance of 0.0975, on that side alone
    few = coverage.coverage_sigmas(0.5, 0.95, coverage.coverage_noise(2, 0.95))
    assert few == pytest.approx(-stats.norm.isf(0.0975))
    tiny = coverage.coverage_sigmas(0.0, 0.95, coverage.coverage_noise(10_000, 0.95))
    assert np.isfinite(tiny)


def test_objects_that_err_together_make_a_coverage_less_unlikely():
    sigma = coverage.coverage_noise(20_000, 0.68)
    one, three = coverage.coverage_sigmas(0.65, 0.68, [sigma, 3 * sigma])
    assert three == pytest.approx(one / 3, rel=0.02)


def test_error_of_a_coverage_is_at_least_that_of_independent_objects():
    noise = coverage.coverage_noise(20, 0.95)
    assert coverage.coverage_error(np.ones(20, bool), 0.95) == noise
    assert coverage.coverage_error(np.ones((1, 2), bool), 0.68) == pytest.approx(
        coverage.coverage_noise(1, 0.68)
    )
    # all of a field inside, or none
    inside = np.repeat(np.arange(100) < 68, 50)
    error = coverage.coverage_error(inside, 0.68, np.arange(5000) // 50)
    assert error == pytest.approx(coverage.coverage_noise(100, 0.68), rel=0.01)


@pytest.mark.parametrize("together", [True, False])
def test_perfect_posteriors_of_few_fields_pass_as_often_as_stated(together):
    """A field's truths lie on one side of their posteriors, of many on both alike."""
    rng = np.random.default_rng(11)
    field = np.repeat(np.arange(200), 30)
    passed = []
    for _ in range(100):
        shift = np.sqrt(0.1 * together) * rng.normal(size=200)[field]
        own = np.sqrt(1 - 0.1 * together) * rng.normal(size=6000)
        pit = stats.norm.cdf(shift + own)
        checks = [coverage.check_uniform(pit, 0.95, g) for g in (field, None)]
        passed.append([c.ok for c in checks])
        assert [c.p_value >= 0.0499 for c in checks] == passed[-1]
    grouped, alone = np.mean(passed, axis=0)
    assert grouped == pytest.approx(0.95, abs=0.05)
    assert (alone < 0.8) == together


def test_central_coverage_has_no_bias_from_few_draws():
    rng = np.random.default_rng(2)
    pit = coverage.pit(rng.normal(size=(40_000, 1)), rng.normal(size=(40_000, 99, 1)))
    assert coverage.central_coverage(pit, (0.68,))[0, 0] == pytest.approx(
        0.68, abs=0.01
    )


def test_coverage_of_nothing_is_nan():
    assert np.isnan(coverage.central_coverage(np.empty((0, 3)))).all()


def test_ranks_count_the_draws_below_the_truth():
    draws = np.array([[[0.1], [0.2], [0.3], [0.4]]])
    assert coverage.ranks([[0.15]], draws).tolist() == [[1]]
    assert coverage.pit([[0.15]], draws).tolist() == [[0.3]]


def test_ranks_are_the_percentiles_of_scipy(gaussian):
    truth, draws = (values[:20] for values in posterior(gaussian))
    expected = [
        [stats.percentileofscore(d[:, p], t[p], "strict") for p in range(2)]
        for t, d in zip(truth, draws, strict=True)
    ]
    assert coverage.ranks(truth, draws) == pytest.approx(np.array(expected) * S / 100)


def test_ranks_of_calibrated_posteriors_are_uniform_and_of_shifted_ones_not(gaussian):
    good = coverage.check_uniform(coverage.pit(*posterior(gaussian))[:, 0], 0.999)
    shifted = coverage.pit(*posterior(gaussian, shift=0.1))[:, 0]
    assert good.ok
    assert not coverage.check_uniform(shifted).ok


def test_noise_of_uniformity_is_what_uniform_samples_show():
    rng = np.random.default_rng(3)
    checks = [coverage.check_uniform(rng.uniform(size=500)) for _ in range(600)]
    shown = np.quantile([c.max_deviation for c in checks], 0.95)
    assert checks[0].noise == pytest.approx(shown, rel=0.06)
    assert np.mean([c.ok for c in checks]) == pytest.approx(0.95, abs=0.03)


def two_modes(rng, n, weight):
    """Draw from weight N(-2, 0.3) + (1 - weight) N(2, 0.3)."""
    mode = np.where(rng.uniform(size=n) < weight, -2.0, 2.0)
    return mode + rng.normal(0, 0.3, n)


def log_two_modes(x, weight):
    return np.logaddexp(
        np.log(weight) + stats.norm.logpdf(x, -2, 0.3),
        np.log(1 - weight) + stats.norm.logpdf(x, 2, 0.3),
    )


def test_hpd_regions_of_a_calibrated_two_mode_posterior_are_uniform():
    rng = np.random.default_rng(4)
    truth, draws = two_modes(rng, 2000, 0.3), two_modes(rng, (2000, 200), 0.3)
    levels = coverage.hpd_levels(log_two_modes(truth, 0.3), log_two_modes(draws, 0.3))
    assert coverage.check_uniform(levels, 0.999).ok
    assert coverage.cumulative(levels, [0.5, 0.9]) == pytest.approx(
        [0.5, 0.9], abs=0.04
    )


def test_a_flat_density_has_regions_that_are_uniform():
    levels = coverage.hpd_levels(np.zeros(4000), np.zeros((4000, 50)))
    assert coverage.check_uniform(levels, 0.999).ok
    half = np.tile([0.0, 1.0], 25)
    levels = coverage.hpd_levels(np.zeros(4000), np.tile(half, (4000, 1)))
    assert levels.min() >= 0.5 and levels.mean() == pytest.approx(0.75, abs=0.01)


def test_hpd_regions_with_the_wrong_weight_of_the_modes_fail():
    rng = np.random.default_rng(5)
    truth, draws = two_modes(rng, 2000, 0.5), two_modes(rng, (2000, 200), 0.1)
    levels = coverage.hpd_levels(log_two_modes(truth, 0.1), log_two_modes(draws, 0.1))
    assert not coverage.check_uniform(levels).ok


def test_a_truth_without_density_lies_outside_every_region():
    assert coverage.hpd_levels([-np.inf], np.zeros((1, 9)))[0] == pytest.approx(0.95)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        coverage.hpd_levels([np.nan], np.zeros((1, 9)))
    with pytest.raises(ValueError, match=r"\(2,\) and \(1, 9\)"):
        coverage.hpd_levels([0.0, 0.0], np.zeros((1, 9)))
    with pytest.raises(ValueError, match="N at least 1"):
        coverage.check_uniform([])
