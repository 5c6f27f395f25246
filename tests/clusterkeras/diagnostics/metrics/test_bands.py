import numpy as np
import pytest
from scipy import stats

from clusterkeras.diagnostics.metrics import bands, coverage


def test_whole_curves_of_perfect_posteriors_stay_inside_as_often_as_stated():
    levels = bands.rank_levels(200)
    low, high = bands.simultaneous_band(levels, 500)
    rng = np.random.default_rng(1)
    ranks = rng.integers(0, 201, (3000, 500))
    steps = np.rint(levels * 201).astype(int) - 1
    counts = np.array([np.bincount(r, minlength=201).cumsum()[steps] for r in ranks])
    inside = ((counts / 500 >= low - 1e-9) & (counts / 500 <= high + 1e-9)).all(axis=1)
    assert inside.mean() == pytest.approx(0.95, abs=0.016)


def test_band_is_wider_than_that_of_a_single_level_and_that_one_is_binomial():
    low, high = bands.simultaneous_band([0.3], 400)
    assert [low[0] * 400, high[0] * 400] == pytest.approx(
        stats.binom.ppf([0.025, 0.975], 400, 0.3), abs=1
    )
    levels = np.arange(1, 10) / 10
    wider = bands.simultaneous_band(levels, 400)
    assert wider[0][2] < low[0] and high[0] < wider[1][2]


@pytest.mark.parametrize("n_draws", [1, 7, 99, 500])
def test_rank_levels_are_where_uniform_ranks_reach_them_exactly(n_draws):
    levels = bands.rank_levels(n_draws)
    every = (np.arange(n_draws + 1) + 0.5) / (n_draws + 1)
    assert coverage.cumulative(every, levels) == pytest.approx(levels)
    assert 1 <= len(levels) <= 99


def test_verdict_p_value_and_band_agree():
    rng = np.random.default_rng(2)
    levels = np.arange(1, 20) / 20
    checks = [bands.check_band(rng.uniform(size=80) ** 1.15, levels) for _ in range(60)]
    inside = [((c.low <= c.share) & (c.share <= c.high)).all() for c in checks]
    assert [c.ok for c in checks] == inside == [c.p_value > 0.0503 for c in checks]
    assert 5 < sum(inside) < 55


def test_truths_far_out_leave_the_band_where_the_largest_distance_sees_nothing():
    rng = np.random.default_rng(3)
    pit = rng.uniform(size=2000)
    pit[:25], pit[25:50] = 0.002, 0.998
    assert coverage.check_uniform(pit).ok
    check = bands.check_band(pit, bands.rank_levels(500))
    assert not check.ok and check.p_value < 0.01
    assert min(check.worst_level, 1 - check.worst_level) < 0.03


def test_band_of_fields_that_err_together_is_wider_where_they_do():
    rng = np.random.default_rng(4)
    field = np.repeat(np.arange(200), 40)
    levels = bands.rank_levels(100)
    passed = []
    for _ in range(60):
        shift = np.sqrt(0.1) * rng.normal(size=200)[field]
        pit = stats.norm.cdf(shift + np.sqrt(0.9) * rng.normal(size=8000))
        checks = [bands.check_band(pit, levels, group=g) for g in (field, None)]
        passed.append([c.ok for c in checks])
        inside = (checks[0].low <= checks[0].share) & (
            checks[0].share <= checks[0].high
        )
        assert checks[0].ok == inside.all() == (checks[0].p_value > 0.0503)
    together, alone = checks
    wider = (together.high - together.low) / (alone.high - alone.low)
    assert wider[len(wider) // 2] > 1.5 > wider[0] > 0.9
    assert np.mean(passed, axis=0)[0] > 0.85 > np.mean(passed, axis=0)[1]


def test_band_of_independent_rows_in_fields_is_the_usual_one():
    pit = np.random.default_rng(5).uniform(size=8000)
    levels = bands.rank_levels(100)
    together = bands.check_band(pit, levels, group=np.arange(8000) // 40)
    alone = bands.check_band(pit, levels)
    assert together.high - together.low == pytest.approx(
        alone.high - alone.low, rel=0.2
    )
    assert together.ok and alone.ok
    pit[:600] = 0.5
    assert not bands.check_band(pit, levels, group=np.arange(8000) // 40).ok


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"levels that rise inside \(0, 1\)"):
        bands.simultaneous_band([0.5, 0.5], 10)
    with pytest.raises(ValueError, match=r"levels that rise inside \(0, 1\)"):
        bands.check_band([0.2, 0.7], [0.0, 0.5])
    with pytest.raises(ValueError, match="N at least 1"):
        bands.check_band([], [0.5])
