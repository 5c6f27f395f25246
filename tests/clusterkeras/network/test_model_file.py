import pytest

from clusterkeras.network import model_file as presets
from clusterkeras.network.model import ClusterModel


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_ships_and_loads(name):
    model = ClusterModel.from_preset(name)
    assert model.target.name == name


def test_presets_are_found_where_the_models_that_ship_are():
    directory = presets.saved_models_directory()
    assert directory.name == "saved_models"
    assert directory.is_dir()


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'m31'.*\['m83-wfc3-uvis'\]"):
        presets.find_model("m31")
    with pytest.raises(FileNotFoundError, match=presets.MODEL_FILE):
        presets.find_model(tmp_path)


def test_a_preset_that_is_not_installed_says_where_it_should_be(monkeypatch, tmp_path):
    monkeypatch.setattr(presets, "saved_models_directory", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        presets.find_model("m83-wfc3-uvis")
