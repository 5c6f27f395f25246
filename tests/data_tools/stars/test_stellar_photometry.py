"""Magnitudes and reddening of one star."""

import numpy as np

from data_tools.stars.stellar_photometry import extinction_coefficients, vega_magnitudes
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
