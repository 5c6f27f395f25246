"""Histories: constant by default, declining, with a burst; all drawn from ranges."""

import numpy as np
import pytest

from data_tools.fields.history import (
    MIDDLE_AGES,
    OLD_AGES,
    YOUNG_AGES,
    draw_history,
    history_of,
)
from data_tools.priors import Priors


def test_without_a_change_rates_are_constant():
    history = history_of()
    np.testing.assert_allclose(history.old_shares, [share for _, share in OLD_AGES])
    assert np.isclose(history.young_span.sum(), 1e8)
    assert np.isclose(history.young_span.sum() + history.middle_span.sum(), 1e9)


def test_a_decline_as_the_sun_s_surroundings_had_makes_the_old_stars_older():
    # between 11.2 Gyr ago and now by a factor 2 to 7 (Aumer & Binney 2009): its mean
    # rate from 6.5 to 12 Gyr is above that from 1 to 2.65 by less than that
    for factor in (2, 7):
        shares = history_of(np.log(factor) / 11.2).old_shares
        rates = shares / np.array([1.65, 3.85, 5.5])
        mean_gyr = [1.83, 4.58, 9.25]
        expected = factor ** ((mean_gyr[2] - mean_gyr[0]) / 11.2)
        assert rates[2] / rates[0] == pytest.approx(expected, rel=0.06)
        assert np.isclose(shares.sum(), 1)


@pytest.mark.parametrize("age", [7.0, 8.0, 8.6])
def test_a_burst_multiplies_half_a_dex_of_ages(age):
    calm, burst = history_of(), history_of(0.0, np.log10(4), age)
    ages = np.concatenate([YOUNG_AGES, MIDDLE_AGES])
    factor = np.concatenate(
        [burst.young_span / calm.young_span, burst.middle_span / calm.middle_span]
    )
    inside = np.abs(ages - age) < 0.25
    assert inside.sum() >= 2
    np.testing.assert_allclose(factor, np.where(inside, 4, 1))


def test_histories_fill_their_ranges_and_are_constant_where_they_are_off():
    rng = np.random.default_rng(0)
    drawn = [draw_history(Priors(), rng).properties for _ in range(300)]
    decline = np.array([d["old_decline"] for d in drawn])
    assert -0.1 <= decline.min() < -0.09
    assert 0.29 < decline.max() <= 0.3
    burst = np.array([d["burst"] for d in drawn])
    assert np.mean(burst != 0) == pytest.approx(0.4, abs=0.1)
    assert np.isnan([d["burst_age"] for d in drawn])[burst == 0].all()
    off = Priors(field_old_decline=(0.0, 0.0), field_burst_fraction=0.0)
    np.testing.assert_array_equal(
        draw_history(off, rng).old_shares, history_of().old_shares
    )
