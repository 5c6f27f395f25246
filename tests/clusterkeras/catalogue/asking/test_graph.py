"""The graph answers as the model does, all stellar models from one look."""

import dataclasses

import numpy as np
import tensorflow as tf

from clusterkeras.catalogue.asking.cutouts import cut_out
from clusterkeras.catalogue.asking.graph import compile_network, for_few
from clusterkeras.config import InferenceConfig
from data_tools.schema import STELLAR_MODELS

X = np.array([20.2, 50.6, 33.0, -300.0, np.nan, 62.0])
Y = np.array([40.1, 12.0, 30.5, 30.0, 20.0, 44.0])


def test_pixels_are_looked_at_once_for_all_stellar_models(mosaics, model, monkeypatch):
    looks, look = [], type(model).look

    def counted(self, *args):
        looks.append(self)
        return look(self, *args)

    monkeypatch.setattr(type(model), "look", counted)
    cutouts = cut_out(mosaics, X[:2], Y[:2], model.target, InferenceConfig())
    network = compile_network.__wrapped__(model, 0, by_stellar_model=True)
    network(cutouts.images, cutouts.seeds, cutouts.context)
    assert len(looks) == 1


def test_ages_by_stellar_model_are_those_of_each_asked_alone(mosaics, model):
    config, good = InferenceConfig(), [0, 1, 2, 5]
    cutouts = cut_out(mosaics, X[good], Y[good], model.target, config)
    network = compile_network(model, 0, by_stellar_model=True)
    found = network(cutouts.images, cutouts.seeds, cutouts.context)["by_stellar_model"]
    assert found.shape == (4, 3, 2, 3)
    for i, name in enumerate(STELLAR_MODELS):
        alone = dataclasses.replace(config, stellar_model=name)
        cutouts = cut_out(mosaics, X[good], Y[good], model.target, alone)
        summary = model.summarise({"images": cutouts.images, **cutouts.context})
        for j, key in enumerate(("median", "lower", "upper")):
            expected = np.asarray(summary[key])[:, :2]
            np.testing.assert_allclose(
                found[:, i, :, j], expected, rtol=1e-4, atol=1e-4
            )
    assert np.ptp(found[..., 0, 0], axis=1).max() > 1e-3


def test_few_places_leave_the_graph_as_it_is_and_the_setting_as_it_was():
    option = "disable_meta_optimizer"
    get = tf.config.optimizer.get_experimental_options
    assert for_few(lambda: get()[option])() is True
    assert not get().get(option, False)
