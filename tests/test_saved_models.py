"""The models that ship answer today as on the day they were saved."""

from pathlib import Path

import numpy as np
import pytest

from clusterkeras import ClusterModel
from clusterkeras.catalogue.infer import infer
from clusterkeras.model_files.presets import preset_names, saved_models_directory
from clusterkeras.serving import loading
from data_tools.mocks.mock_mosaic import make_mosaic

STORED = sorted(saved_models_directory().glob("*/example.npz"))


@pytest.fixture(params=STORED, ids=[path.parent.name for path in STORED])
def stored(request):
    with np.load(request.param) as file:
        return request.param.parent, dict(file)


def check(found, stored):
    for name, value in found.items():
        if name == "bad_pixels":
            assert not np.any(value)
            continue
        np.testing.assert_allclose(
            value, stored[name], rtol=2e-3, atol=2e-3, err_msg=name
        )


def test_every_preset_has_stored_answers():
    assert {path.parent.name for path in STORED} == set(preset_names())


def test_the_keras_model_answers_as_stored(stored):
    directory, stored = stored
    model = ClusterModel.from_preset(Path(directory).name)
    images = stored["images"].astype(np.float32)
    check(model.summarise(images), stored)
    posterior = model.posterior(model(images)["posterior"])
    check({"log_prob": posterior.log_prob(stored["parameters"])}, stored)


def test_the_saved_model_answers_as_stored(stored):
    directory, stored = stored
    signatures = loading.load_savedmodel(directory / "1")
    images = stored["images"].astype(np.float32)
    check(signatures["serving_default"](images=images), stored)
    parameters = stored["parameters"]
    check(signatures["log_prob"](images=images, parameters=parameters), stored)


def test_a_catalogue_is_the_same_by_keras_and_by_the_saved_model(stored):
    directory, _ = stored
    model = ClusterModel.from_preset(directory.name)
    galaxy = make_mosaic(model.target, size_px=256, n=5, seed=2)
    by_keras, by_saved = (
        infer(galaxy.mosaics, galaxy.truth, model=one, progress=False)
        for one in (model, directory / "1")
    )
    assert by_keras.colnames == by_saved.colnames
    for name in by_keras.colnames:
        if by_keras[name].dtype.kind == "f":
            wanted, found = (np.asarray(c[name], float) for c in (by_keras, by_saved))
            np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)


def test_the_saved_model_answers_a_row_with_gaps_and_says_so(stored):
    directory, stored = stored
    answer = loading.load_savedmodel(directory / "1")["serving_default"]
    images = stored["images"].astype(np.float32)
    gaps = images.copy()
    gaps[1, 30:34, 30:34] = np.nan
    whole, found = answer(images=images), answer(images=gaps)
    n_bad = np.zeros(len(images))
    n_bad[1] = 16 * images.shape[-1]
    np.testing.assert_array_equal(found["bad_pixels"], n_bad)
    for name in set(found) - {"bad_pixels"}:
        assert np.all(np.isfinite(found[name]))
        np.testing.assert_array_equal(
            np.delete(found[name], 1, 0), np.delete(whole[name], 1, 0)
        )
