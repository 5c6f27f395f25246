"""Magnitudes and reddening of one star."""

import numpy as np
import pytest

from data_tools.stars.evolution.stellar_photometry import (
    extinction_coefficients,
    r_v_change,
    vega_magnitudes,
)
from data_tools.tables import load_tables

BANDS = ("F336W", "F438W", "F814W")


def test_a_star_outside_the_stellar_grid_takes_the_nearest_edge():
    tables = load_tables()
    edge = tables.bc_log_teff[0]
    inside = extinction_coefficients([edge], [0.0], BANDS)
    np.testing.assert_array_equal(
        extinction_coefficients([edge - 1], [-2.0], BANDS), inside
    )


def test_ten_times_the_light_is_two_and_a_half_magnitudes_brighter():
    faint, bright = vega_magnitudes([1.0, 2.0], [3.8, 3.8], [4.0, 4.0], BANDS)
    np.testing.assert_allclose(faint - bright, 2.5, atol=1e-6)


ALL_BANDS = ("F275W", "F336W", "F438W", "F475W", "F555W", "F814W")


@pytest.mark.parametrize(
    ("law", "r_v", "hot", "cool"),
    [
        # F275W, F336W, F438W, F475W, F555W and F814W by dust_extinction 1.7 on the
        # spectrum of ATLAS9 itself: 20000 K, log g 4, and 4000 K, log g 1
        (
            "CCM89",
            2.75,
            (2.2551, 1.7491, 1.3988, 1.2435, 1.0867, 0.592),
            (1.2675, 1.7003, 1.355, 1.1569, 1.0143, 0.5665),
        ),
        (
            "CCM89",
            4.5,
            (1.5767, 1.4024, 1.2429, 1.1535, 1.0544, 0.6667),
            (1.1151, 1.3903, 1.2179, 1.1011, 1.0051, 0.6441),
        ),
        (
            "F99",
            2.75,
            (2.2146, 1.7309, 1.3743, 1.2314, 1.0694, 0.5482),
            (1.2346, 1.6818, 1.3393, 1.1487, 0.9858, 0.5283),
        ),
        (
            "F99",
            4.5,
            (1.6432, 1.4213, 1.23, 1.1439, 1.0449, 0.6149),
            (1.1122, 1.3978, 1.2087, 1.0926, 0.9928, 0.5909),
        ),
        (
            "G23",
            2.75,
            (2.3011, 1.7784, 1.377, 1.2411, 1.0901, 0.5735),
            (1.2732, 1.7172, 1.3422, 1.1619, 1.0143, 0.5507),
        ),
        (
            "G23",
            4.5,
            (1.6283, 1.4334, 1.2345, 1.152, 1.0549, 0.6764),
            (1.1383, 1.4101, 1.2135, 1.1026, 1.0038, 0.6574),
        ),
    ],
)
def test_coefficients_of_other_dust_are_those_of_the_law_on_a_spectrum(
    law, r_v, hot, cool
):
    ours = extinction_coefficients(np.log10([20e3, 4e3]), [4, 1], ALL_BANDS, law, r_v)
    expected = np.array([hot, cool])
    np.testing.assert_allclose(ours[:, 1:], expected[:, 1:], rtol=3e-3)
    np.testing.assert_allclose(ours[0, 0], expected[0, 0], rtol=3e-3)
    # the red leak of F275W carries most of the cool star's light
    np.testing.assert_allclose(ours[1, 0], expected[1, 0], rtol=0.1)


def ccm89(wavelength, r_v):
    """Cardelli, Clayton & Mathis (1989), equations 3a and 3b: 3030 to 9090 Angstrom."""
    y = 1e4 / wavelength - 1.82
    a = (1, 0.17699, -0.50447, -0.02427, 0.72085, 0.01979, -0.77530, 0.32999)
    b = (0, 1.41338, 2.28305, 1.07233, -5.38434, -0.62251, 5.30260, -2.09002)
    return np.polyval(a[::-1], y) + np.polyval(b[::-1], y) / r_v


@pytest.mark.parametrize("r_v", [2, 2.5, 3.7, 5, 6])
@pytest.mark.parametrize("teff", [3500, 6000, 12e3, 40e3])
def test_another_r_v_is_the_law_at_the_wavelength_that_weighs_most(teff, r_v):
    bands = ALL_BANDS[1:]
    standard, other = (
        extinction_coefficients([np.log10(teff)], [4.0], bands, "CCM89", x)[0]
        for x in (3.1, r_v)
    )
    wavelength = np.arange(9000.0, 3100.0, -1.0)
    weighs_most = np.interp(standard, ccm89(wavelength, 3.1), wavelength)
    np.testing.assert_allclose(other, ccm89(weighs_most, r_v), rtol=0.015)


@pytest.mark.parametrize("law", ["CCM89", "F99", "G23"])
def test_the_usual_dust_is_changed_by_nothing(law):
    shift, slope = r_v_change(ALL_BANDS, law, 3.1)
    assert (shift == 0).all()
    assert (slope == 1).all()
    for r_v in (3.1 - 1e-6, 3.1 + 1e-6):
        shift, slope = r_v_change(ALL_BANDS, law, r_v)
        np.testing.assert_allclose(shift, 0, atol=1e-5)
        np.testing.assert_allclose(slope, 1, atol=1e-5)


@pytest.mark.parametrize(
    ("law", "r_v", "reached"),
    [
        ("CCM89", 1.9, "from 2 to 6 under CCM89; received 1.9"),
        ("F99", 6.1, "from 2 to 6 under F99"),
        ("G23", 2.2, r"from 2\.3 to 5\.6 under G23"),
        ("G23", float("nan"), "received nan"),
    ],
)
def test_dust_that_a_law_does_not_describe_is_refused(law, r_v, reached):
    with pytest.raises(ValueError, match=reached):
        r_v_change(ALL_BANDS, law, r_v)
