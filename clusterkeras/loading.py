"""Loading a trained model, whichever of the classes it is."""

from __future__ import annotations

from pathlib import Path

from clusterkeras.ensemble import Ensemble
from clusterkeras.model import ClusterModel
from clusterkeras.posterior_model import PosteriorModel
from clusterkeras.presets import DEFAULT_PRESET, read_model


def load_model(name_or_path: str | Path = DEFAULT_PRESET) -> PosteriorModel:
    """Load a trained model, ready to infer with.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a preset, a ``.keras`` file, or a directory with a ``model.keras``.

    Returns
    -------
    PosteriorModel
        A `ClusterModel` or an `Ensemble`.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If the file is neither of the two, written by Keras.
    """
    return read_model(name_or_path, (ClusterModel, Ensemble))
