import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from clusterkeras.training.monitoring import write_pr_curve
from data_tools.schema import PARAMETER_NAMES

PARTS = {"loss", "nll", "presence", "visibility", "presence_auc"}


def read(directory):
    return EventAccumulator(str(directory), {"tensors": 0}).Reload()


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
    # above train and validation: whose curves are then metrics of this run
    plugin = read(logs).SummaryMetadata("_hparams_/session_start_info").plugin_data
    assert b"model.hidden" in plugin.content
    assert b"training.seed" in plugin.content


def test_pictures_come_with_the_last_epoch_at_least(logs):
    validation = read(logs / "validation")
    for tag in ("examples", "coverage", "predicted_against_true/all"):
        (event,) = validation.Tensors(tag)
        assert event.step == 8
        width, height, png = tf.make_ndarray(event.tensor_proto)[:3]
        image = tf.io.decode_png(png).numpy()
        assert image.shape[:2] == (int(height), int(width))
        assert image[..., :3].std() > 10


def test_pr_curves_are_the_plugin_s(logs):
    validation = read(logs / "validation")
    for name in ("all", "SN_below_10", "SN_above_10"):
        metadata = validation.SummaryMetadata(f"presence/{name}")
        assert metadata.plugin_data.plugin_name == "pr_curves"
        (event,) = validation.Tensors(f"presence/{name}")
        assert tf.make_ndarray(event.tensor_proto).shape == (6, 101)


def test_the_projector_has_each_cluster_s_features_and_truth(logs):
    config = (logs / "validation/projector_config.pbtxt").read_text()
    assert 'tensor_path: "features.tsv"' in config
    features = np.loadtxt(logs / "validation/features.tsv", delimiter="\t")
    first, *rows = (logs / "validation/clusters.tsv").read_text().splitlines()
    assert first.split("\t") == [*PARAMETER_NAMES, "log_snr"]
    assert len(features) == len(rows) > 0


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
