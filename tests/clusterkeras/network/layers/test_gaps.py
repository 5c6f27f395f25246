"""Pixels without data are counted and stand at the median of their band."""

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network.layers.gaps import fill_gaps


@pytest.fixture
def images():
    return np.random.default_rng(1).normal(5, 3, (4, 6, 7, 2)).astype("f4")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1e18])
def test_what_is_no_data_gets_the_median_of_the_rest_of_its_band(images, value):
    gaps = images.copy()
    gaps[1, 0, :3, 0] = value  # an odd number is left
    gaps[1, 2, :2, 1] = value
    filled, bad_pixels, blind = fill_gaps(gaps)
    expected = images.copy()
    expected[1, 0, :3, 0] = np.median(np.delete(images[1, ..., 0], range(3)))
    expected[1, 2, :2, 1] = np.median(np.delete(images[1, ..., 1], (14, 15)))
    np.testing.assert_array_equal(filled, expected)
    assert bad_pixels.numpy().tolist() == [0, 5, 0, 0]
    assert not np.any(blind)


def test_a_band_without_data_is_zero_and_makes_an_image_blind(images):
    images[2, ..., 1] = np.nan
    filled, bad_pixels, blind = fill_gaps(images)
    np.testing.assert_array_equal(filled[2, ..., 1], np.zeros((6, 7)))
    np.testing.assert_array_equal(filled[2, ..., 0], images[2, ..., 0])
    assert bad_pixels.numpy().tolist() == [0, 0, 42, 0]
    assert blind.numpy().tolist() == [False, False, True, False]


def test_xla_fills_alike(images):
    images[1, 0, :3, 0] = np.nan
    compiled = tf.function(fill_gaps, jit_compile=True)(tf.constant(images))
    for got, wanted in zip(compiled, fill_gaps(images), strict=True):
        np.testing.assert_array_equal(got, wanted)
