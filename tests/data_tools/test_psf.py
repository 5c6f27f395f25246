"""PSFs: encircled energies of STScI, blur, the user's own."""

import numpy as np
import pytest
from astropy.io import fits

from data_tools.psf import OVERSAMPLING, n_positions, psf_image, psf_spectra
from data_tools.target import Target

N = 256


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def encircled(image, radius_arcsec, pixel_scale_arcsec):
    axis = (np.arange(len(image)) - len(image) // 2) / OVERSAMPLING
    step = pixel_scale_arcsec / OVERSAMPLING
    radius = np.hypot(*np.meshgrid(axis, axis)) * pixel_scale_arcsec
    inside = np.clip((radius_arcsec - radius) / step + 0.5, 0, 1)
    return (image * inside).sum() / OVERSAMPLING**2


def mean_psfs(target, blur):
    spectra = np.mean(
        [psf_spectra(target, N, p, np.array(blur)) for p in range(n_positions())],
        axis=0,
    )
    return np.fft.fftshift(np.fft.irfft2(spectra, s=(N, N)), axes=(1, 2))


def test_encircled_energy_of_core_and_wings(target):
    # core + wings of science notes: 0.12 and 0.40 arcsec, F336W, F438W, F814W;
    # from STScI's empirical PSFs joined to TinyTim
    expected = {0.12: (0.776, 0.783, 0.719), 0.40: (0.904, 0.911, 0.911)}
    for radius, values in expected.items():
        for image, value in zip(mean_psfs(target, [0.0] * 3), values, strict=True):
            found = encircled(image, radius, target.pixel_scale_arcsec)
            assert abs(found - value) < 0.015


def test_encircled_energy_of_drizzled_images(target):
    # STScI, WFC3/UVIS1 encircled energy of drizzled images (table aper_007_syn), with
    # a drizzle blur of 1.2, 0.8 and 0.6 px
    expected = {0.12: (0.666, 0.746, 0.686), 0.40: (0.890, 0.906, 0.902)}
    for radius, values in expected.items():
        images = mean_psfs(target, [1.2, 0.8, 0.6])
        for image, value in zip(images, values, strict=True):
            found = encircled(image, radius, target.pixel_scale_arcsec)
            assert abs(found - value) < 0.02


@pytest.mark.parametrize(("band", "fwhm"), [("F336W", 1.71), ("F438W", 1.72)])
def test_core_is_as_wide_as_the_empirical_psf(target, band, fwhm):
    images = [
        psf_image(None, band, p, N, target.pixel_scale_arcsec)
        for p in range(n_positions())
    ]
    image = np.mean(images, axis=0)
    area = (image > image.max() / 2).sum() / OVERSAMPLING**2
    assert abs(2 * np.sqrt(area / np.pi) - fwhm) < 0.2


def test_positions_on_the_detector_differ(target):
    first, last = (
        psf_image(None, "F814W", p, 64, target.pixel_scale_arcsec) for p in (0, 55)
    )
    assert n_positions() == 56
    assert np.abs(first - last).max() > 0.002


def test_blur_widens_and_keeps_the_flux(target):
    sharp, blurred = (
        psf_spectra(target, 128, 3, np.full(3, sigma)) for sigma in (0.0, 1.0)
    )
    assert np.allclose(sharp[:, 0, 0], blurred[:, 0, 0], rtol=1e-6)
    peaks = [np.fft.irfft2(s).max() for s in (sharp, blurred)]
    assert peaks[1] < 0.6 * peaks[0]


def test_shift_moves_each_band_by_exactly_so_much(target):
    shift = np.array([[0.13, -0.4], [0.0, 0.0], [-1.6, 0.07]])
    axis = (np.arange(N) - N // 2) / OVERSAMPLING

    def centroids(shift_px):
        """Centroid of each band about where it should stand, weighed to 3 px."""
        spectra = psf_spectra(target, N, 20, np.array([1.2, 0.8, 0.6]), shift_px)
        images = np.fft.fftshift(np.fft.irfft2(spectra, s=(N, N)), axes=(1, 2))
        centres = shift if shift_px is not None else np.zeros_like(shift)
        weights = np.exp(-0.5 * (axis - centres[..., None]) ** 2 / 3.0**2)
        images = images * weights[:, 1][:, :, None] * weights[:, 0][:, None, :]
        return np.stack([images.sum(a) @ axis for a in (1, 2)], 1) / images.sum(
            (1, 2)
        ).reshape(-1, 1)

    moved = centroids(shift) - centroids(None)
    assert np.abs(moved - shift).max() < 0.01


def write_psf(path, data, **header):
    fits.PrimaryHDU(np.asarray(data, np.float32), fits.Header(header)).writeto(path)


def gaussian(side, sigma):
    axis = np.arange(side) - side // 2
    return np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) / sigma**2)


def test_own_psf_replaces_the_shipped_one_and_is_normalised(target, tmp_path):
    path = tmp_path / "psf.fits"
    write_psf(path, 7.0 * gaussian(101, 6.0), OVERSAMP=4)
    image = psf_image(str(path), "F336W", 0, 128, target.pixel_scale_arcsec)
    assert np.isclose(image.sum() / OVERSAMPLING**2, 1)
    # sigma of 6 / 4 px: peak of a unit Gaussian is 1 / (2 pi sigma^2)
    assert np.isclose(image.max(), 1 / (2 * np.pi * 1.5**2), rtol=0.01)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.ones((10, 10)), "odd side"),
        (np.ones((11, 9)), "odd side"),
        (np.full((11, 11), np.nan), "finite"),
        (np.zeros((11, 11)), "positive sum"),
    ],
)
def test_own_psf_that_is_none_is_refused_by_name(target, tmp_path, data, message):
    path = tmp_path / "bad.fits"
    write_psf(path, data)
    with pytest.raises(ValueError, match=f"bad.fits.*{message}"):
        psf_image(str(path), "F336W", 0, 64, target.pixel_scale_arcsec)


def test_own_psf_that_is_missing_is_named(target):
    with pytest.raises(FileNotFoundError, match=r"no-such\.fits"):
        psf_image("no-such.fits", "F336W", 0, 64, target.pixel_scale_arcsec)
