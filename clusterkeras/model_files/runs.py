"""A model that came of others, written as a run: the model, and how it came about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clusterkeras.model_files import MODEL_FILE
from clusterkeras.model_files.model_file import find_model, save_model
from data_tools.running.output import check_directory
from data_tools.running.plain_files import write_json
from data_tools.running.replaced import check_replaced_in
from data_tools.running.seal import BLANK, KEY
from data_tools.running.work_directory import claimed

if TYPE_CHECKING:
    import keras

#: Packages whose versions stand in the configuration.
PACKAGES = ("clusterkeras", "tensorflow", "keras")


def new_model_file(
    output: str | Path,
    models: Iterable[str | Path],
    *,
    read: Iterable[str | Path] = (),
    beside: Iterable[str] = ("configuration.yaml", "recalibration.json"),
    overwrite: bool,
) -> Path:
    """Return the path of a model that is to be written, or refuse where one is.

    Parameters
    ----------
    output : str or Path
        Directory of the run.
    models : iterable of str or Path
        Models that it comes from, as for `find_model`.
    read : iterable of str or Path
        Other files that are read.
    beside : iterable of str
        What is written beside the model.
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
    inputs = [*map(find_model, models), *read]
    check_replaced_in(output, (MODEL_FILE, *beside), inputs, overwrite=overwrite)
    return path


def write_run(
    model: keras.Model,
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
