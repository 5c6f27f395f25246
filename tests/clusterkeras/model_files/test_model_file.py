import pytest

from clusterkeras.model_files import MODEL_FILE, model_file, presets
from clusterkeras.network.model import ClusterModel


@pytest.mark.parametrize("name", presets.preset_names())
def test_every_preset_ships_and_loads(name):
    model = ClusterModel.from_preset(name)
    assert model.target.name == name


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"'m31'.*'m83-wfc3-uvis'"):
        model_file.find_model("m31")
    with pytest.raises(FileNotFoundError, match=MODEL_FILE):
        model_file.find_model(tmp_path)


def test_a_preset_whose_model_is_not_installed_says_where_it_should_be(
    monkeypatch, tmp_path
):
    (tmp_path / "m83").mkdir()
    (tmp_path / "m83" / presets.PRESET_FILE).touch()
    for module in (presets, model_file):
        monkeypatch.setattr(module, "saved_models_directory", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        model_file.find_model("m83")


def test_a_run_that_is_unfinished_says_so_and_how_to_finish_it(tmp_path):
    about = tmp_path / "configuration.yaml"
    about.write_text("data: /mocks\ntraining: {epochs: 3}\n")
    for name in (tmp_path, tmp_path / MODEL_FILE):
        with pytest.raises(FileNotFoundError, match=r"unfinished.* fit --data /mocks"):
            model_file.find_model(name)
    for other in ("priors: {}\n", "- 1\n", "]"):  # a mock set, and somebody else's
        about.write_text(other)
        with pytest.raises(FileNotFoundError, match="nothing found there"):
            model_file.find_model(tmp_path)


def test_a_path_is_no_name_of_a_preset(monkeypatch):
    monkeypatch.chdir(presets.saved_models_directory())
    with pytest.raises(FileNotFoundError, match="nothing found there"):
        model_file.find_model("../m83-wfc3-uvis/1")
