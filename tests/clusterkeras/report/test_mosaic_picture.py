"""A mosaic small enough for a page."""

import numpy as np
import pytest

from clusterkeras.report.mosaic_picture import mosaic_picture
from data_tools.mosaics.mosaic import open_mosaics


@pytest.fixture
def mosaics(images, m83):
    with open_mosaics(images, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        yield mosaics


@pytest.mark.parametrize(("longest", "step"), [(64, 2), (119, 2), (120, 1), (40, 3)])
def test_no_side_is_longer_than_asked_for(mosaics, longest, step):
    picture = mosaic_picture(mosaics, longest, progress=False)
    assert picture.step == step
    assert picture.rgb.shape == (-(-90 // step), -(-120 // step), 3)


def test_a_source_is_where_it_is_on_the_mosaic(mosaics):
    rgb = mosaic_picture(mosaics, 64, progress=False).rgb.sum(axis=-1)
    assert np.unravel_index(rgb.argmax(), rgb.shape) == (35, 30)


def test_places_without_data_are_black(mosaics):
    rgb = mosaic_picture(mosaics, 64, progress=False).rgb
    assert not rgb[:15, :15].any()
    assert rgb[20:, 20:].any()
