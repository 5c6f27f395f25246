"""Positions of candidates from any table."""

import logging

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS
from pyarrow import parquet

from data_tools.positions.read_positions import pixel_positions, read_positions
from data_tools.running.table_file import write_table


@pytest.fixture
def wcs():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [204.25, -29.87]
    wcs.wcs.crpix = [51, 51]
    wcs.wcs.cdelt = [-1.1e-5, 1.1e-5]
    return wcs


@pytest.mark.parametrize(
    "suffix", [".ecsv", ".fits", ".vot", ".xml", ".parquet", ".csv"]
)
def test_every_format_gives_the_same_positions(tmp_path, wcs, suffix):
    table = QTable({"x": [10.0, 20.5], "y": [30.25, 40.0], "name": ["a", "b"]})
    path = tmp_path / f"positions{suffix}"
    write_table(table, path)
    read = read_positions(path)
    x, y = pixel_positions(read, wcs, 0)
    np.testing.assert_array_equal(x, [10, 20.5])
    np.testing.assert_array_equal(y, [30.25, 40])
    assert list(read["name"]) == ["a", "b"]


def test_columns_in_plain_text_are_read(tmp_path, wcs):
    (tmp_path / "stars.txt").write_text("# my list\nX Y\n10 20\n30 40.5\n")
    x, y = pixel_positions(read_positions(tmp_path / "stars.txt"), wcs, 0)
    assert (x.tolist(), y.tolist()) == ([10, 30], [20, 40.5])


def test_parquet_gives_masks_and_units_back(tmp_path):
    written = QTable(
        {
            "ra": [13.6, 13.7] * u.hourangle,
            "mass": MaskedColumn([1.5, 2.5], mask=[True, False]),
        }
    )
    write_table(written, tmp_path / "t.parquet")
    table = read_positions(tmp_path / "t.parquet")
    assert table.colnames == ["ra", "mass"]
    assert table["ra"].unit == u.hourangle
    assert table["mass"].tolist() == [None, 2.5]


def test_a_parquet_file_of_another_program_is_read(tmp_path, wcs):
    path = tmp_path / "other.parquet"
    parquet.write_table(pa.table({"RA": [204.25], "DEC": [-29.87]}), path)
    x, y = pixel_positions(read_positions(path), wcs, 0)
    assert (x[0], y[0]) == pytest.approx((50, 50))


@pytest.mark.parametrize("names", [("ra", "dec"), ("RA", "Dec"), ("Ra", "DEC")])
def test_sky_positions_fall_on_their_pixels(wcs, names):
    ra, dec = wcs.all_pix2world([12.5, 70], [3.25, 80], 0)
    x, y = pixel_positions(Table([ra, dec], names=names), wcs, 1)
    np.testing.assert_allclose(x, [12.5, 70], atol=1e-6)
    np.testing.assert_allclose(y, [3.25, 80], atol=1e-6)


def test_sky_positions_in_another_unit_are_converted(wcs):
    table = QTable({"ra": [204.25 / 15] * u.hourangle, "dec": [-29.87 * 60] * u.arcmin})
    x, y = pixel_positions(table, wcs, 0)
    assert (x[0], y[0]) == pytest.approx((50, 50), abs=1e-4)


def test_pixels_that_begin_at_one_are_moved(wcs):
    x, y = pixel_positions(Table({"x": [1.0], "y": [5.5]}), wcs, origin=1)
    assert (x[0], y[0]) == (0.0, 4.5)


def test_a_doubt_of_the_origin_is_told_and_the_sky_decides(wcs, caplog):
    ra, dec = wcs.all_pix2world([12.0, 70], [3.0, 80], 0)
    table = Table({"x": [13.0, 71], "y": [4.0, 81], "ra": ra, "dec": dec})
    with caplog.at_level(logging.WARNING):
        x, _ = pixel_positions(table, wcs, 0, "mine.ecsv")
        assert "mine.ecsv: x, y and ra, dec are 1.4 px apart" in caplog.text
        caplog.clear()
        pixel_positions(table, wcs, 1)
        assert not caplog.records
    assert x[0] == pytest.approx(12, abs=1e-6)


def test_a_masked_or_nan_position_is_nan(wcs):
    table = Table({"x": MaskedColumn([1, 2, 3], mask=[0, 1, 0]), "y": [1.0, 2, np.nan]})
    x, y = pixel_positions(table, wcs, 0)
    np.testing.assert_array_equal(x, [1, np.nan, 3])
    np.testing.assert_array_equal(y, [1, 2, np.nan])


def test_a_table_without_positions_lists_its_columns(wcs):
    with pytest.raises(ValueError, match=r"cat.csv: expected .* received id, X, RA;"):
        pixel_positions(Table(names=["id", "X", "RA"]), wcs, 0, "cat.csv")


def test_words_for_positions_are_refused(wcs):
    table = Table({"ra": ["13:37:00", "east"], "dec": ["-29:52:00", "north"]})
    with pytest.raises(ValueError, match="expected numbers in deg in the column ra"):
        pixel_positions(table, wcs, 0)


def test_sexagesimal_positions_are_read(wcs):
    table = Table({"RAJ2000": ["13:37:00.0", ""], "DEJ2000": ["-29 52 12", ""]})
    x, y = pixel_positions(table, wcs)
    np.testing.assert_allclose([x[0], y[0]], 50, atol=1e-3)
    assert np.isnan([x[1], y[1]]).all()


def test_a_journal_s_parts_of_sexagesimal_positions_are_read(wcs):
    table = Table(
        {"RAh": [13], "RAm": [37], "RAs": [0.0]}
        | {"DE-": ["-"], "DEd": [29], "DEm": [52], "DEs": [12.0]}
    )
    x, y = pixel_positions(table, wcs)
    np.testing.assert_allclose([x[0], y[0]], 50, atol=1e-3)


@pytest.mark.parametrize(
    ("x_name", "y_name", "moved"),
    [
        ("PHANGS_X", "PHANGS_Y", 0),
        ("xcentroid", "ycentroid", 0),
        ("X_IMAGE", "Y_IMAGE", 1),
        ("XWIN_IMAGE", "YWIN_IMAGE", 1),
        ("x_fit", "y_fit", 0),
        ("xpix", "ypix", 0),
    ],
)
def test_the_field_s_names_of_pixel_columns_are_known_and_told(
    wcs, caplog, x_name, y_name, moved
):
    table = Table({"a": [1.0], x_name: [7.0], y_name: [9.0]})
    with caplog.at_level(logging.WARNING):
        x, y = pixel_positions(table, wcs, None, "t.fits")
    assert (x[0], y[0]) == (7 - moved, 9 - moved)
    said = f"t.fits: positions from the columns {x_name}, {y_name}, with the first"
    assert f"{said} pixel called {moved}" in caplog.text


@pytest.mark.parametrize(
    "names",
    [
        ("PHANGS_RA", "PHANGS_DEC"),
        ("RAJ2000", "DEJ2000"),
        ("_RAJ2000", "_DEJ2000"),
        ("ALPHA_J2000", "DELTA_J2000"),
        ("RA_ICRS", "DE_ICRS"),
    ],
)
def test_the_field_s_names_of_sky_columns_are_known_and_told(wcs, caplog, names):
    with caplog.at_level(logging.WARNING):
        x, y = pixel_positions(Table([[204.25], [-29.87]], names=names), wcs)
    assert (x[0], y[0]) == pytest.approx((50, 50))
    assert f"positions from the columns {names[0]} and {names[1]}" in caplog.text


def test_columns_without_a_known_name_are_found_by_their_ucds(wcs, tmp_path):
    table = Table({"lon": [204.25], "lat": [-29.87]})
    table["lon"].meta["ucd"] = "pos.eq.ra;meta.main"
    table["lat"].meta["ucd"] = "pos.eq.dec;meta.main"
    table.write(tmp_path / "t.vot", format="votable")
    x, y = pixel_positions(read_positions(tmp_path / "t.vot"), wcs)
    assert (x[0], y[0]) == pytest.approx((50, 50))


def test_a_column_of_sky_coordinates_is_read(wcs, tmp_path):
    sky = SkyCoord([204.25], [-29.87], unit="deg")
    QTable({"label": [1], "sky_centroid": sky}).write(tmp_path / "photutils.ecsv")
    x, y = pixel_positions(read_positions(tmp_path / "photutils.ecsv"), wcs)
    assert (x[0], y[0]) == pytest.approx((50, 50))


def test_the_sky_tells_what_the_first_pixel_is_called(wcs, caplog):
    ra, dec = wcs.all_pix2world([12.0, 70], [3.0, 80], 0)
    for first in (0, 1):
        table = Table({"x": [12.0 + first, 70 + first], "y": [3.0 + first, 80 + first]})
        table["RA"], table["Dec"] = ra, dec
        with caplog.at_level(logging.WARNING):
            x, y = pixel_positions(table, wcs)
        np.testing.assert_allclose([x, y], [[12, 70], [3, 80]])
        assert bool(caplog.records) == (first == 1)


def test_pixels_of_another_image_give_way_to_the_sky(wcs, caplog):
    ra, dec = wcs.all_pix2world([12.0, 70], [3.0, 80], 0)
    table = Table({"x": [912.0, 970], "y": [3.0, 80], "ra": ra, "dec": dec})
    with caplog.at_level(logging.WARNING):
        x, y = pixel_positions(table, wcs, 0)
    np.testing.assert_allclose([x, y], [[12, 70], [3, 80]], atol=1e-6)
    assert "pixels of another image: the sky positions are used" in caplog.text


def test_pixels_of_a_catalogue_of_another_galaxy_are_not_used(wcs, caplog):
    table = Table({"x": [12.0, 70], "y": [3.0, 80], "ra": [24.0, 24], "dec": [9.0, 9]})
    with caplog.at_level(logging.WARNING):
        x, _ = pixel_positions(table, wcs)
    assert np.isnan(x).all()
    assert "pixels of another image" in caplog.text


def test_of_two_frames_that_of_the_mosaic_is_used(wcs):
    ra, dec = wcs.all_pix2world([12.0, 70], [3.0, 80], 0)
    table = Table({"x": [912.0, 970], "y": [3.0, 80], "ra": ra, "dec": dec})
    table["x_mosaic"], table["y_mosaic"] = [12.02, 70], [3.0, 80]
    x, _ = pixel_positions(table, wcs)
    np.testing.assert_array_equal(x, [12.02, 70])


def test_a_row_without_pixels_is_placed_by_its_sky_position(wcs):
    ra, dec = wcs.all_pix2world([12.0, 70], [3.0, 80], 0)
    table = Table({"x": [12.0, np.nan], "y": [3.0, np.nan], "ra": ra, "dec": dec})
    x, y = pixel_positions(table, wcs, 0)
    np.testing.assert_allclose([x, y], [[12, 70], [3, 80]], atol=1e-6)


def test_a_fits_table_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "cut.fits"
    QTable({"x": np.arange(5000.0), "y": np.arange(5000.0)}).write(path)
    path.write_bytes(path.read_bytes()[:40_000])
    with pytest.raises(ValueError, match=r"cut.fits: not readable .* is cut short"):
        read_positions(path)


@pytest.mark.parametrize("suffix", [".ecsv", ".vot", ".parquet"])
def test_another_table_that_is_cut_short_is_refused(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    write_table(QTable({"x": np.arange(500.0), "y": np.arange(500.0)}), path)
    whole = path.read_bytes()
    # in the middle of the last row, or of whatever ends the file
    path.write_bytes(whole[: whole.rstrip().rfind(b" ") if suffix == ".ecsv" else -90])
    with pytest.raises(ValueError, match=f"cut{suffix}: not readable as a table"):
        read_positions(path)


def test_positions_in_a_wrong_unit_are_refused(wcs):
    table = QTable({"ra": [1.0] * u.m, "dec": [1.0] * u.deg})
    with pytest.raises(ValueError, match="expected numbers in deg in the column ra"):
        pixel_positions(table, wcs, 0)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent.ecsv: no such table"):
        read_positions(tmp_path / "absent.ecsv")


@pytest.mark.parametrize(
    "name", ["t.ecsv", "t.fits", "t.vot", "t.parquet", "t.unknown"]
)
def test_a_file_that_is_no_table_is_refused_in_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x00\x01 no table at all")
    with pytest.raises(ValueError, match=f"{name}: not readable as a table") as caught:
        read_positions(tmp_path / name)
    assert "\n" not in str(caught.value)
