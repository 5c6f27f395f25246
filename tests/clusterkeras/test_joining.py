"""Runs become one model on disk."""

import dataclasses

import numpy as np
import pytest
import yaml

from clusterkeras import presets
from clusterkeras.config import ModelConfig
from clusterkeras.ensemble import Ensemble
from clusterkeras.joining import make_ensemble
from clusterkeras.loading import load_model
from clusterkeras.model import ClusterModel

TINY = ModelConfig(
    "resnet_tiny", "mixture", components=3, flow_depth=2, flow_width=8, hidden=16
)


def test_runs_make_one_model_whose_configuration_names_them(small_target, tmp_path):
    members = [
        ClusterModel(small_target, dataclasses.replace(TINY, posterior=posterior))
        for posterior in ("mixture", "flow")
    ]
    images = np.random.default_rng(3).normal(0, 30, (6, 16, 16, 2)).astype("f4")
    for name, member in zip("ab", members, strict=True):
        (tmp_path / name).mkdir()
        member.save(tmp_path / name / presets.MODEL_FILE)
    runs = [tmp_path / "a", tmp_path / "b" / presets.MODEL_FILE]
    path = make_ensemble(runs, tmp_path / "both")
    assert path == tmp_path / "both" / presets.MODEL_FILE
    assert {p.name for p in path.parent.iterdir()} == {path.name, "configuration.yaml"}
    configuration = yaml.safe_load((path.parent / "configuration.yaml").read_text())
    assert configuration["ensemble"] == [
        str(tmp_path / name / presets.MODEL_FILE) for name in "ab"
    ]
    loaded = load_model(tmp_path / "both")
    assert isinstance(loaded, Ensemble)
    assert loaded.config == tuple(member.config for member in members)
    expected = Ensemble(members).summarise(images)
    for name, value in loaded.summarise(images).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-5)

    with pytest.raises(FileExistsError, match="a model exists"):
        make_ensemble(runs, tmp_path / "both")
