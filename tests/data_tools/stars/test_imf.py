"""The initial mass function: numbers and masses of stars."""

import numpy as np
from scipy.integrate import quad

from data_tools.stars.imf import stars_below


def test_imf_holds_one_solar_mass_per_solar_mass_formed():
    mass = np.geomspace(0.08, 120, 200_001)
    number = np.diff(stars_below(mass))
    middle = 0.5 * (mass[1:] + mass[:-1])
    assert np.isclose((number * middle).sum(), 1, rtol=1e-5)


def test_imf_has_the_slopes_of_kroupa_2001():
    # dN/dm ~ m^-1.3 below 0.5 Msun and m^-2.3 above (MNRAS 322, 231, equation 2)
    for low, slope in ((0.1, 1.3), (0.2, 1.3), (1.0, 2.3), (30.0, 2.3)):
        step = 1e-4
        edges = low * np.array([1, 1 + step, 2, 2 * (1 + step)])
        number = stars_below(edges)
        ratio = (number[3] - number[2]) / (number[1] - number[0]) / 2
        assert np.isclose(ratio, 2**-slope, rtol=1e-6)


def test_number_of_stars_is_the_integral_of_the_two_power_laws():
    def shape(m):
        return m**-1.3 if m < 0.5 else 0.5 * m**-2.3

    number, _ = quad(shape, 0.08, 120, points=(0.5, 1, 10), limit=200)
    mass, _ = quad(lambda m: m * shape(m), 0.08, 120, points=(0.5, 1, 10), limit=200)
    assert np.isclose(stars_below(np.array(120.0)), number / mass, rtol=1e-6)
