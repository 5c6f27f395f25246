"""Pictures of a training: which clusters they show, and of what."""

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.training.pictures import (
    as_image,
    choose_examples,
    draw_pictures,
    looking,
    predict_validation,
)
from data_tools.schema import PARAMETERS

BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose(list(BOX.values()))


@pytest.fixture(scope="module")
def model(small_target):
    return ClusterModel(
        small_target,
        ModelConfig(
            backbone="resnet_tiny", posterior="mixture", components=2, hidden=8
        ),
    )


@pytest.fixture(scope="module")
def data(model):
    rng = np.random.default_rng(0)
    labels = {
        "parameters": rng.uniform(LOW, HIGH, (48, 4)).astype("f4"),
        "is_cluster": np.repeat([1.0, 0.0], 24).astype("f4"),
        "log_snr": rng.normal(1, 0.3, 48).astype("f4"),
        "has_object": np.ones(48, "f4"),
    }
    images = rng.normal(0, 3, (48, 16, 16, 2)).astype("f4")
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(16)


def test_validation_pass_stops_after_enough_rows(model, data):
    look = looking(model)
    seen = predict_validation(look, data, rows=20)
    assert seen["p_cluster"].shape == (32,)
    # another size of batch is traced once, and no other after it
    for size in (7, 5, 9):
        predict_validation(look, data.unbatch().batch(size), rows=20)
    assert look.experimental_get_tracing_count() <= 2
    assert seen["truth"].shape == (24, 4)
    assert seen["draws"].shape == (24, 200, 4)


@pytest.fixture(scope="module")
def seen(model, data):
    return predict_validation(looking(model), data)


def test_examples_go_from_faint_to_bright_and_show_their_own_truth(seen):
    examples = choose_examples(seen)
    assert len(examples) == 4
    shown = [float(example.title.removeprefix("S/N ")) for example in examples]
    assert shown == sorted(shown)
    clusters = seen["log_snr"][seen["is_cluster"]]
    for example, snr in zip(examples, shown, strict=True):
        row = int(np.argmin(abs(10**clusters - snr)))
        np.testing.assert_array_equal(example.truth, seen["truth"][row])
        np.testing.assert_array_equal(example.image, seen["images"][row])


def test_clusters_are_drawn_by_visibility_where_there_are_any(model, seen):
    pictures = draw_pictures(seen, model.target)
    assert {"examples", "coverage", "predicted_against_true/all"} < set(pictures)
    only_bright = {**seen, "log_snr": np.full_like(seen["log_snr"], 2.0)}
    names = set(draw_pictures(only_bright, model.target))
    assert "predicted_against_true/SN_above_10" in names
    assert "predicted_against_true/SN_below_10" not in names
    assert as_image(pictures["coverage"]).shape[0] == 1
