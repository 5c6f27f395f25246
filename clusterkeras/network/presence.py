"""What is how likely where kinds are as common as they are, not as in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: The estimated shares count so many more positions, at the training set's shares: a
#: table of a few rows must not decide them alone.
PRIOR_POSITIONS = 10.0
#: For each cluster there are at least so many places with nothing. Many a cluster of
#: the training set cannot be seen, while a finder names no place where it sees nothing:
#: without this an image of nothing is explained by clusters alone. On mock mosaics 0.5
#: to 8 give the same clusters, and from 2 on no image of nothing is one of them.
EMPTY_PLACES = 2.0

_STEPS = 1000
_TOLERANCE = 1e-7
_SMALLEST = 1e-6


def at_shares(
    p: NDArray[np.floating], trained: ArrayLike, shares: ArrayLike
) -> NDArray[np.float64]:
    """Carry probabilities of kinds from the training set's shares to others.

    Bayes' theorem with other prior odds: what images of each kind look like is taken
    to be the same.

    Parameters
    ----------
    p : ndarray, shape (..., K)
        Probabilities at the training set's shares; NaN stays NaN.
    trained, shares : array_like, shape (K,)
        Share of each kind in the training set, and where the positions come from. A
        kind that was not trained stays impossible.

    Returns
    -------
    ndarray, shape (..., K)
        Probabilities at `shares`.

    Raises
    ------
    ValueError
        If the kinds are not as many, or shares are negative or do not add up to 1.
    """
    p = np.asarray(p, float)
    trained, shares = _checked(p, trained=trained, shares=shares)
    joint = p * _odds(shares, trained)
    with np.errstate(invalid="ignore"):
        return joint / joint.sum(axis=-1, keepdims=True)


def at_share(
    p_cluster: NDArray[np.floating], trained: float, share: float
) -> NDArray[np.float64]:
    """Carry probabilities of a cluster from the training set's share to another.

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
        Probabilities at `share`; see `at_shares`.

    Raises
    ------
    ValueError
        If a share is not between 0 and 1.
    """
    for name, value in (("trained", trained), ("share", share)):
        if not 0 < value < 1:
            raise ValueError(f"{name}: expected a share in (0, 1); received {value}")
    return at_shares(or_not(p_cluster), or_not(trained), or_not(share))[..., 0]


def or_not(p_cluster: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities (...) of a cluster as those of two kinds, (..., 2)."""
    p = np.asarray(p_cluster, float)
    return np.stack([p, 1 - p], axis=-1)


def estimate_shares(
    p: NDArray[np.floating],
    trained: ArrayLike,
    cluster: float | None = None,
    others: ArrayLike | None = None,
    empty: int | None = None,
) -> NDArray[np.float64]:
    """Estimate the share of each kind among positions from their probabilities.

    The shares that are most likely, by expectation maximisation (Saerens, Latinne &
    Decaestecker 2002, Neural Computation 14, 21, equation 2.14), with
    `PRIOR_POSITIONS` further positions at the training set's shares.

    Parameters
    ----------
    p : ndarray, shape (n, K)
        Probabilities at the training set's shares; rows with NaN do not count.
    trained : array_like, shape (K,)
        Share of each kind in the training set; of the first in (0, 1).
    cluster : float, optional
        Share of the first kind, in (0, 1), if it is known: the others share the rest
        as is most likely.
    others : array_like, shape (K - 1,), optional
        Relative shares of the other kinds, if they are known.
    empty : int, optional
        Which kind is that of places with nothing; see `with_empty_places`.

    Returns
    -------
    ndarray, shape (K,)
        They add up to 1; the training set's shares if nothing counts. A kind that was
        not trained has none.

    Raises
    ------
    ValueError
        As of `at_shares`, or if a share of the first kind is not between 0 and 1.
    """
    p = np.asarray(p, float)
    (trained,) = _checked(p, trained=trained)
    for name, value in (("trained", trained[0]), ("cluster", cluster)):
        if value is not None and not 0 < value < 1:
            raise ValueError(f"{name}: expected a share in (0, 1); received {value}")
    p = p[np.isfinite(p).all(axis=1)]
    likelihood = p * _odds(np.ones_like(trained), trained)
    smallest = np.where(trained > 0, _SMALLEST, 0)
    shares = trained
    for _ in range(_STEPS):
        weights = shares if empty is None else with_empty_places(shares, empty)
        # of each row the expected kinds add up to one
        expected = weights * (likelihood.T @ (1 / (likelihood @ weights)))
        previous, shares = shares, expected + PRIOR_POSITIONS * trained
        shares = np.maximum(shares / shares.sum(), smallest)
        if others is not None:
            shares[1:] = shares[1:].sum() * _unit(np.asarray(others, float))
        if cluster is not None:
            shares[0], shares[1:] = cluster, (1 - cluster) * _unit(shares[1:])
        shares = _unit(shares)
        if np.abs(shares - previous).max() < _TOLERANCE:
            break
    return shares


def with_empty_places(shares: ArrayLike, empty: int) -> NDArray[np.float64]:
    """Return how common kinds are with the places that nobody names beside them.

    Parameters
    ----------
    shares : array_like, shape (K,)
        Share of each kind among the positions.
    empty : int
        Which kind is that of places with nothing. There are at least `EMPTY_PLACES` of
        them for each of the first kind.

    Returns
    -------
    ndarray, shape (K,)
        They add up to 1.
    """
    shares = np.array(shares, float)
    shares[empty] = max(shares[empty], EMPTY_PLACES * shares[0])
    return _unit(shares)


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values / values.sum()


def _odds(
    shares: NDArray[np.float64], trained: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return shares over the trained ones, 0 where nothing was trained."""
    return np.divide(shares, trained, out=np.zeros_like(trained), where=trained > 0)


def _checked(
    p: NDArray[np.float64], **shares: ArrayLike
) -> Sequence[NDArray[np.float64]]:
    """Return shares as arrays, or refuse those that are none of the kinds of `p`."""
    arrays = []
    for name, values in shares.items():
        array = np.asarray(values, float)
        if array.shape != p.shape[-1:]:
            raise ValueError(
                f"{name}: expected a share of each of {p.shape[-1]} kinds; received "
                f"an array of shape {array.shape}"
            )
        if not ((array >= 0).all() and abs(array.sum() - 1) < 1e-4):
            raise ValueError(
                f"{name}: expected shares >= 0 that add up to 1; received "
                f"{array.tolist()}"
            )
        arrays.append(array)
    return arrays
