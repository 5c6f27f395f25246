"""Many fields' mosaics and positions in, one partitioned data set of catalogues out."""

import dataclasses

import keras
import numpy as np
import pytest
from astropy.table import Table
from pyarrow import dataset

from clusterkeras.catalogue.survey import infer_fields as surveying
from clusterkeras.catalogue.survey.fields import part_of, read_fields
from clusterkeras.catalogue.survey.infer_fields import infer_fields
from clusterkeras.catalogue.table import metadata_of, numbers
from clusterkeras.config import InferenceConfig, ModelConfig
from clusterkeras.network.model import ClusterModel
from data_tools.positions.read_positions import read_positions
from data_tools.running.work_directory import LOCK

SHAPE = (60, 80)
PX = 16
CONFIG = InferenceConfig(batch_size=4)


@pytest.fixture(scope="module")
def model(m83, tmp_path_factory):
    keras.utils.set_random_seed(5)
    model = ClusterModel(
        dataclasses.replace(m83, cutout_px=PX),
        ModelConfig("resnet_tiny", "mixture", components=2, hidden=8),
    )
    # an untrained posterior is the prior everywhere; this one depends on the image
    head = model.heads["posterior"]
    head.kernel.assign(3 * head.kernel)
    path = tmp_path_factory.mktemp("model") / "mine.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def fields(tmp_path_factory, m83, write_band):
    """Two fields of 40 and 0 positions, some without data, beside their list."""
    rng = np.random.default_rng(8)
    directory = tmp_path_factory.mktemp("fields")
    lines = []
    for name, n in (("north", 40), ("south", 0)):
        images = []
        for band in m83.bands:
            path = directory / f"{name}-{band.name}.fits"
            write_band(path, 0.1 + 0.02 * rng.standard_normal(SHAPE), band)
            images.append(path.name)
        x, y = rng.uniform(-30, 90, (2, n))
        Table({"x": x, "y": y}).write(directory / f"{name}.ecsv")
        lines += [
            f"- field: {name}",
            f"  images: [{', '.join(images)}]",
            f"  positions: {name}.ecsv",
        ]
    path = directory / "fields.yaml"
    path.write_text("\n".join(lines))
    return read_fields(path)


@pytest.fixture(scope="module")
def local(fields, model, tmp_path_factory):
    output = tmp_path_factory.mktemp("local")
    infer_fields(fields, output, model, CONFIG, progress=False)
    return output


def test_each_field_is_a_part_that_a_data_set_reads(fields, local):
    table = dataset.dataset(local, partitioning="hive").to_table()
    assert len(table) == 40
    assert set(table["field"].to_pylist()) == {"north"}
    assert {"p_cluster", "log_age_median", "flags"} <= set(table.column_names)
    assert len(read_positions(part_of(local, fields[1]))) == 0


def test_a_bar_names_the_field_and_how_many_there_are(
    fields, model, tmp_path, monkeypatch, capsys
):
    def part(images, positions, path, *_, **__):
        assert f"{path.parent.name}".removeprefix("field=") in capsys.readouterr().err

    monkeypatch.setattr(surveying, "infer", part)
    infer_fields(fields, tmp_path, model, CONFIG)
    said = capsys.readouterr().err
    assert "field south:" in said and "2/2" in said and "field/s" in said


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--runner=FnApiRunner",)])
def test_a_beam_pipeline_gives_the_same_rows(fields, local, model, tmp_path, options):
    (tmp_path / ".model.1f.partial" / "of a run that was killed").mkdir(parents=True)
    infer_fields(fields, tmp_path, model, CONFIG, "beam", options)
    names = {"field=north", "field=south", LOCK}
    assert {p.name for p in tmp_path.iterdir()} == names
    for field in fields:
        here, there = (part_of(output, field) for output in (local, tmp_path))
        assert metadata_of(there) == metadata_of(here)
        expected, found = read_positions(here), read_positions(there)
        assert found.colnames == expected.colnames
        words = [np.ma.filled(t["other_kind"], "").tolist() for t in (found, expected)]
        assert words[0] == words[1]
        for name in set(found.colnames) - {"other_kind"}:
            np.testing.assert_allclose(
                numbers(found, name),
                numbers(expected, name),
                rtol=1e-5,
                atol=1e-6,
                err_msg=name,
            )


def test_what_is_finished_is_not_done_again(fields, local, model):
    before = [part_of(local, field).stat().st_mtime_ns for field in fields]
    parts = infer_fields(fields, local, model, CONFIG, progress=False)
    assert [part.stat().st_mtime_ns for part in parts] == before


def test_what_a_kill_left_beside_a_finished_part_does_not_stay(fields, local, model):
    """Readers of the data set would take it for a part."""
    part = part_of(local, fields[0])
    left = part.with_name("infer-0123456789abcdef.part")
    left.mkdir()
    (left / "run.json").write_text("{}")
    infer_fields(fields, local, model, CONFIG, progress=False)
    assert [p.name for p in part.parent.iterdir()] == [part.name]


def test_parts_of_another_configuration_are_refused(fields, local, model):
    other = dataclasses.replace(CONFIG, min_log_snr=1.0)
    with pytest.raises(ValueError, match="a part of another model or configuration"):
        infer_fields(fields, local, model, other, progress=False)


@pytest.mark.slow
def test_a_pipeline_that_fails_says_why_and_leaves_no_model(fields, model, tmp_path):
    gone = dataclasses.replace(fields[0], positions=tmp_path / "gone.ecsv")
    with pytest.raises(ChildProcessError, match=r"finished parts are kept.*gone\.ecsv"):
        infer_fields([gone], tmp_path, model, CONFIG, "beam", ["--runner=FnApiRunner"])
    assert [p.name for p in tmp_path.iterdir()] == [LOCK]


def test_beam_s_options_are_for_beam(fields, model, tmp_path):
    with pytest.raises(ValueError, match="expected runner 'beam' beside 3"):
        infer_fields(fields, tmp_path, model, workers=3)
    with pytest.raises(ValueError, match="runner must be one of"):
        infer_fields(fields, tmp_path, model, runner="dataflow")
