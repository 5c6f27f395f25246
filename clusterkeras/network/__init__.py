"""The Keras model: backbone, joint posterior, and what is loaded by name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

#: What Keras takes from its file of settings, or ends in an assertion without a word.
_VALUES = {
    "floatx": ("float16", "float32", "float64"),
    "image_data_format": ("channels_last", "channels_first"),
}


def _settings() -> dict[str, Any]:
    """Return the settings in a user's ``keras.json`` that Keras can take."""
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    path = Path(home) / "keras.json"
    try:
        settings = json.loads(path.read_text())
    except (OSError, ValueError):  # there is none, or Keras passes over it too
        return {}
    if not isinstance(settings, dict):
        raise ImportError(f"{path}: expected a mapping; received {settings!r}")
    for key, values in _VALUES.items():
        if key in settings and settings[key] not in values:
            raise ImportError(
                f"{path}: {key}: expected one of {', '.join(values)}; received "
                f"{settings[key]!r}"
            )
    if not isinstance(settings.get("epsilon", 1e-7), float):
        raise ImportError(
            f"{path}: epsilon: expected a number such as 1e-07; received "
            f"{settings['epsilon']!r}"
        )
    return settings


def _keras_backend() -> str:
    """Return the back end that Keras has, or will have once it is imported."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    named = _settings().get("backend", "tensorflow")
    return os.environ.get("KERAS_BACKEND") or named


# before Keras imports another back end, or fails to
if _keras_backend() != "tensorflow":
    raise ImportError(
        "clusterkeras: expected Keras with its TensorFlow back end; received "
        f"{_keras_backend()!r}. Set KERAS_BACKEND=tensorflow before Keras is imported"
    )
