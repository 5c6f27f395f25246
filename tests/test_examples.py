"""The example of every exported name runs as it stands."""

import doctest
import inspect

import pytest

import clusterkeras
import data_tools

NAMES = [
    (package, name)
    for package in (clusterkeras, data_tools)
    for name in package.__all__
    if not name.startswith("__")
]


@pytest.mark.parametrize(
    ("package", "name"), NAMES, ids=[f"{p.__name__}.{n}" for p, n in NAMES]
)
def test_an_exported_name_has_an_example_that_runs(
    package, name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    words = inspect.getdoc(getattr(package, name))
    example = doctest.DocTestParser().get_doctest(words, {}, name, None, 0)
    assert example.examples, f"{name} has no example"
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=flags)
    said = []
    runner.run(example, out=said.append)
    assert not runner.failures, "".join(said)
