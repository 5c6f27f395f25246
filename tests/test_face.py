"""What the packages export is there, typed, and waits until it is asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import clusterkeras
import data_tools

PACKAGES = (data_tools, clusterkeras)
EXPORTS = [(package, name) for package in PACKAGES for name in package._EXPORTS]


@pytest.mark.parametrize(
    ("package", "name"), EXPORTS, ids=[f"{p.__name__}.{n}" for p, n in EXPORTS]
)
def test_every_exported_name_is_found_and_listed(package, name):
    value = getattr(package, name)
    assert value is getattr(importlib.import_module(package._EXPORTS[name]), name)
    assert name in dir(package)
    assert name in package.__all__


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package):
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = package.nothing


def test_a_name_of_before_works_and_says_what_it_is_now():
    with pytest.warns(DeprecationWarning, match="is now clusterkeras.write_page"):
        assert clusterkeras.write_report is clusterkeras.write_page


@pytest.mark.parametrize("package", PACKAGES)
def test_the_stub_says_the_same_to_type_checkers(package):
    stub = ast.parse(Path(package.__file__).with_suffix(".pyi").read_text())
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    stated = {alias.name: node.module for node in imports for alias in node.names}
    assert stated == package._EXPORTS
    assert (Path(package.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("name", ["data_tools", "clusterkeras"])
def test_importing_a_package_imports_nothing_else(name):
    code = f"import sys, {name}; print(*({{'numpy', 'yaml'}} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
