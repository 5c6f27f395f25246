"""Model files that version 0.1 wrote load, and answer as they did then.

Each ``.keras`` in ``released/`` is of a fit of eight steps on 16 px and two bands; the
``.npz`` beside it holds images and what that version said of them; the draws are of
random numbers of 0.2. Its modules had other names, and it called the published network,
``grid``, a `ClusterModel`.
"""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network.loading import load_model
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.published_model import PublishedModel

RELEASED = {"mixture": ClusterModel, "flow": ClusterModel, "grid": PublishedModel}
FOLDER = Path(__file__).parent / "released"


@pytest.fixture(params=RELEASED)
def released(request):
    with np.load(FOLDER / f"{request.param}.npz") as file:
        return request.param, load_model(FOLDER / f"{request.param}.keras"), dict(file)


def test_a_released_model_answers_as_then(released):
    name, model, stored = released
    assert type(model) is RELEASED[name]
    raw = model(stored["images"])["posterior"]
    found = {
        **model.summarise(stored["images"]),
        "log_prob": model.posterior(raw).log_prob(stored["parameters"]),
        "draws": model.draw_from(raw, tf.range(len(raw)), stored["draws"].shape[1]),
    }
    # new since
    assert not np.any(found.pop("bad_pixels"))
    living = np.asarray(found.pop("log_mass_current"))
    assert (living[:, 0] < np.asarray(found["median"])[:, 2]).all()
    assert set(found) == set(stored) - {"images", "parameters"}
    for answer, values in found.items():
        np.testing.assert_allclose(
            values, stored[answer], rtol=1e-4, atol=1e-4, err_msg=answer
        )


def test_a_released_model_is_written_again_as_what_it_is(released, tmp_path):
    name, model, stored = released
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is RELEASED[name]
    assert again.config == model.config
    np.testing.assert_array_equal(
        again(stored["images"])["posterior"], model(stored["images"])["posterior"]
    )


def test_plain_keras_loads_a_released_file_if_clusterkeras_comes_after_it():
    path = str(FOLDER / "grid.keras")
    load = f"keras.models.load_model({path!r})"
    code = f"import keras, clusterkeras; print(type({load}).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.split()[-1:] == ["PublishedModel"], done.stderr
