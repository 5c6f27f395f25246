"""A model and mosaics, for what asks one about places on the others."""

import dataclasses

import keras
import numpy as np
import pytest

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from data_tools.mosaics.mosaic import open_mosaics

SHAPE = (60, 80)
PX = 16


@pytest.fixture(scope="module")
def model(m83):
    keras.utils.set_random_seed(5)
    target = dataclasses.replace(m83, cutout_px=PX)
    model = ClusterModel(
        target, ModelConfig("resnet_tiny", "mixture", components=2, hidden=8)
    )
    # an untrained posterior is the prior everywhere; this one depends on the image
    head = model.heads["posterior"]
    head.kernel.assign(3 * head.kernel)
    return model


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory, m83, write_band):
    rng = np.random.default_rng(8)
    directory = tmp_path_factory.mktemp("mosaics")
    paths = [
        write_band(
            directory / f"{band.name}.fits",
            0.1 + 0.02 * rng.standard_normal(SHAPE),
            band,
        )
        for band in m83.bands
    ]
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        yield mosaics


@pytest.fixture(scope="module")
def plain_model(m83):
    """Return a model that takes no context."""
    target = dataclasses.replace(m83, cutout_px=PX)
    shape = {"components": 2, "hidden": 8, "context": False, "kinds": False}
    return ClusterModel(target, ModelConfig("resnet_tiny", "mixture", **shape))
