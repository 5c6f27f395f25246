import numpy as np
import pytest
from astropy.wcs import WCS

from clusterkeras.catalogue.truth.extent import area_px, pixel_scale_arcsec
from data_tools.mosaics.mosaic import open_mosaics

NAN = np.nan


def places(*x, scale=0.04, turned_deg=30.0):
    """Return x, y, ra and dec of rows on a mosaic that is turned on the sky."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ("RA---TAN", "DEC--TAN"), (359.999, -60.0)
    turn, step = np.radians(turned_deg), scale / 3600
    wcs.wcs.cd = step * np.array(
        [[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    )
    x = np.array(x, float)
    return (x, 3 * x, *wcs.all_pix2world(x, 3 * x, 0))


@pytest.mark.parametrize(
    ("meta", "rows", "scale"),
    [
        ({"target": {"pixel_scale_arcsec": 0.05}}, (0, 100), 0.05),
        ({"target": {"pixel_scale_arcsec": "0.05"}}, (0, 100), 0.04),
        ({"target": {"pixel_scale_arcsec": NAN}}, (0, 100), 0.04),
        ({"target": {"pixel_scale_arcsec": -1}}, (0, 100), 0.04),
        ({"target": "m83"}, (0, 100), 0.04),
        ({}, (0, 100, 100, 5000), 0.04),
        ({}, (NAN, 0, NAN, 500), 0.04),
        # too near to each other, one, none
        ({}, (100, 101), None),
        ({}, (100,), None),
        ({}, (), None),
        ({}, (NAN, NAN), None),
    ],
)
def test_the_size_of_a_pixel_is_what_metadata_or_places_tell(meta, rows, scale):
    found = pixel_scale_arcsec(meta, *places(*rows))
    assert found == (scale and pytest.approx(scale, rel=1e-4))


@pytest.mark.parametrize(
    ("stated", "area"),
    [
        (1000, 1000),
        (1000.0, 1000),
        *((value, None) for value in (0, -1, NAN, np.inf, "1000", None, True)),
    ],
)
def test_an_area_is_known_if_the_metadata_state_one(stated, area):
    assert area_px({"pixels_with_data": stated}, None) == area
    assert area_px({}, None) is None


@pytest.fixture
def images(tmp_path, m83, write_band):
    """Return mosaics a quarter of which has no data in one band or the other."""
    paths = []
    for i, band in enumerate(m83.bands[:2]):
        rate = np.random.default_rng(i).normal(1, 0.1, (300, 200))
        rate[150 * i : 150 * i + 75] = np.nan
        paths.append(write_band(tmp_path / f"{band.name}.fits", rate, band))
    return paths


def test_the_area_of_mosaics_is_that_where_all_bands_have_data(images, m83):
    assert area_px({"pixels_with_data": 5}, images) == 150 * 200
    assert area_px({}, images[0]) == area_px({}, images[:1]) == 225 * 200
    with open_mosaics(images, m83.band_names[:2], m83.pixel_scale_arcsec) as opened:
        assert area_px({}, opened) == 150 * 200
    assert area_px({}, opened) is None


def test_mosaics_of_another_catalogue_are_named(images, caplog):
    area_px({"images": ["F336W.fits", "F814W.fits"]}, images[:1])
    assert not caplog.text
    area_px({"images": ["F336W.fits", "F814W.fits"]}, images)
    assert "that of F336W.fits, F438W.fits, and the catalogue is of" in caplog.text


def test_mosaics_of_several_sizes_or_none_are_refused(images, write_band, tmp_path):
    small = write_band(tmp_path / "small.fits", np.ones((100, 100)))
    with pytest.raises(ValueError, match=r"one grid; .* of 100 x 100, 200 x 300"):
        area_px({}, [images[0], small])
    with pytest.raises(ValueError, match="images: expected mosaics on one grid"):
        area_px({}, [])
    with pytest.raises(FileNotFoundError, match=r"nowhere\.fits"):
        area_px({}, [tmp_path / "nowhere.fits"])
