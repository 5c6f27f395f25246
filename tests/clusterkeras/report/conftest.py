"""Mosaics with a catalogue of them, and the page that shows both."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table

from data_tools.schema import FLAGS

SHAPE = (90, 120)
PX = 16
N = 40


@pytest.fixture(scope="session")
def images(tmp_path_factory, m83, write_band):
    """Return mosaics of noise with a bright source at (60, 70), and a hole."""
    rng = np.random.default_rng(3)
    directory = tmp_path_factory.mktemp("mosaics")
    paths = []
    for band in m83.bands:
        rate = 0.1 + 0.01 * rng.standard_normal(SHAPE)
        rate[70, 60] += 20
        rate[:30, :30] = np.nan
        paths.append(write_band(directory / f"{band.name}.fits", rate, band))
    return paths


@pytest.fixture(scope="session")
def model(m83):
    """Return an untrained network whose answer depends on the image."""
    import keras

    from clusterkeras.config import ModelConfig
    from clusterkeras.network.model import ClusterModel

    keras.utils.set_random_seed(7)
    config = ModelConfig("resnet_tiny", "mixture", components=2, hidden=8)
    model = ClusterModel(dataclasses.replace(m83, cutout_px=PX), config)
    for name in ("posterior", "presence"):
        kernel = model.heads[name].kernel
        kernel.assign(3 * kernel)
    return model


@pytest.fixture(scope="session")
def catalogue(images, model, tmp_path_factory):
    """Return what `infer` makes of 40 places: one without data, one that overlaps."""
    from clusterkeras.catalogue.infer import infer
    from clusterkeras.config import InferenceConfig

    directory = tmp_path_factory.mktemp("catalogue")
    rng = np.random.default_rng(4)
    x, y = rng.uniform(35, 110, N), rng.uniform(35, 80, N)
    # apart from all others
    x[0], y[0] = 60, 70
    x[1], y[1] = 10, 10
    Table({"id": [f"c{i:02d}" for i in range(N)], "x": x, "y": y}).write(
        directory / "positions.ecsv"
    )
    table = infer(
        images,
        directory / "positions.ecsv",
        directory / "catalogue.ecsv",
        model,
        InferenceConfig(cluster_share=model.cluster_share),
        progress=False,
    )
    # the flags that the page is tested with, not those of a random network
    table["flags"] = np.where(np.arange(N) == 1, FLAGS["no_data"][0], 0)
    table["flags"][2] = FLAGS["overlap"][0] | FLAGS["edge"][0]
    table["p_cluster"] = np.where(np.arange(N) == 1, np.nan, np.linspace(1, 0.2, N))
    return table


@pytest.fixture(scope="session")
def page(catalogue, images, model, tmp_path_factory):
    """Return the page of all of it: ``path`` and ``text``."""
    from clusterkeras.report.page import write_page

    path = tmp_path_factory.mktemp("page") / "report.html"
    report = write_page(catalogue, images, path, model, progress=False)
    return SimpleNamespace(path=path, text=path.read_text(), report=report)
