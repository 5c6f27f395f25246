"""The clusters of Chandar et al. (2010, ApJ 719, 966) in a field of M83.

Two tables of the Early Release Science programme (GO-11360): photometry, columns in the
order that its header lists, and ages, extinctions and masses from F336W, F438W, F555W,
F814W and F657N, by populations of Bruzual & Charlot with twice the solar metallicity.
They come with the examples of SLUG (Krumholz et al. 2015, MNRAS 452, 1447), in its
directory ``cluster_slug``:
``hlsp_wfc3ers_hst_wfc3_m83_cat_cluster_auto_v1.txt`` and
``hlsp_m83_autocat_ages_public.data``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.table import QTable

from data_tools.tables import load_tables
from data_tools.target import Target, ab_to_njy

#: Column of each band's magnitude within 3 pixels (Vega), from zero, and the Milky
#: Way's extinction that the authors have taken off, in mag: both from the header.
BANDS = {
    "F336W": (17, 0.361),
    "F438W": (25, 0.290),
    "F555W": (37, 0.229),
    "F814W": (49, 0.133),
}
#: Number, correction from 3 pixels to all light in mag, and flag (0: no star, no
#: saturation, no nucleus, no artefact).
_ID, _CORRECTION, _FLAG = 4, 9, 10
_COLUMNS = 53
#: The same extinction in V: E(B-V) 0.066 (Schlegel, Finkbeiner & Davis 1998, ApJ 500,
#: 525) times 3.1.
FOREGROUND_A_V = 0.205
R_V = 3.1


def read_m83(photometry: Path, ages: Path, target: Target) -> QTable:
    """Return the clusters that have an age, as seen from here.

    Parameters
    ----------
    photometry, ages : Path
        The two tables.
    target : Target
        Bands, of `BANDS`.

    Returns
    -------
    QTable
        ``name``; ``log_age``, ``a_v`` with the Milky Way's, ``log_mass``; ``flux`` (n,
        bands) in nJy, of all light, the Milky Way's extinction put back.

    Raises
    ------
    ValueError
        If a file is another table, or the target has other bands.
    """
    missing = set(target.band_names) - set(BANDS)
    if missing:
        raise ValueError(
            f"M83: expected bands among {', '.join(BANDS)}; the model also has "
            f"{', '.join(sorted(missing))}"
        )
    # INDEF, which is no number, becomes NaN
    seen, fitted = np.genfromtxt(photometry), np.genfromtxt(ages)
    for path, table, n in ((photometry, seen, _COLUMNS), (ages, fitted, 11)):
        if table.ndim != 2 or table.shape[1] != n:
            raise ValueError(
                f"{path}: expected rows of {n} numbers; received an array of "
                f"{table.shape}: another table, or the two in the other order"
            )
    numbers = seen[:, _ID].astype(int)
    row_of = dict(zip(numbers, range(len(seen)), strict=True))
    row = np.array([row_of.get(int(number), -1) for number in fitted[:, 2]])
    ebv, log_age, mass = fitted[:, 4], fitted[:, 7], fitted[:, 9]
    kept = (row >= 0) & (log_age > 0) & (mass > 0) & (seen[row, _FLAG] == 0)
    seen = seen[row[kept]]
    magnitudes = np.column_stack(
        [
            seen[:, column] + foreground - seen[:, _CORRECTION]
            for column, foreground in (BANDS[band] for band in target.band_names)
        ]
    )
    measured = (magnitudes > 0).all(1) & (magnitudes < 40).all(1)
    found = QTable()
    found["name"] = [f"M83 {int(number)}" for number in seen[measured, _ID]]
    found["log_age"] = log_age[kept][measured]
    found["a_v"] = R_V * ebv[kept][measured] + FOREGROUND_A_V
    found["log_mass"] = np.log10(mass[kept][measured])
    ab = magnitudes[measured] + load_tables(target.band_names).vega_ab
    found["flux"] = ab_to_njy(ab)
    return found
