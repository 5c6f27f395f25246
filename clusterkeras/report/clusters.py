"""The columns of a catalogue that the page shows, best clusters first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.catalogue.table import P_CLUSTER, flag_names
from data_tools.schema import PARAMETER_NAMES
from data_tools.target import Target

#: Okabe & Ito's colours of both kinds: on the dark mosaic, and on white.
ON_MAP = ("#F0E442", "#56B4E9")
ON_WHITE = ("#0072B2", "#666666")
MARKERS = ("circle", "x")

#: Size of both kinds of marker on the map and their opacity: few, and from so many
#: clusters on, where those that are no clusters must not hide the galaxy.
_FEW, _CROWD, _CROWDED = ((9, 7), (0.95, 0.7)), 1500, ((8, 4), (0.95, 0.35))

_SIZE = "half_light_radius_pc"
_INTERVAL = ("median", "p16", "p84")


def cluster_columns(
    catalogue: Catalogue, rows: NDArray[np.intp], target: Target
) -> dict[str, Any]:
    """Return what the page says about each cluster.

    Parameters
    ----------
    catalogue : Catalogue
        The table.
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
        ``marker`` with its colours, its size ``marker_px`` and its ``opacity``,
        ``likely`` for that if only likely clusters are marked.
    """
    shown = catalogue[rows]
    columns: dict[str, Any] = {"row": rows.astype(np.int32)}
    names = "id" if "id" in shown.colnames else None
    columns["id"] = [str(value) for value in (shown[names] if names else rows)]
    for name in ("x", "y", "ra", "dec"):
        if name in shown.colnames:
            columns[name] = shown.numbers(name)
    columns["p_cluster"] = shown.numbers("p_cluster").astype(np.float32)
    columns["log_snr"] = shown.numbers("log_snr").astype(np.float32)
    for name in ("covered", "unlike_mocks"):
        if name in shown.colnames:
            columns[name] = shown.numbers(name).astype(np.float32)
    for parameter in PARAMETER_NAMES:
        for key in _INTERVAL:
            name = parameter if key == "median" else f"{parameter}_{key}"
            values = shown.numbers(f"{parameter}_{key}")
            columns[name] = values.astype(np.float32)
    for key in _INTERVAL:
        name, given = "size" if key == "median" else f"size_{key}", f"{_SIZE}_{key}"
        if given in shown.colnames:
            radius = shown.numbers(given)
        else:  # catalogues of before have arcsec alone
            arcsec = 10.0 ** shown.numbers(f"log_half_light_radius_{key}")
            radius = arcsec * target.pc_per_arcsec
        columns[name] = radius.astype(np.float32)
    flags = shown.numbers("flags").astype(np.int32)
    columns["flags"] = flags
    columns["words"] = [", ".join(flag_names(bits)) for bits in flags]
    doubtful = ~(columns["p_cluster"] >= P_CLUSTER)
    for name, pair in (
        ("marker", MARKERS),
        ("on_map", ON_MAP),
        ("on_white", ON_WHITE),
    ):
        columns[name] = [pair[int(is_so)] for is_so in doubtful]
    sizes, opacities = _FEW if len(rows) < _CROWD else _CROWDED
    for name, pair in (
        ("marker_px", sizes),
        ("opacity", opacities),
        ("likely", (opacities[0], 0)),
    ):
        columns[name] = np.where(doubtful, *pair[::-1]).astype(np.float32)
    return columns
