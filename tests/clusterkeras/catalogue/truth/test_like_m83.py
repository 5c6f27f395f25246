import numpy as np
import pytest
from scipy.integrate import quad

from clusterkeras.catalogue.truth.like_m83 import (
    PER_MILLION_PIXELS,
    heavier,
    like_m83,
    younger,
)


def test_masses_and_ages_are_distributed_as_published():
    # dN/dM ~ M^-2 exp(-M / 1.6e5 Msun) above 5,000 Msun, dN/dt ~ t^-0.4 below 300 Myr
    def masses(low, high):
        # in log M, or the peak at the light end would be missed
        return quad(lambda u: np.exp(-u - np.exp(u) / 1.6e5), *np.log([low, high]))[0]

    for mass in (5e3, 1e4, 1e5, 1e6):
        expected = masses(mass, 1e8) / masses(5e3, 1e8)
        assert heavier(mass) == pytest.approx(expected, rel=1e-6)
    for age in (1e6, 1e7, 3e8):
        expected = (
            quad(lambda t: t**-0.4, 0, age)[0] / quad(lambda t: t**-0.4, 0, 3e8)[0]
        )
        assert younger(age) == pytest.approx(expected, rel=1e-6)
    assert heavier(np.inf) == 0 and younger(0) == 0


def test_m83_has_fifteen_such_clusters_in_a_million_pixels():
    assert pytest.approx(15.3, abs=0.1) == PER_MILLION_PIXELS


def box(n, seed=1):
    """Return log age and log mass drawn evenly from the whole box."""
    rng = np.random.default_rng(seed)
    return rng.uniform(6, 10.1, n), rng.uniform(2.5, 6, n)


def test_a_flat_truth_counts_as_much_as_one_drawn_from_m83():
    def found(log_age, log_mass):
        return log_mass + 0.3 * (8 - log_age) > 4.2

    flat = box(200_000)
    result = like_m83(*flat, {"taken": found(*flat)})
    rng = np.random.default_rng(2)
    log_age = np.log10(3e8 * rng.random(200_000) ** (1 / 0.6))
    masses = np.geomspace(5e3, 1e7, 4000)
    log_mass = np.interp(
        rng.random(200_000), 1 - heavier(masses), np.log10(masses), left=np.log10(5e3)
    )
    assert result["taken"] == pytest.approx(found(log_age, log_mass).mean(), abs=0.03)
    assert result["covered"] == pytest.approx(1)
    # the truth's own distribution does not matter
    drawn = like_m83(log_age, log_mass, {"taken": found(log_age, log_mass)})
    assert drawn["taken"] == pytest.approx(result["taken"], abs=0.03)
    assert drawn["effective"] > result["effective"]


@pytest.mark.parametrize(
    ("log_age", "log_mass"),
    [([], []), ([9.5], [4.5]), ([7.0], [3.0]), ([np.nan], [4.5]), ([7.0], [np.nan])],
)
def test_a_truth_without_such_clusters_says_nothing(log_age, log_mass):
    one = np.ones(len(log_age), bool)
    result = like_m83(np.array(log_age), np.array(log_mass), {"taken": one}, 0.5)
    nothing = {"n": 0, "effective": None, "covered": 0.0, "taken": None, "purity": None}
    assert result == nothing


def test_what_the_truth_has_none_of_is_left_out_and_said():
    # three of four are found among the light and old, none is there of the others
    log_age, log_mass = np.full(4, 8.2), np.full(4, 3.8)
    found = np.array([True, True, True, False])
    result = like_m83(log_age, log_mass, {"found": found, "taken": found})
    share = (1 - younger(1e8)) * (1 - heavier(1e4))
    assert (result["n"], result["effective"]) == (4, pytest.approx(4))
    assert result["covered"] == pytest.approx(share)
    assert result["found"] == result["taken"] == 0.75


@pytest.mark.parametrize(
    ("found", "rate", "purity"),
    [
        ([True, False], 0.0, 1.0),
        ([True, False], PER_MILLION_PIXELS / 2, 0.5),
        ([False, False], 3.0, 0.0),
        ([False, False], 0.0, None),
        ([True, False], None, None),
    ],
)
def test_purity_is_that_at_the_density_of_m83(found, rate, purity):
    result = like_m83(
        np.full(2, 8.2), np.full(2, 3.8), {"taken": np.array(found)}, rate
    )
    assert result["purity"] == (purity and pytest.approx(purity))
