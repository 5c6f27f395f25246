import numpy as np
import pytest
from scipy import stats

from clusterkeras.diagnostics.metrics import groups

SIZES = np.random.default_rng(0).integers(20, 60, 40)
GROUP = np.repeat(np.arange(40) + 7, SIZES)


def test_dispersion_is_that_of_an_analysis_of_variance():
    values = np.random.default_rng(1).uniform(size=len(GROUP))
    check = groups.check_groups(values, GROUP)
    known = stats.f_oneway(*(values[name == GROUP] for name in np.unique(GROUP)))
    assert (check.n, check.n_groups) == (len(GROUP), 40)
    assert check.dispersion == pytest.approx(known.statistic)
    assert check.p_value == pytest.approx(known.pvalue)


@pytest.mark.parametrize("share", [None, 0.68])
def test_independent_objects_pass_as_often_as_the_confidence_says(share):
    rng = np.random.default_rng(2)
    drawn = rng.uniform(size=(500, len(GROUP)))
    values = drawn if share is None else drawn < share
    checks = [groups.check_groups(row, GROUP) for row in values]
    assert np.mean([c.ok for c in checks]) == pytest.approx(0.95, abs=0.03)
    assert np.mean([c.dispersion for c in checks]) == pytest.approx(1, abs=0.05)


def test_objects_that_err_together_show_the_dispersion_put_in():
    # 1 + m tau^2 / sigma^2 for m objects a group and a shared offset of tau
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(400), 25)
    values = rng.normal(size=10_000) + rng.normal(0, 0.4, 400)[group]
    check = groups.check_groups(values, group)
    assert check.dispersion == pytest.approx(1 + 25 * 0.16, rel=0.25)
    assert not check.ok and check.p_value < 1e-10
    scatter = np.std([values[group == name].mean() for name in range(400)])
    # so the mean of all scatters by so much more than that of independent objects
    expected = np.sqrt(check.dispersion / 25) * values.std() / np.sqrt(1.16)
    assert scatter == pytest.approx(expected, rel=0.05)


def test_the_group_that_is_off_is_named():
    values = np.random.default_rng(4).uniform(size=len(GROUP))
    values[GROUP == 20] += 0.4
    check = groups.check_groups(values, GROUP)
    assert check.worst_group == 20 and check.worst_sigmas > 5


def test_one_group_or_groups_of_one_say_nothing():
    assert groups.check_groups([0.1, 0.2, 0.3], [4, 4, 4]) is None
    assert groups.check_groups([0.1, 0.2, 0.3], [1, 2, 3]) is None


def test_equal_values_have_no_dispersion_and_pass():
    check = groups.check_groups(np.ones(6), [1, 1, 2, 2, 3, 3])
    assert np.isnan(check.dispersion) and check.ok


def test_other_numbers_of_values_and_groups_are_refused():
    with pytest.raises(ValueError, match=r"received \(3,\) and \(2,\)"):
        groups.check_groups([0.1, 0.2, 0.3], [1, 2])


FIELDS, EACH, SHARED = 200, 25, 0.5
FIELD = np.repeat(np.arange(FIELDS), EACH)


def sets_that_err_together(n, seed=0):
    """Draw n sets of unit normal values with a shift of SHARED common to a field."""
    rng = np.random.default_rng(seed)
    shift = rng.normal(0, SHARED, (n, FIELDS))[:, FIELD]
    return rng.normal(size=(n, len(FIELD))) + shift


def test_the_error_of_a_mean_with_a_common_shift_is_the_one_of_theory():
    values = sets_that_err_together(1)[0]
    expected = np.sqrt(SHARED**2 / FIELDS + 1 / len(FIELD))
    assert groups.clustered_error(values, FIELD) == pytest.approx(expected, rel=0.15)
    # what the same rows say if they are taken for independent: 2.4 times too little
    assert groups.clustered_error(values) < 0.45 * expected


def test_the_error_of_independent_rows_is_the_usual_one():
    values = np.random.default_rng(5).normal(size=(4000, 3))
    usual = stats.sem(values)
    assert groups.clustered_error(values) == pytest.approx(usual)
    one_group, each_its_own = np.zeros(4000, int), np.arange(4000)
    assert groups.clustered_error(values, one_group) == pytest.approx(usual)
    assert groups.clustered_error(values, each_its_own) == pytest.approx(usual)
    fields = np.arange(4000) // 20
    assert groups.clustered_error(values, fields) == pytest.approx(usual, rel=0.15)
    assert np.isnan(groups.clustered_error([1.0], [3]))


def test_the_error_of_a_mean_is_scipy_s_bootstrap_of_groups_of_any_size():
    rng = np.random.default_rng(6)
    values = rng.normal(size=len(GROUP)) + rng.normal(size=47)[GROUP] + GROUP / 50
    sums, sizes = np.bincount(GROUP, values)[7:], np.bincount(GROUP)[7:]
    again = stats.bootstrap(
        (sums, sizes),
        lambda sums, sizes, axis: sums.sum(axis=axis) / sizes.sum(axis=axis),
        paired=True,
        vectorized=True,
        method="basic",
        n_resamples=4000,
        rng=rng,
    )
    assert groups.clustered_error(values, GROUP) == pytest.approx(
        again.standard_error, rel=0.06
    )


@pytest.mark.parametrize(
    ("statistic", "of"),
    [
        (np.median, lambda v: v),
        # the scatter about the median
        (lambda v: np.median(np.abs(v - np.median(v))), lambda v: np.abs(v)),
    ],
    ids=["median", "scatter"],
)
def test_the_error_of_a_median_is_what_it_scatters_by(statistic, of):
    sets = sets_that_err_together(300, seed=7)
    scatter = np.std([statistic(values) for values in sets])
    errors = [groups.clustered_median_error(of(v), FIELD) for v in sets[:20]]
    assert np.mean(errors) == pytest.approx(scatter, rel=0.12)


def test_the_error_of_a_median_of_independent_normal_values_is_the_usual_one():
    values = np.random.default_rng(8).normal(size=(20_000, 2))
    usual = np.sqrt(np.pi / 2 / 20_000)
    assert groups.clustered_median_error(values) == pytest.approx(usual, rel=0.1)
    assert groups.clustered_median_error(values[:, 0]).shape == ()
    assert np.isnan(groups.clustered_median_error(np.empty((0, 4)))).all()


def test_a_paired_difference_loses_what_both_share_and_keeps_its_own_fields():
    first = sets_that_err_together(1)[0]
    rng = np.random.default_rng(9)
    own = rng.normal(0, 0.3, FIELDS)
    second = first - 0.2 - own[FIELD]
    second[3], first[5] = -np.inf, np.nan
    found = groups.paired_difference(first, second, FIELD)
    assert (found.n, found.n_groups, found.n_left_out) == (len(FIELD) - 2, FIELDS, 2)
    assert found.error == pytest.approx(0.3 / np.sqrt(FIELDS), rel=0.15)
    assert found.mean == pytest.approx(0.2 + own.mean(), abs=0.001)
    nothing = groups.paired_difference([np.inf], [1.0], [4])
    assert nothing.n == 0 and np.isnan([nothing.mean, nothing.error]).all()
    with pytest.raises(ValueError, match=r"received \(2,\) and \(3,\)"):
        groups.paired_difference([1, 2], [1, 2, 3])


def test_distribution_functions_stray_by_the_error_of_their_shares():
    values = sets_that_err_together(1)[0]
    levels = np.quantile(values, [0.05, 0.5, 0.9])
    inside = values[:, None] <= levels
    together = groups.resampled_deviations(values, levels, FIELD)
    assert together.std(axis=0) == pytest.approx(
        groups.clustered_error(inside, FIELD), rel=0.06
    )
    assert together.mean(axis=0) == pytest.approx(0, abs=0.002)
    alone = groups.resampled_deviations(values, levels)
    assert alone.std(axis=0) == pytest.approx(groups.clustered_error(inside), rel=0.06)


def test_many_groups_are_drawn_in_blocks_that_differ():
    values = np.random.default_rng(10).uniform(size=(5000))
    strayed = groups.resampled_deviations(values, [0.3, 0.5], np.arange(5000) // 2)
    assert strayed.shape == (2000, 2)
    assert np.corrcoef(strayed[:400, 0], strayed[1600:, 0])[0, 1] < 0.2
    expected = groups.clustered_error(values[:, None] <= [0.3, 0.5])
    assert strayed.std(axis=0) == pytest.approx(expected, rel=0.1)


def test_groups_that_are_not_of_the_values_are_refused():
    for function in (groups.clustered_error, groups.clustered_median_error):
        with pytest.raises(ValueError, match=r"3 rows; received \(2,\)"):
            function([0.1, 0.2, 0.3], [1, 2])
    with pytest.raises(ValueError, match="at least one object"):
        groups.resampled_deviations([], [0.5])
    with pytest.raises(ValueError, match="levels must rise"):
        groups.resampled_deviations([0.2, 0.6], [0.5, 0.1])
