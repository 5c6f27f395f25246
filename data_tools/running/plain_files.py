"""Text, JSON and YAML files written whole, the SHA-256 of a file, what differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from data_tools.running.output import whole_file


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file that is never seen half written."""
    with whole_file(path) as file:
        file.write((json.dumps(values, indent=1) + "\n").encode())


def write_text(path: Path, text: str) -> None:
    """Write text, and the end of its last line, that is never seen half written."""
    with whole_file(path) as file:
        file.write(f"{text}\n".encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read an object from a JSON file; a `ValueError` names the file if it has none."""
    try:
        values = json.loads(path.read_text())
    except ValueError as error:  # neither JSON nor even text
        raise ValueError(
            f"{path}: not JSON: {error}. It is cut short, damaged or something else"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path}: expected a JSON object; received a {type(values).__name__}"
        )
    return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file; a `ValueError` names the file if it has none."""
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: not YAML: {error}. It is cut short, damaged or something else"
        ) from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path}: expected a YAML mapping; received a {type(values).__name__}"
        )
    return values


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
