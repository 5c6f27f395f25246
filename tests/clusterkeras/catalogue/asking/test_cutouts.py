"""What is seen of a place beside its pixels."""

import dataclasses

import numpy as np
import pytest

from clusterkeras.catalogue.asking.cutouts import cut_out
from clusterkeras.config import InferenceConfig
from data_tools.mosaics.mosaic import open_mosaics, opened
from data_tools.schema import FLAGS

SHAPE = (60, 80)
PX = 16
BIT = {name: bit for name, (bit, _) in FLAGS.items()}
X = np.array([20.2, 50.6, 33.0, -300.0, np.nan, 62.0])
Y = np.array([40.1, 12.0, 30.5, 30.0, 20.0, 44.0])


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((0.0, 0.0, 0.0), False),
        ((-0.29, 0.19, 0.0), False),
        ((0.0, -0.4, 0.0), True),
        ((0.0, 0.0, 0.3), True),
        ((np.nan, 0.0, 0.0), False),
    ],
)
def test_a_place_of_another_depth_than_the_mocks_is_flagged(
    m83, tmp_path, write_band, factors, expected
):
    target = dataclasses.replace(m83, cutout_px=PX)
    rate = np.full(SHAPE, 0.1)
    paths = [
        write_band(
            tmp_path / f"{band.name}.fits",
            rate,
            band,
            EXPTIME=None if np.isnan(factor) else band.exposure_s * 10**factor,
        )
        for band, factor in zip(m83.bands, factors, strict=True)
    ]
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        flags = cut_out(mosaics, X, Y, target, InferenceConfig()).flags
        wide = InferenceConfig(exposure_factor=(-1, 1))
        assert not (cut_out(mosaics, X, Y, target, wide).flags & BIT["depth"]).any()
    assert ((flags & BIT["depth"] > 0)[[0, 1, 2, 5]] == expected).all()


@pytest.mark.parametrize(
    ("instrument", "psf", "expected"),
    [
        ({}, {}, False),
        ({"INSTRUME": "WFC3", "DETECTOR": "UVIS"}, {}, False),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, {}, True),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, {"F814W": "acs.fits"}, False),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, {"F438W": "acs.fits"}, True),
    ],
)
def test_another_instrument_than_the_mocks_is_flagged_and_told(
    m83, tmp_path, write_band, instrument, psf, expected, caplog
):
    target = dataclasses.replace(m83, cutout_px=PX, psf=psf)
    paths = [
        write_band(tmp_path / f"{band.name}.fits", np.full(SHAPE, 0.1), band, **more)
        for band, more in zip(m83.bands, ({}, {}, instrument), strict=True)
    ]
    with opened(paths, target) as mosaics:
        flags = cut_out(mosaics, X, Y, target, InferenceConfig()).flags
    assert ((flags & BIT["other_instrument"] > 0) == expected).all()
    assert ("F814W was taken by ACS/WFC" in caplog.text) == expected


def test_usable_places_are_told_their_exposure(mosaics, model, m83):
    cutouts = cut_out(mosaics, X, Y, model.target, InferenceConfig())
    expected = np.tile([band.exposure_s for band in m83.bands], (4, 1))
    np.testing.assert_allclose(cutouts.context["exposure_s"], expected, rtol=1e-6)
