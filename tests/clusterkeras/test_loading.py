"""A trained model is loaded, or it is said what the file is instead."""

import keras
import numpy as np
import pytest

from clusterkeras import presets
from clusterkeras.config import ModelConfig
from clusterkeras.loading import load_model
from clusterkeras.model import ClusterModel


@pytest.fixture(scope="module")
def model(m83):
    keras.utils.set_random_seed(4)
    return ClusterModel(m83, ModelConfig(posterior="mixture", components=2, hidden=8))


@pytest.fixture(scope="module")
def run_directory(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    model.save(directory / presets.MODEL_FILE)
    return directory


def test_a_file_and_its_run_directory_load_as_the_same_model(model, run_directory):
    images = np.ones((2, *model.image_shape), np.float32)
    expected = model(images)["posterior"]
    for path in (run_directory, run_directory / presets.MODEL_FILE):
        loaded = load_model(path)
        assert isinstance(loaded, ClusterModel)
        np.testing.assert_allclose(loaded(images)["posterior"], expected, atol=1e-6)


def test_a_file_cut_in_half_is_named(run_directory, tmp_path):
    whole = (run_directory / presets.MODEL_FILE).read_bytes()
    half = tmp_path / "half.keras"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.keras: expected a model"):
        load_model(half)


def test_a_damaged_archive_is_named(run_directory, tmp_path):
    content = bytearray((run_directory / presets.MODEL_FILE).read_bytes())
    content[200:5000] = bytes(4800)
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.keras: Keras cannot load"):
        load_model(damaged)


def test_another_keras_model_is_refused(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(
        ValueError, match="expected ClusterModel or Ensemble; received Sequential"
    ):
        load_model(tmp_path / "other.keras")
