"""Regions that were drawn in DS9 and CASA, as positions."""

import logging

import numpy as np
import pytest
from astropy.wcs import WCS

from data_tools.positions.read_positions import pixel_positions, read_positions

DS9 = """# Region file format: DS9 version 4.1
global color=green
image
circle(100,100,5) # text={one}
point(20.5,30) # point=x
ellipse(40,50,3,4,20)
box(10,20,5,6,0)
polygon(1,1,5,1,5,5,1,5)
-circle(7,8,2)
line(1,2,3,4)
icrs
circle(13:37:00.0,-29:52:12,1.5")
point(204.25d,-29.87d)
"""


@pytest.fixture
def wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [204.25, -29.87]
    wcs.wcs.crpix = [51, 51]
    wcs.wcs.cdelt = [-1.1e-5, 1.1e-5]
    return wcs


@pytest.fixture
def read(tmp_path, wcs):
    def read(text, name):
        (tmp_path / name).write_text(text)
        table = read_positions(tmp_path / name)
        return table, *pixel_positions(table, wcs, None, name)

    return read


def test_the_centre_of_each_ds9_region_is_a_row_counted_from_one(read):
    table, x, y = read(DS9, "mine.reg")
    assert list(table["shape"][:3]) == ["circle", "point", "ellipse"]
    assert table["text"][0] == "one"
    # DS9 calls the middle of the first pixel 1
    np.testing.assert_allclose(x, [99, 19.5, 39, 9, 2, 6, 1, 50, 50], atol=1e-3)
    np.testing.assert_allclose(y, [99, 29, 49, 19, 2, 7, 2, 50, 50], atol=1e-3)


def test_casa_s_regions_count_from_zero_and_are_j2000_unless_they_say(read):
    _, x, y = read(
        "#CRTFv0 CASA Region Text Format version 0\n"
        "circle[[10pix, 20pix], 5pix]\n"
        "symbol[[204.25deg, -29.87deg], .]\n"
        "ellipse[[13h37m00s, -29d52m12s], [2.3arcsec, 1.2arcsec], 12deg]\n",
        "mine.crtf",
    )
    assert x[0] == 10
    # J2000 is FK5, 23 milliarcsec or 0.8 px from the ICRS here
    np.testing.assert_allclose(x, [10, 50, 50], atol=1)
    np.testing.assert_allclose(y, [20, 50, 50], atol=1)


def test_physical_coordinates_are_the_image_s_and_it_is_told(read, caplog):
    with caplog.at_level(logging.WARNING):
        _, x, _ = read("physical\ncircle(5,6,2)\n", "physical.reg")
    assert x == [4]
    assert "physical coordinates are taken" in caplog.text


def test_what_cannot_be_read_is_told_and_nothing_at_all_is_refused(read, caplog):
    with caplog.at_level(logging.WARNING):
        table, _, _ = read("image\nvector(1,2,3,4)\ncircle(5,6,2)\n", "some.reg")
    assert len(table) == 1
    assert 'not all could be: "vector"' in caplog.text
    with pytest.raises(ValueError, match=r"none.reg: .*no region in it"):
        read("image\nvector(1,2,3,4)\n", "none.reg")


def test_a_polygon_on_the_sky_may_cross_the_meridian(tmp_path):
    (tmp_path / "p.reg").write_text("icrs\npolygon(359.9,1,0.1,1,0.1,2,359.9,2)\n")
    ra = read_positions(tmp_path / "p.reg")["ra"].value[0]
    assert min(ra, 360 - ra) < 1e-6
