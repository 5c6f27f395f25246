"""The SavedModel beside a Keras model, which is asked in its place.

A SavedModel answers seconds after TensorFlow is there, where a Keras model is built and
traced first. One that was exported from the very file that is asked for, by this
version, is taken in its place. Nothing here imports TensorFlow.
"""

from __future__ import annotations

import logging
from pathlib import Path

from clusterkeras import __version__
from clusterkeras.model_files import MODEL_FILE
from clusterkeras.model_files.model_file import find_model
from clusterkeras.serving.contract import CONTRACT
from data_tools.running.plain_files import read_json, sha256_of

logger = logging.getLogger(__name__)

#: What a SavedModel says of itself, readable without TensorFlow.
METADATA_FILE = "assets.extra/metadata.json"

#: Its entry about the file that the SavedModel was exported from.
SOURCE = "keras_file"

#: Its entry about the files of its weights, as they were exported.
WEIGHTS = "weights_files"

GRAPH_FILE = "saved_model.pb"


def is_savedmodel(model: object) -> bool:
    """Say whether something is the path of a SavedModel."""
    return isinstance(model, str | Path) and Path(model, GRAPH_FILE).is_file()


def weights_files(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a SavedModel's weights there are, by name."""
    files = sorted((directory / "variables").glob("*"))
    return {file.name: sha256_of(file) for file in files}


def find_savedmodel(name_or_path: str | Path) -> Path | None:
    """Find the SavedModel that stands in the place of a Keras model.

    It is a directory beside the model's file, named by a number as ``clusterkeras
    export`` names versions, whose metadata have the SHA-256 of that file and of its own
    weights, and this version of the package. Of several it is the newest. Where there
    are only others, which would answer otherwise, the log says so.

    Parameters
    ----------
    name_or_path : str or Path
        As for `clusterkeras.model_files.model_file.find_model`.

    Returns
    -------
    Path or None
        None if there is none of this very model.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    """
    file = find_model(name_or_path)
    versions = [path for path in file.parent.glob("[1-9]*") if path.name.isdecimal()]
    exports = [path for path in versions if is_savedmodel(path)]
    if file.name != MODEL_FILE or not exports:
        return None
    sha256 = sha256_of(file)
    for directory in sorted(exports, key=lambda path: int(path.name), reverse=True):
        if _is_of(directory, sha256):
            return directory
    last = max(int(path.name) for path in versions)
    logger.warning(
        "%s: the SavedModel beside it is not of this file and this version of "
        "ClusterKeras, so the Keras model is asked, which takes longer to load. Export "
        "it again: clusterkeras export --model %s -o %s --name %s --version %d",
        *(file, name_or_path, file.parent.parent, file.parent.name, last + 1),
    )
    return None


def _is_of(directory: Path, sha256: str) -> bool:
    """Say whether a SavedModel is a file's, and answers as this version does."""
    if not (directory / METADATA_FILE).is_file():
        return False
    about = read_json(directory / METADATA_FILE)
    return (
        about.get(SOURCE, {}).get("sha256") == sha256
        and about.get("contract") == CONTRACT
        and about.get("versions", {}).get("clusterkeras") == __version__
        and about.get(WEIGHTS) == weights_files(directory)
    )
