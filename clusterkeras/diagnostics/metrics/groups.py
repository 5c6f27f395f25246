"""Whether objects of one group err together: the fields of a test set.

Every other diagnostic takes objects as independent. Those of one field share its PSF,
its zero points and its stars; where the image does not give these away, all of them err
to the same side. Even a perfect posterior does that, and then its coverage scatters
from set to set by more than its number of objects says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from clusterkeras.diagnostics.metrics.arrays import as_finite


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


def clustered_error(values: ArrayLike, group: ArrayLike) -> float:
    """Return the standard error of a mean of values that come in groups.

    From the scatter of the groups' sums; of one group alone, as of independent values.

    Parameters
    ----------
    values : array_like, shape (N,)
        A number of each object.
    group : array_like of int, shape (N,)
        Name of its group.
    """
    values = np.asarray(values)
    _, which = np.unique(group, return_inverse=True)
    sums = np.bincount(which, values - values.mean())
    if len(sums) < 2:
        return float(values.std(ddof=1) / np.sqrt(len(values)))
    k = len(sums)
    return float(np.sqrt(k / (k - 1) * np.sum(sums**2)) / len(values))
