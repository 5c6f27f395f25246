"""Trained models that ship, by name, and how any trained model is found and loaded.

TensorFlow is imported only when a model is loaded.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clusterkeras.model import ClusterModel

#: The file that a run directory and a preset's directory keep their model in.
MODEL_FILE = "model.keras"


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
    """Give the directory of the models that ship.

    An installed package keeps them inside itself, a source tree at its top.
    """
    package = Path(__file__).parent
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


def load_model(name_or_path: str | Path = DEFAULT_PRESET) -> ClusterModel:
    """Load a trained model, ready to infer with.

    Parameters
    ----------
    name_or_path : str or Path
        As for `find_model`.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If the file is not a `ClusterModel` written by Keras.
    """
    path = find_model(name_or_path)
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path}: expected a model written by Keras (.keras); the file is "
            "something else or cut short"
        )
    import keras

    from clusterkeras.model import ClusterModel

    try:
        model = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"{path}: Keras cannot load this model: {reason}") from error
    if not isinstance(model, ClusterModel):
        raise ValueError(
            f"{path}: expected a ClusterModel; received {type(model).__name__}"
        )
    return model
