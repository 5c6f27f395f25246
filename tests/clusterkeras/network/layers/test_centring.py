"""The network sees the object in the middle, wherever it stands near it."""

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network import backbones
from clusterkeras.network.layers.centring import Centre, CentredCrop
from clusterkeras.network.layers.photometry import AperturePhotometry
from clusterkeras.network.layers.scaling import JointAsinh

PX = 64


def field(shift, bands=2):
    """Return a star on uneven sky, all of it moved by whole pixels."""
    row, column = np.mgrid[:PX, :PX] - 32.0
    row, column = row - shift[0], column - shift[1]
    light = 500 * np.exp(-(row**2 + column**2) / 6) + 3 * np.sin(row / 5 + column / 9)
    return np.repeat(light[None, ..., None], bands, -1).astype(np.float32)


def crop(images, side):
    scaled = JointAsinh(4.0)(images)
    return CentredCrop(side)([scaled, Centre()(scaled)]).numpy()


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 3)])
def test_a_shift_of_the_image_does_not_change_the_crop(shift):
    np.testing.assert_allclose(
        crop(field(shift), 56), crop(field((0, 0)), 56), atol=1e-6
    )


def test_the_object_is_on_the_crop_s_middle():
    found = crop(field((1, 2)), 40)[0, ..., 0]
    assert np.unravel_index(found.argmax(), found.shape) == (20, 20)


def test_it_is_found_where_photometry_finds_it():
    images = np.concatenate([field((1, 2)), field((-2, 0))])
    expected = AperturePhotometry(4.0)(images)["centre"]
    np.testing.assert_allclose(Centre()(JointAsinh(4.0)(images)), expected, atol=1e-4)


def test_even_an_object_far_off_gives_a_whole_crop():
    assert crop(field((9, -9)), 56).shape == (1, 56, 56, 2)


@pytest.mark.parametrize(
    ("side", "message"),
    [(7, "even number"), (0, "even number"), (58, "at least 66 pixels")],
)
def test_a_crop_that_cannot_be_is_refused(side, message):
    with pytest.raises(ValueError, match=message):
        crop(field((0, 0)), side)


def test_a_centred_backbone_does_not_see_a_shift():
    model = backbones.build("resnet_centred_small", (PX, PX, 2))
    images = [JointAsinh(4.0)(field(shift)) for shift in ((0, 0), (2, -2))]
    one, other = (model(image).numpy() for image in images)
    np.testing.assert_allclose(one, other, atol=1e-4)
    whole = backbones.build("resnet_small_photometry", (PX, PX, 2))
    one, other = (whole(image).numpy() for image in images)
    assert np.abs(one - other).max() > 1e-2


def test_no_images_have_no_crops():
    assert crop(tf.zeros((0, PX, PX, 2)), 56).shape == (0, 56, 56, 2)
