"""Where the stars of a cluster stand: EFF and King profiles by half-light radius."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

#: An EFF profile ends at so many half-light radii: without an end, a slope near 1
#: puts most of the light where nobody could see it.
EFF_TRUNCATION = 10.0

#: Radii, in tidal radii, between which the light of a King profile is interpolated.
_KING_RADII = np.concatenate([[0.0], np.geomspace(1e-5, 1.0, 800)])

#: Where between two radii that of half the light is looked for: it comes out to 1e-4.
_EVENLY = np.linspace(0, 1, 33)

#: Shares of the light inside rings, finer outwards.
_RINGS = 1 - (1 - np.linspace(0, 1, 129)) ** 2

#: Factor by which the least share of a point is raised until they are few enough.
_RAISED = 1.3

#: Points among which all smooth light is shared, at least.
_FEWEST = 200

_GOLDEN_ANGLE = math.pi * (3 - math.sqrt(5))


@dataclass(frozen=True)
class EFF:
    """Elson, Fall & Freeman (1987, ApJ 323, 54) profile, ended at 10 r_h.

    The surface density is mu ~ (1 + r^2 / a^2)^-eta; eta is half of their gamma.

    Attributes
    ----------
    eta : float
        Outer slope, > 1.
    """

    eta: float

    def __post_init__(self) -> None:
        """Check the slope."""
        if not self.eta > 1:
            raise ValueError(f"EFF profile: eta must be > 1; received {self.eta}")

    @cached_property
    def _end(self) -> tuple[float, float]:
        """Share of the endless profile inside its end, and r_h in units of a."""
        slope = 1 - self.eta
        half = math.sqrt(0.5 ** (1 / slope) - 1)
        for _ in range(60):
            end = 1 - (1 + (EFF_TRUNCATION * half) ** 2) ** slope
            previous, half = half, math.sqrt((1 - 0.5 * end) ** (1 / slope) - 1)
            if abs(half - previous) < 1e-9 * half:
                break
        return end, half

    def radius(self, share: np.ndarray) -> np.ndarray:
        """Return the radius, in half-light radii, that holds a share of the light.

        Parameters
        ----------
        share : ndarray
            Shares in [0, 1).
        """
        end, half = self._end
        # r^2 / a^2 = (1 - share)^(1 / (1 - eta)) - 1
        log_rest = np.log1p(np.asarray(share) * -end)
        return np.sqrt(np.expm1(log_rest * (1 / (1 - self.eta)))) * (1 / half)

    def inside(self, radius: np.ndarray) -> np.ndarray:
        """Return the share of the light inside radii in half-light radii."""
        end, half = self._end
        light = 1 - (1 + (half * np.asarray(radius)) ** 2) ** (1 - self.eta)
        return np.minimum(light / end, 1.0)


@dataclass(frozen=True)
class King:
    """King (1962, AJ 67, 471) profile, equations 14 and 18.

    Attributes
    ----------
    log_concentration : float
        log10 of tidal over core radius, > 0.
    """

    log_concentration: float

    def __post_init__(self) -> None:
        """Check the concentration."""
        if not self.log_concentration > 0:
            raise ValueError(
                "King profile: log_concentration must be > 0; received "
                f"{self.log_concentration}"
            )

    def radius(self, share: np.ndarray) -> np.ndarray:
        """Return the radius, in half-light radii, that holds a share of the light.

        Parameters
        ----------
        share : ndarray
            Shares in [0, 1).
        """
        radii, light = self._light
        return np.interp(share, light, radii)

    def inside(self, radius: np.ndarray) -> np.ndarray:
        """Return the share of the light inside radii in half-light radii."""
        return np.interp(radius, *self._light)

    @cached_property
    def _light(self) -> tuple[np.ndarray, np.ndarray]:
        """Radii, in half-light radii, and the light inside them."""
        tidal = 10**self.log_concentration
        radii = tidal * _KING_RADII
        edge = math.sqrt(1 + tidal**2)
        light = (
            np.log1p(radii**2)
            - 4 * (np.sqrt(1 + radii**2) - 1) / edge
            + (radii / edge) ** 2
        )
        light /= light[-1]
        return radii / np.interp(0.5, light, radii), light


def half_radii(
    profile: EFF | King, shares: Sequence[float], ratio: float
) -> tuple[float, ...]:
    """Return the radii that hold half of two profiles of one shape together.

    Parameters
    ----------
    profile : EFF or King
        Shape of both.
    shares : sequence of float
        Of the light in the smaller one; each gives a radius.
    ratio : float
        Its radius in units of the larger one's, at most 1.

    Returns
    -------
    tuple of float
        In units of the larger one's half-light radius.
    """
    if ratio == 1:
        return (1.0,) * len(shares)
    radius = ratio + (1 - ratio) * _EVENLY
    smaller, larger = profile.inside(radius / ratio), profile.inside(radius)
    return tuple(
        float(np.interp(0.5, larger + share * (smaller - larger), radius))
        for share in shares
    )


def positions(
    profile: EFF | King, half_light_radius: float, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions of stars.

    Parameters
    ----------
    profile : EFF or King
        Shape.
    half_light_radius : float
        Projected half-light radius, in any unit.
    n : int
        Number of stars. The first ones stand where they would with fewer.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    x, y : (n,) ndarray
        Offsets from the centre, in the unit of `half_light_radius`.
    """
    # single precision is 1e-5 of a pixel, and several times faster
    share, turn = rng.random((n, 2), np.float32).T
    radius = profile.radius(share) * np.float32(half_light_radius)
    angle = turn * np.float32(2 * np.pi)
    return radius * np.cos(angle), radius * np.sin(angle)


def smooth_positions(
    profile: EFF | King,
    half_light_radius: float,
    least_share: float,
    spacing: float,
    most: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return points that stand for the smooth light of a profile.

    Each stands for an equal share of the light, but where that puts them closer than
    `spacing`, which the PSF does not resolve, for an equal area. No point has more than
    a small share of the light even so, or those of a small cluster would not average
    out. Angles go on by the golden angle (Vogel 1979, Mathematical Biosciences 44, 179)
    from a drawn start, so that the points clump less than drawn stars.

    Parameters
    ----------
    profile : EFF or King
        Shape.
    half_light_radius : float
        Projected half-light radius, in any unit.
    least_share : float
        The equal share of the light, at most 1; more where that takes too many points.
    spacing : float
        Least distance of points, in the unit of `half_light_radius`.
    most : int
        At most so many points.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    x, y : (n,) ndarray
        Offsets from the centre, in the unit of `half_light_radius`.
    share : (n,) ndarray
        Share of the light of each point; they add up to one.
    """
    area = np.pi * (half_light_radius * profile.radius(_RINGS)) ** 2
    light = _RINGS[1:] - _RINGS[:-1]
    apart = np.maximum((area[1:] - area[:-1]) / spacing**2, _FEWEST * light)
    # as many tries at once as are needed: in the end equal shares alone are few enough
    tries = max(math.ceil(math.log(1 / (most * least_share), _RAISED)), 0) + 2
    shares = least_share * _RAISED ** np.arange(tries)
    wanted = np.minimum(light / shares[:, None], apart)
    wanted = wanted[np.argmax(wanted.sum(axis=1) <= most)]
    before = np.concatenate([[0.0], np.cumsum(wanted)])
    n = max(int(before[-1]), 1)
    before *= n / before[-1]
    index = np.arange(n)
    radius = np.sqrt(np.interp(index + 0.5, before, area) / np.pi)
    within = np.interp(np.arange(n + 1), before, _RINGS)
    angle = rng.uniform(0, 2 * np.pi) + _GOLDEN_ANGLE * index
    return radius * np.cos(angle), radius * np.sin(angle), within[1:] - within[:-1]
