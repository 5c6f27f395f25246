import pytest
import yaml

from clusterkeras.commands import cli
from clusterkeras.commands.parsing.old_words import (
    OLD_WORDS,
    in_new_words,
    yaml_in_new_words,
)
from data_tools.foreign.yaml_text import load_text

each_word = pytest.mark.parametrize("word", OLD_WORDS, ids=lambda word: word.old)


def nested(name, value):
    """Return ``{"a": {"b": value}}`` for ``a.b``."""
    for key in reversed(name.split(".")):
        value = {key: value}
    return value


def parsed(word, *argv):
    """Return what a command receives for an option that was renamed."""
    _, _, *example = cli.COMMANDS[word.command].example.split()
    if cli.COMMANDS[word.command].takes_target:
        example = cli._with_target_file(example)
    args = cli.build_parser(word.command).parse_args([*example, *argv])
    return str(args[word.new])


def told(capsys, word, where=""):
    """Say whether stderr is the one line about an old word."""
    line = capsys.readouterr().err
    dashes = "" if where else "--"
    return line == (
        f"clusterkeras {word.command}: warning: {dashes}{word.old}{where} is now "
        f"{dashes}{word.new}; the old word goes with the next release\n"
    )


@each_word
def test_an_old_word_on_the_command_line_works_and_is_told(capsys, word):
    assert parsed(word, f"--{word.old}", "77") in ("77", "77.0")
    assert told(capsys, word)
    assert parsed(word, f"--{word.old}=77") in ("77", "77.0")
    assert told(capsys, word)


@each_word
def test_an_old_word_in_a_file_of_options_works_and_is_told(capsys, tmp_path, word):
    path = tmp_path / "old.yaml"
    path.write_text(yaml.safe_dump(nested(word.old, 77)))
    if word.new == "draws_file":
        path.write_text("draws: '77'\n")
    assert parsed(word, "--config", str(path)).endswith(("77", "77.0"))
    assert told(capsys, word, " in old.yaml")


@each_word
def test_the_new_word_works_and_nothing_is_told(capsys, word):
    assert parsed(word, f"--{word.new}", "77") in ("77", "77.0")
    assert capsys.readouterr().err == ""


@each_word
def test_an_old_word_is_no_option_of_its_command_today(word):
    names = {action.dest for action in cli.build_parser(word.command)._actions}
    assert word.new in names
    assert word.old not in names


@each_word
def test_a_file_with_the_old_and_the_new_word_is_refused(word):
    old, new = nested(word.old, 1), nested(word.new, 2)
    for key, value in new.items():
        both = {**old, key: {**old[key], **value} if "." in word.old else value}
    with pytest.raises(ValueError, match=f"expected {word.new} alone in a.yaml; .* "):
        yaml_in_new_words(word.command, yaml.safe_dump(both), "a.yaml")


def test_the_options_of_a_group_may_be_old_words(capsys, tmp_path):
    path = tmp_path / "set.yaml"
    path.write_text("n: 5\nseed: 1\n")
    for argv in (["--mocks", str(path)], ["--mocks", "{n: 5, seed: 1}"]):
        option, options = in_new_words("simulate", argv)
        assert option == "--mocks"
        assert load_text(options) == {"n_train": "5", "seed": "1"}
        assert "mocks.n" in capsys.readouterr().err
        assert in_new_words("simulate", ["=".join(argv)]) == [f"--mocks={options}"]
        capsys.readouterr()


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ("evaluate", ["--draws", "64"]),
        ("shifts", ["--draws", "64", "--n_mocks", "32"]),
        ("infer", ["--inference.draws", "64"]),
        ("mosaic", ["--mosaic.n", "64"]),
        ("simulate", ["--mocks", "new.yaml", "--", "--mocks.n=3"]),
        ("infer", ["--", "--draws", "x.h5"]),
    ],
)
def test_what_is_no_old_word_of_the_command_stays(capsys, command, argv):
    assert in_new_words(command, argv) == argv
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "content", ["draws: 64\n", "a: [\n", "words\n", "draws_: 1e-3"]
)
def test_a_file_without_old_words_is_left_as_it_is(capsys, content):
    assert yaml_in_new_words("evaluate", content) == content
    assert capsys.readouterr().err == ""


def test_numbers_beside_an_old_word_are_read_as_they_would_be_without():
    options = load_text(yaml_in_new_words("shifts", "n: 5\nsmall: 1e-3\nname: 0123\n"))
    assert options == {"n_mocks": "5", "small": "1e-3", "name": "0123"}
