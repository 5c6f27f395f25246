"""Two methods on the same clusters: which knows more, which is calibrated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from clusterkeras.diagnostics.plots.recovery import MARKERS, STYLES


def gain_and_coverage(
    gains: Sequence[Mapping[str, Any]],
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    n: int,
    noise: float,
) -> Figure:
    """Draw a method's gain over another by stratum, and the coverage of both.

    Parameters
    ----------
    gains : sequence of mapping
        ``label``, ``mean`` and ``error`` [nats] of each stratum; those without a
        number are left out.
    curves : mapping of str to (alpha, ecp), each array_like of shape (L,)
        Expected coverage of the joint (TARP), by the name of the method.
    n : int
        Number of clusters.
    noise : float
        What a perfect posterior's largest abs(ecp - alpha) stays below in 95 of 100
        such sets.
    """
    rows = [row for row in gains if row["mean"] is not None]
    height = max(4.0, 1 + 0.28 * len(rows))
    figure = Figure(figsize=(10.5, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    for y, row in enumerate(rows):
        left.errorbar(row["mean"], y, xerr=row["error"] or 0, fmt="o", color="black")
    left.axvline(0, color="0.6", linewidth=1)
    left.set_yticks(np.arange(len(rows)), [row["label"] for row in rows])
    left.invert_yaxis()
    first, second = curves
    left.set(
        xlabel=f"log p of the truth, {first} over {second} [nats]",
        title="by true parameters and visibility",
    )
    right.axhspan(-noise, noise, color="0.85", linewidth=0, label="perfect, 95 %")
    right.axhline(0, color="black", linewidth=0.8)
    for i, (name, (alpha, ecp)) in enumerate(curves.items()):
        style = STYLES[i + 1] | {
            "marker": MARKERS[i],
            "markerfacecolor": "white",
            "markevery": max(len(alpha) // 8, 1),
        }
        right.plot(alpha, np.subtract(ecp, alpha), label=name, **style)
    right.set(
        xlabel="credibility of a region of the joint, alpha",
        ylabel="share of truths inside - alpha",
        title=f"coverage of {n} clusters (TARP)",
    )
    right.legend(fontsize=8)
    return figure
