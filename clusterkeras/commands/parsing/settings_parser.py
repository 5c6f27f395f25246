"""A parser of one command: options, and files of them, as they are written."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace, set_loader

from data_tools.foreign.reading import read_text
from data_tools.foreign.typed import (
    as_meant,
    attribute_names,
    check_types,
    in_words,
    with_nearest,
)
from data_tools.foreign.yaml_text import check_text, dump_text, load_text, load_values
from data_tools.foreign.yaml_text import in_words as yaml_in_words
from data_tools.running.plain_files import MOST_BYTES, read_settings

_MODE = "clusterkeras"
set_loader(_MODE, load_text, (yaml.YAMLError,))


class SettingsParser(ArgumentParser):
    """A parser whose files name themselves in an error, and whose words are text."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"parser_mode": _MODE, **options})
        self._classes: dict[str, type] = {}
        self._left_out: set[str] = set()

    def add_class_arguments(
        self, theclass: type, nested_key: str | None = None, *rest: Any, **options: Any
    ) -> Any:
        """Add the attributes of a data class as options of a group."""
        if nested_key is not None:
            self._classes[nested_key] = theclass
        self._left_out |= set(options.get("skip", ()))
        return super().add_class_arguments(theclass, nested_key, *rest, **options)

    def parse_args(
        self, args: Sequence[str], *rest: object, **options: object
    ) -> Namespace:
        """Parse a command line; an unknown option is told with the nearest."""
        own = args[: args.index("--")] if "--" in args else args
        for argument in own:
            option, equals, value = argument.partition("=")
            named = option.startswith("--") and equals
            try:
                check_text(value if named else argument)
            except yaml.YAMLError as error:
                where = f"{option}: " if named else ""
                raise ValueError(f"{where}{yaml_in_words(error)}") from error
        self._check_files(own)
        args = [*self._as_meant(own), *args[len(own) :]]
        try:
            return super().parse_args(args, *rest, **options)
        except argparse.ArgumentError as error:
            raise ValueError(self._in_words(error, "--")) from error

    def parse_path(self, path: str | os.PathLike, **options: Any) -> Namespace:
        """Parse a file of options; an error begins with the file."""
        read_settings(Path(path))  # says what is wrong with it, and where
        content = read_text(Path(path), MOST_BYTES)
        try:
            return self.parse_string(content, os.path.basename(path), **options)
        except (argparse.ArgumentError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: {self._in_words(error)}") from error

    def parse_string(
        self, content: str, path: str = "", *rest: object, **options: object
    ) -> Namespace:
        """Parse what a file of options holds, each group of them checked apart."""
        values = load_text(content)
        if not isinstance(values, dict):
            raise ValueError(f"expected a mapping of options; received {values!r}")
        known = {action.dest.partition(".")[0] for action in self._actions}
        for name, value in values.items():
            if name not in known:
                raise ValueError(with_nearest(f"unknown key '{name}'", known))
            if name in self._classes:
                check_types(self._classes[name], value, name)
                values[name] = as_meant(self._classes[name], value, name)
        for action in self._actions:
            if action.dest in values:
                values[action.dest] = _untyped(action, values[action.dest])
        return super().parse_string(dump_text(values), path, *rest, **options)

    def _as_meant(self, args: Sequence[str]) -> list[str]:
        """Return arguments in which numbers are written as the parser reads them."""
        meant, kind, name = [], None, ""
        for argument in self._with_lists(args):
            option, equals, value = argument.partition("=")
            if option in self._option_string_actions:
                action, name = self._option_string_actions[option], option
                kind = self._classes.get(action.dest, action.type)
                kind = getattr(action, "_typehint", kind)
                if equals:
                    argument = f"{option}={_word_as_meant(kind, value, name)}"
            else:
                argument = _word_as_meant(kind, argument, name)
            meant.append(argument)
        return meant

    def _with_lists(self, args: Sequence[str]) -> list[str]:
        """Return arguments in which the numbers after an option of a list are one."""
        groups: list[list[str]] = []
        for argument in args:
            if argument.startswith("--") or not groups:
                groups.append([])
            groups[-1].append(argument)
        joined = []
        for option, *words in groups:
            action = self._option_string_actions.get(option)
            kind = getattr(action, "_typehint", None)
            kinds = {typing.get_origin(one) for one in (kind, *typing.get_args(kind))}
            one_word = action is not None and action.nargs is None
            if one_word and kinds & {list, tuple} and _are_numbers(words):
                words = [f"[{', '.join(words)}]"]
            joined += [option, *words]
        return joined

    def _check_files(self, args: Sequence[str]) -> None:
        """Say what is wrong with a file of one group's options, by its name."""
        for i, argument in enumerate(args):
            option, equals, value = argument.partition("=")
            kind = self._classes.get(option.removeprefix("--"))
            if not equals and i + 1 < len(args):
                value = args[i + 1]
            if kind is None or not option.startswith("--") or not os.path.isfile(value):
                continue
            group = option.removeprefix("--")
            options = read_settings(Path(value))
            try:
                check_types(kind, options, group)
            except ValueError as error:
                raise ValueError(f"{value}: {error}") from error

    def _in_words(self, error: Exception, dashes: str = "") -> str:
        names = set().union(*map(attribute_names, self._classes.values()))
        known = {action.dest for action in self._actions} | names - self._left_out
        return with_nearest(in_words(error, dashes), known)


def _are_numbers(words: Sequence[str]) -> bool:
    """Say whether words are numbers, some of several perhaps null."""
    try:
        numbers = [float(word) for word in words if word != "null"]
    except ValueError:
        return False
    return bool(numbers) or len(words) > 1


def _word_as_meant(kind: Any, word: str, name: str) -> str:
    """Return one argument of an option as it is meant: a value, a list, one of some."""
    if dataclasses.is_dataclass(kind) and os.path.isfile(word):
        word = json.dumps(read_settings(Path(word)))
    if word.startswith(("[", "{")):
        try:
            values = load_text(word)
        except yaml.YAMLError:
            return word  # of which the parser says the same
        meant = as_meant(kind, values, name)
        return word if meant == values else json.dumps(meant)
    inside = typing.get_args(kind)
    if typing.get_origin(kind) in (list, tuple) and inside:
        kind = inside[0]
    return as_meant(kind, word, name)


def _untyped(action: argparse.Action, value: Any) -> Any:
    """Return a value of an option that has no type to say what its text means."""
    if action.default is None and value == "null":
        return None
    if action.nargs != 0 or isinstance(value, bool):
        return value
    truth = load_values(value) if isinstance(value, str) else None
    if not isinstance(truth, bool):
        raise ValueError(f"{action.dest}: expected true or false; received {value}")
    return truth
