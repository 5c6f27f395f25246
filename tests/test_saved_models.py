"""The models that ship answer today as on the day they were saved."""

from pathlib import Path

import numpy as np
import pytest

from clusterkeras import ClusterModel
from clusterkeras.network import model_file as presets
from clusterkeras.serving import loading

STORED = sorted(presets.saved_models_directory().glob("*/example.npz"))


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
    assert {path.parent.name for path in STORED} == set(presets.PRESETS)


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


def test_the_saved_model_answers_a_row_with_gaps_and_says_so(stored):
    directory, stored = stored
    answer = loading.load_savedmodel(directory / "1")["serving_default"]
    images = stored["images"].astype(np.float32)
    gaps = images.copy()
    gaps[1, 30:34, 30:34] = np.nan
    whole, found = answer(images=images), answer(images=gaps)
    assert found["bad_pixels"].numpy().tolist() == [0, 48] + [0] * (len(images) - 2)
    for name in set(found) - {"bad_pixels"}:
        assert np.all(np.isfinite(found[name]))
        np.testing.assert_array_equal(
            np.delete(found[name], 1, 0), np.delete(whole[name], 1, 0)
        )
