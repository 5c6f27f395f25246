"""Objects that err together, those of one field: whether they do, and errors then.

Objects of one field share its PSF, its zero points and its stars; where the image does
not give these away, all of them err to the same side. Even a perfect posterior does
that, and then its coverage scatters from set to set by more than its number of objects
says. What a mean, a median, a difference or a distribution function scatters by is
therefore that of fields drawn again with all that is in them: the bootstrap over
groups (Davison & Hinkley 1997, Bootstrap Methods and their Application, section 3.8),
for means in the closed form that it tends to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from clusterkeras.diagnostics.metrics.arrays import as_finite

#: Most numbers of groups drawn again that are in memory at a time (32 MB).
_MOST_NUMBERS = 4_000_000


@dataclass(frozen=True)
class GroupCheck:
    """Spread of the groups' means beside that of independent objects.

    Attributes
    ----------
    n, n_groups : int
        Numbers of objects and of groups.
    dispersion : float
        Variance of the groups' means over that expected of independent objects: 1 if
        they are, and the variance of the mean of all is larger by about this factor.
        NaN where all values are equal.
    noise : float
        What independent objects stay below with the stated confidence.
    p_value : float
        Share of sets of independent objects with a larger dispersion.
    worst_group : int
        Name of the group whose mean is furthest from that of all, for its size.
    worst_sigmas : float
        How far, in standard deviations of independent objects.
    ok : bool
        Whether the dispersion is at most its noise.
    """

    n: int
    n_groups: int
    dispersion: float
    noise: float
    p_value: float
    worst_group: int
    worst_sigmas: float
    ok: bool


@dataclass(frozen=True)
class PairedDifference:
    """By how much one number is above another of the same objects.

    Attributes
    ----------
    n, n_groups : int
        Objects that have both numbers, and their groups.
    n_left_out : int
        Objects of which one number or both are not finite.
    mean, error : float
        Mean of first - second and its standard error; NaN for no objects.
    """

    n: int
    n_groups: int
    n_left_out: int
    mean: float
    error: float


def check_groups(
    values: ArrayLike, group: ArrayLike, confidence: float = 0.95
) -> GroupCheck | None:
    """Compare the means of groups with those of independent objects.

    The dispersion is the F of a one-way analysis of variance (Fisher 1925, Statistical
    Methods for Research Workers, chapter 7): mean square between groups over that
    within. Values need not be normal where groups hold more than about ten objects.

    Parameters
    ----------
    values : array_like, shape (N,)
        A number of each object, as its rank, or whether its truth is in an interval.
    group : array_like of int, shape (N,)
        Name of its group.
    confidence : float
        Share of sets of independent objects that pass.

    Returns
    -------
    GroupCheck or None
        None where there are not two groups, or no group holds two objects.
    """
    values = as_finite("values", values, 1).astype(np.float64)
    names, which, sizes = np.unique(group, return_inverse=True, return_counts=True)
    if which.shape != values.shape:
        raise ValueError(
            "values and group must both be (N,); received "
            f"{values.shape} and {which.shape}"
        )
    n, n_groups = len(values), len(names)
    if not 2 <= n_groups < n:
        return None
    means = np.bincount(which, weights=values) / sizes
    within = np.sum((values - means[which]) ** 2) / (n - n_groups)
    distance = means - values.mean()
    between = np.sum(sizes * distance**2) / (n_groups - 1)
    sigmas = distance * np.sqrt(sizes / within) if within > 0 else 0 * distance
    worst = int(np.argmax(np.abs(sigmas)))
    dispersion = float(between / within) if within > 0 else np.nan
    known = stats.f(n_groups - 1, n - n_groups)
    noise = float(known.ppf(confidence))
    return GroupCheck(
        n=n,
        n_groups=n_groups,
        dispersion=dispersion,
        noise=noise,
        p_value=float(known.sf(dispersion)),
        worst_group=int(names[worst]),
        worst_sigmas=float(sigmas[worst]),
        ok=not dispersion > noise,
    )


def clustered_error(
    values: ArrayLike, group: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the standard error of a mean of values that come in groups.

    From the scatter of the groups' sums about their number times the mean, which is
    what a bootstrap over groups tends to (Cameron, Gelbach & Miller 2008, Rev. Econ.
    Stat. 90, 414, eq. 3 for a mean). Without groups, or of one alone, as of independent
    values.

    Parameters
    ----------
    values : array_like, shape (N, ...)
        Numbers of each object.
    group : array_like of int, shape (N,), optional
        Name of its group.

    Returns
    -------
    ndarray, shape (...)
        NaN for fewer than two objects.
    """
    values = np.asarray(values, dtype=np.float64)
    n = len(values)
    if n < 2:
        return np.full(values.shape[1:], np.nan)[()]
    residual = values - values.mean(axis=0)
    if group is not None:
        order, starts = _sorted_groups(group, n)
        k = len(starts)
        if k > 1:
            sums = np.add.reduceat(residual[order], starts)
            return np.sqrt(k / (k - 1) * np.sum(sums**2, axis=0)) / n
    return np.sqrt(np.sum(residual**2, axis=0) / (n - 1) / n)


def clustered_median_error(
    values: ArrayLike, group: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the standard error of a median of values that come in groups.

    The share of values up to the median has the error of a mean; half of the distance
    between the quantiles that are so far from one half is the median's (Woodruff 1952,
    JASA 47, 635).

    Parameters
    ----------
    values, group
        As for `clustered_error`.

    Returns
    -------
    ndarray, shape (...)
        NaN for fewer than two objects.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)[()]
    error = clustered_error(values <= np.median(values, axis=0), group)
    # a column each, since each has an error of its own
    columns = values.reshape(len(values), -1).T
    half = np.minimum(np.reshape(error, -1), 0.5)
    spread = [
        np.subtract(*np.quantile(column, [0.5 + off, 0.5 - off])) / 2
        for column, off in zip(columns, half, strict=True)
    ]
    return np.reshape(spread, values.shape[1:])[()]


def paired_difference(
    first: ArrayLike, second: ArrayLike, group: ArrayLike | None = None
) -> PairedDifference:
    """Compare two numbers of the same objects, as two models' log-probabilities.

    Parameters
    ----------
    first, second : array_like, shape (N,)
        Both numbers; what is not finite is left out and counted.
    group : array_like of int, shape (N,), optional
        Name of each object's group.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise ValueError(
            "first and second must both be (N,); received "
            f"{first.shape} and {second.shape}"
        )
    counts = np.isfinite(first) & np.isfinite(second)
    gap = first[counts] - second[counts]
    names = np.arange(len(first)) if group is None else np.asarray(group)
    return PairedDifference(
        n=len(gap),
        n_groups=len(np.unique(names[counts])),
        n_left_out=int(np.count_nonzero(~counts)),
        mean=float(gap.mean()) if len(gap) else np.nan,
        error=float(clustered_error(gap, names[counts])),
    )


def resampled_deviations(
    values: ArrayLike,
    levels: ArrayLike,
    group: ArrayLike | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return how far distribution functions stray where groups are drawn again.

    Parameters
    ----------
    values : array_like, shape (N,)
        A number of each object.
    levels : array_like, shape (L,)
        Where the function is looked at, rising.
    group : array_like of int, shape (N,), optional
        Name of each object's group; without, or of one group alone, objects are drawn.
    n_resamples : int
        Number of repeated draws.
    seed : int
        Seed of them.

    Returns
    -------
    ndarray, shape (n_resamples, L)
        Share of the values at or below each level, less that of the set itself.

    Raises
    ------
    ValueError
        If there is no value, or the levels fall.
    """
    values, levels = np.asarray(values), np.asarray(levels)
    n = len(values)
    if n < 1:
        raise ValueError("a bootstrap needs at least one object; received none")
    if np.any(np.diff(levels) < 0):
        raise ValueError(f"levels must rise; received {levels}")
    cell = np.searchsorted(levels, values, side="left")
    order, starts = _sorted_groups(np.zeros(n) if group is None else group, n)
    k, cells = len(starts), len(levels) + 1
    which = np.repeat(np.arange(k), np.diff(starts, append=n))
    table = np.bincount(which * cells + cell[order], minlength=k * cells)
    table = table.reshape(k, cells)
    share = table.sum(axis=0) / n
    if k == 1:
        # how many of n objects drawn again fall into each cell
        drawn = np.random.default_rng(seed).multinomial(n, share, n_resamples)
        widened = 1.0
    else:
        table = table.astype(np.float32)
        rows = max(_MOST_NUMBERS // k, 1)
        drawn = np.concatenate(
            [
                _drawn(k, min(rows, n_resamples - first), seed + first) @ table
                for first in range(0, n_resamples, rows)
            ]
        )
        # a bootstrap's variance is too small by (k - 1) / k
        widened = np.sqrt(k / (k - 1))
    counts = drawn.cumsum(axis=1, dtype=np.float64)
    deviations = counts[:, :-1] / counts[:, -1:] - share.cumsum()[:-1]
    return widened * deviations


def _sorted_groups(
    group: ArrayLike, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order that puts groups together, and where each begins in it."""
    group = np.asarray(group)
    if group.shape != (n,):
        raise ValueError(
            f"values and group must both have {n} rows; received {group.shape}"
        )
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    return order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))


@lru_cache(maxsize=4)
def _drawn(k: int, n_resamples: int, seed: int) -> NDArray[np.float32]:
    """Return how often each of k groups is drawn, shape (n_resamples, k)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(k, np.full(k, 1 / k), n_resamples).astype(np.float32)
