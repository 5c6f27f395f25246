"""Where rows stand on a mosaic that have pixels, sky positions, or both."""

import logging

import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS

from data_tools.positions.places import find_places

X = np.array([12.0, 30.0, 45.0, 70.0, 55.0, 21.0, 88.0])
Y = np.array([3.0, 80.0, 20.0, 64.0, 33.0, 47.0, 90.0])
ODD = np.array([1, 4])


@pytest.fixture
def wcs():
    return WCS(
        {"CTYPE1": "RA---TAN", "CRVAL1": 204.25, "CRPIX1": 51, "CDELT1": -1.1e-5}
        | {"CTYPE2": "DEC--TAN", "CRVAL2": -29.87, "CRPIX2": 51, "CDELT2": 1.1e-5}
    )


@pytest.fixture
def table(wcs):
    ra, dec = wcs.wcs_pix2world(X, Y, 0)
    return Table({"x": X, "y": Y, "ra": ra, "dec": dec})


@pytest.mark.parametrize(
    "pixels",
    [(0, 0), (-1, -1), (99, 99), (-99, -99), (9999, 9999), (-99.99, -99.99), (3, 950)],
)
@pytest.mark.parametrize("origin", [None, 0])
def test_single_rows_with_other_pixels_are_placed_by_the_sky(
    table, wcs, caplog, pixels, origin
):
    table["x"][ODD], table["y"][ODD] = pixels
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs, origin, "mine")
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(places.doubtful), ODD)
    assert "mine: in 2 of 7 rows x, y and ra, dec are more than 0.5 px" in caplog.text
    assert "the sky positions are used; these rows have the flag" in caplog.text


@pytest.mark.parametrize("share", [ODD, np.arange(5)])
@pytest.mark.parametrize("sky", [(0, 0), (-1, -1), (-9, -9)])
def test_a_sky_position_that_says_unknown_gives_way_to_pixels(
    table, wcs, caplog, sky, share
):
    table["ra"][share], table["dec"][share] = sky
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs, None, "mine")
    np.testing.assert_array_equal([places.x, places.y], [X, Y])
    np.testing.assert_array_equal(np.flatnonzero(places.doubtful), share)
    assert f"save {len(share)} that are 0, 0 or the like" in caplog.text


def test_pixels_that_say_unknown_in_most_rows_do_not_make_another_image(table, wcs):
    table["x"][:5] = table["y"][:5] = -1
    places = find_places(table, wcs)
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)
    np.testing.assert_array_equal(places.doubtful, np.arange(7) < 5)
    assert places.x[6] == X[6]


@pytest.mark.parametrize(("off", "used"), [(0.4, "pixels"), (2.0, "sky")])
def test_a_row_disagrees_by_more_than_half_a_pixel(table, wcs, off, used):
    table["x"][3] += off
    places = find_places(table, wcs)
    expected = X[3] + (off if used == "pixels" else 0)
    assert places.x[3] == pytest.approx(expected, abs=1e-6)
    assert places.doubtful.sum() == (used == "sky")


def test_rows_that_are_all_rounded_do_not_disagree(table, wcs):
    table["ra"], table["dec"] = np.round(table["ra"], 5), np.round(table["dec"], 5)
    places = find_places(table, wcs)
    np.testing.assert_array_equal([places.x, places.y], [X, Y])
    assert not places.doubtful.any()


@pytest.mark.parametrize("off", [(0.6, 0), (-1.0, 1.0), (2.0, 2.0), (0, -4.9)])
@pytest.mark.parametrize("origin", [None, 0, 1])
def test_a_table_of_shifted_pixels_is_placed_by_the_sky_and_flagged(
    table, wcs, caplog, off, origin
):
    table["x"] += off[0] + (origin or 0)
    table["y"] += off[1] + (origin or 0)
    table["x"][6] = np.nan
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs, origin, "mine")
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)
    np.testing.assert_array_equal(places.doubtful, np.arange(7) < 6)
    assert "in one direction, so the sky positions are used" in caplog.text
    assert "mine: in 6 of 7 rows x, y and ra, dec are more than 0.5 px" in caplog.text


def test_a_table_with_coarse_sky_positions_is_placed_by_pixels_and_flagged(wcs, caplog):
    x, y = np.random.default_rng(1).uniform(5, 95, (2, 200))
    ra, dec = wcs.wcs_pix2world(x, y, 0)
    step = 5e-5  # deg, some 4 px
    ra, dec = (np.round(v / step) * step for v in (ra, dec))
    table = Table({"x": x, "y": y, "ra": ra, "dec": dec})
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs)
    np.testing.assert_array_equal([places.x, places.y], [x, y])
    assert places.doubtful.mean() > 0.8
    assert "in all directions, as rounded sky positions are" in caplog.text


@pytest.mark.parametrize(("n", "counted_from"), [(100, 0), (1000, 0), (1000, 1)])
def test_rounded_sky_positions_tell_no_wrong_origin(wcs, n, counted_from):
    for seed in range(20):
        x, y = np.random.default_rng(seed).uniform(5, 95, (2, n))
        ra, dec = wcs.wcs_pix2world(x, y, 0)
        ra, dec = (np.round(v / 5e-5) * 5e-5 for v in (ra, dec))
        table = Table({"x": x + counted_from, "y": y + counted_from})
        table["ra"], table["dec"] = ra, dec
        np.testing.assert_allclose(find_places(table, wcs).x, x, atol=1e-6)


def test_rows_without_sky_positions_among_shifted_ones_are_flagged(table, wcs, caplog):
    table["x"] += 2
    table["ra"][5:] = np.nan
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs)
    np.testing.assert_allclose(places.x[:5], X[:5], atol=1e-6)
    assert places.doubtful.all()
    assert "2 rows have no sky position and keep the pixels" in caplog.text


def test_rows_that_count_from_one_among_others_from_zero_are_found(table, wcs):
    table["x"][ODD] += 1
    table["y"][ODD] += 1
    places = find_places(table, wcs)
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(places.doubtful), ODD)


def test_a_row_with_one_of_the_two_is_placed_by_it_without_a_flag(table, wcs):
    table["x"][0] = table["ra"][1] = table["dec"][2] = np.nan
    places = find_places(table, wcs)
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)
    assert not places.doubtful.any()


def test_pixels_of_another_image_alone_have_no_place(table, wcs, caplog):
    table["x"] += 900
    table["ra"][ODD] = np.nan
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs, 0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(places.x)), ODD)
    assert "sky positions are used, and 2 rows without one have no place" in caplog.text


def test_two_pointings_are_told_apart_row_by_row(table, wcs, caplog):
    table["x"][4:] += 70
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs, 0)
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)
    np.testing.assert_array_equal(places.doubtful, np.arange(7) >= 4)


@pytest.mark.parametrize("has_pixels", [True, False])
def test_an_impossible_sky_position_is_flagged(table, wcs, caplog, has_pixels):
    table["ra"][1], table["dec"][4] = 555.0, -95.0
    if not has_pixels:
        table.remove_columns(["x", "y"])
    with caplog.at_level(logging.WARNING):
        places = find_places(table, wcs, None, "mine")
    np.testing.assert_array_equal(np.flatnonzero(places.doubtful), ODD)
    np.testing.assert_array_equal(np.isnan(places.x[ODD]), not has_pixels)
    assert "mine: 2 of the positions in ra and dec are no place" in caplog.text


def test_right_ascensions_below_zero_are_west_of_zero(table, wcs):
    table["ra"] -= 360
    places = find_places(table["ra", "dec"], wcs)
    np.testing.assert_allclose([places.x, places.y], [X, Y], atol=1e-6)


def test_a_table_s_physical_coordinates_are_the_mosaic_s(wcs):
    table = Table({"x_physical": [201.0, 221.0], "y_physical": [61.0, 81.0]})
    binned = np.array([[0.5, 0, -90], [0, 0.5, -20]])
    places = find_places(table, wcs, 1, physical=binned)
    np.testing.assert_array_equal([places.x, places.y], [[9.5, 19.5], [9.5, 19.5]])
