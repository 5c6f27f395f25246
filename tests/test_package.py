"""What is built for others holds all that is needed, and nothing else."""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from clusterkeras import __version__

ROOT = Path(__file__).parents[1]

#: What of the repository's folder goes into a package, or says what does.
_PARTS = (
    *("clusterkeras", "data_tools", "saved_models", "tests", "docs", "benchmarks"),
    *("scripts", "setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"),
    *("CHANGELOG.md", "CITATION.cff", "constraints.txt"),
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the names in the wheel and in the source distribution."""
    copy = tmp_path_factory.mktemp("built")
    for name in _PARTS:
        part = ROOT / name
        if part.is_dir():
            shutil.copytree(part, copy / name)
        else:
            shutil.copy(part, copy)
    code = "from setuptools import build_meta as b; b.build_{}('dist')"
    for kind in ("wheel", "sdist"):
        subprocess.run(
            [sys.executable, "-c", code.format(kind)],
            cwd=copy,
            check=True,
            capture_output=True,
        )
    (wheel,) = copy.glob("dist/*.whl")
    (sdist,) = copy.glob("dist/*.tar.gz")
    with tarfile.open(sdist) as file:
        sources = {Path(*Path(name).parts[1:]).as_posix() for name in file.getnames()}
    with zipfile.ZipFile(wheel) as file:
        installed = set(file.namelist())
    shutil.rmtree(copy)
    return installed, sources


def test_the_wheel_installs_code_tables_targets_and_models(built):
    installed, _ = built
    for package in ("clusterkeras", "data_tools"):
        code = {p.relative_to(ROOT).as_posix() for p in (ROOT / package).rglob("*.py")}
        assert code <= installed
        assert {f"{package}/py.typed", f"{package}/__init__.pyi"} <= installed
    for folder, pattern in (("tables", "*.npz"), ("targets", "*.yaml")):
        for file in (ROOT / "data_tools" / folder).glob(pattern):
            assert f"data_tools/{folder}/{file.name}" in installed
    for file in (ROOT / "saved_models").rglob("*"):
        if file.is_file():
            name = file.relative_to(ROOT / "saved_models").as_posix()
            assert f"clusterkeras/saved_models/{name}" in installed
    assert any(name.endswith("licenses/LICENSE") for name in installed)


def test_the_wheel_installs_nothing_but_the_packages(built):
    installed, _ = built
    tops = {name.split("/")[0] for name in installed}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "clusterkeras",
        "data_tools",
    }


def test_the_source_has_tests_pages_and_the_versions_they_passed_with(built):
    _, sources = built
    for folder in ("tests", "docs", "benchmarks", "scripts"):
        files = (p for p in (ROOT / folder).rglob("*") if p.is_file())
        names = {p.relative_to(ROOT).as_posix() for p in files}
        left_out = {n for n in names if "__pycache__" in n or "reference/names/" in n}
        assert names - left_out <= sources
    assert {"constraints.txt", "CHANGELOG.md", "CITATION.cff", "LICENSE"} <= sources


#: Names of the conda package of a distribution, where it is another, and those that
#: conda-forge lacks.
_CONDA = {"docstring-parser": "docstring_parser", "matplotlib": "matplotlib-base"}
_NOT_IN_CONDA = {"tensorflow-serving-api"}


def test_the_conda_recipe_asks_for_what_the_installation_asks_for():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    recipe = yaml.safe_load((ROOT / "scripts/conda/recipe.yaml").read_text())
    wanted = {f"python {setup['options']['python_requires']}"}
    for line in setup["options"]["install_requires"].split("\n"):
        if line and not line.startswith("#"):
            name, limits = re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", line).groups()
            if name not in _NOT_IN_CONDA:
                wanted.add(f"{_CONDA.get(name, name)} {limits}".rstrip())
    assert set(recipe["requirements"]["run"]) == wanted
    assert recipe["context"]["version"] == __version__
    (script,) = recipe["build"]["python"]["entry_points"]
    assert script in setup["options.entry_points"]["console_scripts"]
