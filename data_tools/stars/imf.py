"""How many stars of each mass are born: the initial mass function."""

from __future__ import annotations

import numpy as np

#: Break masses and slopes of the initial mass function, dN/dm ~ m^-alpha (Kroupa
#: 2001, MNRAS 322, 231, equation 2), from the hydrogen-burning limit to 120 Msun.
IMF_BREAKS = np.array([0.08, 0.5, 120.0])
IMF_SLOPES = np.array([1.3, 2.3])


def _segment_integral(
    low: np.ndarray, high: np.ndarray, power: np.ndarray
) -> np.ndarray:
    """Integrate m^power from low to high (power is not -1 for this IMF)."""
    return (high ** (power + 1) - low ** (power + 1)) / (power + 1)


def _imf_coefficients() -> np.ndarray:
    """Return the factor of each segment: continuous, one Msun formed in all."""
    factors = np.ones(len(IMF_SLOPES))
    for i in range(1, len(IMF_SLOPES)):
        jump = IMF_SLOPES[i] - IMF_SLOPES[i - 1]
        factors[i] = factors[i - 1] * IMF_BREAKS[i] ** jump
    mass = sum(
        f * _segment_integral(IMF_BREAKS[i], IMF_BREAKS[i + 1], 1 - IMF_SLOPES[i])
        for i, f in enumerate(factors)
    )
    return factors / mass


_IMF_FACTORS = _imf_coefficients()
#: Stars lighter than m in a segment are _BELOW + _GROWTH m ** _POWERS.
_POWERS = 1 - IMF_SLOPES
_GROWTH = _IMF_FACTORS / _POWERS
_BELOW = np.cumsum(
    np.concatenate([[0.0], _GROWTH[:-1] * IMF_BREAKS[1:-1] ** _POWERS[:-1]])
    - _GROWTH * IMF_BREAKS[:-1] ** _POWERS
)


def stars_below(mass: np.ndarray) -> np.ndarray:
    """Return the number of stars lighter than a mass, per Msun of stars formed.

    Parameters
    ----------
    mass : ndarray
        Initial mass in Msun; clipped to the range of the IMF.

    Returns
    -------
    ndarray
        Number per Msun, shape of `mass`.
    """
    mass = np.clip(np.asarray(mass, float), IMF_BREAKS[0], IMF_BREAKS[-1])
    segment = np.searchsorted(IMF_BREAKS[1:-1], mass)
    return _BELOW[segment] + _GROWTH[segment] * mass ** _POWERS[segment]


def mass_below(mass: float) -> float:
    """Return the mass of stars lighter than a mass, per Msun of stars formed."""
    edges = np.minimum(IMF_BREAKS, mass)
    return float(
        _IMF_FACTORS @ _segment_integral(edges[:-1], edges[1:], 1 - IMF_SLOPES)
    )


def companions_of_heavier(mass: float) -> float:
    """Return how many companions per Msun of their own mass heavier stars have.

    A primary of mass m adds 1 / m at all lower masses; per Msun of primaries formed.
    """
    edges = np.maximum(IMF_BREAKS, mass)
    return float(
        _IMF_FACTORS @ _segment_integral(edges[:-1], edges[1:], -IMF_SLOPES - 1)
    )
