"""Positions of candidates from any table."""

import logging

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.table import MaskedColumn, QTable, Table
from astropy.wcs import WCS
from pyarrow import parquet

from clusterkeras.table_output import write_table
from data_tools.positions import pixel_positions, read_positions


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


def test_pixels_win_over_sky_and_a_doubt_is_told(wcs, caplog):
    ra, dec = wcs.all_pix2world([12.0, 70], [3.0, 80], 0)
    table = Table({"x": [13.0, 71], "y": [4.0, 81], "ra": ra, "dec": dec})
    with caplog.at_level(logging.WARNING):
        x, _ = pixel_positions(table, wcs, 0, "mine.ecsv")
        assert "mine.ecsv: x, y and ra, dec are 1.4 px apart" in caplog.text
        caplog.clear()
        pixel_positions(table, wcs, 1)
        assert not caplog.records
    assert x[0] == 13


def test_a_masked_or_nan_position_is_nan(wcs):
    table = Table({"x": MaskedColumn([1, 2, 3], mask=[0, 1, 0]), "y": [1.0, 2, np.nan]})
    x, y = pixel_positions(table, wcs, 0)
    np.testing.assert_array_equal(x, [1, np.nan, 3])
    np.testing.assert_array_equal(y, [1, 2, np.nan])


def test_a_table_without_positions_lists_its_columns(wcs):
    with pytest.raises(ValueError, match=r"cat.csv: expected .* received id, X, RA;"):
        pixel_positions(Table(names=["id", "X", "RA"]), wcs, 0, "cat.csv")


def test_words_for_positions_are_refused(wcs):
    table = Table({"ra": ["13:37:00"], "dec": ["-29:52:00"]})
    with pytest.raises(ValueError, match="expected numbers in deg in the column ra"):
        pixel_positions(table, wcs, 0)


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
