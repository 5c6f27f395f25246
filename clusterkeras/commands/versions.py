"""What a report of a fault should come with: versions, machine, models."""

from __future__ import annotations

import os
import platform
import re
from importlib import metadata
from pathlib import Path

from clusterkeras.model_files.model_file import find_model
from clusterkeras.model_files.presets import preset_names
from data_tools.running.plain_files import sha256_of

#: Instructions of a processor that change how fast TensorFlow is, or last digits.
_INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16")

#: Settings that change what Keras and TensorFlow do.
_SETTINGS = (
    *("KERAS_", "TF_CPP_", "TF_NUM_", "TF_ENABLE_", "TF_XLA_", "TF_USE_", "TF_CONFIG"),
    *("XLA_", "OMP_", "OPENBLAS_", "CUDA_", "CLUSTERKERAS_"),
)


def full_versions() -> str:
    """Return versions, machine, settings and models, a line each.

    TensorFlow is not imported. Nothing of the user's but the settings of Keras,
    TensorFlow and numerical libraries is in it.
    """
    lines = [
        f"clusterkeras {metadata.version('clusterkeras')}",
        f"Python {platform.python_version()}, {platform.platform()}",
        f"processor: {os.cpu_count()} cores, {_instructions()}",
    ]
    lines += [f"{name} {_version(name)}" for name in _dependencies()]
    lines += [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith(_SETTINGS)
    ]
    for name in preset_names():
        lines.append(f"model {name}: sha256 {sha256_of(find_model(name))[:16]}")
    return "\n".join(lines)


def _dependencies() -> list[str]:
    """Return the packages that ClusterKeras names, extras included."""
    named = {
        re.match(r"[\w.-]+", line).group()
        for line in metadata.requires("clusterkeras") or ()
    }
    return sorted(named - {"clusterkeras"}, key=str.lower)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"


def _instructions() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    flags = set(re.search(r"^flags\s*: (.*)$", text, re.MULTILINE).group(1).split())
    found = [name for name in _INSTRUCTIONS if name in flags]
    return ", ".join([platform.machine(), *found])
