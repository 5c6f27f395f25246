import dataclasses
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.commands.cli import main
from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.serving import check
from clusterkeras.serving.beside import METADATA_FILE, weights_files
from clusterkeras.serving.check import check_savedmodel
from clusterkeras.serving.savedmodel import export
from clusterkeras.serving.warmup import WARMUP_FILE


@pytest.fixture(scope="module")
def directory(m83, tmp_path_factory):
    keras.utils.set_random_seed(3)
    target = dataclasses.replace(m83, cutout_px=16)
    config = ModelConfig(backbone="resnet_tiny", posterior="flow", hidden=8)
    return export(ClusterModel(target, config), tmp_path_factory.mktemp("served"))


def test_what_export_writes_keeps_the_contract(directory, capsys):
    assert check_savedmodel(directory) == []
    assert main(["check-savedmodel", str(directory)]) == 0
    assert "keeps the contract" in capsys.readouterr().out


def test_a_model_without_its_warm_up_is_named(directory, tmp_path, capsys):
    other = tmp_path / "1"
    shutil.copytree(directory, other)
    (other / WARMUP_FILE).unlink()
    assert main(["check-savedmodel", str(other)]) != 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{WARMUP_FILE}: missing")
    assert "1 deviation" in err


def test_weights_that_were_exchanged_are_named(directory, tmp_path):
    copy = shutil.copytree(directory, tmp_path / "1")
    path = copy / METADATA_FILE
    exported = next(iter(weights_files(copy).values()))
    path.write_text(path.read_text().replace(exported, "0"))
    (found,) = check_savedmodel(copy)
    assert found.endswith("is not the file that was exported")
    path.unlink()
    assert check_savedmodel(copy) == [f"{METADATA_FILE}: is missing"]


def test_a_request_of_every_signature_is_wanted(directory, tmp_path):
    other = tmp_path / "1"
    shutil.copytree(directory, other)
    path = str(other / WARMUP_FILE)
    first = next(iter(tf.data.TFRecordDataset(path))).numpy()
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(first)
    found = check_savedmodel(other)
    assert len(found) == 5 and all("expected a request of" in line for line in found)


class Served:
    """A signature that answers as another does, but for one change."""

    def __init__(self, signature, change, specs=None):
        self._signature, self._change = signature, change
        self.specs = specs or signature.specs

    def __call__(self, **inputs):
        """Answer, with the change made."""
        answer = {k: v.numpy() for k, v in self._signature(**inputs).items()}
        self._change(answer, inputs)
        return {name: tf.constant(value) for name, value in answer.items()}


def leans_on_neighbours(answer, inputs):
    answer["median"] = answer["median"] + len(inputs["images"])


def forgets_gaps(answer, inputs):
    answer["bad_pixels"] = 0 * answer["bad_pixels"]


def fills_bands_without_data(answer, inputs):
    answer["p_cluster"] = np.nan_to_num(answer["p_cluster"])


def overflows(answer, inputs):
    if np.any(inputs["images"] > 1e10):
        answer["log_snr"] = answer["log_snr"] * np.inf


def draws_at_will(answer, inputs):
    answer["samples"] = np.random.default_rng().random(answer["samples"].shape)


def draws_alike(answer, inputs):
    answer["samples"] = 0 * answer["samples"]


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("serving_default", leans_on_neighbours, "median: depends on the rows beside"),
        ("serving_default", forgets_gaps, "bad_pixels: expected"),
        ("serving_default", fills_bands_without_data, "p_cluster: expected NaN"),
        ("serving_default", overflows, "log_snr: expected a number"),
        ("samples", draws_at_will, "the same draws of the same seeds"),
        ("samples", draws_alike, "other draws of another seed"),
    ],
)
def test_a_model_that_answers_otherwise_is_named(
    directory, monkeypatch, name, change, said
):
    loaded = check.load_savedmodel(directory)
    loaded[name] = Served(loaded[name], change)
    monkeypatch.setattr(check, "load_savedmodel", lambda _: loaded)
    found = check_savedmodel(directory)
    assert any(said in line for line in found), found


def test_other_tensors_are_named(directory, monkeypatch):
    loaded = check.load_savedmodel(directory)
    signature = loaded["serving_default"]
    outputs = dict(signature.specs["output"])
    outputs["mean"] = tf.TensorSpec((None, 5), tf.float32)
    outputs["extra"] = outputs.pop("edge_share")
    specs = {"input": signature.specs["input"], "output": outputs}
    loaded["serving_default"] = Served(signature, None, specs)
    del loaded["log_prob"]
    monkeypatch.setattr(check, "load_savedmodel", lambda _: loaded)
    assert check_savedmodel(directory) == [
        "log_prob: the signature is missing",
        "serving_default, output edge_share: is missing",
        "serving_default, output extra: is none of the contract's",
        "serving_default, output mean: expected float32 of shape (None, 4); received "
        "float32 of shape (None, 5)",
    ]


def test_a_model_of_before_is_told_to_be_exported_again(directory, monkeypatch):
    loaded = check.load_savedmodel(directory)
    del loaded["metadata"]
    monkeypatch.setattr(check, "load_savedmodel", lambda _: loaded)
    assert ["export it again" in line for line in check_savedmodel(directory)] == [True]
