"""Joining trained models into an ensemble on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clusterkeras.ensemble import Ensemble
from clusterkeras.loading import load_model
from clusterkeras.presets import find_model, new_model_file, write_run


def make_ensemble(models: Sequence[str | Path], output: str | Path) -> Path:
    """Make an ensemble of trained models and write it as a run.

    Parameters
    ----------
    models : sequence of str or Path
        Two or more names of presets, ``.keras`` files or directories of runs.
    output : str or Path
        Directory to write: ``model.keras``, which holds all members, and
        ``configuration.yaml``, which names them.

    Returns
    -------
    Path
        ``output/model.keras``.

    Raises
    ------
    FileExistsError
        If there is a model already.
    FileNotFoundError
        If a model is missing.
    ValueError
        If a file is no model, or the models make no ensemble.
    """
    new_model_file(output)
    members = [load_model(model) for model in models]
    configuration = {
        "ensemble": [str(find_model(model).resolve()) for model in models],
        "target": members[0].target.to_dict(),
    }
    return write_run(Ensemble(members), output, configuration)
