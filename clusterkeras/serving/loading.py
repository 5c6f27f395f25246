"""A SavedModel loaded for this process: its signatures, which refuse what is amiss."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from clusterkeras.serving.pruned import pruned

#: Signatures that every SavedModel of this package has had.
ALWAYS = ("serving_default", "samples", "log_prob")


def load_savedmodel(
    directory: str | Path, only: Collection[str] | None = None
) -> dict[str, Callable[..., dict[str, tf.Tensor]]]:
    """Load a SavedModel's signatures, which take and give tensors by name.

    Parameters
    ----------
    directory : str or Path
        What `clusterkeras.serving.savedmodel.export` returned.
    only : collection of str, optional
        Names of the signatures to load, all by default: the fewer, the sooner.

    Returns
    -------
    dict of str to callable
        By name; see `clusterkeras.serving.contract`.

    Raises
    ------
    FileNotFoundError
        If there is no SavedModel in the directory.
    ValueError
        If it cannot be read, or was not written by `export`.
    """
    directory = Path(directory)
    if not (directory / "saved_model.pb").is_file():
        raise FileNotFoundError(
            f"{directory}: expected a SavedModel, NAME/VERSION as `clusterkeras "
            "export` writes it; no saved_model.pb in it"
        )
    try:
        if only is None:
            loaded = tf.saved_model.load(str(directory))
        else:
            with pruned(directory, only) as part:
                loaded = tf.saved_model.load(str(part))
    except Exception as error:  # damage can make its reader raise anything
        raise ValueError(
            f"{directory}: not readable, export it again: {reason_of(error)}"
        ) from error
    expected = ALWAYS if only is None else only
    if not set(expected) <= set(loaded.signatures):
        raise ValueError(
            f"{directory}: expected the signatures {sorted(expected)}; received "
            f"{sorted(loaded.signatures)}"
        )
    # signatures hold the variables only as long as the loaded object lives
    return {name: _Signature(loaded, name) for name in loaded.signatures}


class _Signature:
    """One signature of a loaded SavedModel, which it keeps alive."""

    def __init__(self, loaded: Any, name: str) -> None:
        self._loaded, self._name = loaded, name
        self._function = loaded.signatures[name]

    @property
    def specs(self) -> dict[str, dict[str, tf.TensorSpec]]:
        """What its inputs and outputs are, by ``input`` and ``output`` and name."""
        return {
            "input": self._function.structured_input_signature[1],
            "output": self._function.structured_outputs,
        }

    def __call__(self, **inputs: Any) -> dict[str, tf.Tensor]:
        """Run it.

        Raises
        ------
        ValueError
            If an input is missing, too much, or of another shape or type.
        """
        specs = self.specs["input"]
        if set(inputs) != set(specs):
            raise ValueError(
                f"{self._name}: expected the inputs {sorted(specs)}; received "
                f"{sorted(inputs)}"
            )
        tensors = {name: _as_tensor(inputs[name], spec) for name, spec in specs.items()}
        rows = {name: tensor.shape[0] for name, tensor in tensors.items()}
        if len(set(rows.values()) - {None}) > 1:
            raise ValueError(
                f"{self._name}: expected as many rows of each input; received {rows}"
            )
        return self._function(**tensors)


def _as_tensor(value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    """Return an input in the type its signature wants, or refuse it."""
    given = value if tf.is_tensor(value) else np.asarray(value)
    received = tf.TensorSpec(given.shape, given.dtype)
    of_kind = received.dtype.is_integer or (
        spec.dtype.is_floating and received.dtype.is_floating
    )
    if not of_kind or not spec.shape.is_compatible_with(received.shape):
        raise ValueError(
            f"{spec.name}: expected {spec.dtype.name} of shape {spec.shape}; received "
            f"{received.dtype.name} of shape {received.shape}"
        )
    tensor = tf.cast(given, spec.dtype)
    changed = spec.dtype.is_integer and received.dtype != spec.dtype
    if changed and not np.array_equal(tensor, given):
        raise ValueError(
            f"{spec.name}: expected {spec.dtype.name}, from {spec.dtype.min} to "
            f"{spec.dtype.max}; received a number beyond"
        )
    return tensor


def reason_of(error: Exception) -> str:
    """Return the line of an error that says what is wrong, or its name.

    It is the first; of a graph's error the last before its node.
    """
    text, node, _ = str(error).strip().partition("\n\t [[")
    line = text.rpartition("\n")[2] if node else text.partition("\n")[0]
    return line or type(error).__name__
