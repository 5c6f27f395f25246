"""The package beside a user's Keras: its settings, and in which order they come."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import clusterkeras
from clusterkeras.config import ModelConfig
from clusterkeras.network import backbones
from clusterkeras.network.backbones import FusedBatchNormalization
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.layers.photometry import PhotometricFeatures
from clusterkeras.network.layers.unlike import fit_unlike
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.published_model import PublishedModel

TINY = {"backbone": "resnet_tiny", "hidden": 8, "flow_depth": 1, "flow_width": 4}


def run(code, **environment):
    """Run Python in a process of its own and return what it printed and its error."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def files(small_target, tmp_path_factory):
    """Return a directory with a file of everything that Keras saves of this package."""
    folder = tmp_path_factory.mktemp("files")

    def make(posterior, kind=ClusterModel):
        return kind(small_target, {**TINY, "posterior": posterior})

    models = {
        "flow": make("flow"),
        "grid": make("grid", PublishedModel),
        "ensemble": Ensemble([make("mixture"), make("mixture")]),
        "compiled": make("mixture"),
    }
    models["backbone"] = models["flow"].backbone
    models["layer"] = keras.Sequential(
        [keras.Input((64, 64, 2)), PhotometricFeatures()]
    )
    training = clusterkeras.TrainingConfig()
    models["compiled"].compile(clusterkeras.make_optimizer(training, steps=5))
    for name, model in models.items():
        model.save(folder / f"{name}.keras")
    return folder


@pytest.mark.parametrize(
    "order", ["import clusterkeras, keras", "import keras, clusterkeras"]
)
def test_plain_keras_loads_every_file_whichever_was_imported_first(files, order):
    code = f"""
import sys, pathlib
{order}
print("clusterkeras.network.model" in sys.modules)
for path in sorted(pathlib.Path({str(files)!r}).glob("*.keras")):
    model = keras.saving.load_model(path)
    print(path.stem, type(model).__name__)
    if path.stem == "compiled":
        print(type(model.optimizer).__name__)
"""
    out, error = run(code)
    assert out.splitlines() == [
        "False",
        "backbone Functional",
        "compiled ClusterModel",
        "Muon",
        "ensemble Ensemble",
        "flow ClusterModel",
        "grid PublishedModel",
        "layer Sequential",
    ], error


def test_every_class_that_is_saved_is_known():
    importable = {
        f"clusterkeras>{name}"
        for names in clusterkeras._SAVED.values()
        for name in names
    }
    for module in clusterkeras._SAVED:
        __import__(module)
    registered = {
        name: value
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith("clusterkeras>")
    }
    assert set(registered) == importable
    assert registered["clusterkeras>FusedBatchNormalization"] is FusedBatchNormalization


def test_importing_the_package_imports_no_keras():
    out, error = run(
        "import sys, clusterkeras; print('keras' in sys.modules, "
        "'tensorflow' in sys.modules)"
    )
    assert out.split() == ["False", "False"], error


def test_a_user_s_keras_settings_change_no_answer_and_stay(m83, tmp_path, monkeypatch):
    # all kinds of layers that the model that ships has, and fewer of each
    tiny = backbones.ResNet((8, 16), blocks=1, photometry=(8, 8))
    monkeypatch.setitem(backbones.BACKBONES, "resnet_tiny", tiny)
    model = ClusterModel(m83, {**TINY, "posterior": "flow"})
    images = np.random.default_rng(1).normal(0, 30, (3, *model.image_shape))
    images = images.astype("f4")
    fit_unlike(model, [(images, {})], [(images, {})])
    model.save(tmp_path / "model.keras")
    model = clusterkeras.load_model(tmp_path / "model.keras")
    plain = model.summarise(images)
    predicted = model.predict(images, verbose=0)["posterior"]
    settings = {
        "floatx": ("float64", "float16"),
        "image_data_format": ("channels_first",),
        "dtype_policy": ("mixed_bfloat16", "mixed_float16", "float64"),
    }
    for name, values in settings.items():
        get, set_ = (getattr(keras.config, f"{verb}{name}") for verb in ("", "set_"))
        usual = get()
        for value in values:
            try:
                set_(value)
                model = clusterkeras.load_model(tmp_path / "model.keras")
                found = model.summarise(images)
                raw = model.predict(images, verbose=0)["posterior"]
                left = get()
            finally:
                set_(usual)
            assert getattr(left, "name", left) == value
            np.testing.assert_array_equal(raw, predicted, err_msg=value)
            for key, wanted in plain.items():
                np.testing.assert_array_equal(
                    found[key], wanted, err_msg=f"{value} {key}"
                )


@pytest.mark.parametrize("posterior", ["mixture", "flow", "grid"])
def test_training_is_the_same_under_another_floatx(small_target, posterior):
    def loss():
        keras.utils.set_random_seed(1)
        config = ModelConfig(**TINY, posterior=posterior)
        kind = PublishedModel if posterior == "grid" else ClusterModel
        model = kind(small_target, config)
        assert {v.dtype for v in model.trainable_variables} == {"float32"}
        rng = np.random.default_rng(1)
        low, high = model.joint.low, model.joint.high
        labels = {
            "parameters": rng.uniform(low, high, (8, 4)).astype("f4"),
            **{k: np.ones(8, "f4") for k in ("is_cluster", "log_snr", "has_object")},
            "kind": np.zeros(8, int),
        }
        images = rng.normal(0, 5, (8, 16, 16, 2)).astype("f4")
        optimizer = clusterkeras.make_optimizer(clusterkeras.TrainingConfig(), 5)
        model.compile(optimizer, run_eagerly=True)  # a single step
        return model.fit(images, labels, verbose=0).history["loss"][0]

    plain = loss()
    try:
        keras.config.set_floatx("float64")
        found = loss()
    finally:
        keras.config.set_floatx("float32")
    assert found == pytest.approx(plain, rel=1e-4)


@pytest.mark.parametrize("how", ["variable", "file"])
def test_another_back_end_is_refused_in_one_sentence(tmp_path, how):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "jax"}))
    environment = {"KERAS_BACKEND": "jax"}
    if how == "file":
        environment = {"KERAS_BACKEND": "", "KERAS_HOME": str(tmp_path)}
    code = """
import clusterkeras
from clusterkeras.config import TrainingConfig
for name in ("load_model", "fit", "evaluate", "export"):
    try:
        getattr(clusterkeras, name)
    except ImportError as error:
        print(error)
"""
    out, error = run(code, **environment)
    sentence = (
        "clusterkeras: expected Keras with its TensorFlow back end; received 'jax'"
    )
    assert out.count(sentence) == 4, error
    assert len(out.splitlines()) == 4


def test_the_command_line_takes_tensorflow_whatever_the_user_s_file_says(tmp_path):
    settings = {"backend": "jax", "floatx": "float16"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = (
        "from clusterkeras.commands.cli import main; import clusterkeras; "
        "print(type(clusterkeras.load_model()).__name__)"
    )
    out, error = run(
        code,
        KERAS_HOME=str(tmp_path),
        KERAS_BACKEND="torch",
        TF_USE_LEGACY_KERAS="1",
    )
    assert out.split()[-1:] == ["ClusterModel"], error


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"floatx": "float8"}, "floatx: expected one of float16, float32, float64"),
        ({"floatx": ["float32"]}, "floatx: expected one of float16, float32, float64"),
        ({"image_data_format": "first"}, "image_data_format: expected one of"),
        ({"epsilon": "small"}, "epsilon: expected a number such as 1e-07"),
        ([1], "expected a mapping"),
    ],
)
def test_settings_that_keras_cannot_take_name_their_file(tmp_path, settings, message):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code = """
import clusterkeras
try:
    clusterkeras.load_model
except ImportError as error:
    print(error)
from clusterkeras.commands import cli
"""
    out, error = run(code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="")
    assert out.startswith(f"{tmp_path}/keras.json: {message}"), error
    assert not error
