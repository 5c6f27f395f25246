"""How clusters are spread over the box: a power of mass, one of age, two normals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from data_tools.schema import PARAMETER_NAMES

#: Points of the quadrature along each parameter.
_NODES = 128
_LN10 = np.log(10)


@dataclass(frozen=True)
class Unknown:
    """A number of the population that is fitted.

    Attributes
    ----------
    name : str
        Column of the table of draws.
    unit : str
        As astropy writes it; empty for a plain number.
    low, high : float
        The prior is flat between them, in log10 where `logarithmic`.
    description : str
        One line.
    logarithmic : bool
        Whether it is sampled as its log10.
    """

    name: str
    unit: str
    low: float
    high: float
    description: str
    logarithmic: bool = False


class PopulationModel:
    """The density of clusters in the box of parameters.

    With x = log10 M and y = log10 of the age t, dN/dM ~ M^mass_slope, with a cutoff
    exp(-M / cutoff_mass) if asked for, and dN/dt ~ t^age_slope; A_V and log r_h have
    normal distributions cut off at the box, whose means may lie outside. All four are
    independent, and all clusters are in the box.

    Of each parameter u in the unit box the density is exp(eta . T(u)) over its
    integral: statistics T are of the clusters alone and are made once, natural
    parameters eta of the population alone.

    Parameters
    ----------
    box : mapping of str to (float, float)
        Range of each parameter.
    cutoff : bool
        Whether the mass function has a cutoff.
    """

    def __init__(
        self, box: Mapping[str, tuple[float, float]], cutoff: bool = False
    ) -> None:
        self.box, self.cutoff = dict(box), cutoff
        self._low, high = np.transpose([box[name] for name in PARAMETER_NAMES])
        self._width = high - self._low
        self.unknowns = tuple(self._unknowns())
        self.names = tuple(u.name for u in self.unknowns)
        x, weights = np.polynomial.legendre.leggauss(_NODES)
        self._nodes, self._log_weights = (x + 1) / 2, np.log(weights / 2)

    def _unknowns(self) -> list[Unknown]:
        unknowns = [
            Unknown("mass_slope", "", -4, 2, "slope of dN/dM, a power of the mass"),
            Unknown("age_slope", "", -4, 2, "slope of dN/dt, a power of the age"),
        ]
        low, high = (10.0**end for end in self.box["log_mass"])
        if self.cutoff:
            words = "mass at which the mass function is cut off by exp(-M / this)"
            # beyond ten times the heaviest it is as if there were none
            range_ = low, 10 * high
            unknowns.append(Unknown("cutoff_mass", "solMass", *range_, words, True))
        for name, unit, symbol in (
            ("a_v", "mag", "A_V"),
            ("log_half_light_radius", "dex(arcsec)", "log r_h"),
        ):
            low, high = self.box[name]
            width = high - low
            unknowns += [
                Unknown(
                    *(f"{name}_mean", unit, low - width, high + width),
                    f"middle of the normal distribution of {symbol}",
                ),
                Unknown(
                    *(f"{name}_sigma", unit.replace("dex(arcsec)", "dex")),
                    *(width / 20, 2 * width),
                    f"its sigma, before it is cut off at the box, of {symbol}",
                    True,
                ),
            ]
        words = "clusters of the whole box in the pixels with data"
        return [*unknowns, Unknown("number", "", 1, 1e7, words, True)]

    @property
    def bounds(self) -> NDArray[np.float64]:
        """Ends of the flat prior as it is sampled, (unknowns, 2)."""
        return np.array(
            [
                np.log10([u.low, u.high]) if u.logarithmic else [u.low, u.high]
                for u in self.unknowns
            ]
        )

    def values(self, sampled: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return the unknowns by name, in their units, of what is sampled (..., U)."""
        return {
            u.name: 10 ** sampled[..., i] if u.logarithmic else sampled[..., i]
            for i, u in enumerate(self.unknowns)
        }

    def statistics(self, parameters: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the statistics (..., T) of clusters (..., P) in the box."""
        unit = (np.asarray(parameters, float) - self._low) / self._width
        return np.concatenate(
            [
                self._statistics_of(name, unit[..., i])
                for i, name in enumerate(PARAMETER_NAMES)
            ],
            axis=-1,
        )

    def ratio(
        self, statistics: NDArray[np.floating], sampled: NDArray[np.float64]
    ) -> NDArray[np.floating]:
        """Return the density of clusters over that of a flat population.

        Parameters
        ----------
        statistics : ndarray, shape (..., T)
            Of clusters, see `statistics`; the precision is theirs.
        sampled : ndarray, shape (k, U)
            Populations, see `bounds`.

        Returns
        -------
        ndarray, shape (..., k)
        """
        natural = self._natural(sampled)
        eta = np.concatenate(list(natural.values()), axis=1)
        norm = sum(self._log_integral(name, eta) for name, eta in natural.items())
        exponent = statistics @ eta.T.astype(statistics.dtype)
        exponent -= norm.astype(statistics.dtype)
        return np.exp(exponent, out=exponent)

    def marginal(
        self, name: str, at: NDArray[np.float64], sampled: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the share of clusters in a unit of one parameter.

        Parameters
        ----------
        name : str
            Of the parameter.
        at : ndarray, shape (m,)
            Its values, in the box.
        sampled : ndarray, shape (k, U)
            Populations.

        Returns
        -------
        ndarray, shape (k, m)
        """
        i = PARAMETER_NAMES.index(name)
        eta = self._natural(sampled)[name]
        found = self._statistics_of(name, (at - self._low[i]) / self._width[i]) @ eta.T
        return np.exp(found - self._log_integral(name, eta)).T / self._width[i]

    def heavier(
        self, log_mass: float, sampled: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the share of clusters (k,) of at least a mass, log10 of solar ones."""
        low, high = self.box["log_mass"]
        low = min(max(log_mass, low), high)
        at = low + (high - low) * self._nodes
        density = self.marginal("log_mass", at, sampled)
        return (high - low) * density @ np.exp(self._log_weights)

    def _statistics_of(self, name: str, unit: NDArray) -> NDArray[np.float64]:
        """Return the statistics (..., t) of one parameter in the unit box."""
        if name == "log_age":
            return unit[..., None]
        if name == "log_mass":
            # mass over the box's highest
            mass = 10 ** (self._width[PARAMETER_NAMES.index(name)] * (unit - 1))
            return np.stack([unit, mass], -1) if self.cutoff else unit[..., None]
        return np.stack([unit, unit**2], -1)

    def _natural(self, sampled: NDArray) -> dict[str, NDArray[np.float64]]:
        """Return the natural parameters (k, t) of each parameter."""
        given, natural = self.values(np.asarray(sampled, float)), {}
        for i, name in enumerate(PARAMETER_NAMES):
            width = self._width[i]
            if name in ("log_age", "log_mass"):
                # dN/dlog M = M dN/dM
                slope = given["age_slope" if name == "log_age" else "mass_slope"]
                eta = [(slope + 1) * _LN10 * width]
                if name == "log_mass" and self.cutoff:
                    eta.append(-(10 ** self.box[name][1]) / given["cutoff_mass"])
            else:
                mean = (given[f"{name}_mean"] - self._low[i]) / width
                precision = (width / given[f"{name}_sigma"]) ** 2
                eta = [mean * precision, -precision / 2]
            natural[name] = np.stack(eta, axis=-1)
        return natural

    def _log_integral(self, name: str, eta: NDArray) -> NDArray[np.float64]:
        """Return the log of the integral over the unit box, (k,)."""
        exponent = self._statistics_of(name, self._nodes) @ eta.T
        return logsumexp(exponent + self._log_weights[:, None], axis=0)
