"""Stars are spread over the points about them, and nowhere else."""

import numpy as np
import pytest

from data_tools.imaging.spreading import WIDTH, spread_stars


def spread(x, y, flux, shape=(12, 20)):
    flux = np.asarray(flux, float)
    grid = np.zeros((flux.shape[1], *shape), np.float32)
    spread_stars(np.asarray(x, float), np.asarray(y, float), flux, grid)
    return grid


def test_a_star_lies_on_the_points_about_it():
    grid = spread([5.3], [4.6], [[1.0, 2.0]])
    rows, columns = np.nonzero(grid[0])
    assert sorted(set(rows)) == [3, 4, 5, 6]
    assert sorted(set(columns)) == [4, 5, 6, 7]
    np.testing.assert_array_equal(grid[1], 2 * grid[0])


def test_its_light_moves_with_it():
    axis = np.arange(12)
    places = np.linspace(4, 7, 7)
    found = [
        (spread([x], [5.0], [[1.0]])[0].sum(0)[:12] * axis).sum()
        / spread([x], [5.0], [[1.0]])[0].sum()
        for x in places
    ]
    np.testing.assert_allclose(found, places, atol=0.02)


def test_a_star_moved_by_whole_points_gives_the_same_points():
    once = spread([4.37], [3.81], [[1.0]])
    again = spread([9.37], [5.81], [[1.0]])
    np.testing.assert_array_equal(np.roll(once, (2, 5), (1, 2)), again)


def test_stars_add_up():
    rng = np.random.default_rng(2)
    x, y, flux = rng.uniform(1, 9, 40), rng.uniform(1, 9, 40), rng.random((40, 3))
    parts = sum(spread(x[i::4], y[i::4], flux[i::4]) for i in range(4))
    np.testing.assert_allclose(spread(x, y, flux), parts, atol=1e-5)


@pytest.mark.parametrize("place", [(0.99, 5), (5, 0.99), (5, 10), (10, 5), (-3, 5)])
def test_stars_that_would_reach_beyond_are_left_out(place):
    x, y = place
    assert not spread([x], [y], [[1.0]]).any()


def test_stars_at_the_edges_reach_the_outermost_points():
    assert WIDTH == 4
    grid = spread([1.0, 9.99], [1.0, 9.99], [[1.0], [1.0]])[0]
    assert grid[0, 0] > 0
    assert grid[11, 11] > 0
