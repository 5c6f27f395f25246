import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.serving.beside import METADATA_FILE
from clusterkeras.serving.contract import CONTRACT, signatures
from clusterkeras.serving.loading import load_savedmodel
from clusterkeras.serving.savedmodel import CARD_FILE, export
from data_tools.schema import KINDS, PARAMETERS, STELLAR_MODELS


@pytest.fixture(scope="module")
def directory(m83, tmp_path_factory):
    target = dataclasses.replace(m83, cutout_px=16)
    config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
    output = tmp_path_factory.mktemp("served")
    card = output / "card.md"
    card.write_text("# what it is bad at")
    return export(ClusterModel(target, config), output, "m83", 1, card=card)


@pytest.fixture(scope="module")
def served(directory):
    return load_savedmodel(directory)


def test_a_model_has_the_signatures_that_are_promised(served):
    assert sorted(served) == sorted(one.name for one in signatures())


@pytest.mark.parametrize("signature", signatures(), ids=lambda one: one.name)
@pytest.mark.parametrize("side", ["input", "output"])
def test_tensors_are_what_is_promised(served, signature, side):
    about = json.loads(served["metadata"]()["json"].numpy())
    promised = signature.inputs if side == "input" else signature.outputs
    given = served[signature.name].specs[side]
    assert sorted(given) == sorted(one.name for one in promised)
    for one in promised:
        assert given[one.name].dtype == tf.as_dtype(one.dtype), one.name
        assert tuple(given[one.name].shape) == one.sizes(about), one.name


def test_a_model_says_what_it_is_to_those_who_have_it_only_as_a_server(served, m83):
    told = {name: value.numpy() for name, value in served["metadata"]().items()}
    assert told["contract"] == CONTRACT
    assert told["name"].decode() == m83.name
    assert [b.decode() for b in told["bands"]] == list(m83.band_names)
    assert told["pixel_scale_arcsec"] == np.float32(m83.pixel_scale_arcsec)
    assert [p.decode() for p in told["parameters"]] == [p.name for p in PARAMETERS]
    assert [u.decode() for u in told["units"]] == [p.unit for p in PARAMETERS]
    np.testing.assert_allclose(told["box"], [m83.box[p.name] for p in PARAMETERS])
    assert tuple(k.decode() for k in told["kinds"]) == KINDS
    assert tuple(m.decode() for m in told["stellar_models"]) == STELLAR_MODELS


def test_the_same_lies_beside_it_for_people_with_the_model_s_card(directory, served):
    written = json.loads((directory / METADATA_FILE).read_text())
    told = json.loads(served["metadata"]()["json"].numpy())
    assert {name: written[name] for name in told} == told
    assert (directory / CARD_FILE).read_text() == "# what it is bad at"
