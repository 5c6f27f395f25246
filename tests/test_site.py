"""The site of the documentation is made of the pages, without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clusterkeras
import data_tools
from clusterkeras.commands import cli

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("sphinx", reason="the extra docs is not installed")
    root = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going"]
    made = subprocess.run(
        [*command, DOCS, root / "html"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return root / "html"


def test_every_page_is_in_it(site):
    sources = [*DOCS.rglob("*.md"), *DOCS.rglob("*.rst"), *DOCS.rglob("*.ipynb")]
    for source in sources:
        if "_templates" not in source.parts:
            assert (site / source.relative_to(DOCS)).with_suffix(".html").is_file()


@pytest.mark.parametrize("package", [clusterkeras, data_tools])
def test_every_exported_name_has_a_page(site, package):
    for name in package.__all__:
        if not name.startswith("__"):
            page = site / f"reference/names/{package.__name__}.{name}.html"
            assert "Examples" in page.read_text(), name


def test_every_command_has_its_help(site):
    text = (DOCS / "reference/commands.md").read_text()
    shown = re.findall("clusterkeras ([a-z-]+) --help", text)
    assert sorted(shown) == sorted(cli.COMMANDS)
    page = (site / "reference/commands.html").read_text()
    for name in shown:
        assert f"usage: clusterkeras {name} " in page
