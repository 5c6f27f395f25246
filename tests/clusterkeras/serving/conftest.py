"""The SavedModel that ships, and what to ask it."""

import numpy as np
import pytest

from clusterkeras.model_files.presets import saved_models_directory
from clusterkeras.serving.loading import load_savedmodel

DIRECTORY = saved_models_directory() / "m83-wfc3-uvis" / "1"


@pytest.fixture(scope="session")
def signatures():
    return load_savedmodel(DIRECTORY)


@pytest.fixture(scope="session")
def given():
    """Return inputs of every signature: the images of the stored example."""
    with np.load(DIRECTORY.parent / "example.npz") as example:
        images, parameters = example["images"], example["parameters"]
    n = len(images)
    return {
        "images": images.astype(np.float32),
        "parameters": parameters,
        "seed": np.arange(n, dtype=np.int32),
        "psf_fwhm_px": np.tile(np.float32([2.0, np.nan, 2.4]), (n, 1)),
        "exposure_s": np.full((n, 3), 1800, np.float32),
        "stellar_model": np.arange(n, dtype=np.int32) % 4 - 1,
    }
