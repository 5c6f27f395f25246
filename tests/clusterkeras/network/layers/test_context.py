"""What is known beside the pixels: told, unknown, or refused."""

import math

import numpy as np
import pytest

from clusterkeras.network.layers.context import ContextFeatures, whole_context
from data_tools.schema import STELLAR_MODELS

EXPOSURE = (1890.0, 1180.0, 1203.0)


def features(m83, rows=2, **given):
    layer = ContextFeatures(EXPOSURE)
    return layer(whole_context(given, rows, m83)).numpy()


def test_nothing_known_is_nothing_told(m83):
    found = features(m83)
    assert found.shape == (2, ContextFeatures(EXPOSURE).size)
    assert not found.any()


@pytest.mark.parametrize(
    "width",
    [2.0, [2.0, 2.1, 2.2], [[2.0, 2.1, 2.2], [1.8, 1.9, 2.3]], np.full((2, 3), 2.0)],
)
def test_a_width_may_be_told_for_all_for_each_band_or_for_each_row(m83, width):
    found = features(m83, psf_fwhm_px=width)
    assert (found[:, :3] == 1).all()
    expected = np.broadcast_to(np.log(np.asarray(width) / 2.2) / 0.15, (2, 3))
    np.testing.assert_allclose(found[:, 3:6], expected, atol=1e-5)
    assert not found[:, 6:].any()


def test_the_exposure_is_told_over_the_target_s(m83):
    found = features(m83, exposure_s=np.array(EXPOSURE) * 10**0.15)
    np.testing.assert_allclose(found[:, 6:12], 1, atol=1e-5)


def test_one_band_may_be_known_alone(m83):
    found = features(m83, psf_fwhm_px=[math.nan, 2.2, math.nan])
    assert found[0, :6].tolist() == [0, 1, 0, 0, 0, 0]


def test_each_row_may_have_a_stellar_model_of_its_own_or_any(m83):
    found = features(m83, 4, stellar_model=[-1, 0, 1, 2])[:, 12:]
    assert found.tolist() == [[0, 0, 0], *np.eye(len(STELLAR_MODELS)).tolist()]


def test_what_is_absurd_is_told_no_more_than_so_far(m83):
    found = features(m83, psf_fwhm_px=1e6, exposure_s=1e-6)
    assert np.abs(found).max() <= 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seeing": 1.0}, r"context: expected some of \['psf_fwhm_px'.*'seeing'"),
        ({"psf_fwhm_px": np.ones((2, 2))}, r"psf_fwhm_px: expected float32 of shape"),
        ({"exposure_s": "long"}, r"exposure_s: expected float32"),
        ({"stellar_model": 0.5}, r"stellar_model: expected int32"),
        ({"stellar_model": [[1, 1]]}, r"stellar_model: expected int32"),
        ({"stellar_model": 3}, r"stellar_model: expected -1 for any, .* received 3"),
        ({"stellar_model": [-2, 0]}, r"received -2"),
        ({"psf_fwhm_px": 0.0}, r"psf_fwhm_px: expected numbers above 0, or NaN"),
        ({"exposure_s": [1.0, -5.0, math.nan]}, r"received -5"),
    ],
)
def test_what_cannot_be_is_refused_by_name(m83, given, message):
    with pytest.raises(ValueError, match=message):
        whole_context(given, 2, m83)
