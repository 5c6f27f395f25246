"""What is found of a population of clusters like M83's, whatever the truth's is.

Mock clusters are as often heavy as light and as often old as young; those of a galaxy
are mostly light. So true clusters are weighed by what M83 has.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expn

#: Mass function dN/dM ~ M^-2 exp(-M / this) in Msun, of all of M83's disc (Adamo et al.
#: 2015, MNRAS 452, 246, abstract).
CUT_OFF_MSUN = 1.60e5
#: Age distribution dN/dt ~ t^this, of all of M83 (Silva-Villa et al. 2014, MNRAS 440,
#: L116, abstract) ...
AGE_SLOPE = -0.40
#: ... of clusters from so many Msun on and up to so many years ...
LEAST_MSUN, OLDEST_YR = 5000.0, 3e8
#: ... of which there are some 1,800 in seven fields of 4096 x 4096 pixels.
PER_MILLION_PIXELS = 1800 / (7 * 4096**2 / 1e6)

#: Edges of the cells of mass and age in which true clusters stand for M83's.
_LOG_MASS = (np.log10(LEAST_MSUN), 4.0, 4.3, 4.6, 5.0, np.inf)
_LOG_AGE = (-np.inf, 6.6, 7.0, 7.5, 8.0, np.log10(OLDEST_YR))


def heavier(mass_msun: ArrayLike) -> NDArray[np.float64]:
    """Return the share of M83's clusters that are heavier than a mass.

    The integral of M^-2 exp(-M / Mc) from M on is E2(M / Mc) / M, with the exponential
    integral E2 (Abramowitz & Stegun 1964, eq. 5.1.4).
    """
    mass = np.asarray(mass_msun, float)
    above = expn(2, mass / CUT_OFF_MSUN) / mass
    return above * LEAST_MSUN / expn(2, LEAST_MSUN / CUT_OFF_MSUN)


def younger(age_yr: ArrayLike) -> NDArray[np.float64]:
    """Return the share of M83's clusters that are younger than an age."""
    return (np.asarray(age_yr, float) / OLDEST_YR) ** (1 + AGE_SLOPE)


def like_m83(
    log_age: NDArray,
    log_mass: NDArray,
    outcomes: dict[str, NDArray[np.bool_]],
    false_per_million_pixels: float | None = None,
) -> dict[str, Any]:
    """Return the shares of clusters like M83's that are found.

    In each cell of age and mass all true clusters count the same, and the cell as much
    as M83 has clusters there. Extinction and size stay those of the truth.

    Parameters
    ----------
    log_age : (clusters,) ndarray
        dex(yr); NaN is in no cell.
    log_mass : (clusters,) ndarray
        dex(Msun).
    outcomes : dict of str to (clusters,) ndarray of bool
        What is wanted the share of; ``taken`` among them.
    false_per_million_pixels : float, optional
        Rows that count as clusters and are none.

    Returns
    -------
    dict
        ``n``: true clusters in any cell; ``effective``: as many of equal weight would
        tell as much, None of none; ``covered``: M83's share in cells with true
        clusters, of which alone the following are: the shares by the names of
        ``outcomes``, None where ``n`` is 0. ``purity``: the least share of clusters
        among the rows that count where they are as dense as in M83 (a lighter or older
        one would be true as well), None if it is not known.
    """
    weight = np.zeros(len(log_age))
    cells = itertools.product(
        itertools.pairwise(_LOG_AGE), itertools.pairwise(_LOG_MASS)
    )
    for (young, old), (light, heavy) in cells:
        here = (log_age >= young) & (log_age < old)
        here &= (log_mass >= light) & (log_mass < heavy)
        there = younger(10.0**old) - younger(10.0**young)
        there *= heavier(10.0**light) - heavier(10.0**heavy)
        weight[here] = there / max(here.sum(), 1)
    covered = weight.sum()
    shares = {
        name: float(weight @ which / covered) if covered else None
        for name, which in outcomes.items()
    }
    rate, taken = false_per_million_pixels, shares["taken"]
    purity = None
    if rate is not None and taken is not None and rate + taken > 0:
        true = taken * PER_MILLION_PIXELS
        purity = true / (true + rate)
    return {
        "n": int((weight > 0).sum()),
        "effective": float(covered**2 / (weight @ weight)) if covered else None,
        "covered": float(covered),
        **shares,
        "purity": purity,
    }
