"""Trained models, whatever they are: loaded, or several joined in one on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clusterkeras.model_files.model_file import find_model, read_model
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.model_files.runs import new_model_file, write_run
from clusterkeras.network.ensemble import Ensemble
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.posterior_model import PosteriorModel
from clusterkeras.network.published_model import PublishedModel


def make_ensemble(
    models: Sequence[str | Path], output: str | Path, *, overwrite: bool = False
) -> Path:
    """Make an ensemble of trained models and write it as a run.

    Parameters
    ----------
    models : sequence of str or Path
        Trained models, two or more, of the same bands, cutout and box: names of those
        that ship, ``.keras`` files or directories of runs.
    output : str or Path
        Directory to write: ``model.keras``, which holds all members, and
        ``configuration.yaml``, which names them.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    Path
        ``output/model.keras``.

    Raises
    ------
    FileExistsError
        If there is a model already, or another file that may not be replaced.
    FileNotFoundError
        If a model is missing.
    ValueError
        If a file is no model, or the models make no ensemble.
    """
    path = new_model_file(output, models, overwrite=overwrite)
    members = [load_model(model) for model in models]
    configuration = {
        "ensemble": [str(find_model(model).resolve()) for model in models],
        "target": members[0].target.to_dict(),
    }
    return write_run(Ensemble(members), path, configuration, overwrite=overwrite)


def load_model(
    name_or_path: str | Path | PosteriorModel = DEFAULT_PRESET,
) -> PosteriorModel:
    """Load a trained model, ready to infer with.

    Parameters
    ----------
    name_or_path : str, Path or PosteriorModel
        Name of a preset, a ``.keras`` file, or a directory with a ``model.keras``; a
        model is returned as it is.

    Returns
    -------
    PosteriorModel
        A `ClusterModel`, an `Ensemble` or a `PublishedModel`; its ``loaded_by`` is what
        it was loaded by.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If the file is none of these, written by Keras.

    Examples
    --------
    >>> from clusterkeras import load_model
    >>> load_model("m83-wfc3-uvis").target.band_names
    ('F336W', 'F438W', 'F814W')
    """
    if isinstance(name_or_path, PosteriorModel):
        return name_or_path
    model = read_model(name_or_path, (ClusterModel, Ensemble, PublishedModel))
    model.loaded_by = str(name_or_path)
    return model
