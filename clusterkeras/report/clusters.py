"""The columns of a catalogue that the page shows, best clusters first."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from clusterkeras.catalogue.read import flag_names, numbers
from data_tools.schema import PARAMETER_NAMES
from data_tools.target import Target

#: Rows with at least this probability are drawn as clusters, the others as doubtful.
P_CLUSTER = 0.5

#: Okabe & Ito's colours of both kinds: on the dark mosaic, and on white.
ON_MAP = ("#F0E442", "#56B4E9")
ON_WHITE = ("#0072B2", "#666666")
MARKERS = ("circle", "x")

_NEEDED = ("x", "y", "p_cluster", "log_snr", "flags")
_SIZE = "half_light_radius_pc"
_INTERVAL = ("median", "p16", "p84")


def best_first(catalogue: Table, n: int) -> NDArray[np.intp]:
    """Return the rows of a catalogue, most likely clusters first, at most n of them.

    Rows without a posterior come last, in their order.
    """
    p = numbers(catalogue, "p_cluster")
    order = np.argsort(-np.nan_to_num(p, nan=-1.0), kind="stable")
    return order[:n]


def check_columns(catalogue: Table, name: str) -> None:
    """Refuse a table that is no catalogue.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    wanted = [*_NEEDED, *(f"{p}_{k}" for p in PARAMETER_NAMES for k in _INTERVAL)]
    missing = [column for column in wanted if column not in catalogue.colnames]
    if missing:
        raise ValueError(
            f"{name}: expected a catalogue as `clusterkeras infer` writes it; it has "
            f"no column {', '.join(missing)}"
        )


def cluster_columns(
    catalogue: Table, rows: NDArray[np.intp], target: Target
) -> dict[str, Any]:
    """Return what the page says about each cluster.

    Parameters
    ----------
    catalogue : Table
        As `clusterkeras.catalogue.infer` makes it.
    rows : ndarray of int
        Rows to show, in their order on the page.
    target : Target
        Gives the distance.

    Returns
    -------
    dict of str to ndarray or list
        ``id``, ``x``, ``y`` [pixels], ``ra``, ``dec`` [deg], ``p_cluster``,
        ``log_snr``, of each parameter its median under its name and ``_p16`` and
        ``_p84``, ``size`` [pc] with the same two, ``flags``, their ``words``, and
        ``kind`` of marker and colours.
    """
    shown = catalogue[rows]
    columns: dict[str, Any] = {"row": rows.astype(np.int32)}
    names = "id" if "id" in shown.colnames else None
    columns["id"] = [str(value) for value in (shown[names] if names else rows)]
    for name in ("x", "y", "ra", "dec"):
        if name in shown.colnames:
            columns[name] = numbers(shown, name)
    for name in ("p_cluster", "log_snr", "covered", "unlike_mocks"):
        if name in shown.colnames:
            columns[name] = numbers(shown, name).astype(np.float32)
    for parameter in PARAMETER_NAMES:
        for key in _INTERVAL:
            name = parameter if key == "median" else f"{parameter}_{key}"
            values = numbers(shown, f"{parameter}_{key}")
            columns[name] = values.astype(np.float32)
    for key in _INTERVAL:
        name, given = "size" if key == "median" else f"size_{key}", f"{_SIZE}_{key}"
        if given in shown.colnames:
            radius = numbers(shown, given)
        else:  # catalogues of before have arcsec alone
            arcsec = 10.0 ** numbers(shown, f"log_half_light_radius_{key}")
            radius = arcsec * target.pc_per_arcsec
        columns[name] = radius.astype(np.float32)
    flags = numbers(shown, "flags").astype(np.int32)
    columns["flags"] = flags
    columns["words"] = [", ".join(flag_names(bits)) for bits in flags]
    doubtful = ~(columns["p_cluster"] >= P_CLUSTER)
    for name, pair in (
        ("marker", MARKERS),
        ("on_map", ON_MAP),
        ("on_white", ON_WHITE),
    ):
        columns[name] = [pair[int(is_so)] for is_so in doubtful]
    return columns
