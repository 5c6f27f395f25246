"""Peaks of an image, narrow and wide."""

import numpy as np
import pytest
from photutils.background import Background2D

from data_tools.imaging import peaks
from data_tools.imaging.peaks import KERNELS, combine, find, strongest_apart

SIZE, BOX = 200, 40


def blobs(rng, bands=2):
    """Return a star and a cluster on a sloping sky with noise."""
    y, x = np.mgrid[:SIZE, :SIZE]
    image = 1 + 0.01 * x + rng.normal(0, 0.1, (bands, SIZE, SIZE))
    for column, row, height, sigma in ((60.0, 80.0, 3.0, 1.0), (140.0, 90.0, 1.0, 5.0)):
        image += height * np.exp(-((x - column) ** 2 + (y - row) ** 2) / 2 / sigma**2)
    return np.moveaxis(image, 0, -1).astype(np.float32)


def test_an_object_is_highest_at_about_its_own_width():
    image, known, flux = combine(blobs(np.random.default_rng(1)), BOX)
    assert known.all()
    assert flux.shape == (SIZE, SIZE, 2)
    found = find(image, known, threshold=5, fwhm_px=2.5, box_px=BOX)
    star, cluster = (
        found[np.hypot(found[:, 0] - column, found[:, 1] - row) < 3]
        for column, row in ((60, 80), (140, 90))
    )
    assert star[star[:, 2].argmax(), 3] == 2.5
    assert cluster[cluster[:, 2].argmax(), 3] in (2.5 * KERNELS[2], 2.5 * KERNELS[1])


def test_peaks_within_reach_of_a_stronger_one_go_and_the_rest_stay_in_order():
    given = np.array(
        [
            # x, y, height, FWHM, and a column that is carried along
            [0.0, 0.0, 5.0, 2.5, 1],
            [2.0, 0.0, 9.0, 2.5, 2],
            [10.0, 0.0, 7.0, 20.0, 3],
            [14.5, 0.0, 6.0, 2.5, 4],
            [15.5, 0.0, 6.5, 2.5, 5],
        ]
    )
    kept = strongest_apart(given, 3.0)
    assert kept[:, 4].tolist() == [2, 3, 5]
    assert strongest_apart(given[:0], 3.0).shape == (0, 5)


def test_a_pixel_without_data_in_one_band_counts_by_the_others():
    pixels = blobs(np.random.default_rng(2))
    pixels[70:90, 50:70, 0] = np.nan
    pixels[:, 180:] = np.nan
    image, known, _ = combine(pixels, BOX)
    assert known[:, :180].all()
    assert not known[:, 180:].any()
    assert image[80, 60] > 10
    found = find(image, known, threshold=5, fwhm_px=2.5, box_px=BOX)
    assert found[:, 0].max() < 180


@pytest.mark.parametrize(
    ("shape", "box"), [((96, 96), 48), ((70, 131), 48), ((9, 60), 12)]
)
def test_background_and_noise_go_from_box_to_box_as_photutils_has_them(shape, box):
    image = np.random.default_rng(3).gamma(1, 1, shape).astype(np.float32)
    size = np.minimum(box, shape)
    boxes, pixels = (Background2D(image, size, filter_size=n) for n in (1, 3))
    for name in ("background", "background_rms"):
        found = peaks._at_pixels(getattr(boxes, f"{name}_mesh"), box, shape)
        np.testing.assert_allclose(found, getattr(pixels, name), rtol=1e-5)
