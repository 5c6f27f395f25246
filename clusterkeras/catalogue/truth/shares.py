"""What share of true clusters is found, and how far off their posteriors are."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clusterkeras.diagnostics.metrics.scores import SIGMA_PER_MAD

#: Edges of the bins in which completeness is given, by column of the truth.
EDGES: dict[str, tuple[float, ...]] = {
    # dex of visibility
    "log_snr": (-np.inf, 0.5, 1.0, 1.5, 2.0, 2.5, np.inf),
    # dex(Msun)
    "log_mass": (-np.inf, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5, np.inf),
}
#: The same of the magnitudes of a cluster in a band, whose columns are named so.
MAGNITUDE = re.compile(r"mag_(?!\w*err)(\w+)|([^\W_]+)_mag", re.IGNORECASE)
MAGNITUDE_EDGES = (-np.inf, *np.arange(18.0, 27.0), np.inf)


def share(part: float, whole: float) -> float | None:
    """Return a part of a whole; None of nothing."""
    return part / whole if whole else None


def completeness(
    true: Mapping[str, NDArray], found: NDArray[np.bool_], taken: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return the share of clusters that is found, in all and in bins.

    Parameters
    ----------
    true : mapping of str to (clusters,) ndarray
        Columns of the truth.
    found, taken : (clusters,) ndarray of bool
        Which clusters have a row, and one that counts as a cluster.

    Returns
    -------
    dict
        ``all``, and ``by_<column>`` of each of `EDGES` and each magnitude that there
        is, a list of bins with ``low`` and ``high`` (None if open): ``n``, and the
        shares ``found`` and ``taken`` of these, None where ``n`` is 0.
    """

    def of(chosen: NDArray[np.bool_]) -> dict[str, Any]:
        n = int(chosen.sum())
        return {
            "n": n,
            "found": share(int(found[chosen].sum()), n),
            "taken": share(int(taken[chosen].sum()), n),
        }

    def bins(values: NDArray, edges: Sequence[float]) -> list[dict[str, Any]]:
        return [
            {
                "low": low if np.isfinite(low) else None,
                "high": high if np.isfinite(high) else None,
                **of((values >= low) & (values < high)),
            }
            for low, high in itertools.pairwise(edges)
        ]

    result: dict[str, Any] = {"all": of(np.ones(len(found), bool))}
    for name, values in true.items():
        edges = MAGNITUDE_EDGES if MAGNITUDE.fullmatch(name) else EDGES.get(name)
        if edges is not None:
            result[f"by_{name}"] = bins(values, edges)
    return result


def score(
    posterior: Mapping[str, NDArray], truth: NDArray, name: str
) -> dict[str, Any]:
    """Return bias, scatter and coverage of one parameter.

    Parameters
    ----------
    posterior : mapping of str to (pairs,) ndarray
        ``<name>_median``, ``_p16`` and ``_p84``.
    truth : (pairs,) ndarray
        What is true.
    name : str
        Of the parameter.

    Returns
    -------
    dict
        ``n`` pairs with both, ``bias``, ``scatter`` and ``coverage``, None where ``n``
        is 0.
    """
    median, low, high = (posterior[f"{name}_{k}"] for k in ("median", "p16", "p84"))
    residual = median - truth
    known = np.isfinite(residual)
    residual = residual[known]
    if not len(residual):
        return {"n": 0, "bias": None, "scatter": None, "coverage": None}
    bias = float(np.median(residual))
    inside = ((low <= truth) & (truth <= high))[known]
    return {
        "n": len(residual),
        "bias": bias,
        "scatter": float(SIGMA_PER_MAD * np.median(np.abs(residual - bias))),
        "coverage": float(inside.mean()),
    }


def binned_by(completeness: Mapping[str, Any]) -> list[str]:
    """Return the columns whose bins tell best what is found.

    Parameters
    ----------
    completeness : mapping
        As `completeness` returns it.

    Returns
    -------
    list of str
        The last magnitude, of the reddest band as a rule; without one, visibility, if
        it is known, and mass.
    """
    columns = [key[3:] for key in completeness if key.startswith("by_")]
    magnitudes = [column for column in columns if MAGNITUDE.fullmatch(column)]
    return magnitudes[-1:] or [column for column in EDGES if column in columns]
