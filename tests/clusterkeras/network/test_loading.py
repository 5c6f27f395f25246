"""Runs become one model on disk."""

import dataclasses

import keras
import numpy as np
import pytest
import yaml

from clusterkeras.config import ModelConfig
from clusterkeras.network import model_file as presets
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.loading import load_model, make_ensemble
from clusterkeras.network.model import ClusterModel
from data_tools.running.work_directory import LOCK

TINY = ModelConfig(
    "resnet_tiny", "mixture", components=3, flow_depth=2, flow_width=8, hidden=16
)


def test_runs_make_one_model_whose_configuration_names_them(small_target, tmp_path):
    members = [
        ClusterModel(small_target, dataclasses.replace(TINY, posterior=posterior))
        for posterior in ("mixture", "flow")
    ]
    images = np.random.default_rng(3).normal(0, 30, (6, 16, 16, 2)).astype("f4")
    for name, member in zip("ab", members, strict=True):
        (tmp_path / name).mkdir()
        member.save(tmp_path / name / presets.MODEL_FILE)
    runs = [tmp_path / "a", tmp_path / "b" / presets.MODEL_FILE]
    path = make_ensemble(runs, tmp_path / "both")
    assert path == tmp_path / "both" / presets.MODEL_FILE
    names = {path.name, "configuration.yaml", LOCK}
    assert {p.name for p in path.parent.iterdir()} == names
    configuration = yaml.safe_load((path.parent / "configuration.yaml").read_text())
    assert configuration["ensemble"] == [
        str(tmp_path / name / presets.MODEL_FILE) for name in "ab"
    ]
    loaded = load_model(tmp_path / "both")
    assert isinstance(loaded, Ensemble)
    assert loaded.config == tuple(member.config for member in members)
    expected = Ensemble(members).summarise(images)
    for name, value in loaded.summarise(images).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)

    with pytest.raises(FileExistsError, match="a model exists"):
        make_ensemble(runs, tmp_path / "both")
    # a fit that was cut off goes on by it
    begun = tmp_path / "begun" / "configuration.yaml"
    begun.parent.mkdir()
    begun.write_text("training: {}")
    with pytest.raises(ValueError, match=r"begun/configuration\.yaml: made with other"):
        make_ensemble(runs, begun.parent)
    assert begun.read_text() == "training: {}"


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
        ValueError, match=r"expected ClusterModel or Ensemble or .*received Sequential"
    ):
        load_model(tmp_path / "other.keras")
