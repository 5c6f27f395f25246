import dataclasses
import json

import keras
import numpy as np
import pytest

from clusterkeras.config import ModelConfig
from clusterkeras.model_files import MODEL_FILE
from clusterkeras.network import loading
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.published_model import PublishedModel
from clusterkeras.network.recalibration import Recalibration
from clusterkeras.training import recalibrate
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.records.simulate import simulate
from data_tools.running.plain_files import read_json


@pytest.fixture(scope="module")
def run(small_target, tmp_path_factory):
    """Return the directory of a network that has learned nothing: far too wide."""
    keras.utils.set_random_seed(1)
    directory = tmp_path_factory.mktemp("run")
    config = ModelConfig("resnet_tiny", "mixture", components=2, hidden=8)
    ClusterModel(small_target, config).save(directory / MODEL_FILE)
    return directory


@pytest.fixture(scope="module")
def done(run, small_mock_set, tmp_path_factory):
    output = tmp_path_factory.mktemp("recalibrated")
    return recalibrate.recalibrate(run, small_mock_set, output), output


def test_a_part_is_on_only_if_its_gain_is_above_its_error(done):
    report, _ = done
    unused = dataclasses.asdict(Recalibration())
    for part, effect in report["effects"].items():
        assert effect["on"] == (effect["gain"] > effect["error"])
        expected = report["found"] if effect["on"] else unused
        for name in recalibrate.PARTS[part]:
            assert report["used"][name] == expected[name]


def test_the_model_that_is_written_has_what_is_in_use(done, run, small_mock_set):
    report, output = done
    model = loading.load_model(output)
    assert dataclasses.asdict(model.recalibration) == report["used"]
    for new, old in zip(
        model.get_weights(), loading.load_model(run).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(new, old)
    written = read_json(output / "recalibration.json")
    assert written == json.loads(json.dumps(report))


def test_a_gain_is_the_mean_of_what_each_record_gains():
    before, each = np.array([-1.0, -2.0, -3.0]), np.arange(3)
    gain = np.array([0.1, 0.2, 0.3])
    effect = recalibrate.effect_of(before, before + gain, each)
    assert (effect.before, effect.after) == pytest.approx((2, 1.8))
    assert effect.gain == pytest.approx(0.2)
    assert effect.error == pytest.approx(0.1 / 3**0.5)
    assert effect.on
    assert not recalibrate.effect_of(before, before - 0.1, each).on
    gain = np.array([1.0, 0.0, -0.9])
    assert not recalibrate.effect_of(before, before + gain, each).on


def test_a_gain_of_few_fields_is_not_taken_for_one_of_many_records():
    """Ten fields of 100 records that gain or lose as one."""
    field = np.arange(1000) // 100
    of_field = np.array([0.5, 0.5, 0.4, 0.4, -0.4, -0.4, -0.3, -0.3, 0.1, 0.1])
    before = np.zeros(1000)
    effect = recalibrate.effect_of(before, of_field[field], field)
    assert effect.error == pytest.approx(of_field.std(ddof=1) / 10**0.5)
    assert effect.gain == pytest.approx(0.06) and not effect.on
    assert recalibrate.effect_of(before, of_field[field], np.arange(1000)).on


def test_the_lines_say_what_is_on(done):
    report, _ = done
    lines = recalibrate.report_lines(report)
    assert lines[0].startswith("fitted on 32 records, judged on 32 others")
    for line, (part, effect) in zip(lines[1:4], report["effects"].items(), strict=True):
        assert line.split()[0] == part
        assert f": {'on' if effect['on'] else 'off'} (" in line
    assert "68% interval covers: log_age" in lines[4]


def test_a_model_is_not_overwritten(done, run, small_mock_set):
    _, output = done
    with pytest.raises(FileExistsError, match="a model exists"):
        recalibrate.recalibrate(run, small_mock_set, output)


def test_a_grid_is_refused(small_target, small_mock_set, tmp_path):
    config = {"backbone": "resnet_tiny", "hidden": 8}
    PublishedModel(small_target, config).save(tmp_path / MODEL_FILE)
    with pytest.raises(ValueError, match=r"mixture or a flow .*received GridPosterior"):
        recalibrate.recalibrate(tmp_path, small_mock_set, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_too_few_records_are_refused(run, small_mock_set, tmp_path):
    with pytest.raises(ValueError, match="expected two clusters and two others"):
        recalibrate.recalibrate(run, small_mock_set, tmp_path, limit=4)
    assert list(tmp_path.iterdir()) == []


def test_a_set_without_validation_is_refused(run, small_target, tmp_path):
    priors = Priors(field_px=128, mocks_per_field=16)
    mocks = MockSet(n_train=2, n_validation=0, n_test=0)
    data = simulate(
        tmp_path / "set", small_target, priors, mocks, workers=1, progress=False
    )
    with pytest.raises(ValueError, match=r"a split validation; received train\. Sim"):
        recalibrate.recalibrate(run, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_model_belongs_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(NotADirectoryError, match="file is a file"):
        recalibrate.recalibrate("no model", "no set", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_what_was_killed_before_it_was_whole_goes_on_to_the_same_end(
    done, run, small_mock_set, tmp_path, killed_before
):
    report, output = done
    with killed_before(tmp_path, "os.rename", "recalibration.json"):
        recalibrate.recalibrate(run, small_mock_set, tmp_path)
    assert recalibrate.recalibrate(run, small_mock_set, tmp_path) == report
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in output.iterdir()}
