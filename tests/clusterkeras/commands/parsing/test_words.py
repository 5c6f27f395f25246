import re
import sys

import pytest

from clusterkeras.catalogue.survey import infer_fields
from clusterkeras.commands import cli, command
from clusterkeras.commands.parsing.words import for_terminal, parameter_texts
from data_tools.records import simulate

MODULE = '''
raise RuntimeError("imported")

def count(n, seed, share=0.5):
    """Count clusters.

    Parameters
    ----------
    n, seed : int
        Clusters, and the
        seed.
    share : float, optional
        Share of 100 % of them.

    Returns
    -------
    int
        Their number.
    """
'''


def options(name):
    """Return the options of a command but those that take many: a group's, a file's."""
    actions = cli.build_parser(name)._actions
    groups = {"config", *(action.dest.rpartition(".")[0] for action in actions)}
    return [action for action in actions if action.dest not in groups]


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "counting.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return "counting"


def test_a_docstring_is_read_without_importing_its_module(module):
    assert parameter_texts(f"{module}:count") == {
        "n": "Clusters, and the seed.",
        "seed": "Clusters, and the seed.",
        "share": "Share of 100 % of them.",
    }
    assert module not in sys.modules


@pytest.mark.parametrize("name", ["counting:measure", "counting", "nowhere:count"])
def test_a_function_that_is_not_there_is_named(module, name):
    with pytest.raises(ValueError, match=f"received '{name}'"):
        parameter_texts(name)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_has_help(name):
    assert not [action.dest for action in options(name) if not action.help]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_an_option_says_what_the_docstring_says_of_the_parameter(monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "2000")  # no line breaks in words with a hyphen
    texts = {}
    for function in reversed(cli.COMMANDS[name].functions):
        texts |= parameter_texts(function)
    shared = [action for action in options(name) if action.dest in texts]
    assert shared
    for action in shared:
        assert action.help == texts[action.dest].replace("%", "%%"), action.dest
    help_ = " ".join(cli.build_parser(name).format_help().split())
    assert all(for_terminal(texts[action.dest]) in help_ for action in shared)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_has_no_markup_and_no_reference_to_python(name):
    help_ = cli.build_parser(name).format_help()
    assert "``" not in help_
    assert "`data_tools" not in help_
    assert "clusterkeras." not in help_


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Writes ``a.json``.", "Writes a.json."),
        ("Written by ``clusterkeras infer``.", "Written by `clusterkeras infer`."),
        ("Per band; see `data_tools.imaging.psf`. Or 0.", "Per band. Or 0."),
        ("Are flat (see `data_tools.stars`). 0 is off.", "Are flat. 0 is off."),
        ("Those that `start_from` has.", "Those that start_from has."),
    ],
)
def test_markup_is_stripped_for_a_terminal(text, plain):
    assert for_terminal(text) == plain


def test_the_runners_are_those_of_the_work():
    assert command.RUNNERS == simulate.RUNNERS == infer_fields.RUNNERS


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_no_help_sends_its_reader_to_a_function(name):
    for option in options(name):
        assert not re.search(r"[Aa]s (for|of) `|load_model", option.help or "")
