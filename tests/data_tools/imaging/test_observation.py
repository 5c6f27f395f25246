"""Observation: noise of photons, sky and read-out, correlated by drizzling."""

import dataclasses

import numpy as np
import pytest

from data_tools.imaging.observation import draw_observation, drizzled, variance_factor
from data_tools.priors import Priors
from data_tools.target import Target


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


@pytest.fixture(scope="module")
def seen(target):
    return draw_observation(target, Priors(), np.random.default_rng(0))


def lag_one(noise, axis):
    """Correlation coefficient of neighbours along an axis, per band."""
    return (noise * np.roll(noise, 1, axis)).mean((0, 1)) / noise.var((0, 1))


def test_drizzled_noise_is_correlated_and_averaged_as_the_shift_says():
    rng = np.random.default_rng(1)
    shift = np.array([0.0, 0.1, 0.3, 0.5])
    noise = drizzled(rng.standard_normal((400, 400, 4)), shift)
    product = shift * (1 - shift)
    assert np.allclose(noise.var((0, 1)), variance_factor(shift), rtol=0.02)
    for axis in (0, 1):
        expected = product / (1 - 2 * product)
        assert np.allclose(lag_one(noise, axis), expected, atol=0.01)


def test_one_drizzled_exposure_is_what_overlapping_squares_give():
    # pixels of side one, moved by (0.3, 0.3), share their flux by overlap
    native = np.random.default_rng(2).standard_normal((6, 7, 1))
    out = drizzled(native, np.array([0.3]))
    here, beside = 0.7, 0.3
    expected = (
        here * here * native[3, 4]
        + here * beside * (native[2, 4] + native[3, 3])
        + beside * beside * native[2, 3]
    )
    assert np.allclose(out[3, 4], expected)


def test_mean_of_shifted_exposures_has_the_spectrum_of_one_equivalent_shift():
    shifts = np.array([0.05, 0.2, 0.45, 0.35])
    frequency = np.linspace(0, 0.5, 33)
    power = [abs((1 - d) + d * np.exp(2j * np.pi * frequency)) ** 2 for d in shifts]
    product = (shifts * (1 - shifts)).mean()
    equivalent = (1 - np.sqrt(1 - 4 * product)) / 2
    one = abs((1 - equivalent) + equivalent * np.exp(2j * np.pi * frequency)) ** 2
    assert np.allclose(np.mean(power, axis=0), one)


def test_photon_noise_has_the_variance_of_its_electrons(seen):
    light = np.full((300, 300, 3), 50.0)
    noise = seen.noise(light, np.random.default_rng(3))
    expected = 50.0 * seen.electron_njy * variance_factor(seen.noise_shift_px)
    assert np.allclose(noise.var((0, 1)), expected, rtol=0.03)
    assert np.allclose(
        noise.mean((0, 1)), 0, atol=4 * np.sqrt(50 * seen.electron_njy / 9e4)
    )


def test_dark_image_has_the_noise_of_sky_and_read_out(target):
    priors = Priors(
        exposure_factor=(0.1, 0.1),
        sky_factor=(0.3, 0.3),
        read_noise_factor=(1.2, 1.2),
        noise_shift_px=(0.0, 0.0),
    )
    seen = draw_observation(target, priors, np.random.default_rng(4))
    image = seen.image(np.zeros((300, 300, 3)), np.random.default_rng(5))
    for i, band in enumerate(target.bands):
        sky = band.sky_electrons_s * band.exposure_s * 10**0.4
        read = band.n_exposures * (1.2 * target.read_noise_electrons) ** 2
        electron = band.electron_njy / 10**0.1
        assert np.isclose(image[..., i].var(), (sky + read) * electron**2, rtol=0.03)
        assert np.isclose(seen.sky_njy[i], sky * electron)


def test_no_light_has_no_photon_noise_and_negative_light_none_either(seen):
    rng = np.random.default_rng(6)
    assert not seen.noise(np.zeros((8, 8, 3)), rng).any()
    assert not seen.noise(-np.ones((8, 8, 3)), rng).any()


@pytest.mark.parametrize("shift", [0.0, 0.25, 0.5])
def test_pixel_variance_does_not_depend_on_drizzling(seen, shift):
    seen = dataclasses.replace(seen, noise_shift_px=np.full(3, shift))
    image = seen.image(np.full((400, 400, 3), 20.0), np.random.default_rng(7))
    expected = seen.white_variance + 20.0 * seen.electron_njy
    assert np.allclose(seen.pixel_variance(image), expected, rtol=0.03)


def test_pixel_variance_is_not_that_of_a_single_star(seen):
    image = seen.image(np.zeros((64, 64, 3)), np.random.default_rng(8))
    star = image.copy()
    star[30:33, 30:33] += 1e5
    assert np.allclose(seen.pixel_variance(star), seen.pixel_variance(image), rtol=0.05)


def test_what_is_drawn_stays_within_the_priors(target):
    priors = Priors()
    rng = np.random.default_rng(9)
    drawn = [draw_observation(target, priors, rng) for _ in range(200)]
    native = np.array([b.electron_njy for b in target.bands])
    exposure = np.array([native / s.electron_njy for s in drawn])
    assert np.allclose(exposure, exposure[:, :1])
    log = np.log10(exposure[:, 0])
    assert priors.exposure_factor[0] <= log.min() < -0.2 < 0.1 < log.max() <= 0.2
    shift = np.array([s.band_shift_px for s in drawn])
    assert 0.13 < np.abs(shift).max() <= priors.band_shift_px
    correlated = np.array([s.noise_shift_px for s in drawn])
    assert 0 <= correlated.min() < 0.02 and 0.48 < correlated.max() <= 0.5
    assert len({s.psf_position for s in drawn}) > 40


def test_same_seed_gives_the_same_observation(target):
    first, again = (
        draw_observation(target, Priors(), np.random.default_rng(10)) for _ in range(2)
    )
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(again, name))


def test_everything_is_brighter_by_the_error_of_the_zero_point(target, seen):
    exact = dataclasses.replace(seen, zero_point_mag=np.zeros(3))
    off = dataclasses.replace(seen, zero_point_mag=np.array([0.1, 0.0, -0.2]))
    # a spectrum's first number is the flux of a star
    flux, flux_off = (s.psf(target, 128)[:, 0, 0].real for s in (exact, off))
    np.testing.assert_allclose(-2.5 * np.log10(flux_off / flux), [-0.1, 0, 0.2], 1e-4)


def test_zero_points_are_off_by_no_more_than_the_prior_says(target):
    rng, priors = np.random.default_rng(4), Priors(zero_point_mag=0.03)
    off = [draw_observation(target, priors, rng).zero_point_mag for _ in range(200)]
    assert 0.028 < np.abs(off).max() <= 0.03
    assert np.allclose(np.corrcoef(np.transpose(off)), np.eye(3), atol=0.25)


def test_what_fills_a_pixel_is_a_full_well_in_each_exposure_less_the_sky(target, seen):
    # three exposures of 65,000 electrons, in electrons per nJy of the whole exposure
    full = dataclasses.replace(seen, full_well=65_000.0)
    light = np.zeros((32, 3, 3), np.float32)
    light[16, 1] = 1e7
    found = full.saturated(light)
    electrons = (found.max((0, 1)) + seen.sky_njy) / seen.electron_njy
    np.testing.assert_allclose(electrons, [195_000, 195_000, 260_000], rtol=1e-4)
    # and less by what is there already
    beside = full.saturated(light, np.full(light.shape, 100.0))
    np.testing.assert_allclose(found.max((0, 1)) - beside.max((0, 1)), 100, rtol=1e-3)
    faint = light / 1e6
    assert full.saturated(faint) is faint


def test_full_wells_and_trails_fill_the_range_of_the_detector(target):
    rng, priors = np.random.default_rng(5), Priors(transfer_loss=(0.1, 0.1))
    drawn = [draw_observation(target, priors, rng) for _ in range(200)]
    full = np.array([s.full_well for s in drawn])
    assert 63_000 <= full.min() < 63_500
    assert 71_500 < full.max() <= 72_000
    trail = np.array([s.trail for s in drawn])
    # near the read-out and far from it, on both of its sides
    assert trail.min() < -0.08
    assert trail.max() > 0.08
    assert np.abs(trail).max() <= 0.1
    # F814W has the most sky, which fills the traps
    assert (np.abs(trail[:, 0]) > np.abs(trail[:, 2])).all()


def test_a_star_trails_along_its_column_and_keeps_its_light(target, seen):
    def star(trail):
        return (
            np.fft.irfft2(
                dataclasses.replace(seen, trail=np.full(3, trail)).psf(target, 256)
            )
        )[:, ::2, ::2]

    offset = np.fft.fftfreq(128, 1 / 128)
    clean, trailing = star(0.0), star(0.1)
    flux, kept = clean.sum((1, 2)), trailing.sum((1, 2))
    np.testing.assert_allclose(kept / flux, 1, atol=0.015)

    def middle(image, axis):
        along = image.sum(3 - axis)
        return (along * offset).sum(1) / along.sum(1)

    moved = [middle(trailing, axis) - middle(clean, axis) for axis in (1, 2)]
    # 36 pixels, each as much of the charge as any other in the first moment
    expected = 0.1 * 36 / (1 / np.arange(1, 61)).sum()
    np.testing.assert_allclose(moved[0], expected, rtol=0.05)
    np.testing.assert_allclose(moved[1], 0, atol=1e-3)
