"""The probability of a cluster where clusters are rarer than in the training set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: The estimated share counts so many more positions, at the training set's share: a
#: table of a few rows must not decide it alone.
PRIOR_POSITIONS = 10.0

_STEPS = 1000
_TOLERANCE = 1e-7
_SMALLEST = 1e-6


def at_share(
    p_cluster: NDArray[np.floating], trained: float, share: float
) -> NDArray[np.float64]:
    """Carry probabilities from the training set's share of clusters to another.

    Bayes' theorem with other prior odds: what images of clusters and of look-alikes
    look like is taken to be the same.

    Parameters
    ----------
    p_cluster : ndarray
        Probabilities at the training set's share; NaN stays NaN.
    trained, share : float
        Share of clusters in the training set, and where the positions come from; in
        (0, 1).

    Returns
    -------
    ndarray
        Probabilities at `share`.

    Raises
    ------
    ValueError
        If a share is not between 0 and 1.
    """
    for name, value in (("trained", trained), ("share", share)):
        if not 0 < value < 1:
            raise ValueError(f"{name}: expected a share in (0, 1); received {value}")
    p = np.asarray(p_cluster, float)
    cluster = p * (share / trained)
    other = (1 - p) * ((1 - share) / (1 - trained))
    with np.errstate(invalid="ignore"):
        return cluster / (cluster + other)


def estimate_share(p_cluster: NDArray[np.floating], trained: float) -> float:
    """Estimate the share of clusters among positions from their probabilities.

    The share that is most likely, by expectation maximisation (Saerens, Latinne &
    Decaestecker 2002, Neural Computation 14, 21, equation 2.14), with
    `PRIOR_POSITIONS` further positions at the training set's share.

    Parameters
    ----------
    p_cluster : ndarray
        Probabilities at the training set's share; NaN does not count.
    trained : float
        Share of clusters in the training set, in (0, 1).

    Returns
    -------
    float
        In (0, 1); the training set's share if nothing counts.
    """
    p = np.asarray(p_cluster, float)
    p = p[np.isfinite(p)]
    share = trained
    for _ in range(_STEPS):
        clusters = at_share(p, trained, share).sum() + PRIOR_POSITIONS * trained
        previous, share = share, clusters / (len(p) + PRIOR_POSITIONS)
        share = float(np.clip(share, _SMALLEST, 1 - _SMALLEST))
        if abs(share - previous) < _TOLERANCE:
            break
    return share
