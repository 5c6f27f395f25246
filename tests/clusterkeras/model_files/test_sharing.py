import json

import numpy as np
import pytest

from clusterkeras import ClusterModel, ModelConfig, load_model, presets, save_preset
from clusterkeras.commands import cli
from clusterkeras.model_files import MODEL_FILE
from clusterkeras.model_files.presets import PRESET_FILE

METRICS = {
    "posterior": {"overall": {"negative_log_probability": {"mean": 1.5, "prior": 4.0}}}
}


@pytest.fixture(scope="module")
def model(small_target):
    return ClusterModel(small_target, ModelConfig("resnet_small", components=1))


@pytest.fixture
def metrics(tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(METRICS))
    return path


def test_a_saved_preset_answers_as_the_model(model, tmp_path):
    directory = model.save_to_preset(tmp_path / "mine")
    loaded = ClusterModel.from_preset(directory)
    images = np.ones((1, *model.image_shape), np.float32)
    np.testing.assert_array_equal(
        loaded(images)["posterior"], model(images)["posterior"]
    )


def test_a_run_is_copied_to_the_byte(model, tmp_path, metrics):
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / MODEL_FILE)
    hub = tmp_path / "hub"
    save_preset(tmp_path / "run", hub / "mine", metrics=metrics, description="A word.")
    copied = hub / "mine" / MODEL_FILE
    assert copied.read_bytes() == (tmp_path / "run" / MODEL_FILE).read_bytes()
    row = presets(hub)[0]
    assert (row["name"], row["description"]) == ("mine", "A word.")
    assert (row["nll"], row["prior"]) == (1.5, 4.0)
    assert json.loads((hub / "mine" / "metrics.json").read_text()).items() >= (
        METRICS.items()
    )


def test_the_card_says_what_is_known_and_what_is_not(model, tmp_path, metrics):
    card = (save_preset(model, tmp_path / "a") / "README.md").read_text()
    assert card.startswith("# a\n")
    assert "Nothing has been measured" in card
    card = save_preset(model, tmp_path / "b", metrics=metrics) / "README.md"
    assert "1.50 nats; of the flat prior 4.00" in card.read_text()


def test_a_card_of_ones_own_is_taken_and_stays(model, tmp_path):
    (tmp_path / "card.md").write_text("# Ours\n")
    directory = save_preset(model, tmp_path / "a", card=tmp_path / "card.md")
    assert (directory / "README.md").read_text().startswith("# Ours\n")
    (directory / "README.md").write_text("# Edited\n")
    save_preset(model, directory, overwrite=True)
    assert (directory / "README.md").read_text() == "# Edited\n"


def test_a_preset_is_never_replaced_unasked(model, tmp_path):
    directory = save_preset(model, tmp_path / "a")
    before = (directory / PRESET_FILE).read_bytes()
    with pytest.raises(FileExistsError, match="never overwritten without --overwrite"):
        save_preset(model, directory)
    assert (directory / PRESET_FILE).read_bytes() == before


def test_what_is_read_is_never_replaced(model, tmp_path):
    directory = save_preset(model, tmp_path / "a")
    with pytest.raises(ValueError, match="it is the input"):
        save_preset(directory, directory, overwrite=True)
    with pytest.raises(ValueError, match="it is the input"):
        card = directory / "README.md"
        save_preset(model, directory, card=card, overwrite=True)
    assert load_model(directory)


@pytest.mark.parametrize("name", ["two words", ".hidden", "ä b"])
def test_a_name_that_no_preset_can_have_is_refused_before_anything(
    model, tmp_path, name
):
    with pytest.raises(ValueError, match="which the preset has from its directory"):
        save_preset(model, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_metrics_of_something_else_are_refused_before_anything(model, tmp_path):
    (tmp_path / "other.json").write_text('{"posterior": 3}')
    with pytest.raises(ValueError, match=r"expected the metrics\.json"):
        save_preset(model, tmp_path / "a", metrics=tmp_path / "other.json")
    assert not (tmp_path / "a").exists()


def test_by_command_line_and_listed(model, tmp_path, metrics, capsys):
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run" / MODEL_FILE)
    save = ["save-preset", "--model", tmp_path / "run", "-o", tmp_path / "hub/mine"]
    assert cli.main([str(a) for a in [*save, "--metrics", metrics]]) == 0
    assert "--model" in capsys.readouterr().out
    assert cli.main(["presets", str(tmp_path / "hub")]) == 0
    shown = capsys.readouterr().out
    assert "mine" in shown
    assert "1.50" in shown
    assert cli.main(["presets", str(tmp_path / "run")]) == 0
    assert "no presets in" in capsys.readouterr().out
    assert cli.main(["presets"]) == 0
    assert "m83-wfc3-uvis" in capsys.readouterr().out
