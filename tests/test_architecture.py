"""Hold the house to its plan: who imports whom, how many rooms, what each is for."""

import ast
import configparser
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("data_tools", "clusterkeras")
FILES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
FOLDERS = sorted({path.parent for path in FILES})
MOST_ROOMS = 9


def order():
    """Return the folders in the order in which the documentation states them."""
    text = (ROOT / "docs/how/architecture.md").read_text()
    return re.findall(r"^\| `([\w/]+)` \|", text, re.M)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def place_of(module):
    """Return the row that a module stands in: its own, or its folder's."""
    where = module.replace(".", "/")
    while where not in order():
        where = where.rpartition("/")[0]
    return where


def imported_modules(path):
    """Yield the modules of this project that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] in PACKAGES:
                yield name


def backward_imports(path, rows):
    """Yield the imports of a file that run against the stated order."""
    own = place_of(name_of(path).removesuffix(".py").removesuffix("/__init__"))
    for module in imported_modules(path):
        where = module.replace(".", "/")
        if (ROOT / where).with_suffix(".py").is_file() or (ROOT / where).is_dir():
            place = place_of(module)
        else:  # a name in a module
            place = place_of(module.rpartition(".")[0])
            if module.rpartition(".")[0] in PACKAGES:  # its version
                continue
        if rows.index(place) > rows.index(own):
            yield f"{name_of(path)} imports {module}: {place} stands below {own}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_run_in_the_stated_order_of_folders(path):
    assert not list(backward_imports(path, order()))


def test_an_import_against_the_order_is_seen(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "name_of", lambda path: "data_tools/stars/new.py")
    path = tmp_path / "new.py"
    path.write_text(
        "def f():\n    from clusterkeras.network import model\n"
        "    from data_tools.fields.disc import Disc\n"
        "    import data_tools.running.output\n"
    )
    found = list(backward_imports(path, order()))
    assert [line.split(":")[0].split()[-1] for line in found] == [
        "clusterkeras.network.model",
        "data_tools.fields.disc.Disc",
    ]


def test_no_imports_run_in_a_circle_not_even_late_ones_or_those_for_types():
    modules = {
        name_of(p).removesuffix(".py").removesuffix("/__init__").replace("/", "."): p
        for p in FILES
    }
    graph = {
        name: {
            module if module in modules else module.rpartition(".")[0]
            for module in imported_modules(path)
        }
        - {name}
        for name, path in modules.items()
    }
    graphlib.TopologicalSorter(graph).prepare()


def test_the_documentation_states_every_folder_once():
    stated = order()
    assert len(stated) == len(set(stated))
    assert {name_of(folder) for folder in FOLDERS} <= set(stated)
    for name in stated:
        assert (ROOT / name).is_dir() or (ROOT / f"{name}.py").is_file()


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_folder_has_few_rooms_and_says_what_it_is_for(folder):
    rooms = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(rooms) <= MOST_ROOMS
    docstring = ast.get_docstring(ast.parse((folder / "__init__.py").read_text()))
    assert docstring.splitlines()[0].endswith(".")


def test_the_installation_names_every_package():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    named = setup["options"]["packages"].split()
    assert named == sorted(named)
    assert {name_of(f).replace("/", ".") for f in FOLDERS} <= set(named)
    assert set(named) - {name_of(f).replace("/", ".") for f in FOLDERS} == {
        "clusterkeras.saved_models"
    }


#: Only what builds the training input may know TensorFlow in `data_tools`.
WITH_TENSORFLOW = ROOT / "data_tools/records/dataset.py"


@pytest.mark.parametrize(
    "path", [p for p in FILES if name_of(p).startswith("data_tools")], ids=name_of
)
def test_data_tools_imports_tensorflow_in_one_file_alone(path):
    forbidden = {"keras", "tensorflow_probability"}
    if path != WITH_TENSORFLOW:
        forbidden.add("tensorflow")
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    assert not forbidden & found
