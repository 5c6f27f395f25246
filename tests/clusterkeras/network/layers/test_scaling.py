"""asinh and sinh are NumPy's, and say so over all that a pixel can hold."""

import numpy as np
import pytest

from clusterkeras.network.layers.scaling import asinh, sinh

FLUXES = np.float32([0, 1e-30, 1e-6, 1e-3, 0.5, 1, 7, 1e3, 1e6, 1e12, 1e18])


@pytest.mark.parametrize("sign", [1, -1])
def test_asinh_is_numpys_for_faint_and_bright_alike(sign):
    expected = np.arcsinh(sign * FLUXES.astype(float))
    np.testing.assert_allclose(asinh(sign * FLUXES), expected, rtol=3e-7)


def test_asinh_of_what_no_pixel_holds_stays_finite_and_of_its_sign():
    ends = asinh(np.float32([-np.inf, -1e38, 1e38, np.inf])).numpy()
    np.testing.assert_allclose(ends, np.arcsinh([-1e18, -1e18, 1e18, 1e18]), rtol=1e-6)


def test_a_pixel_that_is_no_number_stays_none():
    assert np.isnan(asinh(np.float32([np.nan])))


@pytest.mark.parametrize("sign", [1, -1])
def test_sinh_undoes_asinh(sign):
    fluxes = sign * FLUXES
    np.testing.assert_allclose(sinh(asinh(fluxes)), fluxes, rtol=1e-5, atol=1e-7)
