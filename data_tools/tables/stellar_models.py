"""The stars of each stellar model that ships, by age, metallicity and phase."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources.abc import Traversable

import numpy as np

from data_tools.tables import read_arrays, table_file

#: File of each model; it is read only where the model is asked for.
MODEL_FILES = {"MIST": "mist.npz", "PARSEC": "parsec.npz", "SSE": "sse.npz"}


@dataclass(frozen=True)
class StellarModel:
    """All isochrones of a model, one after the other. Arrays are read-only.

    Attributes
    ----------
    feh, log_age : ndarray, shape (isochrones,)
        [Fe/H] in dex and log10 of the age in years, of each isochrone, rising: [Fe/H]
        outermost.
    counts : ndarray of int, shape (isochrones,)
        Number of points of each.
    phase : ndarray of int, shape (points,)
        MIST: equivalent evolutionary point (EEP), one a point. Others: PARSEC's
        label of the stage, which many points share; see
        `data_tools.stars.evolution.phases.parsec_stages`.
    mass_initial, mass_current : ndarray, shape (points,)
        In solar masses, float64. Initial mass never falls within an isochrone.
    log_l, log_teff, log_g : ndarray, shape (points,)
        log10 of luminosity in suns, of effective temperature in K, of gravity in
        cm/s2. Rounded to 2.5e-4 dex or finer.
    """

    feh: np.ndarray
    log_age: np.ndarray
    counts: np.ndarray
    phase: np.ndarray
    mass_initial: np.ndarray
    mass_current: np.ndarray
    log_l: np.ndarray
    log_teff: np.ndarray
    log_g: np.ndarray

    @property
    def rows(self) -> list[slice]:
        """The points of each isochrone."""
        ends = np.cumsum(self.counts).tolist()
        return [slice(i, j) for i, j in zip([0, *ends[:-1]], ends, strict=True)]


def _integers(planes: np.ndarray) -> np.ndarray:
    """Undo the differences, modulo their width, stored one byte plane a row."""
    width = len(planes)
    steps = np.ascontiguousarray(planes.T).view(f"<u{width}").ravel()
    return np.cumsum(steps, dtype=steps.dtype).view(f"<i{width}")


def model_file(name: str) -> Traversable:
    """Return the file of a stellar model.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in MODEL_FILES:
        raise ValueError(
            f"stellar model must be one of {', '.join(MODEL_FILES)}; received {name!r}."
        )
    return table_file(MODEL_FILES[name])


@cache
def load_model(name: str) -> StellarModel:
    """Load a stellar model that ships, once per process.

    Raises
    ------
    ValueError
        If there is none of that name, or its table was written for another version
        of this module.
    FileNotFoundError
        If its table is missing.
    """
    arrays = read_arrays(model_file(name))
    step_fraction, *steps = arrays.pop("steps")
    mass = _integers(arrays["mass_initial"]).view("<f4").astype(np.float64)
    fields = {
        "feh": arrays["feh"],
        "log_age": arrays["log_age"],
        "counts": arrays["counts"].astype(np.int64),
        "phase": _integers(arrays["phase"]).astype(np.int64),
        "mass_initial": mass,
        "mass_current": mass * _integers(arrays["mass_fraction"]) * step_fraction,
    }
    for column, step in zip(("log_l", "log_teff", "log_g"), steps, strict=True):
        fields[column] = _integers(arrays[column]) * step
    for array in fields.values():
        array.setflags(write=False)
    return StellarModel(**fields)
