import json
import shutil
from datetime import date

import numpy as np
import pytest
from astropy import units as u

from clusterkeras import load_model, presets
from clusterkeras.model_files import MODEL_FILE
from clusterkeras.model_files.model_file import find_model, read_facts
from clusterkeras.model_files.presets import (
    DEFAULT_PRESET,
    PRESET_FILE,
    preset_names,
    read_preset,
    saved_models_directory,
)
from data_tools.running.plain_files import sha256_of, write_json
from data_tools.running.seal import BLANK, KEY


@pytest.fixture
def preset(tmp_path):
    """Return a copy of the preset that ships, somewhere else, without SavedModel."""
    there, here = saved_models_directory() / DEFAULT_PRESET, tmp_path / "hub" / "galaxy"
    here.mkdir(parents=True)
    for name in (MODEL_FILE, PRESET_FILE):
        shutil.copy(there / name, here / name)
    return here


def change(preset, **values):
    path = preset / PRESET_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_presets_are_found_where_the_models_that_ship_are():
    directory = saved_models_directory()
    assert directory.name == "saved_models"
    assert DEFAULT_PRESET in preset_names()


@pytest.mark.parametrize("name", preset_names())
def test_what_a_preset_says_is_true_of_its_model(name):
    directory = saved_models_directory() / name
    said, target = read_preset(directory), read_facts(name).target
    assert said.name == name == target.name
    assert said.bands == target.band_names
    assert said.distance_mpc == target.distance_mpc
    assert said.pixel_scale_arcsec == target.pixel_scale_arcsec
    assert said.size_bytes == find_model(name).stat().st_size
    assert said.sha256 == sha256_of(find_model(name))
    assert date.fromisoformat(said.saved) <= date.today()
    metrics = json.loads((directory / "metrics.json").read_text())
    scores = metrics["posterior"]["overall"]["negative_log_probability"]
    assert (said.nll, said.prior_nll) == (scores["mean"], scores["prior"])


def test_presets_are_a_table_with_units(preset):
    table = presets(preset.parent)
    assert list(table["bands"]) == ["F336W F438W F814W"]
    assert table["distance"][0] == 4.5 * u.Mpc
    assert table["size"][0].to_value(u.byte) == (preset / MODEL_FILE).stat().st_size
    assert np.isfinite(table["nll"][0])
    assert set(presets()["name"]) == set(preset_names())


def test_what_was_not_measured_is_no_number(preset):
    change(preset, nll=None, prior_nll=None)
    values = json.loads((preset / PRESET_FILE).read_text())
    write_json(preset / PRESET_FILE, {**values, KEY: BLANK})
    assert np.isnan(presets(preset.parent)["nll"][0])


@pytest.mark.parametrize(
    "values",
    [{"nll": -9.0}, {"saved": "2020-02-29"}, {"sha256": "0" * 64}, {KEY: BLANK}],
    ids=str,
)
def test_a_preset_whose_description_was_edited_is_not_listed(preset, values):
    change(preset, **values)
    with pytest.raises(ValueError, match=rf"{PRESET_FILE}: expected the file as"):
        presets(preset.parent)


def test_a_preset_of_another_model_or_none_is_not_listed(preset):
    with (preset / MODEL_FILE).open("ab") as file:
        file.write(b"0")
    with pytest.raises(ValueError, match="expected the file whose SHA-256"):
        presets(preset.parent)
    (preset / MODEL_FILE).unlink()
    with pytest.raises(FileNotFoundError, match="expected the model that"):
        presets(preset.parent)


def test_a_directory_without_presets_is_an_empty_table(tmp_path):
    assert len(presets(tmp_path)) == 0
    with pytest.raises(NotADirectoryError, match=r"none: .*; there is nothing of that"):
        presets(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"file: expected .*; this is a file"):
        presets(tmp_path / "file")


def test_a_preset_is_loaded_by_its_path(preset):
    assert read_facts(preset).target.name == DEFAULT_PRESET


@pytest.mark.parametrize("load", [load_model, read_facts])
@pytest.mark.parametrize("name", [".", MODEL_FILE])
def test_a_model_that_is_not_the_one_is_refused(preset, load, name):
    change(preset, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"expected the file whose SHA-256.*0000"):
        load(preset / name)


@pytest.mark.parametrize(
    "values",
    [
        {"name": "../elsewhere"},
        {"name": 3},
        {"bands": "F336W"},
        {"bands": [1]},
        {"distance_mpc": "near"},
        {"pixel_scale_arcsec": float("nan")},
        {"saved": "yesterday"},
        {"size_bytes": 1.5},
        {"sha256": "abc"},
        {"nll": "good"},
    ],
    ids=str,
)
def test_a_description_of_other_kinds_is_refused_by_name(preset, values):
    change(preset, **values)
    with pytest.raises(ValueError, match=f"{PRESET_FILE}.*{next(iter(values))}"):
        read_preset(preset)


def test_a_description_with_gaps_is_refused(preset):
    (preset / PRESET_FILE).write_text("{}")
    with pytest.raises(ValueError, match=f"{PRESET_FILE}.*missing"):
        read_preset(preset)


def test_what_a_later_version_says_beside_it_is_passed_over(preset):
    change(preset, likes="galaxies")
    assert read_preset(preset).bands == ("F336W", "F438W", "F814W")
