"""Young stars around the middle: the association a cluster was born in, and others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.schema import PARAMETER_NAMES
from data_tools.stars.cluster import LEAST_ELECTRONS, Cluster, ClusterMaker, Points
from data_tools.stars.draw import DrawnStars, sample
from data_tools.stars.nebula import draw_gas
from data_tools.stars.population import Population
from data_tools.streams import streams

#: Clusters up to this age, log10 yr, may still lie in the complex they were born in:
#: young clusters in nearby spirals lose their clustering in 40 to 60 Myr (Grasha et al.
#: 2015, ApJ 815, 93).
LAST_HOST_AGE = 7.7
#: log10 of a host's mass over its cluster's, and sigma of both kinds in pc: those of
#: associations and of the complexes' inner parts (Gouliermis 2018, PASP 130, 072001).
_HOST_LOG_MASS = (-0.5, 0.5)
_SIGMA_PC = (15.0, 40.0)
#: A host's dust over its cluster's, the Milky Way's left out.
_HOST_DUST = (0.5, 1.5)
#: Its middle is so many of its sigma from the cluster, which is most likely born where
#: it is densest.
_HOST_OFFSET = 0.5
#: Ages (log10 yr), masses (log10 Msun) and A_V in mag of unrelated groups.
_GROUP_LOG_AGE = (6.3, 8.0)
_GROUP_LOG_MASS = (2.5, 4.3)
_GROUP_A_V = (0.2, 2.0)
#: Radii of their shells of gas, in sigma.
_SHELL = (0.5, 3.0)
#: Stars that are placed one by one at most, and points that stand for the others.
_MOST_STARS = 400
_FAINT_POINTS = 200


@dataclass(frozen=True)
class Around(Points):
    """Young stars around a place as points of light.

    Attributes
    ----------
    x, y, flux
        See `data_tools.stars.cluster.Points`.
    host_log_mass : float
        log10 of the initial mass of the host in Msun; NaN for none.
    """

    host_log_mass: float


def scattered(
    stars: DrawnStars, sigma: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place stars in a round Gaussian.

    Parameters
    ----------
    stars : DrawnStars
        What to place; points stand for those that are too many.
    sigma : float
        In any unit.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    x, y : (n,) ndarray
        Offsets from the middle, in that unit.
    flux : (n, bands) ndarray
        In nJy.
    """
    faint = np.tile(stars.faint_flux / _FAINT_POINTS, (_FAINT_POINTS, 1))
    flux = np.concatenate([stars.flux, faint])
    x, y = sigma * rng.standard_normal((len(flux), 2)).T
    return x, y, flux


def with_gas(
    points: tuple[np.ndarray, np.ndarray, np.ndarray],
    clusters: ClusterMaker,
    group: tuple[float, float, float],
    traits: dict[str, float],
    of: tuple[Population, DrawnStars],
    rng: np.random.Generator,
    window: tuple[float, float, float] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Add to the points of light of a round Gaussian group those of its ionised gas.

    Parameters
    ----------
    points : tuple of ndarray
        As `scattered` gives them, in pixels.
    clusters : ClusterMaker
        Target and priors.
    group : (float, float, float)
        log10 of its age in years, A_V in mag, sigma in pixels.
    traits : dict of str to float
        Metallicity and gas; see `data_tools.stars.nebula.draw_gas`. Its shell goes with
        sigma.
    of : (Population, DrawnStars)
        Its stars, before dust and as drawn.
    rng : numpy.random.Generator
        Source of randomness.
    window : (float, float, float), optional
        Where gas is needed; see `data_tools.stars.nebula.gas_points`.
    """
    log_age, a_v, sigma = group
    scale = clusters.target.pixel_scale_arcsec
    radius_pc = rng.uniform(*_SHELL) * sigma * scale * clusters.target.pc_per_arcsec
    # half of a two-dimensional Gaussian lies within 1.177 sigma
    parameters = np.array([log_age, a_v, np.nan, np.log10(1.177 * sigma * scale)])
    traits = traits | {"nebular_radius_pc": radius_pc}
    population, stars = of
    target, priors = clusters.target, clusters.priors
    gas = draw_gas(
        target,
        priors,
        parameters,
        traits,
        population,
        stars.counts,
        rng,
        window=window,
    )
    if gas is None:
        return points
    return tuple(np.concatenate(both) for both in zip(points, gas, strict=True))


class Surroundings:
    """Draw the young stars around objects.

    Parameters
    ----------
    clusters : ClusterMaker
        Gives target, priors and populations.
    """

    def __init__(self, clusters: ClusterMaker) -> None:
        self._clusters = clusters
        self.target = target = clusters.target
        self._px_per_pc = 1 / (target.pc_per_arcsec * target.pixel_scale_arcsec)
        self._half_px = target.cutout_px / 2

    def draw(
        self,
        rng: np.random.Generator,
        cluster: Cluster | None = None,
        parameters: np.ndarray | None = None,
        unrelated: bool = True,
        reach_px: float = np.inf,
    ) -> Around | None:
        """Draw what is around an object; None if nothing is.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        cluster : Cluster, optional
            If it is one: only a cluster has a host, of its age and population.
        parameters : (4,) ndarray, optional
            Of that cluster, as `data_tools.schema.PARAMETERS`.
        unrelated : bool
            Whether there may also be a group of another age anywhere near.
        reach_px : float
            So many pixels to each side of the object all gas is drawn; that of a large
            shell may be left out beyond.
        """
        priors, found, log_mass = self._clusters.priors, [], np.nan
        has_host, has_group = rng.random(2) < (
            priors.host_fraction if cluster is not None else 0.0,
            priors.young_stars_fraction if unrelated else 0.0,
        )
        has_host = has_host and parameters[0] <= LAST_HOST_AGE
        if not has_host and not has_group:
            return None
        of_host, of_group = streams(rng, 2)
        if has_host:
            log_mass = parameters[2] + of_host.uniform(*_HOST_LOG_MASS)
            found.append(self._host(cluster, parameters, log_mass, of_host, reach_px))
        if has_group:
            found.append(self._group(of_group, reach_px))
        points = (np.concatenate(parts) for parts in zip(*found, strict=True))
        return Around(*points, float(log_mass))

    def complex(self, rng: np.random.Generator, reach_px: float) -> Points:
        """Draw a young cluster in its association.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        reach_px : float
            As for `draw`.

        Returns
        -------
        Points
            About the cluster.
        """
        of_parameters, of_cluster, of_host = streams(rng, 3)
        box = dict(self.target.box)
        first, last = box["log_age"]
        box["log_age"] = first, max(first, min(last, LAST_HOST_AGE))
        parameters = np.array([of_parameters.uniform(*box[p]) for p in PARAMETER_NAMES])
        log_mass = parameters[2] + of_parameters.uniform(*_HOST_LOG_MASS)
        cluster = self._clusters.draw(parameters, of_cluster)
        return cluster + Points(
            *self._host(cluster, parameters, log_mass, of_host, reach_px)
        )

    def _host(
        self,
        cluster: Cluster,
        parameters: np.ndarray,
        log_mass: float,
        rng: np.random.Generator,
        reach_px: float,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        screen = min(self._clusters.priors.foreground_a_v, parameters[1])
        a_v = screen + (parameters[1] - screen) * rng.uniform(*_HOST_DUST)
        stars = self._sample(cluster.population, log_mass, a_v, rng)
        sigma = self._sigma(rng)
        offset = _HOST_OFFSET * sigma * rng.standard_normal(2)
        x, y, flux = with_gas(
            scattered(stars, sigma, rng),
            self._clusters,
            (parameters[0], a_v, sigma),
            cluster.traits,
            (cluster.population, stars),
            rng,
            (*-offset, reach_px),
        )
        return x + offset[0], y + offset[1], flux

    def _group(
        self, rng: np.random.Generator, reach_px: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        first, last = self._clusters.target.box["log_age"]
        log_age = np.clip(rng.uniform(*_GROUP_LOG_AGE), first, last)
        population, traits = self._clusters.drawn_population(log_age, rng)
        log_mass, a_v = rng.uniform(*_GROUP_LOG_MASS), rng.uniform(*_GROUP_A_V)
        stars = self._sample(population, log_mass, a_v, rng)
        sigma = self._sigma(rng)
        points = scattered(stars, sigma, rng)
        place = rng.uniform(-self._half_px, self._half_px, 2)
        x, y, flux = with_gas(
            points,
            self._clusters,
            (log_age, a_v, sigma),
            traits,
            (population, stars),
            rng,
            (*-place, reach_px),
        )
        return x + place[0], y + place[1], flux

    def _sigma(self, rng: np.random.Generator) -> float:
        return rng.uniform(*_SIGMA_PC) * self._px_per_pc

    def _sample(self, population, log_mass, a_v, rng) -> DrawnStars:
        return sample(
            population,
            10**log_mass,
            a_v,
            rng,
            _MOST_STARS,
            self._clusters.electrons_per_njy,
            LEAST_ELECTRONS,
        )
