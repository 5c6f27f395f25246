"""The numbers of a comparison in words, for print and picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clusterkeras.catalogue.truth.like_m83 import LEAST_MSUN, OLDEST_YR
from clusterkeras.catalogue.truth.shares import MAGNITUDE

#: Of less than this share of M83's clusters nothing is said.
_LEAST_COVERED = 0.5


def percent(share: float | None) -> str:
    """Return a share in words."""
    return "none" if share is None else f"{100 * share:.0f} %"


def range_of(one: Mapping[str, Any]) -> str:
    """Return the range of a bin in words."""
    low, high = one["low"], one["high"]
    if low is None:
        return f"<{high:g}"
    return f"≥{low:g}" if high is None else f"{low:g}-{high:g}"


def axis_of(column: str) -> str:
    """Return what is binned, with its unit."""
    magnitude = MAGNITUDE.fullmatch(column)
    if magnitude:
        return f"{magnitude[1] or magnitude[2]} [mag]"
    return {"log_snr": "visibility, log S/N", "log_mass": "log mass [Msun]"}[column]


def like_m83_in_words(found: Mapping[str, Any]) -> str:
    """Say what is found of clusters like M83's, and how well the truth tells.

    An error is that of the share with half a cluster more of each kind, so that it is
    not 0 where all or none are found.
    """
    like = found["completeness"]["like_m83"]
    who = f"above {LEAST_MSUN:,.0f} Msun, below {OLDEST_YR / 1e6:.0f} Myr"
    if like["covered"] < _LEAST_COVERED:
        return (
            f"not told: {percent(1 - like['covered'])} of M83's clusters {who} have "
            "masses and ages that no cluster of the truth has"
        )

    def with_error(share: float) -> str:
        n = like["effective"]
        p = (share * n + 0.5) / (n + 1)
        return f"{100 * share:.0f} ± {100 * np.sqrt(p * (1 - p) / (n + 1)):.0f} %"

    words = f"found {with_error(like['found'])}, taken {with_error(like['taken'])}"
    if like["purity"] is not None:
        pure = percent(like["purity"])
        words += f"; at M83's density {pure} of the rows or more are clusters"
    if round(like["covered"], 2) < 1:
        who += (
            f"; without the {percent(1 - like['covered'])} of M83's whose masses and "
            "ages no cluster of the truth has"
        )
    return f"{words} ({who})"


def why_none(found: Mapping[str, Any]) -> str:
    """Say how likely the likeliest row is, if no row counts as a cluster by it."""
    highest = found["highest_p_cluster"]
    if highest is None or highest >= found["p_cluster"]:
        return ""
    return f" (the highest p_cluster is {highest:.2g})"
