"""Text, JSON and YAML files written whole, the SHA-256 of a file, what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from data_tools.foreign.json_text import load_json
from data_tools.foreign.reading import read_text, reading
from data_tools.foreign.yaml_text import in_words, load_text, load_values
from data_tools.running.output import whole_file
from data_tools.running.seal import KEY

#: Of a JSON or YAML file: a manifest of 100,000 shards takes 23 MB, and Python some
#: thirty times the memory of what is made of brackets.
MOST_BYTES = 30_000_000


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file that is never seen half written."""
    with whole_file(path) as file:
        file.write((json.dumps(values, indent=1) + "\n").encode())


def write_text(path: Path, text: str) -> None:
    """Write text, and the end of its last line, that is never seen half written."""
    with whole_file(path) as file:
        file.write(f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file, without its seal.

    A `ValueError` names the file if it has none, or a key twice.
    """
    text = read_text(path, MOST_BYTES)
    with reading(path, "JSON"):
        values = load_json(text)
    if not isinstance(values, dict):
        raise ValueError(
            f"{path}: expected a JSON object; received a {type(values).__name__}"
        )
    values.pop(KEY, None)
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file that `write_yaml` wrote.

    Raises
    ------
    ValueError
        If it has none; the message names the file.
    """
    return _mapping(path, _yaml(path, load_values))


def read_settings(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file that a person wrote; its plain words are text.

    Raises
    ------
    ValueError
        If it has none, or a key twice; the message names the file and the line.
    """
    return _mapping(path, _yaml(path, load_text))


def read_entries(path: Path) -> list[Any]:
    """Read a list from a YAML file that a person wrote, as `read_settings`."""
    values = _yaml(path, load_text)
    if not isinstance(values, list):
        raise ValueError(f"{path}: expected a YAML list; received {_kind(values)}")
    return values


def _yaml(path: Path, load: Callable[[str], Any]) -> Any:
    text = read_text(path, MOST_BYTES)
    try:
        with reading(path, "YAML"):
            return load(text)
    except ValueError as error:
        if not isinstance(error.__cause__, yaml.YAMLError):
            raise
        raise ValueError(
            f"{path}: not readable as YAML: {in_words(error.__cause__)}"
        ) from error


def _mapping(path: Path, values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ValueError(f"{path}: expected a YAML mapping; received {_kind(values)}")
    return values


def _kind(values: Any) -> str:
    return "an empty file" if values is None else f"a {type(values).__name__}"


def write_yaml(path: Path, values: Mapping[str, Any]) -> None:
    """Write a YAML file, in the order of the values, never seen half written."""
    with whole_file(path) as file:
        file.write(yaml.safe_dump(dict(values), sort_keys=False).encode())


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def differences(there: Any, now: Any, where: str = "") -> list[str]:
    """List what differs between two configurations, a line each."""
    if isinstance(there, dict) and isinstance(now, dict):
        return [
            line
            for key in sorted(there.keys() | now.keys(), key=str)
            for line in differences(there.get(key), now.get(key), f"{where}.{key}")
        ]
    if there == now:
        return []
    return [f"{where.lstrip('.')}: {there!r} there, {now!r} now"]
