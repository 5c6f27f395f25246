"""Positions in columns: their names, frames, units and words."""

import logging
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Angle, SkyCoord
from astropy.table import Column, MaskedColumn, QTable, Table
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS

from data_tools.positions.columns.names import find_positions
from data_tools.positions.places import find_places
from data_tools.positions.read_positions import read_positions
from data_tools.running.table_file import write_table

SKY = SkyCoord(204.25, -29.87, unit="deg")
ECLIPTIC = "barycentricmeanecliptic"
EXACT_DEG = 3e-9


def lonlat(frame):
    place = SKY.transform_to(frame).spherical
    return place.lon.deg, place.lat.deg


def pair(names, frame="icrs", units=(None, None), meta=None, ucds=None, described=None):
    table = Table([[value] for value in lonlat(frame)], names=names, meta=meta)
    for column, unit in zip(names, units, strict=True):
        table[column].unit = unit and u.Unit(unit, parse_strict="silent")
    for column, ucd in zip(names, ucds or (), strict=False):
        table[column].meta["ucd"] = ucd
    if described:
        table[names[0]].description = described
    return table


RADEC = ("ra", "dec")
FRAMES = {
    "nothing said": pair(RADEC),
    "J2000 by name, which is ICRS": pair(("_RAJ2000", "_DEJ2000")),
    "J2000 in brackets": pair(("RA (J2000)", "Dec (J2000)")),
    "FK5 by RADESYS": pair(RADEC, "fk5", meta={"RADESYS": "FK5"}),
    "FK5 by EQUINOX": pair(RADEC, "fk5", meta={"EQUINOX": 2000.0}),
    "J2000 that RADESYS says to be FK5": pair(
        ("RAJ2000", "DEJ2000"), "fk5", meta={"RADESYS": "FK5"}
    ),
    "FK5 of 1975": pair(
        RADEC,
        SkyCoord(0, 0, unit="deg", frame="fk5", equinox="J1975").frame,
        meta={"RADESYS": "FK5", "EQUINOX": 1975.0},
    ),
    "FK4 by RADESYS": pair(RADEC, "fk4", meta={"radesys": "FK4 "}),
    "FK4 by the old keyword": pair(RADEC, "fk4", meta={"RADECSYS": "FK4"}),
    "FK4 by EQUINOX": pair(RADEC, "fk4", meta={"EQUINOX": "B1950.0"}),
    "FK4 in words": pair(RADEC, "fk4", meta={"frame": "FK4, equinox B1950"}),
    "FK4 in a comment": pair(RADEC, "fk4", meta={"comments": ["RADESYS = FK4"]}),
    "VizieR's comment": pair(
        RADEC, "fk4", meta={"comments": ["Coosys B1950: eq_FK4 B1950"]}
    ),
    "FK4 by a description": pair(RADEC, "fk4", described="Right ascension (B1950)"),
    "FK5 by a description": pair(
        ("_RAJ2000", "_DEJ2000"),
        "fk5",
        described="Right ascension (FK5, Equinox=J2000.0)",
    ),
    "FK4 without its aberration": pair(
        RADEC, "fk4noeterms", meta={"RADESYS": "FK4-NO-E"}
    ),
    "B1950 by name": pair(("RAB1950", "DEB1950"), "fk4"),
    "ecliptic of another equinox": pair(
        ("ELON", "ELAT"),
        SkyCoord(0, 0, unit="deg", frame=ECLIPTIC, equinox="J1950").frame,
        meta={"EQUINOX": "J1950"},
    ),
    "FK5 by name": pair(("RA_FK5", "DEC_FK5"), "fk5"),
    "B1950 by name and unit": pair(("RA (B1950) [deg]", "Dec (B1950) [deg]"), "fk4"),
    "B1950 by VizieR": pair(("_RAB1950", "_DEB1950"), "fk4"),
    "B1950 in brackets": pair(("RA (B1950)", "Dec (B1950)"), "fk4"),
    "ICRS by name, whatever the table says": pair(
        ("RA_ICRS", "DE_ICRS"), meta={"RADESYS": "FK5"}
    ),
    "J2000 by name, though the table says FK4": pair(
        ("RAJ2000", "DEJ2000"), meta={"EQUINOX": 1950.0}
    ),
    "galactic": pair(("l", "b"), "galactic"),
    "GLON": pair(("GLON", "GLAT"), "galactic"),
    "galactic by UCD": pair(
        ("a1", "a2"), "galactic", ucds=("pos.galactic.lon", "pos.galactic.lat")
    ),
    "galactic by the frame of the table": pair(
        ("lon", "lat"), "galactic", meta={"frame": "galactic"}
    ),
    "supergalactic": pair(("SGL", "SGB"), "supergalactic"),
    "ecliptic": pair(("ELON", "ELAT"), ECLIPTIC),
    "ecliptic by UCD": pair(
        ("a1", "a2"), ECLIPTIC, ucds=("pos.ecliptic.lon", "pos.ecliptic.lat")
    ),
    "the main of two by UCD": Table(
        [
            Column([9.0], "a", meta={"ucd": "pos.eq.ra"}),
            Column([204.25], "b", meta={"ucd": "pos.eq.ra;meta.main"}),
            Column([-29.87], "c", meta={"ucd": "pos.eq.dec;meta.main"}),
        ]
    ),
    "sky coordinates": QTable({"pos": SKY.galactic.reshape(1)}),
    "sky coordinates of an equinox": QTable(
        {"pos": SKY.transform_to("fk4").reshape(1)}
    ),
    "galactic magnitudes are none": Table(
        {"ra": [204.25], "dec": [-29.87], "L": [3.1], "B": [21.2]}
    ),
}

UNITS = {
    "degrees": pair(RADEC, units=("degrees", "degrees")),
    "DEGREE": pair(RADEC, units=("DEGREE", "DEGREE")),
    "Deg": pair(RADEC, units=("Deg", "Deg")),
    "[deg]": pair(RADEC, units=("[deg]", "[deg]")),
    "(degrees)": pair(RADEC, units=("(degrees)", "(degrees)")),
    "in the name": pair(("RA (deg)", "Dec [deg]")),
    "words for none": pair(RADEC, units=("none", "-")),
    "radians": QTable({"ra": [SKY.ra.to(u.rad)], "dec": [SKY.dec.to(u.rad)]}),
    "RADIANS": Table(
        {
            "ra": Column([SKY.ra.rad], unit=u.Unit("RADIANS", parse_strict="silent")),
            "dec": Column([SKY.dec.rad], unit=u.Unit("Radians", parse_strict="silent")),
        }
    ),
    "hours of time": QTable({"ra": [204.25 / 15] * u.h, "dec": [-29.87] * u.deg}),
    "hours": Table(
        {
            "ra": Column([204.25 / 15], unit=u.Unit("hours", parse_strict="silent")),
            "dec": Column([-29.87], unit="deg"),
        }
    ),
    "hour angle": QTable({"ra": [204.25 / 15] * u.hourangle, "dec": [-29.87] * u.deg}),
    "seconds of time": QTable({"ra": [204.25 * 240] * u.s, "dec": [-29.87] * u.deg}),
    "arcsec and arcmin": QTable(
        {"ra": [204.25 * 3600] * u.arcsec, "dec": [-29.87 * 60] * u.arcmin}
    ),
    "mas": QTable({"ra": [204.25 * 3.6e6] * u.mas, "dec": [-29.87 * 3.6e6] * u.mas}),
    "angles": QTable({"ra": SKY.ra.reshape(1), "dec": SKY.dec.reshape(1)}),
    "west": Table({"ra": [204.25 - 360], "dec": [-29.87]}),
    "numbers as words": Table({"ra": ["204.25"], "dec": ["\N{MINUS SIGN}29.87"]}),
    "numbers as objects": Table(
        {"ra": np.array([204.25], object), "dec": np.array([-29.87], object)}
    ),
}


def words(ra, dec, units=(None, None), dtype=None):
    table = Table({"RA": np.array([ra], dtype), "Dec": np.array([dec], dtype)})
    for column, unit in zip(table.colnames, units, strict=True):
        table[column].unit = unit and u.Unit(unit, parse_strict="silent")
    return table


HMS, DMS = "13:37:00.0", "-29:52:12.0"
SEXAGESIMAL = {
    "colons": words(HMS, DMS),
    "spaces": words("13 37 00.0", "-29 52 12"),
    "letters": words("13h37m00.0s", "-29d52m12s"),
    "two parts": words("13:37.0", "-29:52.2"),
    "signs of degrees": words(
        "13h37m00.0s", "-29\N{DEGREE SIGN}52\N{PRIME}12\N{DOUBLE PRIME}"
    ),
    "a minus from a page": words(HMS, "\N{MINUS SIGN}29:52:12"),
    "a dash": words(HMS, "\N{EN DASH}29:52:12"),
    "a space that does not break": words("13\xa037\xa000", "-29\xa052\xa012"),
    "objects": words(HMS, DMS, dtype=object),
    "bytes": words(HMS.encode(), DMS.encode()),
    "bytes as objects": words(HMS.encode(), DMS.encode(), dtype=object),
    "sixty seconds": words("13:36:60.0", DMS),
    "h:m:s": words(HMS, DMS, ('"h:m:s"', '"d:m:s"')),
    "hms": words(HMS, DMS, ("hms", "dms")),
    "hourangle": words(HMS, DMS, ("hourangle", "deg")),
    "hours": words(HMS, DMS, ("h", "deg")),
    "a unit of degrees": words("204:15:00", DMS, ("deg", "deg")),
    "degrees in letters": words("204d15m00s", DMS),
    "hours by h:m:s of a number": words(204.25 / 15, -29.87, ("h:m:s", "d:m:s")),
}


def parts(dec, **more):
    names = [
        name for name in ("DE-", "DEd", "DEm", "DEs") if len(dec) > 3 or name != "DE-"
    ]
    table = {"RAh": [13], "RAm": [37], "RAs": [0.0]}
    return Table(table | {n: [v] for n, v in zip(names, dec, strict=True)} | more)


PARTS = {
    "a column of signs": parts(("-", 29, 52, 12.0)),
    "signs as bytes": parts((b"-", 29, 52, 12.0)),
    "signs as numbers": parts((-1, 29, 52, 12.0)),
    "a minus from a page": parts(("\N{MINUS SIGN}", 29, 52, 12.0)),
    "signed degrees": parts((-29, 52, 12.0)),
    "both": parts(("-", -29, 52, 12.0)),
    "all of them signed": parts((-29, -52, -12.0)),
    "degrees as words": parts(("-29", "52", "12.0")),
    "without seconds": Table({"RAh": [13], "RAm": [37.0], "DEd": [-29], "DEm": [52.2]}),
    "a sign by that name": Table(
        {"RAh": [13], "RAm": [37], "sign": ["-"], "DEd": [29], "DEm": [52.2]}
    ),
    "other names": Table(
        {"ra_h": [13], "ra_m": [37], "ra_s": [0.0]}
        | {"dec_sign": ["-"], "dec_d": [29], "dec_m": [52], "dec_s": [12.0]}
    ),
    "long names": Table(
        {"RAhour": [13], "RAmin": [37], "RAsec": [0.0]}
        | {"DEdeg": [-29], "DEmin": [52], "DEsec": [12.0]}
    ),
}


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(table, id=f"{kind}: {name}")
        for kind, tables in (
            *(("frame", FRAMES), ("unit", UNITS)),
            *(("words", SEXAGESIMAL), ("parts", PARTS)),
        )
        for name, table in tables.items()
    ],
)
def test_of_every_way_to_write_a_place_it_is_found_in_icrs(table):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        both = table, QTable(table)
    for each in both:
        _, sky = find_positions(each)
        np.testing.assert_allclose(sky.ra % 360, 204.25, atol=EXACT_DEG, rtol=0)
        np.testing.assert_allclose(sky.dec, -29.87, atol=EXACT_DEG, rtol=0)
        assert not sky.impossible.any()


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "vot", "parquet", "csv", "h5"])
@pytest.mark.parametrize("name", ["colons", "letters", "objects"])
def test_sexagesimal_words_are_read_from_every_format(tmp_path, suffix, name):
    path = tmp_path / f"words.{suffix}"
    table = SEXAGESIMAL[name]
    if suffix == "h5":
        Table({n: table[n].astype("S") for n in table.colnames}).write(path, path="t")
    else:
        write_table(Table({n: table[n].astype(str) for n in table.colnames}), path)
    _, sky = find_positions(read_positions(path))
    np.testing.assert_allclose([sky.ra, sky.dec], [[204.25], [-29.87]], atol=EXACT_DEG)


@pytest.mark.parametrize("suffix", ["ecsv", "fits", "vot"])
@pytest.mark.parametrize("unit", ["degrees", "DEGREE", "[deg]"])
def test_units_that_astropy_does_not_know_are_read_from_files(tmp_path, suffix, unit):
    path = tmp_path / f"units.{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        write_table(UNITS[unit], path)
    _, sky = find_positions(read_positions(path))
    np.testing.assert_allclose([sky.ra, sky.dec], [[204.25], [-29.87]])


@pytest.mark.parametrize("name", ["sky coordinates", "sky coordinates of an equinox"])
@pytest.mark.parametrize("suffix", ["ecsv", "fits"])
def test_columns_of_sky_coordinates_are_read_from_files(tmp_path, suffix, name):
    path = tmp_path / f"sky.{suffix}"
    FRAMES[name].write(path)
    _, sky = find_positions(read_positions(path))
    np.testing.assert_allclose([sky.ra, sky.dec], [[204.25], [-29.87]], atol=EXACT_DEG)


COOSYS = """<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>
{systems}<TABLE>
<FIELD name="{names[0]}" datatype="double" unit="deg"{ref}/>
<FIELD name="{names[1]}" datatype="double" unit="deg"{ref}/>
<DATA><TABLEDATA><TR><TD>{lon:.10f}</TD><TD>{lat:.10f}</TD></TR></TABLEDATA></DATA>
</TABLE></RESOURCE></VOTABLE>"""
B1950 = '<COOSYS ID="B1950" system="eq_FK4" equinox="B1950"/>'
J2000 = '<COOSYS ID="J2000" system="eq_FK5" equinox="J2000"/>'
GALACTIC = '<COOSYS ID="G" system="galactic"/>'


@pytest.mark.parametrize(
    ("systems", "ref", "names", "frame"),
    [
        (B1950 + J2000, "B1950", RADEC, "fk4"),
        (B1950 + J2000, "J2000", ("RAJ2000", "DEJ2000"), "fk5"),
        (B1950, None, RADEC, "fk4"),
        (B1950 + J2000, None, RADEC, "icrs"),
        (GALACTIC, "G", ("lon", "lat"), "galactic"),
        (GALACTIC + J2000, None, ("GLON", "GLAT"), "galactic"),
        ("", None, RADEC, "icrs"),
    ],
)
def test_a_votable_says_the_frame_of_its_columns(tmp_path, systems, ref, names, frame):
    lon, lat = lonlat(frame)
    ref = f' ref="{ref}"' if ref else ""
    text = COOSYS.format(systems=systems, ref=ref, names=names, lon=lon, lat=lat)
    (tmp_path / "t.vot").write_text(text)
    _, sky = find_positions(read_positions(tmp_path / "t.vot"))
    np.testing.assert_allclose([sky.ra, sky.dec], [[204.25], [-29.87]], atol=EXACT_DEG)


FRAME_IN_TEXT = {
    "a comment": "# RADESYS = FK4\nid,ra,dec\na,{lon},{lat}\n",
    "VizieR's comment": "#Coosys\tB1950:\teq_FK4 B1950\nid\tra\tdec\na\t{lon}\t{lat}\n",
    "an IPAC keyword": (
        "\\EQUINOX = 'B1950'\n"
        "|ra             |dec            |\n|double         |double         |\n"
        " {lon:15.9f} {lat:15.9f}\n"
    ),
}


@pytest.mark.parametrize("name", FRAME_IN_TEXT)
def test_a_text_says_the_frame_of_its_columns(tmp_path, name):
    lon, lat = lonlat("fk4")
    (tmp_path / "t.txt").write_text(FRAME_IN_TEXT[name].format(lon=lon, lat=lat))
    _, sky = find_positions(read_positions(tmp_path / "t.txt"))
    np.testing.assert_allclose([sky.ra, sky.dec], [[204.25], [-29.87]], atol=EXACT_DEG)


def test_of_a_votable_s_tables_each_has_the_frames_of_its_columns(tmp_path):
    lon, lat = lonlat("fk4")
    text = COOSYS.format(
        systems=B1950 + J2000, ref=' ref="B1950"', names=RADEC, lon=lon, lat=lat
    )
    other = '<TABLE><FIELD name="ra" datatype="double" ref="J2000"/></TABLE>'
    (tmp_path / "t.vot").write_text(text.replace("<TABLE>", other + "<TABLE>", 1))
    _, sky = find_positions(read_positions(tmp_path / "t.vot"))
    np.testing.assert_allclose([sky.ra, sky.dec], [[204.25], [-29.87]], atol=EXACT_DEG)


@pytest.mark.parametrize("zero", ["-0", "-00"])
def test_a_minus_before_zero_degrees_in_a_text_counts(tmp_path, zero):
    (tmp_path / "t.csv").write_text(f"RAh,RAm,DEd,DEm\n0,30,{zero},30\n0,30,1,30\n")
    _, sky = find_positions(read_positions(tmp_path / "t.csv"))
    np.testing.assert_array_equal(sky.dec, [-0.5, 1.5])


def test_zero_degrees_have_the_sign_that_can_be_told():
    same = {"RAh": [0, 0], "RAm": [30, 30], "DEm": [30, 30]}
    for more in (
        {"DEd": ["-00", "00"]},
        {"DEd": [0, 0], "DE-": ["-", "+"]},
        {"DEd": [0, 0], "DE-": MaskedColumn(["-", ""], mask=[False, True])},
        {"DEd": [-0.0, 0.0]},
    ):
        _, sky = find_positions(Table(same | more))
        np.testing.assert_array_equal(sky.dec, [-0.5, 0.5])
    assert find_positions(Table(same | {"DEd": [1, 2]}))[1].dec[0] == 1.5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (parts((0, 52, 12.0)), "in the columns RAh, .* DEs: -0 and 0 are one number"),
        (parts((0.0, 0, 12.0)), "-0 and 0 are one number"),
        (parts(("S", 29, 52, 12.0)), "signs to be . or -, received 'S'"),
        (parts(("south", 52, 12.0)), "could not convert string to float: 'south'"),
        (pair(RADEC, units=("furlong", "deg")), "column ra, .*'furlong' is not known"),
        (pair(RADEC, units=("deg", "pix")), "column dec, .*'pix' .* not convertible"),
        (pair(RADEC, units=("deg", "h")), "column dec, .*'h' .* not convertible"),
        (pair(("x", "y"), units=("arcsec", "pix")), "numbers in pix in the column x"),
        (pair(("x", "y"), units=("zork", "pix")), "column x: .*'zork' is not known"),
        (words("east", DMS), "column RA, or all of it sexagesimal"),
        (Table({"ra": [HMS, "204.25"], "dec": [DMS, DMS]}), "'204.25' is not"),
        (words("13:77:00", DMS), "column RA, or all of it sexagesimal"),
        (words(HMS, DMS, ("rad", "deg")), "sexagesimal words are not in rad"),
        (words(HMS, DMS, ("hms", "hms")), "column Dec, .*: they are hours"),
        (pair(RADEC, meta={"RADESYS": "GAPPT"}), "received 'GAPPT"),
        (pair(RADEC, meta={"RADESYS": "FK6"}), "received 'FK6"),
        (pair(RADEC, meta={"EQUINOX": "of date"}), "equinox 'of date' is not known"),
        (pair(RADEC, meta={"COOSYS": "galactic"}), "ra and dec, received the frame"),
        (pair(("lon", "lat")), "expected the columns x and y"),
        (Table({"ra": np.zeros((1, 2)), "dec": [0.0]}), "one value a row"),
        (Table({"RA": [1.0], "DEC": [2.0], "ra": [3.0]}), "two .* ra, RA and ra, and"),
        (Table({"X": [1.0], "Y": [2.0], "x": [3.0]}), "two .* of x, X and x, and diff"),
    ],
)
def test_what_cannot_be_understood_is_refused_in_one_line(table, message):
    with pytest.raises(ValueError, match=f"mine: .*{message}") as caught:
        find_positions(table, "mine")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_columns_of_one_name_numbers_count_before_words(order):
    columns = {"RA": [HMS], "Dec": [DMS], "RA (deg)": [1.0], "Dec (deg)": [2.0]}
    table = Table(columns)[list(columns)[::order]]
    _, sky = find_positions(table, "mine")
    assert (sky.ra[0], sky.dec[0]) == (1.0, 2.0)


@pytest.mark.parametrize("order", [1, -1])
def test_a_catalogue_of_ours_is_known_beside_columns_in_capitals(order, caplog):
    columns = {"X": [7.0], "Y": [8.0], "x": [1.0], "y": [2.0]}
    (found,), _ = find_positions(Table(columns)[list(columns)[::order]], "mine")
    assert found.names == ("x", "y")
    assert "mine: columns differ, used is" in caplog.text


def test_coordinates_that_need_an_observer_are_refused():
    table = QTable({"pos": SkyCoord([1], [2], unit="deg", frame="altaz")})
    with pytest.raises(ValueError, match=r"mine: .* the column pos, received altaz"):
        find_positions(table, "mine")


def test_numbers_that_are_no_place_on_the_sky_are_counted_not_used():
    table = Table({"ra": [204.25, 400, 9, -181, np.nan], "dec": [1.0, 1, -91, 1, 1]})
    _, sky = find_positions(table)
    np.testing.assert_array_equal(sky.ra, [204.25, *[np.nan] * 4])
    np.testing.assert_array_equal(sky.impossible, [False, True, True, True, False])
    table = Table(
        {"RAh": [13, 25, 1], "RAm": [1, 1, 61], "DEd": [1] * 3, "DEm": [1] * 3}
    )
    np.testing.assert_array_equal(find_positions(table)[1].impossible, [0, 1, 1])


@pytest.mark.parametrize(
    "unit", ["pix", "pixel", "pixels", "PIXEL", "[pix]", "Pix", ""]
)
def test_pixels_are_known_by_every_name(unit):
    table = pair(("x", "y"), units=(unit, unit))
    pixels, _ = find_positions(table)
    assert pixels[0].x == pytest.approx(204.25)


def test_columns_called_x_that_are_no_pixels_give_way_to_the_sky(caplog):
    wcs = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 5, "CRPIX2": 6})
    for unit in ("arcsec", "zork", "mm"):
        table = pair(("x", "y"), units=(unit, unit))
        table["ra"], table["dec"] = [0.0], [0.0]
        with caplog.at_level(logging.WARNING):
            places = find_places(table, wcs, None, "mine")
        np.testing.assert_allclose([places.x, places.y], [[4], [5]])
        assert "mine: expected numbers in pix in the column x: " in caplog.text
        assert "its numbers are not used" in caplog.text
        caplog.clear()


def test_values_that_are_written_as_none_are_none():
    table = Table({"ra": ["204.25", "", "--", "INDEF", "N/A"], "dec": ["1"] * 5})
    np.testing.assert_array_equal(find_positions(table)[1].ra, [204.25, *[np.nan] * 4])
    sexagesimal = Table({"ra": [HMS, "..."], "dec": [DMS, "..."]})
    np.testing.assert_array_equal(np.isnan(find_positions(sexagesimal)[1].dec), [0, 1])
    assert Angle(HMS, "hourangle").deg == find_positions(sexagesimal)[1].ra[0]
