import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.training.monitoring import (
    as_image,
    draw_coverage,
    draw_predicted_against_true,
    predict_validation,
    presence_and_draws,
    write_pr_curve,
)
from data_tools.schema import PARAMETERS

PARTS = {"loss", "nll", "presence", "visibility", "presence_auc"}
BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose(list(BOX.values()))


def read(directory):
    return EventAccumulator(str(directory), {"tensors": 0}).Reload()


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


@pytest.fixture
def logs(finished_run):
    return finished_run / "tensorboard"


def test_curves_show_the_loss_by_part_and_the_rate(logs):
    train, validation = read(logs / "train"), read(logs / "validation")
    assert set(train.Tags()["tensors"]) >= PARTS | {"learning_rate"}
    assert set(validation.Tags()["tensors"]) >= PARTS
    assert [event.step for event in validation.Tensors("nll")] == [4, 8]
    rates = [tf.make_ndarray(e.tensor_proto) for e in train.Tensors("learning_rate")]
    assert rates[0] > rates[1]


def test_configuration_stands_as_text_and_hyper_parameters(logs):
    train = read(logs / "train")
    text = tf.make_ndarray(train.Tensors("configuration")[0].tensor_proto).item()
    assert b"    batch_size: 32" in text
    assert "_hparams_/session_start_info" in train.Tags()["tensors"]
    plugin = train.SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert b"model.hidden" in plugin.content
    assert b"training.seed" in plugin.content


def test_pictures_come_with_the_last_epoch_at_least(logs):
    validation = read(logs / "validation")
    for tag in ("predicted_against_true", "coverage"):
        (event,) = validation.Tensors(tag)
        assert event.step == 8
        width, height, png = tf.make_ndarray(event.tensor_proto)[:3]
        image = tf.io.decode_png(png).numpy()
        assert image.shape[:2] == (int(height), int(width))
        assert image[..., :3].std() > 10


def test_pr_curve_is_the_plugin_s(logs):
    validation = read(logs / "validation")
    metadata = validation.SummaryMetadata("presence_pr")
    assert metadata.plugin_data.plugin_name == "pr_curves"
    (event,) = validation.Tensors("presence_pr")
    assert tf.make_ndarray(event.tensor_proto).shape == (6, 101)


def test_pr_curve_counts_what_is_above_each_threshold(tmp_path):
    positive = np.array([True, True, False, False, True])
    probability = np.array([0.9, 0.4, 0.6, 0.1, 0.7])
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(step=0):
        write_pr_curve("pr", positive, probability)
    writer.close()
    (event,) = read(tmp_path).Tensors("pr")
    curve = tf.make_ndarray(event.tensor_proto)
    # at 0.5: two of three clusters found, one false, one rightly left out
    np.testing.assert_allclose(curve[:, 50], [2, 1, 1, 1, 2 / 3, 2 / 3])
    np.testing.assert_allclose(curve[:, 0], [3, 2, 0, 0, 3 / 5, 1])


def test_validation_pass_stops_after_enough_rows(model, data):
    infer = presence_and_draws(model)
    seen = predict_validation(infer, data, rows=20)
    assert seen["p_cluster"].shape == (32,)
    # another size of batch is traced once, and no other after it
    for size in (7, 5, 9):
        predict_validation(infer, data.unbatch().batch(size), rows=20)
    assert infer.experimental_get_tracing_count() <= 2
    assert seen["truth"].shape == (24, 4)
    assert seen["draws"].shape == (24, 200, 4)


def test_coverage_of_a_calibrated_posterior_lies_on_the_diagonal():
    uniform = np.random.default_rng(0).uniform(size=(5000, 4))
    (axes,) = draw_coverage(uniform).axes
    for line in axes.lines[1:]:
        np.testing.assert_allclose(line.get_ydata(), line.get_xdata(), atol=0.03)


def test_predicted_against_true_has_a_panel_a_parameter():
    rng = np.random.default_rng(0)
    truth = rng.uniform(LOW, HIGH, (30, 4))
    figure = draw_predicted_against_true(truth, np.repeat(truth[:, None], 9, 1), BOX)
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == [f"true {p.label} [{p.unit}]" for p in PARAMETERS]
    assert as_image(figure).shape[0] == 1
