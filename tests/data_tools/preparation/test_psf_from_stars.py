"""PSFs made from the stars of a mosaic."""

import dataclasses
import logging

import numpy as np
import pytest
from astropy.io import fits

from data_tools.imaging.psf import OVERSAMPLING, fwhm_px, psf_image, psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.preparation.psf_from_stars import (
    encircled_energy,
    psf_from_stars,
    write_psf,
)

SIZE = 480
#: Neither the middle of the detector nor the middle of the blur's range.
POSITION, BLUR = 9, np.array([1.0, 0.45])


@pytest.fixture(scope="module")
def target(m83):
    return dataclasses.replace(m83, bands=m83.bands[1:])


@pytest.fixture(scope="module")
def truth(target):
    spectra = psf_spectra(target, 256, POSITION, BLUR)
    return np.fft.fftshift(np.fft.irfft2(spectra), axes=(1, 2))[:, 1:, 1:]


def write_star_field(target, write_band, directory, n_stars):
    """Write mosaics with stars of 10^4 to 10^5 electrons on a crowd of faint ones."""
    rng = np.random.default_rng(8)
    renderer = Renderer(SIZE)
    spectra = psf_spectra(target, renderer.grid, POSITION, BLUR)
    # bright stars on a grid with room between them, anywhere within a pixel
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
    return [
        write_band(
            directory / f"{band.name}.fits", counts[..., i] / band.exposure_s, band
        )
        for i, band in enumerate(target.bands)
    ]


@pytest.fixture(scope="module")
def made(target, write_band, tmp_path_factory):
    """Return the PSFs made from 40 stars, and the mosaics."""
    directory = tmp_path_factory.mktemp("stars")
    images = write_star_field(target, write_band, directory, 40)
    return psf_from_stars(images, target), images


def test_psf_of_stars_is_the_one_they_were_drawn_with(target, truth, made):
    scale = target.pixel_scale_arcsec
    for psf, true in zip(made[0], truth, strict=True):
        assert psf.n_stars > 30
        for radius in (0.08, 0.12, 0.20, 0.40, 1.0):
            own, wanted = (
                encircled_energy(i, radius, scale) for i in (psf.image, true)
            )
            assert abs(own - wanted) < 0.01
        assert abs(fwhm_px(psf.image) / fwhm_px(true) - 1) < 0.05
        # which the shipped one at a middle blur is not
        assert abs(fwhm_px(psf.shipped) / fwhm_px(true) - 1) > 0.05


def test_file_of_a_psf_gives_it_back_to_a_target(target, made, tmp_path):
    psfs, images = made
    path = tmp_path / "psf.fits"
    write_psf(psfs[0], target, images[0], path)
    header = fits.getheader(path)
    assert header["OVERSAMP"] == OVERSAMPLING
    assert header["NSTARS"] == psfs[0].n_stars
    assert header["FILTER"] == target.band_names[0] and header["SOURCE"] == "F438W.fits"
    assert abs(header["FWHM"] - fwhm_px(psfs[0].image)) < 1e-3
    scale = target.pixel_scale_arcsec
    assert abs(header["EE012"] - encircled_energy(psfs[0].image, 0.12, scale)) < 1e-4

    image = psf_image(str(path), "F438W", 0, 256, target.pixel_scale_arcsec)
    np.testing.assert_allclose(image[1:, 1:], psfs[0].image, atol=1e-6)


def test_gaussian_has_its_width():
    axis = (np.arange(101) - 50) / OVERSAMPLING
    image = np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / 1.1**2)
    assert np.isclose(fwhm_px(image), 2 * np.sqrt(2 * np.log(2)) * 1.1, rtol=0.01)


def test_few_stars_make_a_psf_with_a_warning(target, write_band, tmp_path, caplog):
    images = write_star_field(target, write_band, tmp_path, 16)
    with caplog.at_level(logging.WARNING):
        psfs = psf_from_stars(images, target)
    assert psfs[0].n_stars <= 16
    assert f"F438W: its PSF is made from no more than {psfs[0].n_stars}" in caplog.text


def test_too_few_stars_are_an_error_that_says_what_to_do(target, write_band, tmp_path):
    images = write_star_field(target, write_band, tmp_path, 5)
    with pytest.raises(ValueError, match=r"F438W: found \d .*\(--stars\.snr\)"):
        psf_from_stars(images, target)
