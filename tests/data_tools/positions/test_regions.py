"""Regions that were drawn in DS9 and CASA, as positions."""

import logging

import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from astropy.wcs import WCS

from data_tools.positions.places import find_places
from data_tools.positions.read_positions import pixel_positions, read_positions

DS9 = """# Region file format: DS9 version 4.1
global color=green
image
circle(100,100,5) # text={one}
point(20.5,30) # point=x
ellipse(40,50,3,4,20)
box(10,20,5,6,0)
polygon(1,1,5,1,5,5,1,5)
line(1,2,3,4)
icrs
circle(13:37:00.0,-29:52:12,1.5")
point(204.25d,-29.87d)
"""


HEADER = {
    **{"CTYPE1": "RA---TAN", "CRVAL1": 204.25, "CRPIX1": 51, "CDELT1": -1.1e-5},
    **{"CTYPE2": "DEC--TAN", "CRVAL2": -29.87, "CRPIX2": 51, "CDELT2": 1.1e-5},
}
#: Physical coordinates to pixels of a mosaic that was cut out at (1000, 500).
CUT_OUT = np.array([[1.0, 0, -1000], [0, 1, -500]])
ECLIPTIC = "barycentricmeanecliptic"


@pytest.fixture
def wcs():
    return WCS(HEADER)


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
    np.testing.assert_allclose(x, [99, 19.5, 39, 9, 2, 1, 50, 50], atol=1e-3)
    np.testing.assert_allclose(y, [99, 29, 49, 19, 2, 2, 50, 50], atol=1e-3)


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


#: A file with one place, which is pixel (20, 30) of the mosaic, and what the log says.
ONE_PLACE = {
    "a remark": (
        "image\ncircle(21,31,2)\n# text(5,5) text={look}",
        "1 text (a remark)",
    ),
    "a drawn remark": (
        "image\ncircle(21,31,2)\n# vector(5,5,1,2)",
        "1 vector (a remark)",
    ),
    "a text without #": ("image\ncircle(21,31,2)\ntext(5,5) # text={a}", "text(5,5)"),
    "a vector": ("image\ncircle(21,31,2)\nvector(1,2,3,4)", "vector(1,2,3,4)"),
    "a comment with commands": ("image\n# ; fk5; circle(1,2,3)\ncircle(21,31,2)", ""),
    "excluded": ("image\ncircle(21,31,2)\n-circle(5,5,2)", "1 excluded"),
    "excluded, one line": ("image;-circle(5,5,2);circle(21,31,2)", "1 excluded"),
    "excluded by a mark": ("image\n!box(5,5,2,2,0)\ncircle(21,31,2)", "1 excluded"),
    "excluded by a property": (
        "image\ncircle(5,5,2) # include=0\ncircle(21,31,2) # text={include=0}",
        "1 excluded",
    ),
    "included": ("image\n+circle(21,31,2)", ""),
    "a frame on the line": ("image;circle(21,31,2) # color=red", ""),
    "a frame before the shape": ("image circle(21,31,2)", ""),
    "capitals": ("IMAGE\nCIRCLE(21,31,2)", ""),
    "words without brackets": ("image\ncircle 21 31 2 # color=red", ""),
    "words with spaces": ("image\n circle ( 21 , 31 , 2 )", ""),
    "a frame on the global line": (
        "global color=green dashlist=8 3 image\ncircle(21,31,2)",
        "",
    ),
    "a frame after the global line": ("global color=green;image;circle(21,31,2)", ""),
    "a frame in a font": ('global font="fk5 10 bold"\nimage;circle(21,31,2)', ""),
    "a text with a semicolon": ("image\ncircle(21,31,2) # text={a; fk5; b}", ""),
    "a last frame of two": ("fk5\nimage\ncircle(21,31,2)", ""),
    "no frame": ("circle(1021,531,2)", "taken for physical, as DS9 does"),
    "no frame, sexagesimal": ("circle({fk5_hms},2)", "taken for fk5, as DS9 does"),
    "an image with angles": ("image\ncircle({fk5_d},2)", ""),
    "a size on the sky": ('image\ncircle(21,31,0.2")', ""),
    "a size in pixels": ("fk5\ncircle({fk5},5i)", ""),
    "pixels by their letter": ("fk5\ncircle(21i,31i,5i)", ""),
    "physical by its letter": ("fk5\ncircle(1021p,531p,5i)", "by its LTM and LTV"),
    "physical": ("physical\ncircle(1021,531,5)", "by its LTM and LTV"),
    "physical, one line": ("physical;point(1021,531)", "by its LTM and LTV"),
    "fk5": ("fk5\ncircle({fk5},2i)", ""),
    "J2000": ("J2000\ncircle({fk5},2i)", ""),
    "fk4": ("fk4\ncircle({fk4},2i)", ""),
    "B1950": ("b1950\ncircle({fk4_hms},2i)", ""),
    "icrs": ("icrs\ncircle({icrs},2i)", ""),
    "letters of angle": ("icrs\ncircle({icrs_letters},2i)", ""),
    "radians": ("icrs\npoint({icrs_r})", ""),
    "galactic": ("galactic\ncircle({galactic},2i)", ""),
    "galactic, sexagesimal": ("galactic\ncircle({galactic_dms},2i)", ""),
    "ecliptic": ("ecliptic\ncircle({barycentricmeanecliptic},2i)", ""),
    "below zero": ("icrs\npoint({icrs_west})", ""),
    "a panda": ("image\npanda(21,31,0,360,4,5,10,1)", ""),
    "many rings": ("image\nannulus(21,31,5,10,15,20)", ""),
    "many boxes": ("image\nbox(21,31,2,2,4,4,6,6,10)", ""),
    "a composite's parts": (
        "image\n# composite(1,1,0) || composite=1\ncircle(21,31,5) ||",
        "",
    ),
    "corners": ("image\npolygon(20,30,22,30,22,32,20,32)", "1 regions is the mean"),
    "a byte order mark": ("\ufeffimage\ncircle(21,31,2)", ""),
    "a minus from a page": ("icrs\ncircle({icrs_minus},2i)", ""),
    "Windows' lines": ("image\r\ncircle(21,31,2)\r\n", ""),
    "old lines": ("image\rcircle(21,31,2)\r", ""),
}
CASA = "#CRTFv0 CASA Region Text Format version 0\n"
ONE_CASA_PLACE = {
    "pixels": ("circle[[20pix, 30pix], 5pix]", ""),
    "pixels under a frame": ("global coord=J2000\ncircle[[20pix, 30pix], 5pix]", ""),
    "J2000 by default": ("circle[[{fk5_casa}], 5arcsec]", ""),
    "J2000": ("circle[[{fk5_casa}], 5arcsec], coord=J2000", ""),
    "ICRS": ("ellipse[[{icrs_casa}], [2arcsec, 1arcsec], 3deg], coord=ICRS", ""),
    "B1950": ("symbol[[{fk4_casa}], .], coord=B1950", ""),
    "galactic": ("symbol[[{galactic_casa}], .], coord=GALACTIC", ""),
    "supergalactic": ("symbol[[{supergalactic_casa}], .], coord=SUPERGAL", ""),
    "ecliptic": ("symbol[[{barycentricmeanecliptic_casa}], .], coord=ECLIPTIC", ""),
    "a frame for all": ("global coord=GALACTIC\nsymbol[[{galactic_casa}], .]", ""),
    "a frame of its own": (
        "global coord=GALACTIC\nsymbol[[{icrs_casa}], .], coord=ICRS",
        "",
    ),
    "a size in pixels": ("circle[[{icrs_casa}], 5pix], coord=ICRS", ""),
    "excluded": (
        "circle[[20pix, 30pix], 5pix]\n-circle[[2pix, 3pix], 5pix]",
        "1 excluded",
    ),
    "a note": (
        "circle[[20pix, 30pix], 5pix]\nann circle[[2pix, 3pix], 5pix]",
        "1 circle (a remark)",
    ),
    "a text": (
        "circle[[20pix, 30pix], 5pix]\ntext[[2pix, 3pix], 'here']",
        "1 text (a remark)",
    ),
    "a box": ("box[[10pix, 20pix], [30pix, 40pix]]", "mean of their corners"),
    "rings": ("annulus[[20pix, 30pix], [5pix, 7pix]]", ""),
    "other properties": (
        "circle[[20pix, 30pix], 5pix], range=[1GHz, 2GHz], corr=[I, Q]",
        "",
    ),
}


def in_words():
    """Return pixel (20, 30) of the mosaic in each frame and way of writing."""
    sky = SkyCoord(*WCS(HEADER).wcs_pix2world(20, 30, 0), unit="deg")
    words = {}
    for name in ("icrs", "fk5", "fk4", "galactic", "supergalactic", ECLIPTIC):
        place = sky.transform_to(name).spherical
        lon, lat = place.lon.deg, place.lat.deg
        words[name] = f"{lon:.9f},{lat:.9f}"
        words[f"{name}_d"] = f"{lon:.9f}d,{lat:.9f}d"
        words[f"{name}_casa"] = f"{lon:.9f}deg, {lat:.9f}deg"
        words[f"{name}_minus"] = words[name].replace("-", "\u2212")
        words[f"{name}_west"] = f"{lon - 360:.9f},{lat:.9f}"
        words[f"{name}_r"] = f"{np.deg2rad(lon):.12f}r,{np.deg2rad(lat):.12f}r"
        dms = [Angle(a, "deg").to_string(sep=":", precision=5) for a in (lon, lat)]
        words[f"{name}_dms"] = ",".join(dms)
        hms = Angle(lon, "deg").to_string("hour", sep=":", precision=7)
        words[f"{name}_hms"] = f"{hms},{dms[1]}"
        letters = Angle(lon, "deg").to_string("hour", precision=7)
        words[f"{name}_letters"] = (
            f"{letters},{Angle(lat, 'deg').to_string(precision=5)}"
        )
    return words


@pytest.mark.parametrize(
    ("text", "suffix", "said"),
    [
        pytest.param(text, suffix, said, id=f"{suffix}: {key}")
        for head, suffix, of in (("", "reg", ONE_PLACE), (CASA, "crtf", ONE_CASA_PLACE))
        for key, (text, said) in of.items()
        for text in (head + text,)
    ],
)
def test_of_every_way_to_write_a_region_its_place_is_found(
    tmp_path, wcs, caplog, text, suffix, said
):
    path = tmp_path / f"mine.{suffix}"
    words = {f"{{{key}}}": value for key, value in in_words().items()}
    for key, value in words.items():
        text = text.replace(key, value)
    path.write_bytes(text.encode())
    with caplog.at_level(logging.WARNING):
        table = read_positions(path)
        places = find_places(table, wcs, None, "mine", CUT_OUT)
    np.testing.assert_allclose([places.x, places.y], [[20], [30]], atol=2e-3)
    assert said in caplog.text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_every_encoding_is_read(tmp_path, encoding):
    path = tmp_path / "mine.reg"
    path.write_bytes("image\ncircle(5,6,2) # text={é}\n".encode(encoding))
    assert list(read_positions(path)["text"]) == ["é"]


def test_physical_coordinates_of_a_mosaic_that_is_no_cutout_are_its_pixels(
    tmp_path, wcs, caplog
):
    (tmp_path / "p.reg").write_text("physical\ncircle(5,6,2)\nimage\ncircle(7,8,2)\n")
    with caplog.at_level(logging.WARNING):
        places = find_places(read_positions(tmp_path / "p.reg"), wcs)
    np.testing.assert_array_equal([places.x, places.y], [[4, 6], [5, 7]])
    assert "taken for those of the image" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detector\ncircle(5,6,2)", "line 2: .* received detector; save"),
        ("image;circle(5,6,2)\namplifier;circle(5,6,2)", "line 2: .* amplifier; save"),
        ("wcsb\ncircle(5,6,2)", "received wcsb; save"),
        ("linear\ncircle(5,6,2)", "received linear; save"),
        ("fk5\npoint(21i,31p)", "line 2: expected coordinates in one system"),
        ("image\nvector(1,2,3,4)", "no region in it that can be read: the command"),
        ("image\n-circle(1,2,3)", "no region in it that can be read: 1 excluded"),
        ("# Region file format: DS9", "no region in it that can be read"),
        ("icrs\ncircle(east,north,2)", "the circle of line 2 .east, north is no"),
        ("icrs\ncircle(204,-99,2)", "the circle of line 2 .204, -99 is no place"),
        ("icrs\ncircle(404,-9,2)", "the circle of line 2 .404 is no longitude"),
        ("image\ncircle()", "the circle of line 2 .without coordinates"),
        ("image\n" + "1 2\n" * 99, "and 93 more"),
        ("#CRTF\ncircle[[1deg, 2deg], 5pix], coord=JTRUE", "line 2: .* received JTRUE"),
        ("#CRTF\nsquare[[1pix, 2pix], 5pix]", "the command 'square"),
    ],
)
def test_what_has_no_place_is_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "none.reg").write_text(text)
    with pytest.raises(ValueError, match=f"none.reg: .*{message}") as caught:
        read_positions(tmp_path / "none.reg")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_polygon_on_the_sky_may_cross_the_meridian(tmp_path):
    (tmp_path / "p.reg").write_text("icrs\npolygon(359.9,1,0.1,1,0.1,2,359.9,2)\n")
    ra = read_positions(tmp_path / "p.reg")["ra"].value[0]
    assert min(ra, 360 - ra) < 1e-6


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("# Region file format: DS9 version 4.1\nimage\ncircle(161,121,3)\n", 161),
        ("#CRTFv0\ncircle[[160pix,120pix],3pix]\n", 160),
    ],
)
@pytest.mark.parametrize("name", ["regions.txt", "regions", "regions.csv"])
def test_regions_are_known_by_their_first_line(tmp_path, text, x, name):
    (tmp_path / name).write_text(text)
    assert read_positions(tmp_path / name)["x"].value.tolist() == [x]
