import keras
import numpy as np
import pytest

from clusterkeras import presets
from clusterkeras.config import ModelConfig
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
        loaded = presets.load_model(path)
        assert isinstance(loaded, ClusterModel)
        np.testing.assert_allclose(loaded(images)["posterior"], expected, atol=1e-6)


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_ships_and_loads(name):
    model = ClusterModel.from_preset(name)
    assert model.target.name == name


def test_presets_are_found_where_the_models_that_ship_are():
    directory = presets.saved_models_directory()
    assert directory.name == "saved_models"
    assert directory.is_dir()


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'m31'.*\['m83-wfc3-uvis'\]"):
        presets.load_model("m31")
    with pytest.raises(FileNotFoundError, match=presets.MODEL_FILE):
        presets.load_model(tmp_path)


def test_a_preset_that_is_not_installed_says_where_it_should_be(monkeypatch, tmp_path):
    monkeypatch.setattr(presets, "saved_models_directory", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        presets.find_model("m83-wfc3-uvis")


def test_a_file_cut_in_half_is_named(run_directory, tmp_path):
    whole = (run_directory / presets.MODEL_FILE).read_bytes()
    half = tmp_path / "half.keras"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.keras: expected a model"):
        presets.load_model(half)


def test_a_damaged_archive_is_named(run_directory, tmp_path):
    content = bytearray((run_directory / presets.MODEL_FILE).read_bytes())
    content[200:5000] = bytes(4800)
    damaged = tmp_path / "damaged.keras"
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.keras: Keras cannot load"):
        presets.load_model(damaged)


def test_another_keras_model_is_refused(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(
        ValueError, match="expected a ClusterModel or an Ensemble; received Sequential"
    ):
        presets.load_model(tmp_path / "other.keras")
