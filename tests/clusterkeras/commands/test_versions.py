"""What a report of a fault comes with."""

import hashlib
import platform

import numpy as np
import pytest

from clusterkeras import __version__
from clusterkeras.commands import cli, versions
from clusterkeras.model_files.model_file import find_model


@pytest.mark.parametrize("words", [["--version", "--full"], ["--full", "--version"]])
def test_all_that_a_report_needs_is_told(capsys, monkeypatch, words):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setenv("SECRET_TOKEN", "never told")
    assert cli.main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert f"clusterkeras {__version__}" in said
    assert any(platform.python_version() in line for line in said)
    assert f"numpy {np.__version__}" in said
    assert any(line.startswith("tensorflow ") for line in said)
    assert "KERAS_BACKEND=tensorflow" in said
    assert not any("never told" in line for line in said)
    digest = hashlib.sha256(find_model("m83-wfc3-uvis").read_bytes()).hexdigest()
    assert f"model m83-wfc3-uvis: sha256 {digest[:16]}" in said


def test_a_package_that_is_missing_is_said_to_be(monkeypatch):
    monkeypatch.setattr(versions, "_dependencies", lambda: ["no-such-package"])
    assert "no-such-package is not installed" in versions.full_versions()
