"""Cutout, contours and magnitude of each cluster."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from clusterkeras.config import InferenceConfig
from clusterkeras.report.pictures import jpeg, picture_clusters
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.schema import PARAMETER_NAMES


@pytest.fixture(scope="module")
def drawn(catalogue, images, model, m83):
    x, y = (catalogue[axis].value for axis in "xy")
    with open_mosaics(images, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        return picture_clusters(
            mosaics, x, y, model, InferenceConfig(), 128, progress=False
        )


def open_jpeg(text):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_the_model_says_what_the_catalogue_says(drawn, catalogue):
    for i, name in enumerate(PARAMETER_NAMES):
        column = catalogue[f"{name}_median"].value
        np.testing.assert_allclose(drawn.medians[:, i], column, atol=1e-4)


def test_a_row_without_data_has_neither_cutout_nor_contours(drawn):
    assert drawn.cutouts[1] == drawn.contours[1] == ""
    assert np.isnan(drawn.low[1]).all()
    assert np.isnan(drawn.magnitude[1]).all()
    assert all(drawn.cutouts[:1] + drawn.cutouts[2:])


def test_a_cutout_shows_its_source_in_the_middle(drawn):
    image = open_jpeg(drawn.cutouts[0]).sum(axis=-1)
    # px / 2 - 1 from the left and, upside down, px / 2 from the top
    assert np.unravel_index(image.argmax(), image.shape) == (8, 7)


def test_the_magnitude_of_a_source_is_its_flux_in_the_zero_point(drawn, m83):
    zero_points = [
        -2.5 * np.log10(b.photflam) - 5 * np.log10(b.photplam) - 2.408
        for b in m83.bands
    ]
    expected = np.array(zero_points) - 2.5 * np.log10(20)
    np.testing.assert_allclose(drawn.magnitude[0], expected, atol=0.02)


def test_the_first_row_of_a_picture_is_at_its_bottom():
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[0] = 255
    image = open_jpeg(jpeg(rgb, 95))
    assert image[-1].min() > 200
    assert image[0].max() < 50
