"""The mosaics of one field, one band a file."""

import dataclasses
import re

import numpy as np
import pytest
from astropy.io import fits

from data_tools.mosaics.mosaic import open_mosaics, opened

SHAPE = (120, 150)
PX = 32


@pytest.fixture
def rates():
    return np.random.default_rng(2).normal(0.1, 0.02, (3, *SHAPE)).astype(np.float32)


@pytest.fixture
def paths(tmp_path, rates, write_band, m83):
    return [
        write_band(tmp_path / f"{band.name}.fits", rate, band)
        for band, rate in zip(m83.bands, rates, strict=True)
    ]


@pytest.fixture
def njy(rates, m83):
    factors = [band.njy_per_electron_s for band in m83.bands]
    return np.moveaxis(rates, 0, -1) * factors


def open_m83(paths, m83):
    return open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec)


def refused(paths, m83, message):
    with pytest.raises(ValueError, match=message) as caught:
        open_m83(paths, m83)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_cutout_holds_the_calibrated_pixels_of_all_bands(paths, m83, njy):
    with open_m83(paths, m83) as mosaics:
        cutout = mosaics.cutout(70, 60, PX)
    np.testing.assert_allclose(
        cutout.image,
        njy[cutout.y0 : cutout.y0 + PX, cutout.x0 : cutout.x0 + PX],
        rtol=1e-5,
    )
    assert (cutout.edge, cutout.covered, cutout.usable) == (False, 1.0, True)


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.5, 0.75, 0.998])
def test_a_position_lands_between_the_two_middle_pixels(paths, m83, fraction):
    with open_m83(paths, m83) as mosaics:
        cutout = mosaics.cutout(70 + fraction, 60 + fraction, PX)
    assert PX / 2 - 1 <= 70 + fraction - cutout.x0 <= PX / 2
    assert PX / 2 - 1 <= 60 + fraction - cutout.y0 <= PX / 2


def test_the_last_digit_of_a_whole_number_does_not_move_the_cutout(paths, m83):
    with open_m83(paths, m83) as mosaics:
        below, above = (mosaics.cutout(70 + d, 60 - d, PX) for d in (-1e-7, 1e-7))
    assert (below.x0, below.y0) == (above.x0, above.y0)


def test_a_cutout_over_the_edge_is_nan_outside(paths, m83, njy):
    with open_m83(paths, m83) as mosaics:
        cutout = mosaics.cutout(3, 60, PX)
    outside = -cutout.x0
    assert cutout.edge
    assert cutout.usable
    assert np.isnan(cutout.image[:, :outside]).all()
    np.testing.assert_allclose(
        cutout.image[:, outside:],
        njy[cutout.y0 : cutout.y0 + PX, : PX - outside],
        rtol=1e-5,
    )
    assert cutout.covered == pytest.approx(1 - outside / PX)


@pytest.mark.parametrize(
    ("x", "y"), [(-50, 60), (70, 1e9), (-1e300, 60), (np.nan, 60), (70, np.inf)]
)
def test_a_position_off_the_mosaic_has_no_data(paths, m83, x, y):
    with open_m83(paths, m83) as mosaics:
        cutout = mosaics.cutout(x, y, PX)
    assert np.isnan(cutout.image).all()
    assert cutout.edge
    assert not cutout.usable


def test_a_hole_in_one_band_is_reported_and_filled(
    tmp_path, rates, write_band, m83, njy, paths
):
    rates[1, 62:70, 60:80] = np.nan
    write_band(paths[1], rates[1], m83.bands[1])
    with open_m83(paths, m83) as mosaics:
        cutout = mosaics.cutout(70, 60, PX)
    hole = np.isnan(cutout.image[..., 1])
    assert cutout.usable
    assert cutout.covered == pytest.approx(1 - hole.mean())
    assert hole.sum() == 8 * 20
    filled = cutout.filled()
    assert filled[hole, 1] == pytest.approx(np.nanmedian(cutout.image[..., 1]))
    np.testing.assert_array_equal(filled[~hole], cutout.image[~hole])


def test_a_band_without_data_at_the_position_makes_it_unusable(
    rates, write_band, m83, paths
):
    rates[2, 50:70, 60:80] = np.nan
    write_band(paths[2], rates[2], m83.bands[2])
    with open_m83(paths, m83) as mosaics:
        assert not mosaics.cutout(70, 60, PX).usable


def test_a_pixel_over_the_full_well_is_saturated(rates, write_band, m83, paths):
    # 70,000 electrons in one exposure of F814W
    band = m83.bands[2]
    rates[2, 60, 70] = 70_000 * band.n_exposures / band.exposure_s
    write_band(paths[2], rates[2], band, NCOMBINE=None)
    with open_m83(paths, m83) as mosaics:
        limits = mosaics.pixel_limits(60_000, [b.n_exposures for b in m83.bands])
        assert mosaics.cutout(70, 60, PX, limits).saturated
        assert not mosaics.cutout(130, 20, PX, limits).saturated
        higher = mosaics.pixel_limits(80_000, [b.n_exposures for b in m83.bands])
        assert not mosaics.cutout(70, 60, PX, higher).saturated


def add_map(path, name, values, beside=None):
    """Put a map of the pixels into a mosaic's file, or into one of its own."""
    if beside is not None:
        fits.PrimaryHDU(values).writeto(beside)
        return
    with fits.open(path) as hdus:
        image = fits.ImageHDU(hdus[0].data.copy(), hdus[0].header.copy(), name="SCI")
    extension = fits.ImageHDU(values, name=name)
    fits.HDUList([fits.PrimaryHDU(), image, extension]).writeto(path, overwrite=True)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.int32])
@pytest.mark.parametrize(
    ("bits", "expected"), [(256, True), (2048, True), (256 | 4, True), (4 | 128, False)]
)
def test_a_data_quality_map_says_what_is_saturated(paths, m83, dtype, bits, expected):
    quality = np.zeros(SHAPE, dtype)
    quality[60, 70] = bits
    add_map(paths[1], "DQ", quality)
    with open_m83(paths, m83) as mosaics:
        assert [p.has_quality for p in mosaics.planes] == [False, True, False]
        assert mosaics.cutout(70, 60, PX).saturated == expected
        assert not mosaics.cutout(130, 20, PX).saturated


def test_a_data_quality_map_may_be_a_file_beside(paths, m83):
    science = paths[1].rename(paths[1].with_name("f438w_drc_sci.fits"))
    quality = np.zeros(SHAPE, np.int16)
    quality[60, 70] = 256
    add_map(science, "DQ", quality, science.with_name("f438w_drc_dq.fits"))
    with open_m83([paths[0], science, paths[2]], m83) as mosaics:
        assert mosaics.cutout(70, 60, PX).saturated
        assert not mosaics.cutout(130, 20, PX).saturated


@pytest.mark.parametrize(
    ("electrons", "weight", "expected"),
    [
        (40_000, 0.0, True),  # no exposure kept the peak
        (40_000, 300.0, True),  # the short one did
        (40_000, 1880.0, False),  # bright, and all exposures kept it
        (10_000, 0.0, False),  # a cosmic ray, far from saturation
    ],
)
def test_a_bright_peak_without_its_weight_is_saturated(
    rates, write_band, m83, paths, electrons, weight, expected
):
    band = m83.bands[2]
    rates[2, 59:62, 69:72] = electrons * band.n_exposures / band.exposure_s
    write_band(paths[2], rates[2], band)
    weights = np.full(SHAPE, 1880.0, np.float32)
    weights[60, 70] = weight
    add_map(paths[2], "WHT", weights)
    with open_m83(paths, m83) as mosaics:
        limits = mosaics.pixel_limits(60_000, [b.n_exposures for b in m83.bands])
        assert mosaics.cutout(70, 60, PX, limits).saturated == expected
        assert not mosaics.cutout(130, 20, PX, limits).saturated


def test_the_exposure_at_a_place_is_the_header_s_by_the_weight(paths, m83):
    weights = np.full(SHAPE, 1000.0, np.float32)
    weights[:, 100:] = 250
    weights[60, 70] = 0  # a cosmic ray
    weights[:40, :40] = 0
    add_map(paths[1], "WHT", weights)
    seconds = m83.bands[1].exposure_s
    with open_m83(paths, m83) as mosaics:
        assert mosaics.exposure(70, 60)[1] == pytest.approx(seconds)
        assert mosaics.exposure(120, 60)[1] == pytest.approx(seconds / 4)
        assert mosaics.exposure(120, 60)[0] == m83.bands[0].exposure_s
        for nowhere in ((10, 10), (-90, 10), (70, 990), (np.nan, 10)):
            assert np.isnan(mosaics.exposure(*nowhere)[1])


def test_coverage_says_where_every_band_has_data(rates, write_band, m83, paths):
    rates[2, 40:80, 48:96] = np.nan
    write_band(paths[2], rates[2], m83.bands[2])
    with open_m83(paths, m83) as mosaics:
        coverage = mosaics.coverage(16)
        weights = mosaics.weights(slice(3, 9), slice(0, 4))
        assert mosaics.has_weights == (False, False, False)
    assert coverage.shape == (8, 10)
    expected = np.ones((8, 10), bool)
    expected[3:5, 3:6] = False
    np.testing.assert_array_equal(coverage, expected)
    np.testing.assert_array_equal(weights, np.ones((6, 4, 3)))


def test_sky_positions_are_those_of_the_header(paths, m83):
    with open_m83(paths, m83) as mosaics:
        ra, dec = mosaics.wcs.all_pix2world((SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 0)
    assert (ra, dec) == pytest.approx((204.25, -29.87))


def test_bands_in_the_wrong_order_are_told_the_right_one(paths, m83):
    message = refused([paths[1], paths[0], paths[2]], m83, "in this order")
    assert message.endswith("give the files as F336W.fits F438W.fits F814W.fits")


def test_a_model_of_other_bands_is_refused(paths, m83, write_band, rates):
    write_band(paths[0], rates[0], m83.bands[0], FILTER="F275W")
    refused(paths, m83, "received F275W, F438W, F814W: use a model trained for")


@pytest.mark.parametrize("value", [np.nan, 0.0, np.inf])
@pytest.mark.parametrize("weight", [None, 0.0, 1890.0])
def test_a_band_without_any_data_leaves_no_place_and_is_told(
    paths, m83, write_band, value, weight, caplog
):
    write_band(paths[1], np.full(SHAPE, value), m83.bands[1])
    if weight is not None:
        add_map(paths[1], "WHT", np.full(SHAPE, weight, np.float32))
    with open_m83(paths, m83) as mosaics:
        cutout = mosaics.cutout(70, 60, PX)
    assert (cutout.usable, cutout.covered) == (False, 0)
    assert f"{paths[1].name}: no pixel has data" in caplog.text
    assert len(caplog.records) == 1


def test_a_single_pixel_with_data_is_data(paths, m83, write_band, rates, caplog):
    rates[0], rates[0, -1, 0] = np.nan, 1.0
    write_band(paths[0], rates[0], m83.bands[0])
    with open_m83(paths, m83) as mosaics:
        assert mosaics.cutout(0, SHAPE[0] - 1, PX).usable
    assert not caplog.text


def test_a_missing_band_is_refused(paths, m83):
    refused(paths[:2], m83, re.escape("expected 3 mosaics, one per band (F336W, F438W"))


def test_bands_of_different_size_are_refused(paths, m83, write_band, rates):
    write_band(paths[2], rates[2, :, :-1], m83.bands[2])
    refused(paths, m83, re.escape("expected 120 x 150 pixels (rows x columns)"))


@pytest.mark.parametrize(("shift_px", "agrees"), [(0.05, True), (0.2, False)])
def test_bands_must_agree_in_wcs(paths, m83, write_band, rates, shift_px, agrees):
    middle = (SHAPE[1] + 1) / 2
    write_band(paths[1], rates[1], m83.bands[1], CRPIX1=middle + shift_px)
    if agrees:
        open_m83(paths, m83).close()
    else:
        refused(paths, m83, "WCS is 0.20 px away from that of F336W.fits")


def test_a_rotated_band_is_refused(paths, m83, write_band, rates):
    step = m83.pixel_scale_arcsec / 3600
    turn = {"CD1_2": 0.002 * step, "CD2_1": 0.002 * step}
    write_band(paths[1], rates[1], m83.bands[1], **turn)
    refused(paths, m83, "WCS is 0.19 px away")


def test_another_pixel_scale_is_refused(paths, m83):
    with pytest.raises(ValueError, match=r"expected pixels of 0.05 arcsec"):
        open_mosaics(paths, m83.band_names, 0.05)


def test_a_fault_in_one_band_closes_the_others(paths, m83):
    # an open file would be a ResourceWarning, which the tests turn into an error
    refused([paths[0], paths[1], paths[1]], m83, "received F336W, F438W, F438W")


@pytest.mark.shared
def test_real_mosaics_of_m83_open(m83):
    from pathlib import Path

    directory = Path(__file__).parents[4] / "shared" / "data" / "m83_preview"
    if not directory.is_dir():
        pytest.skip("the development data are not beside the repository")
    files = [directory / f"m83_preview_{b.lower()}.fits" for b in m83.band_names]
    with open_m83(files, m83) as mosaics:
        cutout = mosaics.cutout(1000, 1200, 64)
    assert cutout.covered == 1
    assert 0 < np.median(cutout.image[..., 2]) < 1000


def test_open_mosaics_of_other_pixels_are_refused(paths, m83):
    other = dataclasses.replace(m83, pixel_scale_arcsec=1.1 * m83.pixel_scale_arcsec)
    with (
        open_m83(paths, m83) as mosaics,
        pytest.raises(ValueError, match="expected pixels of"),
        opened(mosaics, other),
    ):
        pass


def test_mosaics_that_were_closed_are_refused(paths, m83):
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        pass
    with (
        pytest.raises(ValueError, match="these were closed"),
        opened(mosaics, m83),
    ):
        pass
