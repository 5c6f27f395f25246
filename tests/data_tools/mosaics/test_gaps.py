"""Pixels that are no data though they hold a number."""

import logging
from contextlib import closing

import numpy as np
import pytest
from astropy.io import fits

from data_tools.mosaics.band_image import BandImage
from data_tools.mosaics.gaps import find_marks
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.target import Target

TARGET = Target.load("m83-wfc3-uvis")
SHAPE = (320, 300)
EVERY = slice(0, SHAPE[0]), slice(0, SHAPE[1])
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
OUTSIDE = COLUMNS + 0.3 * ROWS > 280
LOSSY = {"compression_type": "RICE_1", "quantize_level": 4.0, "dither_seed": 1}


@pytest.fixture
def rate():
    """Return a disc with noise and stars."""
    rng = np.random.default_rng(1)
    rate = 0.1 * np.exp(-COLUMNS / 200) + rng.normal(0, 0.02, SHAPE)
    for x, y, flux in zip(
        *rng.uniform(0, 300, (2, 60)), 10 ** rng.uniform(0, 3.5, 60), strict=True
    ):
        r2 = (COLUMNS - x) ** 2 + (ROWS - y) ** 2
        rate += flux * 0.1 * (1 + r2 / 2) ** -2.0
    return rate.astype(np.float32)


def write(path, rate, write_band, weight=None, **lossy):
    write_band(path, rate, TARGET.bands[1])
    header = fits.getheader(path)
    if lossy:
        hdus = [fits.PrimaryHDU(), fits.CompImageHDU(rate, header, name="SCI", **lossy)]
    else:
        hdus = [fits.PrimaryHDU(), fits.ImageHDU(rate, header, name="SCI")]
    if weight is not None:
        hdus.append(fits.ImageHDU(weight.astype(np.float32), name="WHT"))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def missing(path):
    with closing(BandImage(path)) as image:
        return np.isnan(image.read(*EVERY))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("unit", [1, 1000], ids=["a second", "in all"])
@pytest.mark.parametrize("mark", [-999, -9999, -99, 99999, 1e20, 1e30, -3.4e38, 7.77e5])
@pytest.mark.parametrize("where", [OUTSIDE, OUTSIDE | (COLUMNS > 20), COLUMNS % 29 < 2])
def test_a_mark_is_no_data(
    tmp_path, rate, write_band, caplog, weighted, unit, mark, where
):
    rate, mark = rate * unit, mark * (1 if abs(mark) > 1e19 else unit)
    rate[where] = mark
    weight = np.ones(SHAPE) if weighted else None
    path = write(tmp_path / "a.fits", rate, write_band, weight)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(missing(path), where)
    assert f"a.fits: pixels of {mark:g} are taken for no data" in caplog.text


def test_two_marks_are_no_data(tmp_path, rate, write_band, caplog):
    rate[OUTSIDE], rate[:40] = -999, 1e30
    path = write(tmp_path / "a.fits", rate, write_band)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(missing(path), OUTSIDE | (ROWS < 40))
    assert "-999 and 1e+30" in caplog.text or "1e+30 and -999" in caplog.text


@pytest.mark.parametrize("method", [-1, 1, 2])
def test_a_mark_is_known_after_lossy_compression(tmp_path, rate, write_band, method):
    rate[OUTSIDE] = -999
    path = write(tmp_path / "a.fits", rate, write_band, quantize_method=method, **LOSSY)
    np.testing.assert_array_equal(missing(path), OUTSIDE)
    pixels = fits.getdata(path)  # in whole steps some noise is zero
    unpacked = write(tmp_path / "b.fits", pixels, write_band)
    np.testing.assert_array_equal(missing(unpacked), OUTSIDE | (pixels == 0))


def test_a_mark_of_whole_numbers_is_known(tmp_path, rate, write_band):
    counts = np.round(rate * 500 + 100).astype(np.int16)
    counts[OUTSIDE] = -9999
    path = write(tmp_path / "a.fits", counts, write_band)
    np.testing.assert_array_equal(missing(path), OUTSIDE)


@pytest.mark.parametrize("noise", [0.3, 0.65])
def test_a_mark_beside_coarse_whole_numbers_is_known(noise):
    rng = np.random.default_rng(1)
    pixels = np.round(rng.normal(3, noise, 20_000)).astype(np.float32)
    assert find_marks(pixels) == ()
    pixels[:8000] = -999
    assert [mark.value for mark in find_marks(pixels)] == [-999]


def test_a_mark_in_few_pixels_or_most_is_known(tmp_path, rate, write_band):
    for where in ((ROWS < 30) & (COLUMNS < 8), (ROWS > 30) | (COLUMNS > 20)):
        pixels = np.where(where, np.float32(-999), rate)
        path = write(tmp_path / "a.fits", pixels, write_band)
        np.testing.assert_array_equal(missing(path), where)


def test_a_band_s_mark_is_no_data_of_the_mosaic(tmp_path, rate, write_band):
    paths = []
    for number, band in enumerate(TARGET.bands):
        pixels = rate.copy()
        pixels[number == ROWS // 100] = [-999, 9.9e4, 1e30][number]
        paths.append(write_band(tmp_path / f"{band.name}.fits", pixels, band))
    with open_mosaics(paths, TARGET.band_names, TARGET.pixel_scale_arcsec) as mosaics:
        empty = np.isnan(mosaics.window(*EVERY))
    for number in range(3):
        np.testing.assert_array_equal(empty[..., number], number == ROWS // 100)


def saturated(rate):
    return np.minimum(rate, 2.0)


def saturated_at_a_usual_number(rate):
    return np.minimum(rate * 30_000, 65535)


def cut_at_zero(rate):
    return np.maximum(rate, 0) + 1e-30


def in_whole_steps(rate):
    return np.round(rate * 50) / 50 + 1


def flat(rate):
    return np.where(rate > 1, rate, 0.3)


def constant(rate):
    return np.full_like(rate, 7)


def two_levels(rate):
    return np.where(OUTSIDE, 5, 7)


def of_sky_taken_away(rate):
    return rate - 500


def of_two_chips(rate):
    return rate + np.where(COLUMNS > 150, 3, 0)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        *(saturated, saturated_at_a_usual_number, cut_at_zero, in_whole_steps, flat),
        *(constant, two_levels, of_sky_taken_away, of_two_chips),
    ],
)
def test_what_images_have_by_themselves_is_no_mark(
    tmp_path, rate, write_band, caplog, change, packed
):
    rate = change(rate).astype(np.float32)
    lossy = {"quantize_method": 2, **LOSSY} if packed else {}
    path = write(tmp_path / "a.fits", rate, write_band, **lossy)
    with caplog.at_level(logging.WARNING):
        assert not missing(path)[rate != 0].any()
    assert "no data" not in caplog.text


def test_zeros_off_the_footprint_need_no_word(tmp_path, rate, write_band, caplog):
    rate[OUTSIDE] = 0
    path = write(tmp_path / "a.fits", rate + np.where(OUTSIDE, 0, 90), write_band)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(missing(path), OUTSIDE)
    assert not caplog.records


def strip(angle, width):
    turned = np.deg2rad(angle)
    across = (COLUMNS - 150) * np.sin(turned) - (ROWS - 160) * np.cos(turned)
    return np.abs(across) < width / 2


@pytest.mark.parametrize("width", [3.5, 5, 8])
@pytest.mark.parametrize("angle", [0, 90, 17, 45, 120])
@pytest.mark.parametrize("level", [4.0, 16.0])
def test_zeros_of_a_narrow_strip_are_no_data_after_lossy_compression(
    tmp_path, write_band, width, angle, level
):
    rate = np.random.default_rng(1).normal(0, 0.02, SHAPE).astype("f4")
    gap = strip(angle, width + (1.5 if angle % 90 else 0))
    rate[gap] = 0
    lossy = {**LOSSY, "quantize_method": 1, "quantize_level": level}
    empty = missing(write(tmp_path / "a.fits", rate, write_band, **lossy))
    assert empty[gap].mean() > 0.97
    assert empty[~gap].mean() < 0.01


@pytest.mark.parametrize("along", [COLUMNS == 100, ROWS == 77])
def test_zeros_of_a_line_are_no_data_after_lossy_compression(
    tmp_path, write_band, along
):
    rate = np.random.default_rng(1).normal(0, 0.02, SHAPE).astype("f4")
    rate[along] = 0
    path = write(tmp_path / "a.fits", rate, write_band, quantize_method=1, **LOSSY)
    empty = missing(path)
    assert empty[along].all()
    assert empty[~along].mean() < 0.01


@pytest.mark.parametrize("level", [1.0, 4.0, 16.0])
def test_noise_around_zero_is_data_after_lossy_compression(tmp_path, write_band, level):
    rate = np.random.default_rng(1).normal(0, 0.02, SHAPE).astype("f4")
    lossy = {**LOSSY, "quantize_method": 1, "quantize_level": level}
    assert not missing(write(tmp_path / "a.fits", rate, write_band, **lossy)).any()


def test_a_part_of_an_image_is_as_empty_as_the_whole(tmp_path, write_band):
    rate = np.random.default_rng(1).normal(0, 0.02, SHAPE).astype("f4")
    rate[strip(30, 5)] = 0
    path = write(tmp_path / "a.fits", rate, write_band, quantize_method=1, **LOSSY)
    whole = missing(path)
    with closing(BandImage(path)) as image:
        for at in (slice(0, 64), slice(100, 164), slice(256, 320)):
            part = np.isnan(image._calibrated(at, slice(130, 200)))
            np.testing.assert_array_equal(part, whole[at, 130:200])
