"""A directory belongs to one piece of work, and to one process at a time."""

import json

import pytest

from data_tools.running.work_directory import LOCK, alone, claimed

SETTINGS = {"seed": 1, "priors": {"share": (0.1, 0.2)}}


def test_whoever_goes_on_needs_the_same_settings(tmp_path):
    with claimed(tmp_path / "out", "run.json", SETTINGS):
        pass
    with claimed(tmp_path / "out", "run.json", SETTINGS):
        pass
    with (
        pytest.raises(ValueError, match=r"out: made with other settings \(seed: 1 the"),
        claimed(tmp_path / "out", "run.json", {**SETTINGS, "seed": 2}),
    ):
        pass
    there = json.loads((tmp_path / "out" / "run.json").read_text())
    assert there == {"seed": 1, "priors": {"share": [0.1, 0.2]}}


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
