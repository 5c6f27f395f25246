"""A field's power is measured as it was put in, whatever bright stars stand in it."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data_tools.imaging.field_spectrum import (
    FieldSpectrum,
    LocalSpectra,
    measure_spectrum,
    rings,
)
from data_tools.imaging.observation import drizzled


def white(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def frequency(px=64):
    return 2 ** rings(px).frequency


def close(found, expected, rtol):
    """Compare power; of the lowest frequencies a field has but few waves."""
    few = frequency() < 0.08
    np.testing.assert_allclose(found[~few], expected[~few], rtol=rtol)
    np.testing.assert_allclose(found[few], expected[few], rtol=4 * rtol)


@pytest.mark.parametrize("px", [16, 64, 128])
def test_every_frequency_but_the_mean_is_in_one_ring(px):
    found = rings(px)
    assert np.array_equal(np.sort(found.order), np.arange(1, px * (px // 2 + 1)))
    # each mode of the full plane counts once
    assert np.square(found.weight).sum() == pytest.approx(px**2 - 1)
    assert (np.diff(found.frequency) > 0).all()


@pytest.mark.parametrize("shape", [(512, 512, 2), (300, 437, 2), (200, 128, 2)])
def test_independent_noise_has_its_variance_in_each_ring(shape):
    variance = np.array([4.0, 0.25])
    found = measure_spectrum(white(shape) * np.sqrt(variance).astype("f4") + 9, 64)
    expected = FieldSpectrum.white(variance, 64).power
    assert found.power.shape == expected.shape
    for band in (0, 1):
        close(found.power[..., band, band], expected[..., band, band], 0.15)


def test_power_follows_the_scale():
    """A Gaussian blur of sigma s takes exp(-(2 pi s k)^2) of the power at k."""
    image = white((1024, 1024, 1))
    smooth = gaussian_filter(image[..., 0], 1.0, mode="wrap")[..., None]
    found = measure_spectrum(smooth, 64).power[:, 0, 0]
    expected = np.exp(-np.square(2 * np.pi * frequency()))
    low = frequency() < 0.12
    close(np.where(low, found, 1), np.where(low, expected, 1), 0.35)
    # at most the filters' width blurs it where it falls off
    assert found[-1] < 0.1 * found[low].min()


def test_drizzling_takes_the_highest_frequencies():
    image = drizzled(white((768, 768, 1)), np.array([0.5]))
    found = measure_spectrum(image, 64).power[:, 0, 0]
    assert found[frequency() < 0.05] == pytest.approx(1, abs=0.15)
    assert (found[frequency() > 0.4] < 0.3).all()


@pytest.mark.parametrize("coefficient", [-0.6, 0.0, 0.5, 0.95])
def test_bands_have_in_common_what_was_put_in(coefficient):
    first, second = np.moveaxis(white((768, 768, 2)), -1, 0)
    mixed = coefficient * first + np.sqrt(1 - coefficient**2) * second
    found = measure_spectrum(np.stack([first, 3 * mixed], axis=-1), 64).power
    coefficients = found[..., 0, 1] / np.sqrt(found[..., 0, 0] * found[..., 1, 1])
    few = frequency() < 0.08
    np.testing.assert_allclose(coefficients[~few], coefficient, atol=0.05)
    np.testing.assert_allclose(coefficients[few], coefficient, atol=0.3)
    np.testing.assert_allclose(found, found.swapaxes(1, 2))


def test_a_few_stars_however_bright_change_nothing():
    image = white((768, 768, 1))
    alone = measure_spectrum(image, 64).power
    rng = np.random.default_rng(1)
    image[tuple(rng.integers(0, 768, (2, 30)))] += 1e3
    found = measure_spectrum(image, 64).power
    assert image.var() > 40
    fine = frequency() > 0.08
    np.testing.assert_allclose(found[fine], alone[fine], rtol=0.15)


def test_missing_pixels_and_edges_make_no_power():
    image = white((512, 512, 2)) + 1000
    alone = measure_spectrum(image, 64).power
    ramp = image + np.linspace(0, 20, 512, dtype="f4")[:, None, None]
    image[:200, :100] = np.nan
    image[300:303, :, 0] = np.nan
    for spoilt in (image, ramp):
        found = measure_spectrum(spoilt, 64).power
        close(np.einsum("rbb->rb", found), np.einsum("rbb->rb", alone), 0.12)


def test_little_is_known_of_an_image_with_little_data_and_nothing_of_one_without():
    image = white((512, 512, 2))
    image[:, 40:] = np.nan
    found = measure_spectrum(image, 64).power
    assert found[frequency() > 0.1][:, 0, 0] == pytest.approx(1, abs=0.4)
    image[:] = np.nan
    assert np.isnan(np.einsum("rbb->rb", measure_spectrum(image, 64).power)).all()


def test_a_band_without_scatter_says_nothing():
    image = white((256, 256, 2))
    image[..., 1] = 5
    found = measure_spectrum(image, 64).power
    assert np.isfinite(found).all()
    assert (found[:, 1, 1] > 1e20).all()
    assert found[:, 0, 0] == pytest.approx(1, abs=0.3)


def test_a_mosaic_is_as_rough_as_it_is_around_each_place():
    image = white((300, 2400, 1))
    image[:, 1200:] *= 3
    read = []

    def window(rows, columns):
        read.append((rows, columns))
        return image[rows, columns]

    spectra = LocalSpectra(window, image.shape[:2], 64)
    fine = frequency() > 0.1
    for x, scatter in ((200, 1), (2200, 3)):
        power = spectra.at(x, 250).power[fine, 0, 0]
        assert power == pytest.approx(scatter**2, rel=0.15)
    assert spectra.at(2210, 251) is spectra.at(2200, 250)
    assert read == [
        (slice(0, 300), slice(0, 768)),
        (slice(0, 300), slice(1632, 2400)),
    ]
