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


def test_the_error_of_a_mean_is_that_of_the_groups_means():
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(100), 20)
    means = [
        (rng.normal(size=2000) + rng.normal(0, 1, 100)[group]).mean()
        for _ in range(400)
    ]
    values = rng.normal(size=2000) + rng.normal(0, 1, 100)[group]
    assert groups.clustered_error(values, group) == pytest.approx(
        np.std(means), rel=0.25
    )
    alone = groups.clustered_error(values, np.zeros(2000, int))
    assert alone == pytest.approx(stats.sem(values))
