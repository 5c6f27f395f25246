"""Runs become one model on disk."""

import dataclasses
import json
import re
import zipfile

import keras
import numpy as np
import pytest
import yaml

from clusterkeras.config import ModelConfig
from clusterkeras.model_files import MODEL_FILE, model_file
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.loading import load_model, make_ensemble
from clusterkeras.network.model import ClusterModel, model_class
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
        member.save(tmp_path / name / MODEL_FILE)
    runs = [tmp_path / "a", tmp_path / "b" / MODEL_FILE]
    path = make_ensemble(runs, tmp_path / "both")
    assert path == tmp_path / "both" / MODEL_FILE
    names = {path.name, "configuration.yaml", LOCK}
    assert {p.name for p in path.parent.iterdir()} == names
    configuration = yaml.safe_load((path.parent / "configuration.yaml").read_text())
    assert configuration["ensemble"] == [
        str(tmp_path / name / MODEL_FILE) for name in "ab"
    ]
    loaded = load_model(tmp_path / "both")
    assert isinstance(loaded, Ensemble)
    assert loaded.config == tuple(member.config for member in members)
    expected = Ensemble(members).summarise(images)
    for name, value in loaded.summarise(images).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)

    with pytest.raises(FileExistsError, match="a model exists"):
        make_ensemble(runs, tmp_path / "both")
    # somebody's, or a fit's that was cut off
    begun = tmp_path / "begun" / "configuration.yaml"
    begun.parent.mkdir()
    begun.write_text("training: {}")
    with pytest.raises(FileExistsError, match=r"configuration\.yaml: it is there, and"):
        make_ensemble(runs, begun.parent)
    assert begun.read_text() == "training: {}"


@pytest.fixture(scope="module")
def model(small_target):
    keras.utils.set_random_seed(4)
    return ClusterModel(small_target, TINY)


@pytest.fixture(scope="module")
def run_directory(model, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    model.save(directory / MODEL_FILE)
    return directory


def test_a_file_and_its_run_directory_load_as_the_same_model(model, run_directory):
    images = np.ones((2, *model.image_shape), np.float32)
    expected = model(images)["posterior"]
    for path in (run_directory, run_directory / MODEL_FILE):
        loaded = load_model(path)
        assert isinstance(loaded, ClusterModel)
        np.testing.assert_allclose(loaded(images)["posterior"], expected, atol=1e-6)


def test_a_file_cut_in_half_is_named(run_directory, tmp_path):
    whole = (run_directory / MODEL_FILE).read_bytes()
    half = tmp_path / "half.keras"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"half\.keras: expected a model"):
        load_model(half)


def rewritten(source, target, change):
    """Write a model again with its configuration, and weights, as they are changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = change(name, old.read(name))
            if content is not None:
                new.writestr(name, content)
    return target


@pytest.fixture(scope="module")
def small_file(run_directory):
    return run_directory / MODEL_FILE


@pytest.mark.parametrize("at", [0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999])
def test_a_file_cut_short_or_with_a_flipped_byte_is_named(small_file, tmp_path, at):
    whole = small_file.read_bytes()
    place = int(at * len(whole))
    flipped = bytearray(whole)
    flipped[place] ^= 0x55
    for content in (whole[:place], flipped, whole[:place] + whole[place + 100 :]):
        (tmp_path / "bad.keras").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.keras: .*(cut short|cannot load)"):
            load_model(tmp_path / "bad.keras")


@pytest.mark.parametrize("at", [0, 0.05, 0.1, 0.3, 0.6, 0.9])
def test_weights_whose_own_format_is_damaged_are_named(small_file, tmp_path, at):
    def change(name, content):
        if not name.endswith(".h5"):
            return content
        place = int(at * len(content))
        return content[:place] + bytes(len(content) - place)

    path = rewritten(small_file, tmp_path / "bad.keras", change)
    try:
        model = load_model(path)
    except ValueError as error:
        assert "bad.keras: Keras cannot load this model" in str(error)
    else:  # zeros are numbers, where the format lets them stand
        assert isinstance(model, ClusterModel)
        assert at > 0.05


def set_shape(name, value):
    def change(content):
        content["config"]["config"][name] = value

    return change


CONFIGURATIONS = {
    "no object": lambda content: content.clear(),
    "another class": lambda content: content.update(registered_name="x>Y"),
    "no target": lambda content: content["config"].pop("target"),
    "target of another type": lambda content: content["config"].update(target=[1]),
    "bands of another type": lambda content: content["config"]["target"].update(
        bands="F336W"
    ),
    "a share as text": lambda content: content["config"].update(cluster_share="much"),
    "an unknown key": lambda content: content["config"].update(extra=1),
    "a recalibration as a list": lambda content: content["config"].update(
        recalibration=[1]
    ),
    "a shape as text": set_shape("hidden", "wide"),
    "a shape as a list": set_shape("components", [3]),
    "a shape of null": set_shape("hidden", None),
    "an unknown backbone": set_shape("backbone", "vgg"),
    "another width": set_shape("hidden", 17),
    **{
        f"{name} of {value:g}": set_shape(name, value)
        for name in ("hidden", "components")
        for value in (10**6, 10**9, 10**18, 10**30)
    },
    "a deep flow": lambda content: content["config"]["config"].update(
        posterior="flow", flow_depth=10**9
    ),
    "a wide flow": lambda content: content["config"]["config"].update(
        posterior="flow", flow_width=10**9
    ),
    "a flow of many bins": lambda content: content["config"]["config"].update(
        posterior="flow", flow_bins=10**9
    ),
    "wide ensemble": lambda content: content.update(
        registered_name="clusterkeras>Ensemble",
        config={
            "members": [{"config": {"config": {"backbone": "x", "hidden": 10**9}}}]
        },
    ),
}


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_a_configuration_that_is_not_as_written_is_named(small_file, tmp_path, case):
    def change(name, content):
        if name != "config.json":
            return content
        content = json.loads(content)
        CONFIGURATIONS[case](content)
        return json.dumps(content)

    path = rewritten(small_file, tmp_path / "bad.keras", change)
    with pytest.raises(
        ValueError, match=r"bad\.keras: Keras cannot load this model: .+"
    ):
        load_model(path)


@pytest.mark.parametrize(
    "config",
    [b"", b"{", b"null", b"[]", b"3", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000],
)
def test_a_configuration_that_is_no_json_object_is_named(small_file, tmp_path, config):
    path = rewritten(
        small_file,
        tmp_path / "bad.keras",
        lambda name, content: config if name == "config.json" else content,
    )
    with pytest.raises(
        ValueError, match=r"bad\.keras: Keras cannot load this model: .+"
    ):
        load_model(path)


@pytest.mark.parametrize("part", ["config.json", "model.weights.h5"])
def test_a_part_that_is_missing_is_named(small_file, tmp_path, part):
    path = rewritten(
        small_file,
        tmp_path / "bad.keras",
        lambda name, content: None if name == part else content,
    )
    with pytest.raises(ValueError, match=rf"bad\.keras: .*{re.escape(part)}"):
        load_model(path)


def test_a_file_that_inflates_without_bounds_is_refused_before_it_does(tmp_path):
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(50_000_000))
    with pytest.raises(ValueError, match=r"bomb\.keras: .*inflate to far more"):
        load_model(path)


@pytest.mark.parametrize("posterior", ["mixture", "flow", "grid"])
@pytest.mark.parametrize("hidden", [1, 64])
def test_no_network_has_fewer_weights_than_are_asked_for(
    small_target, posterior, hidden
):
    config = dataclasses.replace(
        TINY, posterior=posterior, hidden=hidden, components=12, flow_depth=6
    )
    model = model_class(config)(small_target, config)
    assert 0 < model_file._least_weights(model.get_config()) < model.count_params()


def test_another_keras_model_is_refused(tmp_path):
    other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    other.save(tmp_path / "other.keras")
    with pytest.raises(
        ValueError, match=r"expected ClusterModel or Ensemble or .*received Sequential"
    ):
        load_model(tmp_path / "other.keras")
