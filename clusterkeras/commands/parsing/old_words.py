"""Words of the command line of before 0.2, which go with the next release."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from jsonargparse import Namespace

from clusterkeras.commands.parsing.settings_parser import SettingsParser
from data_tools.foreign.reading import read_text
from data_tools.foreign.yaml_text import dump_text, load_text
from data_tools.running.plain_files import MOST_BYTES


class OldWord(NamedTuple):
    """An option of a command that has another name now; both without the dashes."""

    command: str
    old: str
    new: str


OLD_WORDS = (
    OldWord("simulate", "mocks.n", "mocks.n_train"),
    OldWord("evaluate", "limit", "n_mocks"),
    OldWord("shifts", "n", "n_mocks"),
    OldWord("recalibrate", "limit", "n_mocks"),
    OldWord("infer", "draws", "draws_file"),
    OldWord("compare", "radius_px", "match_px"),
)


class RenamingParser(SettingsParser):
    """A parser of one command that takes old words too, and says so on stderr."""

    #: Name of the command, whose old words are taken.
    command = ""

    def parse_args(
        self, args: Sequence[str] | None = None, *rest: object, **options: object
    ) -> Namespace:
        """Parse a command line, in today's words or older ones."""
        args = in_new_words(self.command, sys.argv[1:] if args is None else args)
        return super().parse_args(args, *rest, **options)

    def parse_string(
        self, content: str, path: str = "", *rest: object, **options: object
    ) -> Namespace:
        """Parse what a file of options holds, in today's words or older ones."""
        content = yaml_in_new_words(self.command, content, path)
        return super().parse_string(content, path, *rest, **options)


def in_new_words(command: str, argv: Sequence[str]) -> list[str]:
    """Return a command line with today's words, a line on stderr for each old one.

    Parameters
    ----------
    command : str
        The sub-command.
    argv : sequence of str
        What follows it. Beyond a ``--`` are another program's options, which stay.
    """
    new_words = {f"--{w.old}": f"--{w.new}" for w in OLD_WORDS if w.command == command}
    groups = {old.rpartition(".")[0] for old in new_words if "." in old}
    out: list[str] = []
    for i, argument in enumerate(argv):
        if argument == "--":
            return [*out, *argv[i:]]
        option, equals, value = argument.partition("=")
        if option in new_words:
            _warn(command, option, new_words[option])
            argument = new_words[option] + equals + value
        elif option in groups and equals:
            argument = f"{option}={_group_in_new_words(command, option, value)}"
        elif i and argv[i - 1] in groups:
            argument = _group_in_new_words(command, argv[i - 1], argument)
        out.append(argument)
    return out


def yaml_in_new_words(
    command: str, content: str, path: str | os.PathLike = "", group: str = ""
) -> str:
    """Return YAML with today's words as keys, a line on stderr for each old one.

    Parameters
    ----------
    command : str
        The sub-command.
    content : str
        YAML. Returned as it is if it has no old word, or cannot be read: the parser
        says what is wrong then.
    path : str or Path
        The file it comes from, if any.
    group : str
        Name of the group whose options these are, as ``mocks``; empty for all groups.

    Raises
    ------
    ValueError
        If it has an option in its old and in its new word.
    """
    try:
        options = load_text(content)
    except yaml.YAMLError:
        return content
    where = f" in {path}" if str(path) else ""
    renamed = False
    for word in OLD_WORDS:
        *groups, old = word.old.split(".")
        keys = {group: options} if group else options
        for name in groups:
            keys = keys.get(name) if isinstance(keys, dict) else None
        if word.command != command or not isinstance(keys, dict) or old not in keys:
            continue
        new = word.new.rpartition(".")[2]
        if new in keys:
            raise ValueError(
                f"expected {word.new} alone{where}; received its old name {word.old} "
                "too: leave that out"
            )
        keys[new] = keys.pop(old)
        _warn(command, word.old + where, word.new)
        renamed = True
    return dump_text(options) if renamed else content


def _group_in_new_words(command: str, option: str, value: str) -> str:
    """Return the options of a group, given as YAML or as a file of it."""
    is_file = os.path.isfile(value)
    content = read_text(Path(value), MOST_BYTES) if is_file else value
    path = value if is_file else ""
    renamed = yaml_in_new_words(command, content, path, option.removeprefix("--"))
    return value if renamed == content else renamed


def _warn(command: str, old: str, new: str) -> None:
    print(
        f"clusterkeras {command}: warning: {old} is now {new}; the old word goes with "
        "the next release",
        file=sys.stderr,
    )
