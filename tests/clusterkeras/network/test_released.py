"""Model files that version 0.1 wrote load, and answer as they did then.

Each ``.keras`` in ``released/`` is of a fit of eight steps on 16 px and two bands; the
``.npz`` beside it holds images and what that version said of them; the draws are of
random numbers of 0.2. Its modules had other names, it called the published network,
``grid``, a `ClusterModel`, and mixed no posterior with the flat prior.
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
from clusterkeras.network.posteriors.base import summarise
from clusterkeras.network.posteriors.flat import flat_logit
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
    raw, share = model.with_flat_prior().parts(model(stored["images"])["posterior"])
    np.testing.assert_allclose(share, flat_logit(stored["unlike_mocks"]), atol=1e-3)
    draws, weights = model.joint.even_draws(raw)
    whole = model.summarise(stored["images"])
    # before there is any flat prior in it
    found = {
        **{name: whole[name] for name in ("p_cluster", "log_snr", "log_snr_std")},
        **summarise(draws, weights),
        "edge_share": model.edge_share(draws, weights),
        "unlike_mocks": whole["unlike_mocks"],
        "log_prob": model.joint.distribution(raw).log_prob(stored["parameters"]),
        "draws": model.joint.draw(raw, tf.range(len(raw)), stored["draws"].shape[1]),
    }
    # new since
    assert not np.any(whole["bad_pixels"])
    living = np.asarray(whole["log_mass_current"])
    assert (living[:, 0] < np.asarray(whole["median"])[:, 2]).all()
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
