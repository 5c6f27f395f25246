"""Detector: full pixels bleed along columns, charge trails behind."""

import numpy as np
import pytest

from data_tools.imaging.detector.charge import spilled, trail_spectra, trapped


def column(values):
    """Return an image one pixel wide, in one band."""
    return np.array(values, float)[:, None, None]


@pytest.mark.parametrize(
    ("light", "expected"),
    [
        ([0, 0, 0, 4, 0, 0, 0], [0, 0.5, 1, 1, 1, 0.5, 0]),
        ([0, 0, 3, 3, 0, 0], [1, 1, 1, 1, 1, 1]),
        ([0, 0, 0, 10, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1]),  # the rest leaves the image
        ([0.2, 0.9, 0.5], [0.2, 0.9, 0.5]),
        ([-0.5, 2, -0.5], [0, 1, 0]),  # what is below zero has as much more room
    ],
)
def test_full_pixels_spill_half_up_and_half_down_into_free_ones(light, expected):
    found = spilled(column(light), np.ones(1))
    np.testing.assert_allclose(found[:, 0, 0], expected, atol=1e-12)


def test_the_sum_over_a_bleeding_column_is_conserved_to_1_percent():
    # WFC3 ISR 2010-10: photometry beyond saturation, summed over what has bled
    row, x = np.mgrid[:96, :9] - np.array([48, 4])[:, None, None]
    star = np.exp(-0.5 * (row**2 + x**2) / 0.8**2)[..., None] * np.array([30.0, 0.5])
    found = spilled(star, np.ones(2))
    assert found.max() <= 1 + 1e-12
    np.testing.assert_allclose(found.sum(0), star.sum(0), rtol=0.01)
    # alike up and down, and a band that fits as it was
    np.testing.assert_allclose(found[1:], found[:0:-1], atol=1e-9)
    np.testing.assert_array_equal(found[..., 1], star[..., 1])
    # the middle column holds 60.2 pixels' worth in pixels of one
    assert (found[:, 4, 0] > 0.999).sum() == pytest.approx(star[:, 4, 0].sum(), abs=2)


def test_light_that_fits_is_left_as_it_is():
    light = np.random.default_rng(0).random((8, 8, 3))
    assert spilled(light, np.full(3, 1.1)) is light


@pytest.mark.parametrize("sign", [1, -1])
def test_trapped_charge_comes_out_as_the_data_handbook_says(sign):
    # 20 % in the first pixel behind, 10 % in the second, nearly all within 60 (WFC3
    # Data Handbook, section 6.4)
    share = np.array([0.0, sign * 0.5])
    spectra = trail_spectra(share, np.fft.fftfreq(256))
    alone, trailing = np.fft.ifft(spectra).real
    np.testing.assert_allclose(alone, np.eye(256)[0], atol=1e-6)
    behind = np.roll(trailing[::sign], 0 if sign == 1 else 1)
    np.testing.assert_allclose(behind[0], 0.5, atol=1e-6)
    np.testing.assert_allclose(behind[1:3] / 0.5, [0.2, 0.1], atol=0.015)
    assert np.isclose(behind[:61].sum(), 1, atol=0.06)
    assert abs(behind[61:]).max() < 1e-6


def test_a_sky_fills_traps_as_it_is_measured():
    # 0.05 mag a year over 14.3 years at 1 to 3 electrons, 23 % at 20 to 25 (Kuhn 2026)
    dark, bright = trapped(1.0, np.array([2.0, 22.5]))
    expected = 0.23 / (1 - 10 ** (-0.4 * 0.05 * 14.3))
    assert np.isclose(bright / dark, expected, atol=0.05)
