"""The range of what mocks look like holds the mocks, and follows the priors."""

import dataclasses

import numpy as np
import pytest

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.mosaics.noise import BOX_PX, BandNoise, boxes_noise
from data_tools.preparation.training_range import training_range
from data_tools.priors import Priors

PRIORS = Priors(field_px=512)


def measured(image, bands):
    side = len(image) // BOX_PX
    boxes = image.reshape(side, BOX_PX, side, BOX_PX, len(bands)).swapaxes(1, 2)
    boxes = boxes.reshape(-1, BOX_PX, BOX_PX, len(bands))
    return boxes_noise(boxes, np.ones_like(boxes), bands)


def dark(bands, sky_njy=0.0):
    return [BandNoise(b, 1.0, sky_njy, 1.0, (0.0, 0.0), 1.0, (1.0, 1.0)) for b in bands]


@pytest.mark.parametrize("seed", range(4))
def test_a_field_of_the_priors_lies_within(m83, seed):
    """To the accuracy of the measurement: a tenth of sigma, 0.05 in correlation."""
    field = FieldMaker(m83, PRIORS).make(np.random.default_rng(seed))
    noise = measured(field.image, m83.band_names)
    for n, allowed in zip(noise, training_range(m83, PRIORS, noise), strict=True):
        assert n.band == allowed.band
        if np.isnan(n.sigma_njy):
            continue  # too crowded
        slack = 0.1 * n.sigma_njy
        low, high = allowed.sky_njy
        assert low - slack <= n.sky_njy <= high + slack
        low, high = allowed.sigma_njy
        assert low - slack <= n.sigma_njy <= high + slack
        low, high = allowed.correlation
        assert low - 0.05 <= np.mean(n.correlation) <= high + 0.05


def test_exposure_is_that_of_the_target_and_the_prior(m83):
    priors = dataclasses.replace(PRIORS, exposure_factor=(-1.0, 0.0))
    for band, allowed in zip(
        m83.bands, training_range(m83, priors, dark(m83.band_names)), strict=True
    ):
        assert allowed.exposure_s == pytest.approx(
            (band.exposure_s / 10, band.exposure_s)
        )


def test_more_sky_and_shorter_exposures_make_more_noise_and_less_depth(m83):
    priors = dataclasses.replace(
        PRIORS, sky_factor=(-0.2, 1.0), exposure_factor=(-0.6, 0.2)
    )
    noise = dark(m83.band_names)
    usual = training_range(m83, PRIORS, noise)
    wider = training_range(m83, priors, noise)
    for a, b in zip(usual, wider, strict=True):
        assert b.sigma_njy[1] > 1.5 * a.sigma_njy[1]
        assert b.depth_ab[0] < a.depth_ab[0] - 0.4
        assert b.sigma_njy[0] == pytest.approx(a.sigma_njy[0])
        assert b.sky_njy[0] < a.sky_njy[0]


def test_without_drizzling_there_is_no_correlation(m83):
    priors = dataclasses.replace(PRIORS, noise_shift_px=(0.0, 0.0))
    for allowed in training_range(m83, priors, dark(m83.band_names))[:2]:
        np.testing.assert_allclose(allowed.correlation, 0, atol=0.05)


def test_a_brighter_mosaic_is_compared_with_brighter_mocks(m83):
    faint, bright = (
        training_range(m83, PRIORS, dark(m83.band_names, sky)) for sky in (0.0, 50.0)
    )
    for a, b in zip(faint, bright, strict=True):
        assert b.sigma_njy[1] > 1.1 * a.sigma_njy[1]
        assert b.sky_njy == a.sky_njy


def test_a_mosaic_without_data_is_compared_with_dark_mocks(m83):
    nothing = dark(m83.band_names, np.nan)
    ranges = training_range(m83, PRIORS, nothing)
    assert all(np.isfinite(r.sigma_njy).all() for r in ranges)
