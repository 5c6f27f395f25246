"""The frame that a table's comments mention."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from data_tools.positions.columns.names import find_positions
from data_tools.positions.read_positions import read_positions

SKY = SkyCoord(204.25, -29.87, unit="deg")
OLD = SkyCoord(0, 0, unit="deg", frame="fk5", equinox="J1975").frame
EXACT_DEG = 3e-9


def write(path, names, frame, comments, sep=",", after=False):
    place = SKY.transform_to(frame).spherical
    rows = [
        sep.join(names),
        sep.join(map(repr, map(float, (place.lon.deg, place.lat.deg)))),
    ]
    lines = [f"# {line}" for line in comments]
    path.write_text("\n".join([*rows, *lines] if after else [*lines, *rows]) + "\n")
    return path


def found(path):
    _, sky = find_positions(read_positions(path), "mine")
    return [float(sky.ra[0]), float(sky.dec[0])]


#: Comments, and the frame of ra and dec with them.
EQUATORIAL = [
    ("B1950", "fk4"),
    ("Coordinates are B1950.0", "fk4"),
    ("equinox 1950", "fk4"),
    ("Equinox: B1950", "fk4"),
    ("equinox = 1950.0", "fk4"),
    ("Equinox of 1950", "fk4"),
    ("positions (1950)", "fk4"),
    ("RA(1950), Dec(1950) in degrees", "fk4"),
    ("epoch 1950", "fk4"),
    ("1950 coordinates", "fk4"),
    ("RA, DEC (1950.0)", "fk4"),
    ("FK4", "fk4"),
    ("system: FK4, equinox B1950", "fk4"),
    ("RADESYS = 'FK4'", "fk4"),
    ("ra, dec: FK4 (B1950)", "fk4"),
    ("precessed from J2000 to B1950", "fk4"),
    ("FK5", "fk5"),
    ("FK5, equinox J1975", OLD),
    ("J2000", "icrs"),
    ("equinox 2000.0", "icrs"),
    ("ICRS, epoch 2016.0", "icrs"),
    ("ICRS and FK5 agree to 30 mas", "icrs"),
    ("converted from B1950 to J2000", "icrs"),
    ("B1950 positions, precessed to the ICRS", "icrs"),
    ("galactic extinction taken out", "icrs"),
    ("positions, and galactic extinction", "icrs"),
    ("galactic clusters of 1950", "icrs"),
    ("positions of Larsen (2000)", "icrs"),
    ("observed in 1950 and 2000", "icrs"),
    ("ICRS; l, b are galactic coordinates", "icrs"),
]


@pytest.mark.parametrize(("comment", "frame"), EQUATORIAL)
@pytest.mark.parametrize("sep", [",", " "])
def test_comments_tell_the_equinox(tmp_path, comment, frame, sep):
    path = write(tmp_path / "t.txt", ("ra", "dec"), frame, ["by me", comment], sep)
    np.testing.assert_allclose(found(path), [204.25, -29.87], atol=EXACT_DEG)


@pytest.mark.parametrize("after", [False, True])
def test_comments_below_the_rows_are_heard_too(tmp_path, after):
    path = write(tmp_path / "t.csv", ("ra", "dec"), "fk4", ["B1950"], after=after)
    np.testing.assert_allclose(found(path), [204.25, -29.87], atol=EXACT_DEG)


def test_comments_of_a_fits_header_are_heard_too(tmp_path):
    place = SKY.transform_to("fk4")
    table = Table({"ra": [place.ra.deg], "dec": [place.dec.deg]})
    table.meta["comments"] = ["Equinox B1950"]
    table.write(tmp_path / "t.fits")
    np.testing.assert_allclose(
        found(tmp_path / "t.fits"), [204.25, -29.87], atol=EXACT_DEG
    )


@pytest.mark.parametrize("names", [("RAJ2000", "DEJ2000"), ("ra_icrs", "dec_icrs")])
def test_names_of_columns_come_first(tmp_path, names):
    path = write(tmp_path / "t.csv", names, "icrs", ["B1950"])
    np.testing.assert_allclose(found(path), [204.25, -29.87], atol=EXACT_DEG)


@pytest.mark.parametrize(
    "comment", ["galactic coordinates", "frame: galactic", "coordinates are galactic"]
)
def test_longitudes_and_latitudes_are_what_comments_say(tmp_path, comment):
    path = write(tmp_path / "t.csv", ("lon", "lat"), "galactic", [comment])
    np.testing.assert_allclose(found(path), [204.25, -29.87], atol=EXACT_DEG)


@pytest.mark.parametrize(
    ("comments", "why"),
    [
        (["B1950 and J2000"], "its comments mention B1950 and J2000: leave the one"),
        (["FK4", "equinox 2000"], "its comments mention FK4 and equinox 2000"),
        (["galactic"], "its comments say galactic; rename the columns"),
        (["Galactic coordinates"], "its comments say galactic; rename the columns"),
        (["coordinates: galactic"], "its comments say galactic; rename the columns"),
        (["frame = galactic"], "its comments say galactic; rename the columns"),
        (["positions in ecliptic longitude"], "its comments say ecliptic; rename"),
    ],
)
def test_comments_that_contradict_are_refused(tmp_path, comments, why):
    path = write(tmp_path / "t.csv", ("ra", "dec"), "icrs", comments)
    with pytest.raises(ValueError, match=f"mine: .*{why}"):
        found(path)


def test_comments_on_other_columns_contradict_nothing(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("# galactic coordinates\nra,dec,l,b\n204.25,-29.87,314.6,31.97\n")
    assert found(path) == [204.25, -29.87]
