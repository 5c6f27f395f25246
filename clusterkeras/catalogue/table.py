"""A catalogue's columns: names, units, descriptions, numbers; metadata."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.table import QTable, Table, vstack
from astropy.table.meta import get_header_from_yaml
from astropy.wcs import WCS
from numpy.typing import NDArray

from clusterkeras import __version__
from clusterkeras.catalogue.truth.extent import PIXELS, pixels_with_data
from clusterkeras.config import ANY_STELLAR_MODEL, InferenceConfig
from data_tools.mosaics.sky import to_icrs
from data_tools.positions.read_positions import read_positions
from data_tools.running.kept_columns import free_name, from_text
from data_tools.running.seal import KEY
from data_tools.schema import (
    FLAGS,
    PARAMETER_NAMES,
    SCHEMA_VERSION,
    catalogue_columns,
    stellar_model_columns,
)

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from clusterkeras.catalogue.asking.settings import InferenceSettings
    from data_tools.mosaics.mosaic import Mosaics
    from data_tools.target import Target


#: Rows with at least this probability, overlaps left out, count as clusters.
P_CLUSTER = 0.5

#: A partitioned survey: what `clusterkeras.catalogue.survey` writes of each field.
_PART = "field=*/part-*.parquet"

#: What a model calls the summaries of a parameter.
_SUMMARIES = {
    "median": "median",
    "p16": "lower",
    "p84": "upper",
    "mean": "mean",
    "std": "covariance",
}


def make_table(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    wcs: WCS,
    columns: Mapping[str, NDArray],
    target: Target,
) -> QTable:
    """Name the columns and give each its unit, description and UCD.

    Parameters
    ----------
    x, y : ndarray, shape (n,)
        0-based pixels; NaN where a position is unknown.
    wcs : WCS
        Of the mosaics.
    columns : mapping of str to ndarray
        What `clusterkeras.catalogue.measurement.answer` gives, of all rows.
    target : Target
        Gives the distance and its uncertainty.

    Returns
    -------
    QTable
        n rows; the columns of `data_tools.schema.catalogue_columns`, and after them
        those of `data_tools.schema.stellar_model_columns` if they are among `columns`.
    """
    ra, dec = to_icrs(wcs, x, y)
    values = {**columns, "x": x, "y": y, "ra": ra, "dec": dec}
    values |= size_pc(columns, target)
    living = columns["log_mass_current"].T
    for key, value in zip(("median", "p16", "p84"), living, strict=True):
        values[f"log_mass_current_{key}"] = value
    covariance = columns["covariance"]
    deviation = np.sqrt(np.einsum("bii->bi", covariance))
    for i, a in enumerate(PARAMETER_NAMES):
        for key, summary in _SUMMARIES.items():
            source = deviation if key == "std" else columns[summary]
            values[f"{a}_{key}"] = source[:, i]
        for j, b in enumerate(PARAMETER_NAMES[:i]):
            values[f"cov_{b}_{a}"] = covariance[:, j, i]
    table = QTable()
    columns_here = catalogue_columns()
    if "by_stellar_model" in columns:
        more = stellar_model_columns()
        columns_here += more
        found = columns["by_stellar_model"].reshape(len(x), len(more))
        values |= {c.name: v for c, v in zip(more, found.T, strict=True)}
    for column in columns_here:
        value = values[column.name]
        if column.unit:
            value = u.Quantity(value, column.unit, subok=True)
        table[column.name] = value
        info = table[column.name].info
        info.description, info.meta = column.description, {"ucd": column.ucd}
    return table


def size_pc(
    columns: Mapping[str, NDArray], target: Target
) -> dict[str, NDArray[np.float32]]:
    """Return half-light radii in pc at the target's distance.

    The distance's uncertainty, if the target states one, is added in quadrature to
    that of the angle, both as logarithms: it is the same for all rows, which therefore
    do not scatter by it.

    Parameters
    ----------
    columns : mapping of str to ndarray (n, P)
        ``median``, ``lower`` and ``upper`` of the parameters.
    target : Target
        Gives the distance.

    Returns
    -------
    dict of str to ndarray (n,)
        ``half_light_radius_pc_median``, ``..._p16``, ``..._p84``.
    """
    i = PARAMETER_NAMES.index("log_half_light_radius")
    median, low, high = (columns[k][:, i] for k in ("median", "lower", "upper"))
    relative = (target.distance_uncertainty_mpc or 0.0) / target.distance_mpc
    distance = np.float32(relative / np.log(10))
    log_pc = median + np.float32(np.log10(target.pc_per_arcsec))
    found = {
        "median": log_pc,
        "p16": log_pc - np.hypot(median - low, distance),
        "p84": log_pc + np.hypot(high - median, distance),
    }
    return {f"half_light_radius_pc_{k}": 10**v for k, v in found.items()}


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
        prefixed with ``input_``; if that is taken, as in a catalogue of before, with
        ``input2_`` and so on.
    """
    table = QTable()
    taken = {name.lower() for name in (*given.colnames, *results.colnames)}
    for name in given.colnames:
        if name not in results.colnames:
            table[name] = given[name]
        elif not _same(given[name], results[name]):
            free = free_name(name, taken)
            taken.add(free.lower())
            table[free] = given[name]
    for name in results.colnames:
        table[name] = results[name]
    return table


def _same(given: Any, result: Any) -> bool:
    """Say whether a column has a result's values, NaN where it is masked, and unit."""
    unit = getattr(given, "unit", None)
    if getattr(result, "dtype", np.dtype(float)).kind == "U":
        words = np.ma.filled(np.ma.asarray(given, dtype=str), "")
        return unit is None and np.array_equal(words, np.asarray(result))
    if getattr(getattr(given, "dtype", None), "kind", "") not in "iuf":
        return False
    if unit is not None and str(unit) != str(getattr(result, "unit", None)):
        return False
    a, b = numbers({"": given}, ""), numbers({"": result}, "")
    return np.array_equal(a, b, equal_nan=True)


def metadata(settings: InferenceSettings, mosaics: Mosaics) -> dict[str, Any]:
    """Say what made the catalogue.

    Parameters
    ----------
    settings : InferenceSettings
        Of which model, and how.
    mosaics : Mosaics
        The images.

    Returns
    -------
    dict of str to plain values
        Metadata of the table.
    """
    asked = dataclasses.asdict(settings.config)
    if settings.psf_stars is not None:
        asked["psf_fwhm_px"] = None
    return {
        "model": settings.model,
        "target": settings.target.to_dict(),
        "configuration": asked,
        **({"context": _context(settings, mosaics)} if settings.takes_context else {}),
        "configuration_hash": settings.configuration_hash,
        "clusterkeras": __version__,
        "tensorflow": version("tensorflow"),
        "keras": version("keras"),
        "schema_version": SCHEMA_VERSION,
        "images": [path.name for path in mosaics.paths],
        PIXELS: pixels_with_data(mosaics),
        "zero_points_ab": {
            band: round(calibration.zero_point, 5)
            for band, calibration in zip(
                mosaics.bands, mosaics.calibrations, strict=True
            )
        },
        "flags": {key: list(value) for key, value in FLAGS.items()},
    }


def _context(settings: InferenceSettings, mosaics: Mosaics) -> dict[str, Any]:
    """Say what the network was told beside the pixels; None is what is not known."""
    config, bands = settings.config, mosaics.bands
    exposures = [c.exposure_s for c in mosaics.calibrations]
    stars = settings.psf_stars
    return {
        "psf_fwhm_px": dict(zip(bands, config.psf_fwhm_px, strict=True)),
        "psf_stars": None if stars is None else dict(zip(bands, stars, strict=True)),
        "exposure_s": {
            band: exposure if exposure > 0 else None
            for band, exposure in zip(bands, exposures, strict=True)
        },
        "stellar_model": config.stellar_model,
    }


def asked_again(meta: Mapping[str, Any]) -> InferenceConfig:
    """Return how the model was asked, as a catalogue's metadata tell it.

    Parameters
    ----------
    meta : mapping
        Of the catalogue. Where they don't tell, widths of the PSFs are not given, the
        seed is 0, and the stellar model any.
    """
    there, context = meta.get("configuration", {}), meta.get("context", {})
    widths = context.get("psf_fwhm_px")
    return InferenceConfig(
        seed=int(there.get("seed", 0)),
        psf_fwhm_px=None if widths is None else tuple(widths.values()),
        stellar_model=context.get("stellar_model", ANY_STELLAR_MODEL),
    )


def numbers(table: Table | Mapping[str, Any], name: str) -> NDArray[np.float64]:
    """Return a column of any table as plain floats, NaN where it is masked."""
    column = table[name]
    values = getattr(column, "value", column)
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)


def flagged(table: Table, name: str) -> NDArray[np.bool_]:
    """Say which rows have a flag of `data_tools.schema.FLAGS`; none without flags."""
    if "flags" not in table.colnames:
        return np.zeros(len(table), bool)
    return (np.asarray(table["flags"]).astype(int) & FLAGS[name][0]) > 0


def are_clusters(table: Table, p: float) -> NDArray[np.bool_]:
    """Say which rows are placed, this likely, and no part of a likelier cluster."""
    placed = np.isfinite(numbers(table, "x")) & np.isfinite(numbers(table, "y"))
    return (numbers(table, "p_cluster") >= p) & ~flagged(table, "overlap") & placed


def best_first(table: Table) -> NDArray[np.intp]:
    """Return the numbers of all rows, likeliest clusters first, NaN last."""
    p = np.nan_to_num(numbers(table, "p_cluster"), nan=-1.0)
    return np.argsort(-p, kind="stable")


def flag_names(bits: int) -> list[str]:
    """Return the names of the flags in a sum of bits."""
    return [name for name, (bit, _) in FLAGS.items() if bits & bit]


def metadata_of(path: Path) -> dict[str, Any]:
    """Return the metadata of a catalogue in Parquet, without its rows."""
    from pyarrow import parquet

    # where astropy's writer leaves them; its reader would need pandas
    header = (parquet.read_schema(path).metadata or {}).get(b"table_meta_yaml")
    if header is None:
        return {}
    return get_header_from_yaml(header.decode().split("\n")).get("meta", {})


def read_table(path: Path) -> QTable:
    """Read a table and its metadata, whatever the format has made of them."""
    table = read_positions(path)
    if path.suffix.lower() not in (".ecsv", ".parquet"):
        # FITS writes keys in capitals
        table.meta = {k.lower(): from_text(v) for k, v in table.meta.items()}
    table.meta.pop(KEY, None)
    return table


def read_survey(directory: Path) -> QTable:
    """Read all parts of a survey as one table, each row with its ``field``.

    Raises
    ------
    ValueError
        If there are none.
    """
    parts = sorted(directory.glob(_PART))
    if not parts:
        raise ValueError(
            f"{directory}: expected a survey with parts {_PART}; found none"
        )
    tables = [Table(read_table(part)) for part in parts]
    for part, table in zip(parts, tables, strict=True):
        table.add_column(part.parent.name.removeprefix("field="), 0, "field")
    for name in dict.fromkeys(name for table in tables for name in table.colnames):
        columns = [table[name] for table in tables if name in table.colnames]
        if len({column.unit for column in columns}) == 1:
            continue
        try:
            for column in columns:
                column.convert_unit_to(columns[0].unit)
        except (u.UnitConversionError, u.UnitsError, TypeError, ValueError):
            logger.warning(
                "%s: %s has not the same unit in all fields: it is read without one",
                directory,
                name,
            )
            for column in columns:
                column.unit = None
    survey = QTable(vstack(tables, metadata_conflicts="silent"))
    # what is of one field alone, as its share of clusters, is not of the survey
    first = tables[0].meta
    alike = {k for k in first if all(t.meta.get(k) == first[k] for t in tables)}
    if len(tables) > 1:
        alike.discard(PIXELS)
    survey.meta = {key: first[key] for key in first if key in alike}
    return survey


def describe(table: QTable, column: Any) -> None:
    """Give a column the unit and the words that its format may have lost."""
    values, right = table[column.name], u.Unit(column.unit)
    unit = getattr(values, "unit", None)
    if column.unit and unit is None:
        values.unit = right
        table[column.name] = values  # a quantity, masked where it was
    elif column.unit and unit != right and str(unit) == str(right):
        # VOTable's dex is unknown, or a prefix d before an ex
        table[column.name] = values.value << right
    table[column.name].info.description = column.description
