"""One band of a mosaic in its FITS file."""

import gzip
import logging
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from data_tools.mosaics.band_image import BandImage
from data_tools.target import Target

BAND = Target.load("m83-wfc3-uvis").bands[1]
SHAPE = (300, 200)
ROWS, COLUMNS = slice(250, 262), slice(30, 40)
#: Where Linux says what a process has in memory.
STATUS = Path("/proc/self/status")


@pytest.fixture
def rate():
    return np.random.default_rng(1).normal(0.1, 0.02, SHAPE).astype(np.float32)


@pytest.fixture
def path(tmp_path, rate, write_band):
    return write_band(tmp_path / "F438W.fits", rate, BAND)


def read(path, rows=ROWS):
    with closing(BandImage(path)) as plane:
        return plane.read(rows, COLUMNS)


def edit(path, **keywords):
    with fits.open(path, mode="update") as hdus:
        for key, value in keywords.items():
            if value is None:
                del hdus[0].header[key]
            else:
                hdus[0].header[key] = value
    return path


def mapped_bytes():
    """Return the bytes of files that this process has in memory."""
    return 1024 * int(re.search(r"RssFile:\s+(\d+) kB", STATUS.read_text())[1])


def refused(path, message, error=ValueError):
    with pytest.raises(error, match=message) as caught:
        BandImage(path)
    assert re.search(r"\n", str(caught.value)) is None
    assert str(path) in str(caught.value)


def as_drc(path, tmp_path):
    """Write the same image as a multi-extension drizzled file with weights."""
    with fits.open(path) as hdus:
        image, header = hdus[0].data.copy(), hdus[0].header.copy()
    primary = fits.Header()
    for key in ("FILTER", "EXPTIME", "NCOMBINE", "PHOTFLAM", "PHOTPLAM"):
        primary[key] = header.pop(key)
    weight = np.full(SHAPE, 1880.0, np.float32)
    weight[255, 35] = 0
    drc = tmp_path / "f438w_drc.fits"
    fits.HDUList(
        [
            fits.PrimaryHDU(header=primary),
            fits.ImageHDU(image, header, name="SCI"),
            fits.ImageHDU(weight, name="WHT"),
            fits.ImageHDU(np.ones(SHAPE, np.int32), name="CTX"),
        ]
    ).writeto(drc)
    return drc


def as_tiles(path, tmp_path):
    with fits.open(path) as hdus:
        tiles = fits.CompImageHDU(
            hdus[0].data, hdus[0].header, quantize_level=0, compression_type="GZIP_1"
        )
    compressed = tmp_path / "F438W.fits.fz"
    tiles.writeto(compressed)
    return compressed


def as_gzip(path, tmp_path):
    zipped = tmp_path / "F438W.fits.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    return zipped


def test_pixels_are_calibrated_by_the_header(path, rate):
    pixels = read(path)
    expected = rate[ROWS, COLUMNS] * BAND.njy_per_electron_s
    np.testing.assert_allclose(pixels, expected, rtol=1e-5)


def test_a_keyword_may_stand_in_the_first_header_or_the_image_s(path, tmp_path):
    drc = as_drc(path, tmp_path)
    edit(drc, NCOMBINE=7)
    with closing(BandImage(drc)) as plane:
        assert plane.band == ("F438W",)
        assert plane.calibration.n_exposures == 7


@pytest.mark.parametrize("convert", [as_drc, as_tiles, as_gzip])
def test_every_kind_of_file_gives_the_same_pixels(path, tmp_path, convert):
    expected = read(path)
    pixels = read(convert(path, tmp_path))
    if convert is as_drc:
        assert np.isnan(pixels[5, 5])
        pixels[5, 5] = expected[5, 5]
    np.testing.assert_array_equal(pixels, expected)


def test_scaled_integers_are_read(path, rate, tmp_path):
    with fits.open(path) as hdus:
        hdu = fits.PrimaryHDU(hdus[0].data, hdus[0].header)
    hdu.scale("int16", bscale=1e-4)
    hdu.writeto(tmp_path / "integers.fits")
    pixels = read(tmp_path / "integers.fits")
    expected = rate[ROWS, COLUMNS] * BAND.njy_per_electron_s
    np.testing.assert_allclose(pixels, expected, atol=1e-4 * BAND.njy_per_electron_s)


def test_a_gzipped_file_says_that_it_is_read_whole(path, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        read(as_gzip(path, tmp_path))
    assert "read into memory" in caplog.text


def test_a_strip_border_leaves_no_seam(path, tmp_path):
    # strips of a tile-compressed file are 256 rows high
    rows = slice(240, 290)
    np.testing.assert_array_equal(
        read(as_tiles(path, tmp_path), rows), read(path, rows)
    )


@pytest.mark.parametrize("mark", [np.nan, 0.0])
def test_pixels_without_exposure_are_nan(tmp_path, rate, mark, write_band):
    rate[250, 30] = mark
    missing = np.isnan(read(write_band(tmp_path / "holes.fits", rate, BAND)))
    assert missing[0, 0]
    assert missing.sum() == 1


def test_weights_are_those_of_the_file_and_one_without(path, tmp_path):
    with closing(BandImage(path)) as plane:
        assert not plane.has_weight
        np.testing.assert_array_equal(plane.weight(ROWS, COLUMNS), np.ones((12, 10)))
    drc = as_drc(path, tmp_path)
    with fits.open(drc, mode="update") as hdus:
        hdus["WHT"].data[251, 32] = np.nan
    with closing(BandImage(drc)) as plane:
        assert plane.has_weight
        weight = plane.weight(ROWS, COLUMNS)
    assert (weight[0, 0], weight[5, 5], weight[1, 2]) == (1880, 0, 0)


@pytest.mark.parametrize("ending", [".fits", ".fits.fz"])
@pytest.mark.parametrize("stem", ["m83_f438w_drc_sci", "m83_f438w_exp-drc-sci"])
def test_weights_in_a_file_beside_are_found(path, tmp_path, stem, ending):
    science = path.rename(tmp_path / f"{stem}.fits")
    weight = np.full(SHAPE, 1880.0, np.float32)
    weight[255, 35] = 0
    hdu = fits.PrimaryHDU(weight)
    if ending == ".fits.fz":
        compressed = fits.CompImageHDU(
            weight, quantize_level=0, compression_type="GZIP_1"
        )
        science = as_tiles(science, tmp_path).rename(tmp_path / f"{stem}.fits.fz")
        hdu = fits.HDUList([fits.PrimaryHDU(), compressed])
    hdu.writeto(tmp_path / f"{stem[:-3]}wht{ending}")
    with closing(BandImage(science)) as plane:
        assert plane.has_weight
        missing = np.isnan(plane.read(ROWS, COLUMNS))
        assert plane.weight(ROWS, COLUMNS)[0, 0] == 1880
    assert missing[5, 5]
    assert missing.sum() == 1


def test_weights_beside_that_do_not_fit_are_refused_by_name(path, tmp_path):
    science = path.rename(tmp_path / "m83_sci.fits")
    fits.PrimaryHDU(np.ones((5, 6))).writeto(tmp_path / "m83_wht.fits")
    with pytest.raises(ValueError, match=r"m83_wht.fits: expected weights of 300 x"):
        BandImage(science)


@pytest.mark.parametrize("name", ["WHT", "DQ"])
def test_maps_in_the_file_that_do_not_fit_are_refused(path, tmp_path, name):
    drc = as_drc(path, tmp_path)
    with fits.open(drc, mode="update") as hdus:
        hdus.append(fits.ImageHDU(np.ones((5, 6), np.float32), name=name))
        if name == "WHT":
            del hdus["WHT", 1]
    with pytest.raises(ValueError, match=rf"\({name}\) of 300 x .*received 5 x 6"):
        BandImage(drc)


def test_a_file_without_wcs_is_refused(path):
    refused(edit(path, CTYPE1=None, CTYPE2=None), "expected a celestial WCS")


@pytest.mark.parametrize("keyword", ["EXPTIME", "PHOTFLAM", "BUNIT", "FILTER"])
@pytest.mark.parametrize("written", ["N/A", "NaN", "1200,5", "3 s"])
def test_a_card_that_is_not_as_fits_writes_it_is_refused(path, keyword, written):
    content = path.read_bytes()
    at = content.index(f"{keyword:8}=".encode())
    card = f"{keyword:8}= {written}".ljust(80).encode()
    path.write_bytes(content[:at] + card + content[at + 80 :])
    refused(path, f"the header is not readable: .*{keyword}.*; write a text in quotes")


def test_a_missing_file_is_named(tmp_path):
    refused(tmp_path / "absent.fits", "no such mosaic", FileNotFoundError)


def test_a_file_that_is_not_fits_is_refused(tmp_path):
    (tmp_path / "text.fits").write_text("not an image")
    refused(tmp_path / "text.fits", "not readable as FITS")


@pytest.mark.parametrize("convert", [None, as_drc, as_tiles, as_gzip])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_file_is_refused(path, tmp_path, convert, share):
    whole = convert(path, tmp_path) if convert else path
    cut = tmp_path / f"cut_{whole.name}"
    cut.write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
    refused(cut, "cut short")


def test_an_exposure_of_two_chips_is_refused(path, tmp_path):
    drc = as_drc(path, tmp_path)
    with fits.open(drc, mode="append") as hdus:
        hdus.append(fits.ImageHDU(np.zeros(SHAPE, np.float32), name="SCI", ver=2))
    refused(drc, "expected one SCI extension, found 2")


def test_a_cube_is_refused(path, tmp_path):
    with fits.open(path) as hdus:
        fits.PrimaryHDU(np.zeros((2, 4, 4)), hdus[0].header).writeto(
            tmp_path / "cube.fits"
        )
    refused(tmp_path / "cube.fits", "expected a 2-D image, found none")


@pytest.mark.skipif(not STATUS.is_file(), reason="needs Linux")
def test_what_was_read_does_not_stay_in_memory(tmp_path, write_band):
    side = 4096
    path = write_band(tmp_path / "F438W.fits", np.ones((side, side), np.float32), BAND)
    with closing(BandImage(path)) as plane:
        before = mapped_bytes()
        for top in range(0, side, 256):
            assert (plane.read(slice(top, top + 256), slice(0, side)) > 0).all()
        assert mapped_bytes() - before < path.stat().st_size / 2


def test_physical_coordinates_are_those_of_ltm_and_ltv(tmp_path, write_band):
    path = write_band(tmp_path / "a.fits", np.ones((8, 9)), LTV1=-1000.0, LTM2_2=0.5)
    with closing(BandImage(path)) as plane:
        np.testing.assert_array_equal(plane.physical, [[1, 0, -1000], [0, 0.5, 0]])
    with closing(BandImage(write_band(tmp_path / "b.fits", np.ones((8, 9))))) as plane:
        assert plane.physical is None
    with pytest.raises(ValueError, match=r"c.fits: expected a number in LTV1"):
        BandImage(write_band(tmp_path / "c.fits", np.ones((8, 9)), LTV1="N/A"))
