"""A catalogue's columns: names, units and descriptions; metadata."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table
from astropy.wcs import WCS
from numpy.typing import NDArray

from clusterkeras import __version__
from data_tools.schema import FLAGS, PARAMETERS, SCHEMA_VERSION

if TYPE_CHECKING:
    from clusterkeras.config import InferenceConfig
    from clusterkeras.posterior_model import PosteriorModel
    from data_tools.mosaic import Mosaics
    from data_tools.target import Target

#: Columns of one number a row beside the parameters: unit, description.
PLAIN_COLUMNS = {
    "covered": (None, "share of the cutout's pixels with data in all bands"),
    "p_cluster": (None, "probability that it is a cluster"),
    "log_snr": (u.dex, "mean of the visibility, log10 S/N of the object"),
    "log_snr_std": (
        u.dex,
        "standard deviation of the visibility, log10 S/N of the object",
    ),
    "unlike_mocks": (
        None,
        "log10 of the share of the training's mocks that are further out",
    ),
}

#: Columns of the summary of a parameter: what the model calls it, what it is.
STATISTICS = {
    "median": ("median", "median of"),
    "p16": ("lower", "16th percentile of"),
    "p84": ("upper", "84th percentile of"),
    "mean": ("mean", "mean of"),
    "std": ("covariance", "standard deviation of"),
}


def _spread_unit(unit: str) -> u.UnitBase:
    """Give the unit of a difference: two logarithms differ by dex."""
    return u.dex if unit.startswith("dex(") else u.Unit(unit)


def make_table(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    wcs: WCS,
    columns: Mapping[str, NDArray],
) -> QTable:
    """Name the columns and give each its unit and description.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        0-based pixels; NaN where a position is unknown.
    wcs : WCS
        Of the mosaics.
    columns : mapping of str to ndarray
        What `clusterkeras.measurement.answer` gives, of all rows.

    Returns
    -------
    QTable
        n rows.
    """
    table = QTable()

    def add(name: str, values: NDArray, unit: Any, description: str) -> None:
        table[name] = values if unit is None else u.Quantity(values, unit, subok=True)
        table[name].info.description = description

    ra, dec = np.full((2, len(x)), np.nan)
    known = np.isfinite(x) & np.isfinite(y)
    if known.any():
        ra[known], dec[known] = wcs.all_pix2world(x[known], y[known], 0)
    add("x", x, u.pix, "column of the position; the first pixel is 0")
    add("y", y, u.pix, "row of the position; the first pixel is 0")
    add("ra", ra, u.deg, "right ascension, ICRS as in the mosaic's header")
    add("dec", dec, u.deg, "declination, ICRS as in the mosaic's header")
    for name, (unit, description) in PLAIN_COLUMNS.items():
        add(name, columns[name], unit, description)
    covariance = columns["covariance"]
    deviation = np.sqrt(np.einsum("bii->bi", covariance))
    for i, p in enumerate(PARAMETERS):
        for key, (summary, words) in STATISTICS.items():
            unit = _spread_unit(p.unit) if key == "std" else u.Unit(p.unit)
            values = deviation if key == "std" else columns[summary]
            add(f"{p.name}_{key}", values[:, i], unit, f"{words} the {p.description}")
    for i, a in enumerate(PARAMETERS):
        for j, b in enumerate(PARAMETERS[:i]):
            unit = _spread_unit(b.unit) * _spread_unit(a.unit)
            words = f"covariance of {b.name} and {a.name}"
            add(f"cov_{b.name}_{a.name}", covariance[:, j, i], unit, words)
    bits = "; ".join(f"{bit}: {words}" for bit, words in FLAGS.values())
    add("flags", columns["flags"], None, f"sum of bits, 0 if none. {bits}")
    return table


def with_input(given: Table, results: QTable) -> QTable:
    """Put the columns that were given before the results.

    Parameters
    ----------
    given, results : Table
        The same rows.

    Returns
    -------
    QTable
        A column of `given` that has the name of a result, but other values, is
        prefixed with ``input_``.
    """
    table = QTable()
    for name in given.colnames:
        if name not in results.colnames:
            table[name] = given[name]
        elif not _same(given[name], results[name]):
            table[f"input_{name}"] = given[name]
    for name in results.colnames:
        table[name] = results[name]
    return table


def _same(a: Any, b: Any) -> bool:
    a, b = (np.ma.asarray(getattr(c, "value", c)) for c in (a, b))
    return a.dtype.kind in "if" and np.array_equal(a.filled(0), b.filled(0))


@dataclass(frozen=True)
class Question:
    """Which model is asked, and how: what a row comes from beside the images.

    Attributes
    ----------
    model : str
        What the model was loaded by.
    target : Target
        What it was trained for.
    cluster_share : float
        Share of clusters in its training set, in (0, 1).
    config : InferenceConfig
        How it is asked.
    configuration_hash : str
        Of the model's configuration and `config`, in hexadecimal digits.
    """

    model: str
    target: Target
    cluster_share: float
    config: InferenceConfig
    configuration_hash: str

    @classmethod
    def of(cls, model: PosteriorModel, name: str, config: InferenceConfig) -> Question:
        """Give the question to a model that was loaded by a name."""
        settings = dataclasses.asdict(config)
        text = json.dumps([model.get_config(), settings], sort_keys=True, default=str)
        digits = hashlib.sha256(text.encode()).hexdigest()[:16]
        return cls(name, model.target, model.cluster_share, config, digits)


def metadata(asked: Question, mosaics: Mosaics) -> dict[str, Any]:
    """Say what made the catalogue.

    Parameters
    ----------
    asked : Question
        Of which model, and how.
    mosaics : Mosaics
        The images.

    Returns
    -------
    dict of str to plain values
        Metadata of the table.
    """
    return {
        "model": asked.model,
        "target": asked.target.to_dict(),
        "configuration": dataclasses.asdict(asked.config),
        "configuration_hash": asked.configuration_hash,
        "clusterkeras": __version__,
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "schema_version": SCHEMA_VERSION,
        "images": [path.name for path in mosaics.paths],
        "zero_points_ab": {
            band: round(calibration.zero_point, 5)
            for band, calibration in zip(
                mosaics.bands, mosaics.calibrations, strict=True
            )
        },
        "flags": {key: list(value) for key, value in FLAGS.items()},
    }
