"""The SavedModel beside a Keras model: asked in its place, or said not to be."""

import dataclasses
import json
import logging
import shutil

import keras
import numpy as np
import pytest

from clusterkeras.catalogue.infer import infer
from clusterkeras.config import InferenceConfig, ModelConfig
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.posterior_model import PosteriorModel
from clusterkeras.serving.beside import METADATA_FILE, find_savedmodel
from clusterkeras.serving.savedmodel import export
from clusterkeras.serving.served_model import ServedModel, facts_of, open_model
from data_tools.mocks.mock_mosaic import make_mosaic

PX = 16


@pytest.fixture(scope="module")
def exported(m83, tmp_path_factory):
    """Return a run with its SavedModel beside the model's file."""
    keras.utils.set_random_seed(3)
    target = dataclasses.replace(m83, cutout_px=PX)
    config = ModelConfig("resnet_tiny", "mixture", components=2, hidden=8)
    run = tmp_path_factory.mktemp("runs") / "first"
    run.mkdir()
    ClusterModel(target, config).save(run / "model.keras")
    assert export(run, run.parent, run.name, 1) == run / "1"
    return run


@pytest.fixture
def run(exported, tmp_path):
    """Return a copy of the run, to be changed."""
    return shutil.copytree(exported, tmp_path / "first")


def rewrite(run, **changed):
    path = run / "1" / METADATA_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_it_is_asked_in_place_of_the_model_s_file_and_bears_its_name(exported):
    assert find_savedmodel(exported) == exported / "1"
    model = open_model(exported, summary_only=True)
    assert isinstance(model, ServedModel)
    assert model.loaded_by == model.in_place_of == str(exported)


def test_a_catalogue_is_the_same_row_for_row_and_in_what_it_says(exported):
    by_keras = open_model(exported)
    assert isinstance(by_keras, PosteriorModel)
    galaxy = make_mosaic(by_keras.target, size_px=128, n=4, seed=2)
    wanted, found = (
        infer(galaxy.mosaics, galaxy.truth, model=one, progress=False)
        for one in (by_keras, exported)
    )
    assert wanted.colnames == found.colnames and len(found) == 4
    for name in wanted.colnames:
        values = (np.asarray(c[name]) for c in (wanted, found))
        if wanted[name].dtype.kind == "f":
            np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-4, err_msg=name)
        else:
            np.testing.assert_array_equal(*values, err_msg=name)
    assert wanted.meta == found.meta


@pytest.mark.parametrize(
    ("settings", "draws"), [({"by_stellar_model": True}, 0), ({}, 16)]
)
def test_what_needs_more_than_a_summary_is_asked_of_the_keras_model(
    exported, settings, draws, monkeypatch
):
    galaxy = make_mosaic(facts_of(exported).target, size_px=128, n=2, seed=2)
    config = InferenceConfig(**settings)
    monkeypatch.setattr(ServedModel, "network", None)
    how = {"config": config, "draws": draws, "progress": False}
    assert len(infer(galaxy.mosaics, galaxy.truth, model=exported, **how)) == 2


def test_a_catalogue_by_it_gives_more_draws_than_a_savedmodel_has(exported):
    galaxy = make_mosaic(facts_of(exported).target, size_px=128, n=1, seed=2)
    found = infer(galaxy.mosaics, galaxy.truth, model=exported, progress=False)
    assert found.draws(0, 300).shape == (300, 4)


def test_one_of_other_weights_is_never_asked_and_that_is_said(run, caplog):
    model = open_model(run)
    model.set_weights([weight + 1 for weight in model.get_weights()])
    model.save(run / "model.keras")
    with caplog.at_level(logging.WARNING):
        assert isinstance(open_model(run, summary_only=True), PosteriorModel)
    assert "is not of this file" in caplog.text
    assert f"clusterkeras export --model {run} -o {run.parent}" in caplog.text
    assert "--name first --version 2" in caplog.text


@pytest.mark.parametrize(
    "changed",
    [{"keras_file": {}}, {"contract": 0}, {"versions": {"clusterkeras": "0"}}],
)
def test_one_of_another_file_or_version_is_not_asked(run, changed, caplog):
    rewrite(run, **changed)
    assert find_savedmodel(run) is None
    assert "Export it again" in caplog.text


def test_one_whose_own_weights_were_exchanged_is_not_asked(run, caplog):
    (data,) = (run / "1" / "variables").glob("*.data*")
    data.write_bytes(data.read_bytes()[::-1])
    assert find_savedmodel(run) is None
    assert "Export it again" in caplog.text


def test_one_without_its_weights_is_not_asked(run, caplog):
    shutil.rmtree(run / "1" / "variables")
    assert find_savedmodel(run) is None
    assert "Export it again" in caplog.text


def test_one_exported_from_a_model_in_memory_is_not_taken_for_a_file_s(run, caplog):
    shutil.rmtree(run / "1")
    export(open_model(run), run.parent, run.name, 1)
    assert find_savedmodel(run) is None and "Export it again" in caplog.text


def test_the_newest_that_is_the_file_s_is_asked(run, caplog):
    shutil.copytree(run / "1", run / "10")
    shutil.copytree(run / "1", run / "11")
    (run / "11" / METADATA_FILE).unlink()
    assert find_savedmodel(run) == run / "10" and not caplog.text


def test_without_one_nothing_is_said(run, caplog):
    shutil.rmtree(run / "1")
    assert find_savedmodel(run) is None and not caplog.text


def test_a_graph_and_metadata_of_two_exports_are_refused(run):
    rewrite(run, weights_sha256="00")
    with pytest.raises(ValueError, match="are of two exports: remove the directory"):
        open_model(run, summary_only=True)


def test_facts_of_a_model_are_known_without_loading_it(exported, monkeypatch, tmp_path):
    model = open_model(exported)
    path = tmp_path / "both.keras"
    Ensemble([model, model]).save(path)
    monkeypatch.setattr(keras.models, "load_model", None)
    for one in (exported, exported / "1", str(exported / "model.keras"), path):
        facts = facts_of(one)
        assert facts.target == model.target and facts.takes_context is True
    assert facts_of(model) is model


def test_a_file_that_is_no_model_of_this_package_is_refused_by_name(tmp_path):
    path = tmp_path / "other.keras"
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(path)
    with pytest.raises(ValueError, match=r"other\.keras: expected a model of this"):
        facts_of(path)


def test_a_savedmodel_without_its_file_of_metadata_is_asked_for_its_facts(run):
    (run / "1" / METADATA_FILE).unlink()
    assert isinstance(facts_of(run / "1"), ServedModel)
