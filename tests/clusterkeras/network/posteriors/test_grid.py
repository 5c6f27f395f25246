import numpy as np
import pytest
import tensorflow as tf
from scipy.special import log_softmax

from clusterkeras.network.posteriors.grid import (
    VISIBILITY_CELLS,
    VISIBILITY_RANGE,
    GridPosterior,
    histogram,
)
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])
CELLS = np.array([20, 10, 14, 14])
LOG_VOLUME = np.log(HIGH - LOW).sum()


@pytest.fixture(scope="module")
def grid():
    return GridPosterior(LOW, HIGH)


@pytest.fixture(scope="module")
def raw(grid):
    return np.random.default_rng(2).normal(0, 1, (3, grid.n_outputs)).astype("f4")


def test_the_cells_are_the_published_ones(grid):
    assert grid.n_outputs == 20 * 10 * 14 + 14


def test_outputs_of_zero_are_the_prior(grid, flat):
    distribution = grid.distribution(np.zeros((1, grid.n_outputs), "f4"))
    np.testing.assert_allclose(distribution.log_prob(flat(99)), -LOG_VOLUME, rtol=1e-5)


def test_density_is_the_softmax_over_the_cells_volume(grid, raw, flat):
    points = flat(40)
    index = np.floor((points - LOW) / (HIGH - LOW) * CELLS).astype(int)
    for row in range(len(raw)):
        joint = log_softmax(raw[row, :2800].astype(float)).reshape(20, 10, 14)
        size = log_softmax(raw[row, 2800:].astype(float))
        expected = joint[tuple(index[:, :3].T)] + size[index[:, 3]]
        expected -= LOG_VOLUME - np.log(CELLS).sum()
        got = grid.distribution(raw[row : row + 1]).log_prob(points[:, None])[:, 0]
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_draws_fall_in_each_cell_as_often_as_it_says():
    small = GridPosterior([0, 0, 0], [1, 2, 3], cells=((2, 3), (2,)))
    raw = np.random.default_rng(1).normal(0, 1, (1, small.n_outputs)).astype("f4")
    joint, single = (np.exp(log_softmax(part)) for part in (raw[0, :6], raw[0, 6:]))
    expected = (joint[:, None] * single).reshape(2, 3, 2)
    for draws in (
        small.draw(raw, [5], 50_000).numpy()[0],
        small.distribution(raw).sample(50_000, seed=5).numpy()[:, 0],
    ):
        share = draws / [1, 2, 3]
        index = np.floor(share * [2, 3, 2]).astype(int)
        counted = np.zeros((2, 3, 2))
        np.add.at(counted, tuple(index.T), 1 / len(draws))
        np.testing.assert_allclose(counted, expected, atol=0.01)
        within = share * [2, 3, 2] - index
        # uniform in the cell
        np.testing.assert_allclose(within.mean(axis=0), 0.5, atol=0.007)
        np.testing.assert_allclose(within.std(axis=0), 12**-0.5, atol=0.005)


def test_a_certain_cell_holds_all_draws(grid):
    raw = np.full((1, grid.n_outputs), -200, "f4")
    raw[0, [5 * 140 + 3 * 14 + 2, 2800 + 6]] = 200
    share = (grid.draw(raw, [1], 500).numpy()[0] - LOW) / (HIGH - LOW)
    assert np.all(np.abs(share * CELLS - [5.5, 3.5, 2.5, 6.5]) < 0.501)


@pytest.mark.parametrize("cells", [((20, 10), (14,)), ((20, 10, 0), (14,))])
def test_cells_that_are_not_one_number_a_parameter_are_refused(cells):
    with pytest.raises(ValueError, match="cells: expected 4 numbers of at least 1"):
        GridPosterior(LOW, HIGH, cells)


def test_a_histogram_is_a_density_over_its_range():
    low, high = VISIBILITY_RANGE
    logits = np.random.default_rng(1).normal(0, 1, (3, VISIBILITY_CELLS)).astype("f4")
    distribution = histogram(tf.constant(logits), low, high)
    x = low + (high - low) * (np.arange(2000) + 0.5) / 2000
    density = np.exp(distribution.log_prob(x.astype("f4")[:, None]))
    np.testing.assert_allclose(density.mean(axis=0) * (high - low), 1, rtol=1e-4)
    mean = (density * x[:, None]).mean(axis=0) * (high - low)
    np.testing.assert_allclose(distribution.mean(), mean, rtol=1e-3)
    square = (density * x[:, None] ** 2).mean(axis=0) * (high - low)
    np.testing.assert_allclose(distribution.variance(), square - mean**2, rtol=1e-3)


def test_a_number_beyond_the_range_counts_as_in_the_outermost_cell():
    logits = np.linspace(0, 3, 20).astype("f4")[None]
    distribution = histogram(tf.constant(logits), -1, 4)
    for outside, inside in ((-9.0, -0.9), (4.0, 3.9), (7.0, 3.9)):
        assert distribution.log_prob(outside) == distribution.log_prob(inside)
