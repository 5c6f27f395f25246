"""YAML that people write: each key once, bounded, and no more read than is written.

YAML 1.1 makes numbers, dates and truth values of plain words before anyone asks what
they are for: a name ``0123`` becomes 83, ``1e5`` a number or not, ``no`` false. Here
a plain word is text until the type of its setting is known.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

#: Lists in lists, mappings in mappings. Settings have a handful; libyaml overflows the
#: stack from some ten thousand on.
MOST_LEVELS = 100
#: Values, those behind an alias (``*name``) counted each time.
MOST_VALUES = 1_000_000
#: Characters of one value.
LONGEST_VALUE = 4_096


class _OutOfBounds(yaml.MarkedYAMLError):
    """What YAML allows and no setting needs."""


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Text(_Loader):
    """Read every plain word as text; nothing, and ``~``, as None."""


_Text.yaml_implicit_resolvers = {}
_Text.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(?:~|)$"), ["~", ""])
_Text.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile("^<<$"), ["<"])


class _TextDumper(yaml.SafeDumper):
    """Write text plainly, and what is none with its kind before it."""


_TextDumper.yaml_implicit_resolvers = _Text.yaml_implicit_resolvers


def load_text(content: str) -> Any:
    """Return what YAML says, its plain words as text.

    Parameters
    ----------
    content : str
        One document.

    Returns
    -------
    dict, list, str or None
        Of texts and None.

    Raises
    ------
    yaml.YAMLError
        If it is none, a key is given twice, or it is out of all bounds.
    """
    return _load(content, _Text)


def load_values(content: str) -> Any:
    """Return what YAML 1.1 says, as `yaml.safe_dump` wrote it: numbers are numbers.

    Parameters, Raises
        As for `load_text`.
    """
    return _load(content, _Loader)


def dump_text(values: Any) -> str:
    """Return YAML from which `load_text` gives the same, truth values and all."""
    return yaml.dump(values, Dumper=_TextDumper, sort_keys=False)


def _load(content: str, kind: Any) -> Any:
    _check_events(content)
    loader = kind(content)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {}, 0)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def check_text(text: str) -> None:
    """Refuse a text that is too long, or YAML nested too deeply if it is any.

    A text is read again, by another parser, where its setting is no text.
    """
    if len(text) > LONGEST_VALUE:
        raise _OutOfBounds(
            problem=f"a value of {len(text):,} characters, which begins with "
            f"{text[:40]!r}; expected at most {LONGEST_VALUE:,}"
        )
    try:
        _check_events(text)
    except _OutOfBounds:
        raise
    except yaml.YAMLError:
        return


def _check_events(content: str) -> None:
    """Refuse what would overflow the parser's stack or fill the memory, not built."""
    level = 0
    for number, event in enumerate(yaml.parse(content, _Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            level += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            level -= 1
        if level > MOST_LEVELS:
            raise _error(f"it is nested more than {MOST_LEVELS} levels deep", event)
        if number > 3 * MOST_VALUES:
            raise _error(f"it holds more than {MOST_VALUES:,} values", event)


def _check(node: yaml.Node, known: dict[int, tuple[int, int]], level: int) -> None:
    """Refuse keys given twice, endless or too many values behind aliases.

    ``known`` has the number of values and the levels of each node that was checked.
    """
    known[id(node)] = (MOST_VALUES, MOST_LEVELS)  # met again in itself, it is endless
    values, levels = 1, 0
    keys: dict[tuple[str, str], yaml.Node] = {}
    for child, is_key in _children(node):
        if is_key and isinstance(child, yaml.ScalarNode):
            key = (child.tag, child.value)
            if key in keys:
                first = keys[key].start_mark.line + 1
                raise _error(
                    f"{child.value!r} is given twice, first in line {first}", child
                )
            keys[key] = child
        if id(child) not in known:
            _check(child, known, level + 1)
        values += known[id(child)][0]
        levels = max(levels, 1 + known[id(child)][1])
        if values > MOST_VALUES or level + levels > MOST_LEVELS:
            raise _error(
                f"it holds more than {MOST_VALUES:,} values or {MOST_LEVELS} levels, "
                "or one that holds itself",
                child,
            )
    if isinstance(node, yaml.ScalarNode):
        check_text(node.value)
    known[id(node)] = (values, levels)


def _children(node: yaml.Node) -> Iterator[tuple[yaml.Node, bool]]:
    """Yield the nodes in a node, and whether each is a key."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key, True
            yield value, False
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield value, False


def _error(problem: str, at: yaml.Node | yaml.Event) -> yaml.YAMLError:
    return _OutOfBounds(problem=problem, problem_mark=at.start_mark)


def in_words(error: Exception) -> str:
    """Return what is wrong with a YAML text and in which line, without its excerpt."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(getattr(error, "problem", None) or error).split())
    mark = error.problem_mark
    problem = error.problem or error.context or "no YAML"
    if "tab" in problem or "cannot start any token" in problem:
        problem += " (indent by spaces, not by tabs)"
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
