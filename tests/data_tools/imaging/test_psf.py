"""PSFs: encircled energies of STScI, blur, the user's own."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from data_tools.imaging.psf import OVERSAMPLING, n_positions, psf_image, psf_spectra
from data_tools.target import Target

N = 256
TABLE = (
    Path(__file__)
    .resolve()
    .parents[4]
    .joinpath("shared/data/reference/wfc3uvis1_aper_007_syn.csv")
)
#: Radii in arcsec at which the drizzled PSF is compared, and those it is held to.
RADII = (0.12, 0.16, 0.20, 0.28, 0.40, 0.51, 0.75, 0.99, 1.50, 1.98)
JUDGED = (0.12, 0.40)


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def energies(target, blur):
    """Encircled energies, (positions, bands, radii of RADII)."""
    spectra = [psf_spectra(target, N, p, np.array(blur)) for p in range(n_positions())]
    images = np.fft.fftshift(np.fft.irfft2(spectra, s=(N, N)), axes=(-2, -1))
    axis = (np.arange(N) - N // 2) / OVERSAMPLING * target.pixel_scale_arcsec
    radius = np.hypot(*np.meshgrid(axis, axis))
    step = target.pixel_scale_arcsec / OVERSAMPLING
    inside = [np.clip((r - radius) / step + 0.5, 0, 1).ravel() for r in RADII]
    return (
        images.reshape(*images.shape[:2], -1) @ np.transpose(inside) / OVERSAMPLING**2
    )


@pytest.fixture(scope="module")
def drizzled(target):
    """Encircled energies with the drizzle blur of the science notes."""
    return energies(target, [1.2, 0.8, 0.6])


def test_encircled_energy_of_core_and_wings(target):
    # core + wings of science notes: 0.12 and 0.40 arcsec, F336W, F438W, F814W;
    # from STScI's empirical PSFs joined to TinyTim
    expected = [(0.776, 0.904), (0.783, 0.911), (0.719, 0.911)]
    found = energies(target, [0.0] * 3).mean(0)[:, [RADII.index(r) for r in JUDGED]]
    np.testing.assert_allclose(found, expected, atol=0.015)


def test_encircled_energy_of_drizzled_images(drizzled):
    # STScI, WFC3/UVIS1 encircled energy of drizzled images (table aper_007_syn), at
    # 0.12 and 0.40 arcsec
    expected = [(0.666, 0.890), (0.746, 0.906), (0.686, 0.902)]
    found = drizzled.mean(0)[:, [RADII.index(r) for r in JUDGED]]
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_encircled_energy_scatters_over_the_detector_as_stated(drizzled):
    within_0_12, within_0_40 = (drizzled[..., RADII.index(r)].std(0) for r in JUDGED)
    assert ((within_0_12 > 0.003) & (within_0_12 < 0.008)).all()
    assert (within_0_40 < 0.001).all()


@pytest.mark.shared
def test_encircled_energy_is_that_of_the_table_at_all_radii(target, drizzled):
    if not TABLE.is_file():
        pytest.skip(f"needs shared/data/reference/{TABLE.name} beside the repository")
    table = Table.read(TABLE, format="ascii.csv")
    columns = [f"APER#{radius:.2f}" for radius in RADII]
    for band, found in zip(target.band_names, drizzled.mean(0), strict=True):
        row = table[table["FILTER"] == band][0]
        expected = np.array([row[c] for c in columns])
        np.testing.assert_allclose(found, expected, atol=0.025)
        judged = [RADII.index(r) for r in JUDGED]
        np.testing.assert_allclose(found[judged], expected[judged], atol=0.02)


@pytest.mark.parametrize(("band", "fwhm"), [("F336W", 1.71), ("F438W", 1.72)])
def test_core_is_as_wide_as_the_empirical_psf(target, band, fwhm):
    images = [
        psf_image(None, band, p, N, target.pixel_scale_arcsec)
        for p in range(n_positions())
    ]
    image = np.mean(images, axis=0)
    area = (image > image.max() / 2).sum() / OVERSAMPLING**2
    assert abs(2 * np.sqrt(area / np.pi) - fwhm) < 0.2


@pytest.mark.parametrize("band", ["F336W", "F438W", "F814W"])
def test_wings_have_the_four_spikes_of_the_secondary_mirror_s_support(band, target):
    # its four vanes, 90 degrees apart and at 45 to the detector's axes
    image = psf_image(None, band, 28, N, target.pixel_scale_arcsec)
    y, x = np.mgrid[:N, :N] - N // 2
    radius = np.hypot(x, y) * target.pixel_scale_arcsec / OVERSAMPLING
    angle = np.degrees(np.arctan2(y, x)) % 90
    ring = (radius > 1.2) & (radius < 1.6)
    edges = np.arange(0, 91, 5)
    profile = [image[ring & (angle >= a) & (angle < a + 5)].mean() for a in edges[:-1]]
    assert edges[np.argmax(profile)] + 2.5 == pytest.approx(45, abs=6)
    assert max(profile) > 2 * np.median(profile)


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
