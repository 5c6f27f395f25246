"""Trained models that ship, by name, and the files of any: found, read, written.

TensorFlow is imported only when a model is read or written.
"""

from __future__ import annotations

import dataclasses
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterkeras.config import ModelConfig
from data_tools.foreign.json_text import load_json
from data_tools.running.output import check_directory, whole_path
from data_tools.running.plain_files import write_json
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK, KEY
from data_tools.running.work_directory import claimed
from data_tools.target import Target

if TYPE_CHECKING:
    import keras

    from clusterkeras.network.posterior_model import PosteriorModel

#: The file that a run directory and a preset's directory keep their model in.
MODEL_FILE = "model.keras"

#: What `write_run` and those who call it write beside the model.
_RUN_FILES = (MODEL_FILE, "configuration.yaml", "recalibration.json")

#: Packages whose versions stand in the configuration of what `write_run` writes.
PACKAGES = ("clusterkeras", "tensorflow", "keras")


#: Weights are float32, and Keras keeps them as they are: a file that inflates more is
#: none of its.
_WEIGHT_BYTES = 4
_MOST_INFLATED = 50


@dataclass(frozen=True)
class Preset:
    """A trained model that ships.

    Attributes
    ----------
    description : str
        One line: galaxy, instrument, bands, pixel.
    file : str
        The model, relative to the directory of the shipped models.
    """

    description: str
    file: str


PRESETS: dict[str, Preset] = {
    "m83-wfc3-uvis": Preset(
        description=(
            "M83 at 4.5 Mpc, HST WFC3/UVIS in F336W, F438W and F814W, 0.0396 arcsec "
            "a pixel"
        ),
        file=f"m83-wfc3-uvis/{MODEL_FILE}",
    ),
}

DEFAULT_PRESET = "m83-wfc3-uvis"


def saved_models_directory() -> Path:
    """Return the directory of the models that ship.

    An installed package keeps them inside itself, a source tree at its top.
    """
    package = Path(__file__).parents[1]
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def find_model(name_or_path: str | Path) -> Path:
    """Find the file of a trained model.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a preset, a ``.keras`` file, or a directory with a ``model.keras``
        (what `clusterkeras fit` leaves). A preset's name goes before a path.

    Returns
    -------
    Path
        A file that exists.

    Raises
    ------
    FileNotFoundError
        If there is none; the message lists the presets.
    """
    preset = PRESETS.get(str(name_or_path))
    if preset is not None:
        path = saved_models_directory() / preset.file
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
        raise FileNotFoundError(
            f"model {str(name_or_path)!r}: expected one of {sorted(PRESETS)}, a .keras "
            f"file, or a directory with a {MODEL_FILE}; nothing found there"
        )
    return path


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


def read_model(
    name_or_path: str | Path, classes: tuple[type[PosteriorModel], ...]
) -> PosteriorModel:
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


def new_model_file(
    output: str | Path, inputs: Iterable[str | Path], *, overwrite: bool
) -> Path:
    """Return the path of a model that is to be written, or refuse where one is.

    Parameters
    ----------
    output : str or Path
        Directory of the run.
    inputs : iterable of str or Path
        Models that it comes from, as for `find_model`.
    overwrite : bool
        Whether to write also over a model and other files that are there.

    Raises
    ------
    FileExistsError
        If there is a model already, or another file that may not be replaced.
    NotADirectoryError, PermissionError
        If none can be written there.
    """
    path = check_directory(output) / MODEL_FILE
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{path}: a model exists and is never overwritten without --overwrite "
            "(overwrite=True); name another output"
        )
    read = [find_model(model) for model in inputs]
    check_replaced_in(output, _RUN_FILES, read, overwrite=overwrite)
    return path


def write_run(
    model: PosteriorModel,
    path: Path,
    configuration: dict[str, Any],
    beside: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    overwrite: bool = False,
) -> Path:
    """Write a model that came of others, and a configuration that says how.

    Parameters
    ----------
    model : PosteriorModel
        The model.
    path : Path
        What `new_model_file` returned; the directory is made.
    configuration : dict
        Plain values for ``configuration.yaml``; the versions of the packages are added.
    beside : mapping of str to mapping, optional
        JSON files to write too, by name.
    overwrite : bool
        As of `new_model_file`.

    Returns
    -------
    Path
        The model's.

    Raises
    ------
    ValueError, BlockingIOError
        If another run was begun there, or is at work.
    """
    if overwrite:
        path.with_name("configuration.yaml").unlink(missing_ok=True)
    notes = {"versions": {name: metadata.version(name) for name in PACKAGES}}
    notes[KEY] = BLANK
    with claimed(path.parent, "configuration.yaml", configuration, notes=notes):
        for name, values in (beside or {}).items():
            write_json(path.with_name(name), {**values, KEY: BLANK})
        # last, as where a model is nothing is written again
        save_model(model, path)
    return path
