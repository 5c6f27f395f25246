"""A data class from plain values: every type checked, every key that is not known."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from argparse import ArgumentError
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from decimal import Decimal
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
    try:
        values = as_meant(kind, deepcopy(dict(values)))
    except ValueError as error:
        raise ValueError(f"{group}: {error}") from error
    with _told(kind, group):
        return _parser(kind, group).parse_object({group: values})


#: Numbers by sixties, which YAML 1.1 has, and whole ones that are written by powers.
_BY_SIXTIES = re.compile(r"[+-]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?")
_BY_POWERS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE]\+?\d{1,2})?")


def as_meant(kind: Any, value: Any, name: str = "") -> Any:
    """Return plain values, or texts of such, of which jsonargparse makes what is meant.

    A whole number may be written ``1e6``; ``1:30`` is no number, though YAML 1.1 has it
    for 90.

    Parameters
    ----------
    kind : type or annotation
        What is to become of them.
    value : plain value
        As a person wrote it.
    name : str
        Of the value, for messages.

    Raises
    ------
    ValueError
        If a number is written by sixties.
    """
    if isinstance(value, Mapping):
        hints = _hints(kind, value)
        return {
            key: as_meant(hints.get(key), inside, f"{name}.{key}".lstrip("."))
            for key, inside in value.items()
        }
    kinds = {kind, *(typing.get_args(kind) if _is_union(kind) else ())}
    if isinstance(value, list | tuple):
        every = [_elements(one, len(value)) for one in kinds]
        found = next((of for of in every if of), [None] * len(value))
        return [
            as_meant(of, inside, name) for of, inside in zip(found, value, strict=True)
        ]
    if not kinds & {int, float} or str in kinds or isinstance(value, bool):
        return value
    words = str(value).strip()
    if _BY_SIXTIES.fullmatch(words):
        what = "a number" if float in kinds else "a whole number"
        raise ValueError(f"{name}: expected {what}; received {words}")
    if float not in kinds and _BY_POWERS.fullmatch(words):
        exact = Decimal(words)
        return str(int(exact)) if exact == int(exact) else value
    return value


def _is_union(kind: Any) -> bool:
    return typing.get_origin(kind) in (typing.Union, types.UnionType)


def _hints(kind: Any, value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the annotations of what a mapping holds, by its keys."""
    for one in typing.get_args(kind) if _is_union(kind) else (kind,):
        if dataclasses.is_dataclass(one):
            return typing.get_type_hints(one)
        if isinstance(typing.get_origin(one), type) and issubclass(
            typing.get_origin(one), Mapping
        ):
            return dict.fromkeys(value, typing.get_args(one)[-1])
    return {}


def _elements(kind: Any, number: int) -> list[Any]:
    """Return the annotations of what a list or tuple of some length holds."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if not (isinstance(origin, type) and issubclass(origin, Sequence)) or not inside:
        return []
    if origin is tuple and inside[-1] is not Ellipsis:
        return list(inside) if len(inside) == number else []
    return [inside[0]] * number


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
