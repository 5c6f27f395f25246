"""One mock cluster: parameters to stars, with their places and fluxes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.priors import Priors
from data_tools.stars.population import (
    DrawnStars,
    Population,
    isochrones_of,
    population_of,
    sample,
)
from data_tools.stars.profile import EFF, King, positions, smooth_positions
from data_tools.stars.traits import Traits, as_numbers, draw_traits
from data_tools.target import Target

#: Stars of a cluster that are placed one by one, brightest first, at most.
MAX_STARS = 1000
#: Fewest electrons, in all bands over the target's exposure, of a star that is placed:
#: some 2 in a band's brightest pixel, a third of the noise of an empty one.
LEAST_ELECTRONS = 25.0
#: Equal points that give the light of all others the clumping it has, at most.
MAX_CLUMPS = 500
#: Points that give the rest of that light smoothly, at most; fewest electrons of one;
#: and their least distance in pixels.
MAX_FAINT_POINTS = 1500
_POINT_ELECTRONS = 100.0
_SPACING_PX = 1.2


@dataclass(frozen=True)
class Cluster:
    """One cluster as points of light.

    Attributes
    ----------
    x, y : (n,) ndarray
        Offsets from the centre in pixels.
    flux : (n, bands) ndarray
        In nJy.
    traits : dict of str to float
        The numbers of `data_tools.schema.TRAITS`, by name.
    """

    x: np.ndarray
    y: np.ndarray
    flux: np.ndarray
    traits: dict[str, float]


class ClusterMaker:
    """Draw the stars of clusters at a target.

    Parameters
    ----------
    target : Target
        Galaxy and instrument.
    priors : Priors
        Profiles are drawn from these.

    Raises
    ------
    ValueError
        If the isochrones do not reach the target's ages or metallicity.
    """

    def __init__(self, target: Target, priors: Priors) -> None:
        self.target = target
        self.priors = priors = priors.fixed_by(target)
        for log_age in target.box["log_age"]:
            population_of(target, log_age)
        reached = isochrones_of(target).fehs[[0, -1]]
        self._feh = reached
        #: (bands,) electrons that one nJy gives over the target's exposure.
        self.electrons_per_njy = 1 / np.array([b.electron_njy for b in target.bands])

    def population(self, log_age: float) -> Population:
        """Return the target's population of an age (log10 yr), before dust."""
        return population_of(self.target, log_age)

    def _population(self, log_age: float, traits: Traits) -> Population:
        """Return the population of an age that a cluster of these traits has."""
        return population_of(
            self.target,
            log_age,
            traits.binary_fraction,
            feh=float(np.clip(traits.feh, *self._feh)),
            law=traits.extinction_law,
            r_v=traits.r_v,
        )

    def draw(self, parameters: np.ndarray, rng: np.random.Generator) -> Cluster:
        """Draw one cluster: its stars, and points for those too many to draw.

        Traits, stars and places have randomness of their own: two clusters that differ
        in one of them are alike in the others.

        Parameters
        ----------
        parameters : (4,) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        rng : numpy.random.Generator
            Source of randomness.
        """
        of_traits, of_stars, of_places = rng.spawn(3)
        traits = draw_traits(self.target, self.priors, of_traits)
        log_age, a_v, log_mass, log_radius = parameters
        stars = sample(
            self._population(log_age, traits),
            10**log_mass,
            a_v,
            of_stars,
            MAX_STARS,
            self.electrons_per_njy,
            LEAST_ELECTRONS,
        )
        x, y, flux = self._placed(stars, log_radius, of_places)
        return Cluster(x, y, flux, as_numbers(traits))

    def _placed(
        self, stars: DrawnStars, log_radius: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Place stars and what stands for the others; return x, y (pixels) and flux."""
        if rng.random() < self.priors.king_fraction:
            profile = King(rng.uniform(*self.priors.king_log_concentration))
        else:
            profile = EFF(rng.uniform(*self.priors.eff_eta))
        radius = 10**log_radius / self.target.pixel_scale_arcsec
        clumps, smooth = self._faint(stars)
        flux = np.concatenate([stars.flux, clumps])
        x, y = positions(profile, radius, len(flux), rng)
        electrons = smooth @ self.electrons_per_njy
        if not electrons > 0:
            return x, y, flux
        even_x, even_y, share = smooth_positions(
            profile,
            radius,
            min(_POINT_ELECTRONS / electrons, 1.0),
            _SPACING_PX,
            MAX_FAINT_POINTS,
            rng,
        )
        return (
            np.concatenate([x, even_x]),
            np.concatenate([y, even_y]),
            np.concatenate([flux, share[:, None] * smooth]),
        )

    def _faint(self, stars: DrawnStars) -> tuple[np.ndarray, np.ndarray]:
        """Split the light of the stars not placed in clumps and smooth light.

        Stars placed at random, of fluxes f, give a variance from place to place that
        goes as sum f^2, in each band. Equal clumps with that sum give the same, and
        what light is left over is smooth.
        """
        light, light2 = stars.faint_flux, stars.faint_flux2
        n = min(MAX_CLUMPS, int(light @ self.electrons_per_njy / LEAST_ELECTRONS))
        if n == 0:
            return np.empty((0, len(light))), light
        # as many equal stars have that light and variance: one at least
        n = max(1, min(n, int((light**2 / light2).min())))
        clumps = np.repeat(np.sqrt(light2 / n)[None], n, axis=0)
        return clumps, np.maximum(light - clumps.sum(0), 0)
