"""A data class from plain values: every type checked, every key that is not known."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace

_Class = TypeVar("_Class")


def build(kind: type[_Class], values: Mapping[str, Any], group: str) -> _Class:
    """Return a data class made of plain values, or of the texts of such.

    The parser of the command line does it, so that a file, a dictionary and an option
    mean the same.

    Parameters
    ----------
    kind : type
        A data class whose attributes are annotated.
    values : mapping of str to plain values
        Any of its attributes; the others have their defaults.
    group : str
        What the values are called in a message, ``target``.

    Raises
    ------
    ValueError
        On an unknown key, with the nearest that is known; on a value of another type,
        or one that the class refuses.
    """
    parsed = check_types(kind, values, group)
    with _told(kind, group):
        return getattr(_parser(kind, group).instantiate(parsed), group)


def check_types(kind: type, values: Mapping[str, Any], group: str) -> Namespace:
    """Refuse values that `build` refuses for their types or names alone."""
    if not isinstance(values, Mapping):
        raise ValueError(f"{group}: expected a mapping; received {values!r}")
    with _told(kind, group):
        # a copy, as lists in it are made tuples in place
        return _parser(kind, group).parse_object({group: deepcopy(dict(values))})


@contextmanager
def _told(kind: type, group: str) -> Iterator[None]:
    try:
        yield
    except (ArgumentError, TypeError) as error:
        text = with_nearest(in_words(error), attribute_names(kind))
        text = text.removeprefix(f"{group}.")
        raise ValueError(f"{group}: {text}") from error


@lru_cache
def _parser(kind: type, group: str) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, group)
    return parser


def attribute_names(kind: Any) -> set[str]:
    """Return the names of a data class's attributes and of data classes in them."""
    if not dataclasses.is_dataclass(kind):
        return set().union(*map(attribute_names, typing.get_args(kind)))
    hints = typing.get_type_hints(kind)
    return set(hints).union(*map(attribute_names, hints.values()))


def in_words(error: BaseException, dashes: str = "") -> str:
    """Return what jsonargparse says of a value in one line, without words of Python.

    Parameters
    ----------
    error : BaseException
        The error.
    dashes : str
        What stands before a key: ``--`` on the command line.
    """
    text = " ".join(str(error).split())
    text = re.sub(r'Parser key "([^"]+)":', rf"{dashes}\1:", text)
    text = re.sub(r"Problem with given class_path '[\w.]+': ", "", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", _type_in_words, text)
    text = re.sub(r"typing\.Literal\[(.*?)\]", r"one of \1", text)
    text = re.sub(
        r"Does not validate against any of the Union subtypes Subtypes: .*? Errors: "
        r"(.*?) Given value type: .*? Given value: ",
        lambda m: (
            m[1].removeprefix("- ").replace(" - Expected a ", " or ") + "; received "
        ),
        text,
    )
    text = re.sub(
        r"(?:Group '\w+' does not accept option|Option) '([^']+)'"
        r"(?: is not accepted)?",
        r"unknown key '\1'",
        text,
    )
    return re.sub(r"Expected an? ", "expected ", text).replace(
        ". Got value: ", "; received "
    )


_IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "dict": "a mapping",
    "tuple": "a list",
    "list": "a list",
    "NoneType": "null",
}


def _type_in_words(match: re.Match[str]) -> str:
    return _IN_WORDS.get(match[1], match[1])


def with_nearest(text: str, known: Iterable[str]) -> str:
    """Add to an error about an unknown name those that are nearest to it, or a few."""
    name = re.search(
        r"unknown key '([^']+)'|[Uu]nrecognized arguments: --([^\s=]+)", text
    )
    if name is None or "nearest to it: " in text:
        return text
    names = sorted(known)
    nearest = difflib.get_close_matches(name[1] or name[2], names, 2, 0.5)
    if not nearest and len(names) > 20:
        return text
    which = "nearest to it" if nearest else "known"
    return f"{text}; {which}: {', '.join(nearest or names)}"
