"""The Keras model: backbone, joint posterior, and what is loaded by name."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def _keras_backend() -> str:
    """Return the back end that Keras has, or will have once it is imported."""
    if "keras" in sys.modules:
        return sys.modules["keras"].config.backend()
    if os.environ.get("KERAS_BACKEND"):
        return os.environ["KERAS_BACKEND"]
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        return json.loads((Path(home) / "keras.json").read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"


# before Keras imports another back end, or fails to
if _keras_backend() != "tensorflow":
    raise ImportError(
        "clusterkeras: expected Keras with its TensorFlow back end; received "
        f"{_keras_backend()!r}. Set KERAS_BACKEND=tensorflow before Keras is imported"
    )
