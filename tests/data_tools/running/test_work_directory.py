"""A directory belongs to one piece of work, and to one process at a time."""

import json

import pytest
import yaml

from data_tools.running.work_directory import LOCK, alone, claimed

SETTINGS = {"seed": 1, "priors": {"share": (0.1, 0.2)}}


def test_whoever_goes_on_needs_the_same_settings(tmp_path):
    with claimed(tmp_path / "out", "run.json", SETTINGS):
        pass
    with claimed(tmp_path / "out", "run.json", SETTINGS):
        pass
    with (
        pytest.raises(
            ValueError, match=r"run\.json: made with other settings \(seed: 1"
        ),
        claimed(tmp_path / "out", "run.json", {**SETTINGS, "seed": 2}),
    ):
        pass
    there = json.loads((tmp_path / "out" / "run.json").read_text())
    assert there == {"seed": 1, "priors": {"share": [0.1, 0.2]}}


@pytest.mark.parametrize("name", ["run.json", "run.yaml"])
def test_what_is_noted_beside_the_settings_is_not_compared(name, tmp_path):
    for version in ("1", "2"):
        with claimed(tmp_path, name, SETTINGS, notes={"versions": {"numpy": version}}):
            text = (tmp_path / name).read_text()
    assert yaml.safe_load(text) == {
        "seed": 1,
        "priors": {"share": [0.1, 0.2]},
        "versions": {"numpy": "1"},
    }


@pytest.mark.parametrize("name", ["run.json", "run.yaml"])
def test_damaged_settings_are_named_and_stay(name, tmp_path):
    (tmp_path / name).write_text("{")
    with (
        pytest.raises(ValueError, match=rf"(?s){name}: not .*Name another output"),
        claimed(tmp_path, name, SETTINGS),
    ):
        pass
    assert (tmp_path / name).read_text() == "{"


def test_what_a_kill_left_half_written_is_removed(tmp_path):
    (tmp_path / ".part.1f.partial").touch()
    with claimed(tmp_path, "run.json", SETTINGS, empty=True):
        assert not (tmp_path / ".part.1f.partial").exists()


def test_a_directory_of_something_else_is_refused_where_it_must_be_empty(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(ValueError, match=r"it holds thesis\.tex and no run\.json"),
        claimed(tmp_path, "run.json", SETTINGS, empty=True),
    ):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_work_that_failed_among_other_files_leaves_these_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path, "run.json", SETTINGS):
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_second_process_is_refused(tmp_path):
    with (
        alone(tmp_path),
        pytest.raises(BlockingIOError, match="another process is writing here"),
        claimed(tmp_path, "run.json", SETTINGS),
    ):
        pass
    assert not (tmp_path / "run.json").exists()


def test_work_that_failed_before_it_wrote_leaves_nothing(tmp_path):
    with (
        pytest.raises(KeyboardInterrupt),
        claimed(tmp_path / "new" / "out", "run.json", SETTINGS),
    ):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_before_an_error_stays(tmp_path):
    for seen in ("part", "more"):
        with (
            pytest.raises(ValueError, match="broken"),
            claimed(tmp_path, "run.json", SETTINGS),
        ):
            (tmp_path / seen).write_text("hours of work")
            raise ValueError("broken")
    names = {path.name for path in tmp_path.iterdir()} - {LOCK}
    assert names == {"part", "more", "run.json"}


def test_another_s_empty_claim_stays(tmp_path):
    with claimed(tmp_path, "run.json", SETTINGS):
        pass
    with pytest.raises(KeyboardInterrupt), claimed(tmp_path, "run.json", SETTINGS):
        raise KeyboardInterrupt
    assert (tmp_path / "run.json").is_file()
