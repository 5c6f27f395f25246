"""A catalogue beside the truth: completeness, purity, bias, scatter and coverage."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from clusterkeras.catalogue.table import P_CLUSTER, are_clusters, numbers
from clusterkeras.catalogue.truth.extent import area_px, pixel_scale_arcsec
from clusterkeras.catalogue.truth.like_m83 import like_m83
from clusterkeras.catalogue.truth.matching import (
    LARGEST_PX,
    Matches,
    match_selected,
    reach_px,
)
from clusterkeras.catalogue.truth.result import Comparison
from clusterkeras.catalogue.truth.shares import MAGNITUDE, completeness, score, share
from data_tools.mosaics.mosaic import Mosaics
from data_tools.positions.read_positions import read_positions
from data_tools.schema import PARAMETERS

logger = logging.getLogger(__name__)

#: Of match_px, how far beyond its own rows a true cluster is moved aside to count the
#: matches that chance makes.
_ASIDE = 3

#: What becomes of a true cluster that has no number in a column; of a parameter, it is
#: left out of the scores.
_WITHOUT = {
    "x": "count as not found",
    "y": "count as not found",
    "log_snr": "are in no bin of visibility",
}

#: Of the columns of a truth.
_UNITS = {
    **{"x": u.pix, "y": u.pix, "log_snr": u.dex},
    **{p.name: u.Unit(p.unit) for p in PARAMETERS},
}


def compare(
    catalogue: Table,
    truth: Table | str | Path,
    match_px: float = 4.0,
    images: Mosaics | Sequence[str | Path] | None = None,
) -> Comparison:
    """Match a catalogue with the truth.

    Parameters
    ----------
    catalogue : Table
        A catalogue written by ``clusterkeras infer``.
    truth : Table, str or Path
        The ``truth.ecsv`` of a mock mosaic, or any table with ``x``, ``y``, the
        parameters' names and, if known, ``log_snr`` and magnitudes (``mag_F814W`` and
        the like) as columns.
    match_px : float
        Distance in pixels, above 0, within which a row is a true cluster; one that
        counts as a cluster is it within the cluster's half-light radius too. Further
        ones there are pieces of it.
    images : Mosaics or sequence of str or Path, optional
        The mosaics of the catalogue, whose area the false rows are counted on; by
        default it is what the catalogue's metadata state, and else unknown.

    Returns
    -------
    Comparison
        Numbers, words and picture.

    Raises
    ------
    FileNotFoundError
        If a table or a mosaic is missing.
    ValueError
        If a table or a mosaic cannot be read, a table lacks a column, the catalogue is
        of several fields, or the radius is not above 0.
    """
    if not match_px > 0:
        raise ValueError(f"match_px must be above 0; received {match_px}")
    _check_one_field(catalogue)
    names = [p.name for p in PARAMETERS]
    true = _columns(truth, ["x", "y", *names])
    x, y = (numbers(catalogue, axis) for axis in "xy")
    clusters = are_clusters(catalogue, P_CLUSTER)
    pixels = area_px(catalogue.meta, images)
    reach = reach_px(match_px, _half_light_radius_px(true, catalogue))

    def found_at(true_x: NDArray) -> tuple[Matches, NDArray, NDArray]:
        of = match_selected(x, y, clusters, true_x, true["y"], match_px, reach)
        everyone = np.arange(len(true_x))
        found = np.isin(everyone, of.cluster)
        return of, found, np.isin(everyone, of.cluster[of.taken])

    of, found, taken = found_at(true["x"])
    _, *by_chance = found_at(_aside(true["x"], match_px, reach))

    def pairs(chosen: NDArray[np.bool_]) -> tuple[dict[str, NDArray], ...]:
        posterior = {
            f"{name}_{part}": numbers(catalogue, f"{name}_{part}")[of.row[chosen]]
            for name in names
            for part in ("median", "p16", "p84")
        }
        return posterior, {name: true[name][of.cluster[chosen]] for name in names}

    posterior, truth_of_taken = pairs(of.taken)
    p_cluster = numbers(catalogue, "p_cluster")
    p_cluster = p_cluster[np.isfinite(p_cluster)]
    n_true = int(of.taken.sum())
    n_false = int(clusters.sum()) - n_true - len(of.piece)
    rate = share(n_false, pixels / 1e6) if pixels else None
    result = {
        "rows": len(catalogue),
        "clusters": len(true["x"]),
        "radius_px": match_px,
        "p_cluster": P_CLUSTER,
        "completeness": {
            **completeness(true, found, taken),
            "by_chance": completeness({}, *by_chance)["all"],
            "like_m83": like_m83(
                *(true["log_age"], true["log_mass"], {"found": found, "taken": taken}),
                rate,
            ),
        },
        "purity": share(n_true, n_true + n_false),
        "false": n_false,
        "pieces": len(of.piece),
        "pixels_with_data": pixels,
        "false_per_million_pixels": rate,
        "highest_p_cluster": float(p_cluster.max()) if len(p_cluster) else None,
        "parameters": {
            name: score(posterior, truth_of_taken[name], name) for name in names
        },
    }
    return Comparison(result, posterior, truth_of_taken, pairs(~of.taken))


def _check_one_field(catalogue: Table) -> None:
    """Refuse a survey's catalogue, in whose fields pixels have the same numbers."""
    fields = set(catalogue["field"]) if "field" in catalogue.colnames else set()
    if len(fields) > 1:
        first = min(map(str, fields))
        raise ValueError(
            "catalogue: expected one field, in whose pixels the truth is; received "
            f"{len(fields)} of a survey. Read one's part, field={first}, and give its "
            "truth"
        )


def _half_light_radius_px(
    true: dict[str, NDArray[np.float64]], catalogue: Table
) -> NDArray[np.float64]:
    """Return how large true clusters are on the catalogue's mosaics, NaN if unknown."""
    radius = 10.0 ** np.minimum(true["log_half_light_radius"], 9)  # of any unit
    places = [
        numbers(catalogue, axis)
        if axis in catalogue.colnames
        else np.full(len(catalogue), np.nan)
        for axis in ("x", "y", "ra", "dec")
    ]
    scale = pixel_scale_arcsec(catalogue.meta, *places)
    if scale is None:
        logger.warning(
            "the catalogue tells no size of a pixel, neither by its metadata nor by "
            "ra and dec: rows are held to match_px alone, not to the clusters' sizes"
        )
        return np.full(len(radius), np.nan)
    if (radius > LARGEST_PX * scale).any():
        logger.warning(
            "truth: %d clusters have half-light radii above %g px: they count as that",
            (radius > LARGEST_PX * scale).sum(),
            LARGEST_PX,
        )
    return radius / scale


def _aside(x: NDArray, match_px: float, reach: NDArray) -> NDArray:
    """Move clusters away from their own rows, toward the middle of all."""
    placed = x[np.isfinite(x)]
    middle = (placed.min() + placed.max()) / 2 if len(placed) else 0.0
    return x + np.where(x > middle, -1, 1) * (2 * reach + _ASIDE * match_px)


def _columns(
    truth: Table | str | Path, names: list[str]
) -> dict[str, NDArray[np.float64]]:
    name, table = "truth", truth
    if not isinstance(truth, Table):
        name, table = str(truth), read_positions(truth)
    missing = [column for column in names if column not in table.colnames]
    if missing:
        raise ValueError(f"{name}: expected the columns {names}; {missing} are missing")
    magnitudes = [c for c in table.colnames if _is_magnitude(table, c)]
    present = [
        *names,
        *(c for c in table.colnames if c == "log_snr" or c in magnitudes),
    ]
    found = {column: _in_our_unit(table, column, name) for column in present}
    for column, values in found.items():
        missing = np.flatnonzero(~np.isfinite(values)) + 1
        if len(missing):
            logger.warning(
                "%s: no number in %s of %d of %d rows (%s%s, counted from 1): they %s",
                name,
                column,
                len(missing),
                len(values),
                ", ".join(map(str, missing[:5])),
                ", ..." if len(missing) > 5 else "",
                "are in no bin of it"
                if column in magnitudes
                else _WITHOUT.get(column, "are left out of its scores"),
            )
    return found


def _is_magnitude(table: Table, column: str) -> bool:
    """Say whether a column is of magnitudes in a band, not their errors or words."""
    if not MAGNITUDE.fullmatch(column) or table[column].dtype.kind not in "iuf":
        return False
    unit = getattr(table[column], "unit", None)
    return unit is None or unit == u.mag or isinstance(unit, u.MagUnit)


def _in_our_unit(table: Table, column: str, name: str) -> NDArray[np.float64]:
    """Return a column of a truth as plain floats, in the unit of a catalogue's."""
    try:
        values = numbers(table, column)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected numbers in the column {column}: {error}"
        ) from error
    if column not in _UNITS:
        return values
    unit, ours = getattr(table[column], "unit", None), _UNITS[column]
    # nothing can be told from a unit that is not known, or of which only dex is left
    untold = unit is None or isinstance(unit, u.UnrecognizedUnit)
    if untold or str(unit) in ("", "dex", str(ours)):
        return values
    try:
        if isinstance(unit, u.LogUnit) != isinstance(ours, u.LogUnit):
            raise u.UnitTypeError("a number and its logarithm")
        # of a logarithm too: dex(Myr) to dex(yr)
        return u.Quantity(values, unit, subok=True).to_value(ours)
    except (u.UnitConversionError, u.UnitTypeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{name}: expected {column} in {ours}; received {unit}"
        ) from error
