"""Presets: directories with a trained model, what it is, and the hash of its file.

Those that ship are called by the name of their directory, any other by its path.
TensorFlow is not imported.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u
from astropy.table import QTable

from clusterkeras.model_files import MODEL_FILE
from data_tools.running.plain_files import read_json, sha256_of
from data_tools.running.seal import is_sealed

#: What a directory is known by as a preset, and what it says of the model in it.
PRESET_FILE = "preset.json"

DEFAULT_PRESET = "m83-wfc3-uvis"

_NAME = re.compile(r"[\w-][\w.-]*")


@dataclass(frozen=True)
class Preset:
    """What a preset says of its model.

    Attributes
    ----------
    name : str
        Letters, digits, ``.``, ``_`` and ``-``; the name of its directory where it
        ships.
    description : str
        One line.
    bands : tuple of str
        In the order of the model's inputs.
    distance_mpc, pixel_scale_arcsec : float
        Of what it was trained for.
    saved : str
        The day, as ``YYYY-MM-DD``.
    size_bytes : int
        Of the model's file.
    sha256 : str
        Of the model's file, 64 digits.
    nll, prior_nll : float or None
        Mean negative log-probability of the true parameters of its test set, in nats,
        and that of the flat prior; None where it was not measured.

    Raises
    ------
    ValueError
        If a value is of another kind.
    """

    name: str
    description: str
    bands: tuple[str, ...]
    distance_mpc: float
    pixel_scale_arcsec: float
    saved: str
    size_bytes: int
    sha256: str
    nll: float | None = None
    prior_nll: float | None = None

    def __post_init__(self) -> None:
        """Check what a file may have said."""
        expected = {
            "name": is_name(self.name),
            "description": isinstance(self.description, str),
            "bands": isinstance(self.bands, list | tuple)
            and all(isinstance(band, str) for band in self.bands),
            "distance_mpc": _is_number(self.distance_mpc),
            "pixel_scale_arcsec": _is_number(self.pixel_scale_arcsec),
            "saved": _is_day(self.saved),
            "size_bytes": isinstance(self.size_bytes, int),
            "sha256": re.fullmatch(r"[0-9a-f]{64}", str(self.sha256)),
            "nll": self.nll is None or _is_number(self.nll),
            "prior_nll": self.prior_nll is None or _is_number(self.prior_nll),
        }
        for name, is_right in expected.items():
            if not is_right:
                raise ValueError(
                    f"{name}: expected what `clusterkeras save-preset` writes; "
                    f"received {getattr(self, name)!r}"
                )
        object.__setattr__(self, "bands", tuple(self.bands))

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values."""
        return {**asdict(self), "bands": list(self.bands)}


def is_name(value: object) -> bool:
    """Say whether something can be the name of a preset."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def _is_day(value: object) -> bool:
    try:
        return date.fromisoformat(value) is not None
    except (TypeError, ValueError):
        return False


def saved_models_directory() -> Path:
    """Return the directory of the presets that ship.

    An installed package keeps them inside itself, a source tree at its top.
    """
    package = Path(__file__).parents[1]
    installed = package / "saved_models"
    return installed if installed.is_dir() else package.parent / "saved_models"


def preset_names() -> list[str]:
    """Return the names of the presets that ship."""
    files = saved_models_directory().glob(f"*/{PRESET_FILE}")
    return sorted(file.parent.name for file in files)


def read_preset(directory: Path) -> Preset:
    """Read what a preset says of itself; its model is not looked at.

    Parameters
    ----------
    directory : Path
        With a ``preset.json``.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is not as `save_preset` writes it.
    """
    path = directory / PRESET_FILE
    values = read_json(path)
    known = {field.name: field.default is MISSING for field in fields(Preset)}
    missing = [name for name, needed in known.items() if needed and name not in values]
    if missing:
        raise ValueError(
            f"{path}: no description of a preset: missing {', '.join(missing)}. Save "
            "it again with `clusterkeras save-preset`"
        )
    try:
        return Preset(**{k: v for k, v in values.items() if k in known})
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: no description of a preset: {error}") from error


def check_hash(model: Path) -> None:
    """Refuse the model of a preset that is not the one the preset is about.

    Parameters
    ----------
    model : Path
        A model's file. One that is not in a preset has no hash to be held to.

    Raises
    ------
    ValueError
        If its SHA-256 is another one than ``preset.json`` beside it says.
    """
    if model.name != MODEL_FILE or not model.with_name(PRESET_FILE).is_file():
        return
    expected, received = read_preset(model.parent).sha256, sha256_of(model)
    if expected != received:
        raise ValueError(
            f"{model}: expected the file whose SHA-256 {PRESET_FILE} beside it says, "
            f"{expected[:16]}...; received {received[:16]}.... It is damaged or was "
            "exchanged: fetch the preset again or, if the model is yours, save it as "
            "a preset again"
        )


def _check_as_saved(directory: Path) -> None:
    """Refuse a preset of which a list would say what is no longer true."""
    path = directory / PRESET_FILE
    if not is_sealed(path):
        raise ValueError(
            f"{path}: expected the file as `clusterkeras save-preset` wrote it; it was "
            "changed since, so that its numbers may be no model's. Fetch the preset "
            "again or, if the model is yours, save it as a preset again"
        )
    model = directory / MODEL_FILE
    if not model.is_file():
        raise FileNotFoundError(
            f"{model}: expected the model that {PRESET_FILE} beside it is about; there "
            "is none. Fetch the preset again, or remove its directory"
        )
    check_hash(model)


def presets(directory: str | Path | None = None) -> QTable:
    """List presets, each as it was saved.

    What is listed stands in each ``preset.json``, which must be as it was written, of
    the model beside it. That the numbers were measured well is for who saved it to say.

    Parameters
    ----------
    directory : str or Path, optional
        With a preset in each of its directories, a hub's; without, those that ship.

    Returns
    -------
    QTable
        A row a preset, by name: ``name``, ``bands``, ``distance`` (Mpc), ``pixel``
        (arcsec), ``size`` (MB), ``saved`` (the day), ``nll`` and ``prior``, the mean
        negative log-probability of the true parameters of its test set and that of
        the flat prior (nats, NaN where it was not measured), the first 16 digits of
        the file's ``sha256``, and ``description``.

    Raises
    ------
    NotADirectoryError
        If there is no such directory.
    FileNotFoundError
        If a preset has lost its model.
    ValueError
        If a ``preset.json`` is not as `save_preset` wrote it, or the model beside it is
        another one.

    Examples
    --------
    >>> from clusterkeras import presets
    >>> table = presets()
    >>> "m83-wfc3-uvis" in table["name"]
    True
    """
    root = saved_models_directory() if directory is None else Path(directory)
    if not root.is_dir():
        there = "this is a file" if root.exists() else "there is nothing of that name"
        raise NotADirectoryError(
            f"{root}: expected a directory that holds presets, each in a directory of "
            f"its own; {there}"
        )
    directories = [file.parent for file in sorted(root.glob(f"*/{PRESET_FILE}"))]
    found = [read_preset(one) for one in directories]
    for one in directories:
        _check_as_saved(one)

    def numbers(name: str) -> np.ndarray:
        return np.array([getattr(one, name) for one in found], float)

    return QTable(
        {
            "name": np.array([one.name for one in found], str),
            "bands": np.array([" ".join(one.bands) for one in found], str),
            "distance": numbers("distance_mpc") * u.Mpc,
            "pixel": numbers("pixel_scale_arcsec") * u.arcsec,
            "size": numbers("size_bytes") / 1e6 * u.Mbyte,
            "saved": np.array([one.saved for one in found], str),
            "nll": numbers("nll"),
            "prior": numbers("prior_nll"),
            "sha256": np.array([one.sha256[:16] for one in found], str),
            "description": np.array([one.description for one in found], str),
        }
    )
