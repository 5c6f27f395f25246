"""Widths of PSFs from the stars of a mosaic."""

import dataclasses

import numpy as np
import pytest

from data_tools.imaging.psf import fwhm_px, psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.preparation.psf_width import (
    as_wide,
    measure_psf_widths,
    outside_mocks,
)
from data_tools.priors import Priors

SIZE = 480


@pytest.fixture(scope="module")
def target(m83):
    return dataclasses.replace(m83, bands=m83.bands[1:])


def true_widths(target, position, blur):
    images = np.fft.irfft2(psf_spectra(target, 256, position, np.array(blur)))
    images = np.fft.fftshift(images, axes=(1, 2))[:, 1:, 1:]
    return [fwhm_px(image) for image in images]


def widths_of(target, write_band, directory, blur, n_stars, position=9):
    """Return the measured and the true widths of stars on a crowd of faint ones."""
    rng = np.random.default_rng(8)
    renderer = Renderer(SIZE)
    spectra = psf_spectra(target, renderer.grid, position, np.array(blur))
    per_side = SIZE // 48
    cell = rng.permutation(per_side**2)[:n_stars]
    bright = np.array([cell % per_side, cell // per_side]) * 48 + 24.0
    bright += rng.uniform(-8, 8, bright.shape)
    x, y = np.concatenate([bright, rng.uniform(0, SIZE, (2, 1500))], axis=1)
    electrons = np.concatenate(
        [10 ** rng.uniform(4, 5, n_stars), 10 ** rng.uniform(0.5, 2, 1500)]
    )
    unit = np.array([band.electron_njy for band in target.bands])
    light = renderer.draw(x, y, electrons[:, None] * unit, spectra) / unit
    counts = rng.poisson(light + 80.0) - 80.0 + 5.0 * rng.standard_normal(light.shape)
    paths = [
        write_band(directory / f"{b.name}.fits", counts[..., i] / b.exposure_s, b)
        for i, b in enumerate(target.bands)
    ]
    with open_mosaics(paths, target.band_names, target.pixel_scale_arcsec) as mosaics:
        found = measure_psf_widths(mosaics, target, progress=False)
    return found, true_widths(target, position, blur)


@pytest.mark.parametrize(
    ("blur", "position"), [((1.0, 0.45), 9), ((0.6, 1.0), 30), ((0.8, 0.8), 0)]
)
def test_width_is_that_of_the_psf_the_stars_were_drawn_with(
    target, write_band, tmp_path, blur, position
):
    found, true = widths_of(target, write_band, tmp_path, blur, 40, position)
    assert min(width.n_stars for width in found) > 25
    # 3 % is what training takes it to be known to
    np.testing.assert_allclose([w.fwhm_px for w in found], true, rtol=0.06)


def test_few_stars_leave_the_width_unknown(target, write_band, tmp_path):
    found, _ = widths_of(target, write_band, tmp_path, (0.8, 0.8), 5)
    assert all(np.isnan(w.fwhm_px) and w.n_stars < 10 for w in found)


def test_mosaics_smaller_than_a_tile_have_no_stars(m83, write_band, tmp_path):
    paths = [
        write_band(tmp_path / f"{b.name}.fits", np.full((60, 60), 0.1), b)
        for b in m83.bands
    ]
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        found = measure_psf_widths(mosaics, m83, progress=False)
    assert all(np.isnan(w.fwhm_px) and w.n_stars == 0 for w in found)


def test_widths_that_no_mock_has_are_told_with_the_mocks_range(target):
    assert outside_mocks([np.nan, np.nan], target) == {}
    wide = outside_mocks([9.0, np.nan], target)
    assert list(wide) == ["F438W"]
    low, high = map(float, wide["F438W"].split(" to "))
    assert 1 < low < high < 4
    assert outside_mocks([low, np.nan], target) == {}
    assert list(outside_mocks([np.nan, 1.0], target)) == ["F814W"]


def test_priors_are_narrowed_to_psfs_of_the_measured_widths(m83):
    priors = as_wide(Priors(), m83, [3.4, None, np.nan])
    for blur, width in zip(priors.blur_range("F336W"), (3.23, 3.57), strict=True):
        made = [true_widths(m83, place, (blur, 1.0, 1.0))[0] for place in (0, 9, 30)]
        assert np.mean(made) == pytest.approx(width, rel=0.03)
    assert priors.blur_range("F438W") == Priors().blur_range("F438W")
    assert priors.blur_range("F814W") == Priors().blur_range("F814W")
