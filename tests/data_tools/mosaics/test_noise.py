"""The noise of mosaics is measured as it was put in."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.stats import mad_std
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.imaging.observation import drizzled, variance_factor
from data_tools.imaging.render import Renderer
from data_tools.mocks.mock_mosaic import make_mosaic
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.mosaics.noise import (
    BOX_PX,
    boxes_noise,
    measure_noise,
    pixel_noise,
)
from data_tools.priors import Priors

#: A disc whose stars are resolved or faint, far from any dust.
QUIET = Priors(
    field_px=512,
    field_old_mass_density=(1.3, 1.3),
    field_sfr_density=(-2.5, -2.5),
    field_dust_a_v=(-1.3, -1.3),
    sky_residual=0.0,
    # of M83's mosaics: how far a crowd passes for noise depends on it
    drizzle_blur_px={"F336W": (0.9, 1.4), "F438W": (0.6, 1.0), "F814W": (0.4, 0.8)},
)


def in_boxes(image):
    """Cut an image of (rows, columns, bands) into boxes."""
    rows, columns, bands = image.shape
    boxes = image.reshape(rows // BOX_PX, BOX_PX, columns // BOX_PX, BOX_PX, bands)
    return boxes.swapaxes(1, 2).reshape(-1, BOX_PX, BOX_PX, bands)


def measured(image, weights=None, bands=None):
    weights = np.ones_like(image) if weights is None else weights
    bands = bands or [str(i) for i in range(image.shape[-1])]
    return boxes_noise(in_boxes(image), in_boxes(weights), bands)


def white(rng, px=512, bands=1):
    return rng.standard_normal((px, px, bands), np.float32)


def opened(paths, target):
    return open_mosaics(paths, target.band_names, target.pixel_scale_arcsec)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2, 0.35, 0.5])
def test_noise_of_a_drizzled_image_is_recovered(shift):
    image = 3 * drizzled(white(np.random.default_rng(1)), np.array([shift]))
    (sigma, rho) = pixel_noise(in_boxes(image)[..., 0])
    q = shift * (1 - shift)
    assert sigma == pytest.approx(3 * (1 - 2 * q), rel=0.02)
    np.testing.assert_allclose(rho, q / (1 - 2 * q), atol=0.02)


def test_shift_and_white_variance_are_what_drizzling_was_given():
    shifts = np.array([0.1, 0.25, 0.45])
    image = 2 * drizzled(white(np.random.default_rng(2), 1024, 3), shifts)
    for shift, band in zip(shifts, measured(image), strict=True):
        assert band.noise_shift_px == pytest.approx(shift, abs=0.03)
        assert band.white_variance == pytest.approx(4, rel=0.08)
        assert band.sky_njy == pytest.approx(0, abs=0.1)
        assert band.covered == 1


def test_each_axis_has_its_own_correlation():
    noise = white(np.random.default_rng(3))
    image = 0.7 * noise + 0.3 * np.roll(noise, 1, axis=1)
    _, rho = pixel_noise(in_boxes(image)[..., 0])
    assert rho == pytest.approx((0, 0.21 / 0.58), abs=0.03)


def test_stars_and_slopes_are_no_noise():
    rng = np.random.default_rng(4)
    image = drizzled(white(rng), np.array([0.2]))
    alone = pixel_noise(in_boxes(image)[..., 0])
    renderer = Renderer(512)
    x, y = rng.uniform(0, 511, (2, 400))
    flux = 10 ** rng.uniform(1, 4, (400, 1))
    blur = np.exp(-2 * (np.pi * 0.9 * np.fft.fftfreq(renderer.grid) * 2) ** 2)
    spectra = (blur[:, None] * blur[: renderer.grid // 2 + 1])[None]
    image += renderer.draw(x, y, flux, spectra.astype(np.complex64))
    image += np.linspace(0, 300, 512, dtype=np.float32)[:, None, None]
    sigma, rho = pixel_noise(in_boxes(image)[..., 0])
    assert sigma == pytest.approx(alone[0], rel=0.08)
    np.testing.assert_allclose(rho, alone[1], atol=0.05)


def true_noise(field, band, i):
    """Return sigma, correlation and white variance of a field where it is dark."""
    seen, shift = field.observation, field.observation.noise_shift_px[i]
    variance = seen.white_variance[i] + max(band.dark_njy, 0) * seen.electron_njy[i]
    sigma = np.sqrt(variance * variance_factor(shift))
    return sigma, shift * (1 - shift) / (1 - 2 * shift * (1 - shift)), variance


@pytest.mark.parametrize("seed", range(3))
def test_a_field_s_sky_read_out_and_drizzling_are_recovered(m83, seed):
    """Sigma to 6 %, correlation to 0.06 and white variance to 25 % in the blue."""
    field = FieldMaker(m83, QUIET).make(np.random.default_rng(seed))
    for i, band in enumerate(measured(field.image, bands=m83.band_names)[:2]):
        sigma, rho, variance = true_noise(field, band, i)
        assert band.sigma_njy == pytest.approx(sigma, rel=0.06)
        assert np.mean(band.correlation) == pytest.approx(rho, abs=0.06)
        assert band.white_variance == pytest.approx(variance, rel=0.25)


@pytest.mark.parametrize(
    ("density", "sfr"), [(1.3, -2.5), (2.5, -1.5), (3.0, -0.7), (3.0, -2.0)]
)
@pytest.mark.parametrize("blur", [0.25, 0.7])
def test_a_crowd_of_stars_is_no_noise_or_none_is_seen(m83, density, sfr, blur):
    """On discs dark and bright, seen through a PSF narrow and usual."""
    priors = dataclasses.replace(
        QUIET,
        field_old_mass_density=(density, density),
        field_sfr_density=(sfr, sfr),
        noise_shift_px=(0.3, 0.3),
        drizzle_blur_px={b: (blur, blur) for b in m83.band_names},
    )
    field = FieldMaker(m83, priors).make(np.random.default_rng(1))
    bands = measured(field.image)
    ratio = [b.sigma_njy / true_noise(field, b, i)[0] for i, b in enumerate(bands)]
    for found in ratio:
        assert np.isnan(found) or 0.9 < found < 1.25
    if density < 3:
        # the blue is not so crowded that none could be seen
        assert ratio[0] == pytest.approx(1, abs=0.1)
    if density < 2 and blur > 0.5:
        assert ratio == pytest.approx([1, 1, 1], abs=0.1)


@pytest.mark.parametrize("density", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("blur", [0.6, 0.9, 1.3])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_a_core_of_a_star_cluster_is_no_noise_or_none_is_seen(density, blur, shift):
    """Stars a pixel, with a steep luminosity function, from S/N of 1 on."""
    rng = np.random.default_rng(int(100 * density))
    n = int(density * 256**2)
    flux = 10 * rng.pareto(1.3, n).clip(max=1e4)
    stars = np.zeros((1024, 1024), np.float32)
    np.add.at(stars, tuple(rng.integers(0, 1024, (2, n))), flux)
    light = gaussian_filter(stars, 4 * blur, mode="wrap").reshape(256, 4, 256, 4)
    noise = drizzled(white(rng, 256), np.array([shift]))[..., 0]
    sigma, _ = pixel_noise(
        in_boxes((light.sum(axis=(1, 3)) + noise)[..., None])[..., 0]
    )
    assert np.isnan(sigma) or 0.9 < sigma / noise.std() < 1.25


SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.mark.shared
@pytest.mark.parametrize(
    "name",
    [
        "lens_system1_F390W",
        "lens_system3_F475X",
        "lens_system3_F600LP",
        "lensed_quasar_F814W",
    ],
)
def test_noise_of_real_drizzled_images_is_what_their_authors_state(name):
    path = SHARED / "uvis_cutouts" / f"image_{name}.h5"
    if not path.exists():
        pytest.skip("needs real images, which do not come with the source")
    h5py = pytest.importorskip("h5py")
    with h5py.File(path) as file:
        image, expected = file["image_data"][:], float(file["background_rms"][()])
    for boxes in (image[None], sliding_window_view(image, (60, 60))[::60, ::60]):
        sigma, rho = pixel_noise(boxes.reshape(-1, *boxes.shape[-2:]).astype(float))
        assert sigma == pytest.approx(expected, rel=0.05)
        assert np.mean(rho) == pytest.approx(0.25, abs=0.05)


@pytest.mark.shared
def test_noise_of_a_real_disc_is_the_scatter_between_two_exposures():
    path = SHARED / "m33_stis" / "hst_stis_50ccd_m33field_o4k19a010_flt.fits.gz"
    if not path.exists():
        pytest.skip("needs a real image, which does not come with the source")
    first, second = (in_boxes(fits.getdata(path, i)[..., None]) for i in (1, 4))
    between = mad_std(first - second, axis=(1, 2)) / np.sqrt(2)
    for image in (first, second):
        sigma, rho = pixel_noise(image[..., 0])
        assert sigma == pytest.approx(np.median(between), rel=0.05)
        assert np.abs(rho).max() < 0.1


def test_the_level_is_that_of_the_darkest_part():
    rng = np.random.default_rng(5)
    image = white(rng)
    image[:256] += 50
    (band,) = measured(image + 7)
    assert band.sky_njy == pytest.approx(7, abs=0.1)


def test_noise_is_given_at_the_median_weight():
    rng = np.random.default_rng(6)
    weights = np.full((512, 512, 1), 900, np.float32)
    weights[:, :192] = 225  # half the depth, and dark: noise is measured there
    image = white(rng) / np.sqrt(weights)
    image[:, 192:] += 1
    (band,) = measured(image, weights)
    assert band.sigma_njy == pytest.approx(1 / 30, rel=0.03)
    assert band.median_weight == 900
    assert band.weight_range == (0.25, 1)


@pytest.mark.parametrize(
    "spoil", [lambda i: np.maximum(i, 0.5), np.rint], ids=["clipped", "rounded"]
)
def test_noise_that_was_clipped_or_rounded_away_is_not_made_up(spoil):
    (band,) = measured(spoil(0.5 * white(np.random.default_rng(7))))
    assert np.isnan(band.sigma_njy)
    assert np.isnan(band.correlation).all()
    assert np.isnan(band.white_variance)
    assert np.isfinite(band.sky_njy)


@pytest.mark.filterwarnings("error")
def test_no_noise_is_seen_where_no_pixels_lie_side_by_side():
    image = white(np.random.default_rng(8))
    image[::3, ::3] = np.nan
    assert np.isnan(pixel_noise(in_boxes(image)[..., 0])[0])


def test_missing_pixels_count_neither_as_covered_nor_as_noise():
    image = white(np.random.default_rng(8))
    image[:, 384:] = np.nan
    image[::9, ::7] = np.nan
    (band,) = measured(image)
    assert band.covered == pytest.approx(0.75, abs=0.02)
    assert band.sigma_njy == pytest.approx(1, rel=0.05)


def test_a_band_without_data_has_no_noise():
    (band,) = measured(np.full((128, 128, 1), np.nan, np.float32))
    assert band.covered == 0
    assert np.isnan([band.sky_njy, band.sigma_njy, band.noise_shift_px]).all()


@pytest.mark.parametrize("weighted", [False, True])
def test_a_mosaic_s_noise_is_measured_through_its_files(m83, tmp_path, weighted):
    """Electrons/s, zero point, exposure and weight of the files lead back to nJy."""
    config = MosaicConfig(size_px=512, n=3, seed=4)
    priors = dataclasses.replace(
        QUIET, exposure_factor=(0.1, 0.1), noise_shift_px=(0.2, 0.2)
    )
    make_mosaic(m83, priors, config, tmp_path)
    paths = [tmp_path / f"{b}.fits" for b in m83.band_names]
    if weighted:
        for path in paths:
            with fits.open(path, mode="append") as hdus:
                weight = np.full((512, 512), 2.0, np.float32)
                hdus.append(fits.ImageHDU(weight, name="WHT"))
    with opened(paths, m83) as mosaics:
        noise = measure_noise(mosaics)
        seen = [c.exposure_s for c in mosaics.calibrations]
    assert [n.band for n in noise] == list(m83.band_names)
    for band, exposure, n in zip(m83.bands, seen, noise, strict=True):
        assert exposure == pytest.approx(band.exposure_s * 10**0.1)
        electron = band.electron_njy / 10**0.1
        reads = band.n_exposures * m83.read_noise_electrons**2
        sky = band.sky_electrons_s * exposure
        low = (0.9**2 * reads + 10**-0.2 * sky) * electron**2
        high = (1.3**2 * reads + 10**0.3 * sky) * electron**2
        light = max(n.sky_njy, 0) * electron
        assert 0.8 * (low + light) < n.white_variance < 1.25 * (high + light)
        assert n.noise_shift_px == pytest.approx(0.2, abs=0.06)
        assert n.median_weight == (2.0 if weighted else 1.0)
