"""Moments of rings: those of NumPy, and none of a shift of whole pixels."""

import numpy as np
import pytest

from clusterkeras.network.layers.moments import RADII_PX, RingMoments

PX, BANDS = 64, 3


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(size=(4, PX, PX, BANDS)).astype(np.float32)


def test_they_are_those_of_the_pixels_of_each_ring(images):
    centre = np.array([[31.4, 32.4], [30.0, 33.0], [35.6, 31.5], [32.0, 32.0]])
    found = RingMoments()([images, centre.astype(np.float32)]).numpy()
    row, column = np.mgrid[:PX, :PX]
    for image, (y, x), numbers in zip(images, np.rint(centre), found, strict=True):
        distance = np.hypot(row - y, column - x)
        expected, inner = [], -1.0
        for outer in RADII_PX:
            pixels = image[(distance > inner) & (distance <= outer)]
            inner = outer
            expected += list(pixels.max(0)) + list(np.log(pixels.std(0)))
            correlation = np.corrcoef(pixels.T)
            expected += [correlation[1, 0], correlation[2, 0], correlation[2, 1]]
        np.testing.assert_allclose(numbers, expected, rtol=2e-4, atol=2e-4)


def test_even_light_has_finite_ones(images):
    found = RingMoments()([0 * images, np.full((4, 2), 32.0, np.float32)]).numpy()
    assert np.isfinite(found).all()


def test_their_number_is_known_before(images):
    layer = RingMoments()
    found = layer([images, np.full((4, 2), 32.0, np.float32)])
    assert layer.compute_output_shape([images.shape, (4, 2)]) == tuple(found.shape)
