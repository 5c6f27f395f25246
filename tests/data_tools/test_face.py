"""What `data_tools` exports is there, typed, and waits until it is asked for."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import data_tools


@pytest.mark.parametrize("name", data_tools.__all__)
def test_every_exported_name_is_found_and_listed(name):
    value = getattr(data_tools, name)
    assert value is getattr(importlib.import_module(value.__module__), name)
    assert name in dir(data_tools)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = data_tools.nothing


def test_the_stub_says_the_same_to_type_checkers():
    stub = ast.parse(Path(data_tools.__file__).with_suffix(".pyi").read_text())
    stated = {alias.name: node.module for node in stub.body for alias in node.names}
    assert stated == data_tools._EXPORTS


@pytest.mark.parametrize("package", ["data_tools", "clusterkeras"])
def test_a_package_tells_type_checkers_that_it_is_typed(package):
    assert (Path(data_tools.__file__).parents[1] / package / "py.typed").is_file()


def test_importing_the_package_imports_nothing_else():
    code = "import sys, data_tools; print(*({'numpy', 'yaml'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
