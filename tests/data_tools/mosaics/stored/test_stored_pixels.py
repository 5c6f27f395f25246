"""Pixels as files store them: whole numbers, scaled, blank, compressed with loss."""

from contextlib import closing

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import distance_transform_edt

from data_tools.mosaics.band_image import BandImage

SHAPE = (320, 300)
EVERY = slice(0, SHAPE[0]), slice(0, SHAPE[1])
ROWS, COLUMNS = np.mgrid[: SHAPE[0], : SHAPE[1]]
#: Off the footprint, whose edge is slanting.
OUTSIDE = COLUMNS + 0.3 * ROWS > 220


@pytest.fixture
def header(tmp_path, write_band):
    return fits.getheader(write_band(tmp_path / "plain.fits", np.ones(SHAPE)))


@pytest.fixture
def rate():
    """Return sky around zero, whose noise is correlated as drizzling does."""
    white = np.random.default_rng(1).normal(0, 0.02, SHAPE).astype("f4")
    return (white + np.roll(white, 1, 0) + np.roll(white, 1, 1)) / 2


def opened(path, *hdus):
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    return closing(BandImage(path))


def stored(counts, header, packed, name="SCI"):
    """Return an image of whole numbers, plain or in tiles."""
    make = fits.CompImageHDU if packed else fits.ImageHDU
    return make(counts, header, name=name)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("dtype", "blank", "mark"),
    [
        ("u2", -32768, 0),
        ("u2", 32767, 65535),
        ("u4", -(2**31), 0),
        ("i2", -32768, -32768),
        ("i2", 0, 0),
        ("i4", -1, -1),
        ("u1", 0, 0),
    ],
)
def test_blank_pixels_have_no_data(tmp_path, header, packed, dtype, blank, mark):
    counts = (1 + (ROWS + COLUMNS) % 200).astype(dtype)
    counts[OUTSIDE] = np.array(mark, dtype)
    hdu = stored(counts, header, packed)
    hdu.header["BLANK"] = blank
    with opened(tmp_path / "counts.fits", hdu) as image:
        pixels = image.read(*EVERY)
        njy = image.calibration.njy_per_unit
    np.testing.assert_array_equal(np.isnan(pixels), OUTSIDE)
    np.testing.assert_allclose(pixels[~OUTSIDE], counts[~OUTSIDE] * njy, rtol=1e-6)
    with fits.open(tmp_path / "counts.fits") as hdus:
        given = BandImage(hdus).read(*EVERY)
    np.testing.assert_array_equal(given, pixels)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("blank", [-32768, 0])
def test_blank_is_told_before_scaling(tmp_path, header, packed, blank):
    counts = (1 + (ROWS + COLUMNS) % 200).astype("i2")
    counts[OUTSIDE] = blank
    hdus = fits.HDUList([fits.PrimaryHDU(), stored(counts, header, packed)])
    hdus.writeto(tmp_path / "a.fits")
    as_stored = {"mode": "update", "do_not_scale_image_data": True}
    with fits.open(tmp_path / "a.fits", **as_stored) as hdus:
        hdus[1].header.update(BSCALE=0.5, BZERO=7.0, BLANK=blank)
    with closing(BandImage(tmp_path / "a.fits")) as image:
        pixels = image.read(*EVERY) / image.calibration.njy_per_unit
    np.testing.assert_array_equal(np.isnan(pixels), OUTSIDE)
    expected = counts[~OUTSIDE] * 0.5 + 7
    np.testing.assert_allclose(pixels[~OUTSIDE], expected, rtol=1e-6)


def test_blank_weights_and_flags_are_none(tmp_path, header, rate):
    weight, quality = np.full(SHAPE, 1890, "u2"), np.full(SHAPE, 256, "u2")
    weight[OUTSIDE] = quality[OUTSIDE] = 65535
    maps = [fits.ImageHDU(weight, name="WHT"), fits.ImageHDU(quality, name="DQ")]
    for hdu in maps:
        hdu.header["BLANK"] = 32767
    science = fits.ImageHDU(rate, header, name="SCI")
    with opened(tmp_path / "maps.fits", science, *maps) as image:
        np.testing.assert_array_equal(image.weight(*EVERY), 1890 * ~OUTSIDE)
        np.testing.assert_array_equal(np.isnan(image.read(*EVERY)), OUTSIDE)
        np.testing.assert_array_equal(image.saturated(*EVERY), ~OUTSIDE)


def test_a_scale_that_is_no_number_is_refused(tmp_path, header):
    path = tmp_path / "scale.fits"
    fits.PrimaryHDU(np.ones(SHAPE, "i2"), header).writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header["BSCALE"] = "N/A"
    with pytest.raises(ValueError, match=r"scale.fits: .*BSCALE.* received 'N/A'"):
        BandImage(path)


LOSSY = [
    {"quantize_method": method, "quantize_level": level, "compression_type": kind}
    for kind, method, level in (
        *(("RICE_1", method, level) for method in (1, -1, 2) for level in (4.0, 1.0)),
        ("GZIP_2", 1, 4.0),
        ("HCOMPRESS_1", 1, 4.0),
    )
]


def name_of(how):
    return "-".join(str(v) for v in how.values())


@pytest.mark.parametrize("how", LOSSY, ids=name_of)
@pytest.mark.parametrize("tile", [None, (64, 64)])
def test_zeros_off_the_footprint_stay_without_data(tmp_path, header, rate, how, tile):
    rate[OUTSIDE] = 0
    hdu = fits.CompImageHDU(
        rate, header, name="SCI", dither_seed=1, tile_shape=tile, **how
    )
    with opened(tmp_path / "a.fits.fz", hdu) as image:
        missing = np.isnan(image.read(*EVERY))
        part = np.isnan(image.read(slice(100, 130), slice(150, 220)))
    assert missing[OUTSIDE].all()
    if (missing & ~OUTSIDE).any():  # noise beside the edge
        assert distance_transform_edt(~OUTSIDE)[missing].max() < 8
    np.testing.assert_array_equal(part, missing[100:130, 150:220])


@pytest.mark.parametrize("how", LOSSY, ids=name_of)
def test_zero_weights_stay_zero(tmp_path, header, rate, how):
    weight = np.random.default_rng(2).normal(1890, 20, SHAPE).astype("f4")
    weight[OUTSIDE] = rate[OUTSIDE] = 0
    how = {"dither_seed": 1, **how}
    science = fits.CompImageHDU(rate, header, name="SCI", **how)
    maps = fits.CompImageHDU(weight, name="WHT", **how)
    with opened(tmp_path / "a.fits.fz", science, maps) as image:
        np.testing.assert_array_equal(image.weight(*EVERY) == 0, OUTSIDE)
        np.testing.assert_array_equal(np.isnan(image.read(*EVERY)), OUTSIDE)
    with fits.open(tmp_path / "a.fits.fz") as hdus:
        given = BandImage(hdus)
        np.testing.assert_array_equal(np.isnan(given.read(*EVERY)), OUTSIDE)


@pytest.mark.parametrize(
    "rest", ["noise around zero", "rounding", "a mark", "a rest beside zeros"]
)
def test_what_is_left_of_zero_weights_is_seen_without_keywords(
    tmp_path, header, rate, rest
):
    rng = np.random.default_rng(3)
    weight = rng.normal(1890, 20, SHAPE).astype("f4")
    left = {
        "noise around zero": rng.uniform(-3, 3, SHAPE),
        "rounding": rng.uniform(0, 1e-4, SHAPE),
        "a mark": np.full(SHAPE, -1.0),
        "a rest beside zeros": rng.uniform(0, 5, SHAPE),
    }
    if rest == "a rest beside zeros":
        rate[OUTSIDE] = 0
    weight[OUTSIDE] = left[rest][OUTSIDE]
    science = fits.ImageHDU(rate, header, name="SCI")
    maps = fits.ImageHDU(weight, name="WHT")
    with opened(tmp_path / "a.fits", science, maps) as image:
        if rest != "a rest beside zeros":
            np.testing.assert_array_equal(image.weight(*EVERY) == 0, OUTSIDE)
        np.testing.assert_array_equal(np.isnan(image.read(*EVERY)), OUTSIDE)


def test_small_weights_beside_a_mark_stay(tmp_path, header, rate):
    weight = np.where(OUTSIDE, -1.0, 1e-3).astype("f4")
    weight[:, :100] = 0.5
    science = fits.ImageHDU(rate, header, name="SCI")
    maps = fits.ImageHDU(weight, name="WHT")
    with opened(tmp_path / "a.fits", science, maps) as image:
        np.testing.assert_array_equal(image.weight(*EVERY) == 0, OUTSIDE)


@pytest.mark.parametrize("how", LOSSY, ids=name_of)
def test_lossy_pixels_of_a_full_mosaic_all_have_data(tmp_path, header, rate, how):
    hdu = fits.CompImageHDU(rate, header, name="SCI", dither_seed=1, **how)
    with opened(tmp_path / "a.fits.fz", hdu) as image:
        assert np.isfinite(image.read(*EVERY)).all()
