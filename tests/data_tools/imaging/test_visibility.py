"""Visibility is the optimal S/N of an object, depth where it is five for a star."""

import numpy as np

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.imaging.visibility import depth, visibility
from data_tools.target import ab_to_njy


def test_faint_object_is_limited_by_the_background():
    light = np.zeros((8, 8, 2))
    light[3, 3] = [3.0, 4.0]
    # S/N^2 = 9 / 4 + 16 / 16
    found = visibility(light, np.array([4.0, 16.0]), np.zeros(2))
    assert np.isclose(found, 0.5 * np.log10(3.25))


def test_bright_object_is_limited_by_its_own_photons():
    light = np.full((8, 8, 1), 1e6)
    # 64 pixels of 1e6 / 0.25 electrons each: S/N is the root of all electrons
    found = visibility(light, np.array([1e-3]), np.array([0.25]))
    assert np.isclose(found, 0.5 * np.log10(64e6 / 0.25), atol=1e-6)


def test_negative_light_has_no_photons_and_still_counts():
    light = -np.ones((4, 4, 1))
    assert np.isclose(visibility(light, np.ones(1), np.ones(1)), np.log10(4))


def test_empty_cutout_has_no_visibility():
    assert np.isnan(visibility(np.zeros((4, 4, 3)), np.ones(3), np.ones(3)))


def test_a_star_at_the_depth_has_a_signal_to_noise_of_five(m83):
    variance, blur = np.array([2.0, 1.0, 0.5]), np.array([1.2, 0.8, 0.6])
    flux = ab_to_njy(depth(m83, variance, blur))
    renderer = Renderer(64, 16)
    spectra = psf_spectra(m83, renderer.grid, 28, blur)
    rng = np.random.default_rng(9)
    snr = []
    for _ in range(100):
        x, y = 31.5 + rng.uniform(-0.5, 0.5, (2, 1))
        star = renderer.draw(x, y, flux[None], spectra)
        snr.append(np.sqrt((star.astype(float) ** 2).sum((0, 1)) / variance))
    np.testing.assert_allclose(np.mean(snr, axis=0), 5, rtol=0.01)
