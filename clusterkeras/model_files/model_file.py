"""The file of a trained model: found by name or path, checked, read, written.

TensorFlow is imported only when a model is read or written.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from clusterkeras.config import ModelConfig
from clusterkeras.model_files import MODEL_FILE
from clusterkeras.model_files.presets import (
    check_hash,
    preset_names,
    saved_models_directory,
)
from data_tools.foreign.json_text import load_json
from data_tools.running.output import whole_path
from data_tools.running.plain_files import read_yaml
from data_tools.target import Target

if TYPE_CHECKING:
    import keras

#: Of whichever class is asked for.
Model = TypeVar("Model", bound="keras.Model")

#: Weights are float32, and Keras keeps them as they are: a file that inflates more is
#: none of its.
_WEIGHT_BYTES = 4
_MOST_INFLATED = 50


def find_model(name_or_path: str | Path) -> Path:
    """Find the file of a trained model.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a preset, a ``.keras`` file, or a directory with a ``model.keras``
        (what `clusterkeras fit` leaves, or a preset's). The name of a preset that ships
        goes before a path.

    Returns
    -------
    Path
        A file that exists.

    Raises
    ------
    FileNotFoundError
        If there is none, or its training is unfinished; the message lists the presets,
        or says how to finish it.
    """
    names = preset_names()
    if str(name_or_path) in names:
        path = saved_models_directory() / name_or_path / MODEL_FILE
        if not path.is_file():
            raise FileNotFoundError(
                f"model {str(name_or_path)!r} ships as {path}, which is not there; "
                "install the package again, or name a .keras file"
            )
        return path
    path = Path(name_or_path)
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        _check_finished(path.parent)
        raise FileNotFoundError(
            f"model {str(name_or_path)!r}: expected one of {names}, a .keras file, or "
            f"a directory with a {MODEL_FILE}; nothing found there"
        )
    return path


def _check_finished(directory: Path) -> None:
    """Refuse the directory of a training that has not come to its end."""
    about = {}
    with suppress(OSError, ValueError):  # of somebody else's
        about = read_yaml(directory / "configuration.yaml")
    if "training" in about and "data" in about:
        raise FileNotFoundError(
            f"{directory}: expected a trained model, {MODEL_FILE}; the training there "
            "is unfinished. Wait for it or, if nothing runs, give the same command "
            f"again, clusterkeras fit --data {about['data']} -o {directory} with the "
            "options of before: it goes on after its last whole epoch"
        )


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model before it is loaded.

    Attributes
    ----------
    target : Target
        What it was trained for.
    takes_context : bool
        Whether it can be told what is known beside the pixels.
    """

    target: Target
    takes_context: bool


def read_facts(name_or_path: str | Path) -> ModelFacts:
    """Read what a trained model's file says of it, without TensorFlow.

    Parameters
    ----------
    name_or_path : str or Path
        As for `find_model`.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such model, or the file is damaged or none of this package's.
    """
    path = find_model(name_or_path)
    content = _checked(path)
    try:
        members = _members(content["config"])
        target = Target.from_dict(members[0]["target"])
        contexts = [member["config"].get("context", False) for member in members]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected a model of this package; received another, or a damaged "
            f"one: {error}"
        ) from error
    return ModelFacts(target, any(contexts))


def _members(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the configurations of the networks in a model."""
    if "members" not in config:
        return [config]
    return [one for member in config["members"] for one in _members(member["config"])]


def read_model(name_or_path: str | Path, classes: tuple[type[Model], ...]) -> Model:
    """Read a trained model of one of some classes, which Keras must know already.

    Parameters
    ----------
    name_or_path : str or Path
        As for `find_model`.
    classes : tuple of type
        What it may be.

    Returns
    -------
    PosteriorModel
        The model, not compiled.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If the file is none of the classes, written by Keras.
    """
    path = find_model(name_or_path)
    _checked(path)
    import keras

    with _told(path):
        model = keras.models.load_model(path, compile=False)
    if not isinstance(model, classes):
        expected = " or ".join(c.__name__ for c in classes)
        raise ValueError(
            f"{path}: expected {expected}; received {type(model).__name__}"
        )
    return model


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of whatever is raised in here that a model's file is at fault."""
    try:
        yield
    except Exception as error:  # damage can make its readers raise anything
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path}: Keras cannot load this model: {reason}. The file is damaged or "
            "not this package's: fetch it again, or name another"
        ) from error


def _checked(path: Path) -> dict[str, Any]:
    """Return the configuration in a model's file, or refuse what is none."""
    check_hash(path)
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: expected a model written by Keras (.keras); the file is "
            "something else or cut short"
        )
    with _told(path):
        return _read_archive(path)


def _read_archive(path: Path) -> dict[str, Any]:
    """Refuse a damaged archive, or one that declares more weights than it holds.

    Keras reads the weights without their checksums, and makes room for all that the
    configuration declares.
    """
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if sum(sizes.values()) > _MOST_INFLATED * path.stat().st_size:
            raise ValueError("its parts inflate to far more than the file's size")
        damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")
        content = load_json(archive.read("config.json"))
    held = sizes["model.weights.h5"] // _WEIGHT_BYTES
    declared = _least_weights(content)
    if declared > held:
        raise ValueError(
            f"it declares {declared:.3g} weights or more and has room for {held:.3g}"
        )
    return content


def _least_weights(content: Any) -> float:
    """Return how many weights the networks of a model's configuration have at least."""
    if isinstance(content, list):
        return sum(map(_least_weights, content))
    if not isinstance(content, dict):
        return 0
    if "backbone" not in content:
        return sum(map(_least_weights, content.values()))
    known = {field.name for field in dataclasses.fields(ModelConfig)}
    shape = ModelConfig(**{k: v for k, v in content.items() if k in known})
    if shape.posterior == "mixture":
        # logit, means and triangle of four parameters
        return 15.0 * shape.components * shape.hidden
    if shape.posterior == "flow":
        width = float(shape.flow_width)
        coupling = width * (width + 6 * shape.flow_bins - 2)
        return shape.flow_depth * (coupling + width * shape.hidden)
    return 2000.0 * shape.hidden


def save_model(model: keras.Model, path: Path) -> None:
    """Save a model so that the file appears whole or not at all.

    Parameters
    ----------
    model : keras.Model
        The model.
    path : Path
        A ``.keras`` file; one of that name is replaced.
    """
    with whole_path(path) as part:
        model.save(part)
