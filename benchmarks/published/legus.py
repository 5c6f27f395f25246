"""The clusters of LEGUS's catalogues (Adamo et al. 2017, ApJ 841, 131)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import QTable

from data_tools.positions.legus import read_legus
from data_tools.tables import load_tables
from data_tools.target import Target, ab_to_njy

R_V = 3.1
#: What some fields have in place of a band: the pivot of ACS's F435W is at 4,329
#: Angstrom, that of F438W at 4,326. In Vega magnitudes both see a star much alike; how
#: far is not known here, but within the 0.1 mag of the mocks' zero points.
IN_PLACE_OF = {"F438W": "F435W"}


def read_objects(path: Path, distance_mpc: float, target: Target) -> QTable:
    """Return the clusters of a LEGUS table as they would be at the target's distance.

    Columns ``name``, the parameters in the schema's order but the size, and ``flux``
    (n, bands) in nJy.
    """
    table = read_legus(path)
    if table is None or "class" not in table.colnames:
        raise ValueError(f"{path}: expected a LEGUS catalogue with classes")
    has = [
        b if f"{b}_mag" in table.colnames else IN_PLACE_OF.get(b, b)
        for b in target.band_names
    ]
    missing = [b for b in has if f"{b}_mag" not in table.colnames]
    if missing or "age_best" not in table.colnames:
        raise ValueError(
            f"{path}: expected ages and the model's bands {target.band_names}; it has "
            f"no {', '.join(missing) or 'ages'}"
        )
    magnitudes = np.column_stack(
        [
            np.ma.filled(np.ma.asarray(table[f"{band}_mag"].value, float), np.nan)
            for band in has
        ]
    )
    best = [
        np.ma.filled(np.ma.asarray(getattr(table[c], "value", table[c]), float), np.nan)
        for c in ("age_best", "ebv_best", "mass_best")
    ]
    kept = np.isin(np.asarray(table["class"]), (1, 2)) & np.isfinite(magnitudes).all(1)
    kept &= np.isfinite(best).all(0) & (best[0] > 0) & (best[2] > 0)
    nearer = (distance_mpc / target.distance_mpc) ** 2
    ab = magnitudes + load_tables(target.band_names).vega_ab
    objects = QTable()
    objects["name"] = [f"{path.name.split('_')[4]} {i}" for i in table["id"]]
    objects["log_age"] = np.log10(best[0])
    objects["a_v"] = R_V * best[1]
    objects["log_mass"] = np.log10(best[2])
    objects["flux"] = ab_to_njy(ab) * nearer
    return objects[kept]
