"""One mock cluster: parameters to stars, with their places and fluxes."""

from __future__ import annotations

import numpy as np

from data_tools.population import Population, population_of, sample
from data_tools.priors import Priors
from data_tools.profile import EFF, King, even_positions, positions
from data_tools.target import Target

#: Stars of a cluster that are placed one by one, brightest first.
MAX_STARS = 2500
#: Points that stand for the light of all others.
MAX_FAINT_POINTS = 1500


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
        self.priors = priors
        for log_age in target.box["log_age"]:
            population_of(target, log_age)
        #: (bands,) electrons that one nJy gives over the target's exposure.
        self.electrons_per_njy = 1 / np.array([b.electron_njy for b in target.bands])

    def population(self, log_age: float) -> Population:
        """Give the target's population of an age (log10 yr), before dust."""
        return population_of(self.target, log_age)

    def stars(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw the stars of one cluster, and points for those too many to draw.

        Parameters
        ----------
        parameters : (4,) ndarray
            In the order and units of `data_tools.schema.PARAMETERS`.
        rng : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        x, y : (n,) ndarray
            Offsets from the centre in pixels.
        flux : (n, bands) ndarray
            In nJy.
        """
        log_age, a_v, log_mass, log_radius = parameters
        stars = sample(
            self.population(log_age),
            10**log_mass,
            a_v,
            rng,
            MAX_STARS,
            self.electrons_per_njy,
        )
        if rng.random() < self.priors.king_fraction:
            profile = King(rng.uniform(*self.priors.king_log_concentration))
        else:
            profile = EFF(rng.uniform(*self.priors.eff_eta))
        radius = 10**log_radius / self.target.pixel_scale_arcsec
        x, y = positions(profile, radius, len(stars.flux), rng)
        if not stars.faint_flux2.any():
            return x, y, stars.flux
        # as many points as equal stars that would give the same light and variance
        n_equal = (stars.faint_flux**2 / stars.faint_flux2).max()
        n_faint = int(np.clip(n_equal, 1, MAX_FAINT_POINTS))
        more_x, more_y = even_positions(profile, radius, n_faint, rng)
        faint = np.repeat(stars.faint_flux[None] / n_faint, n_faint, axis=0)
        return (
            np.concatenate([x, more_x]),
            np.concatenate([y, more_y]),
            np.concatenate([stars.flux, faint]),
        )
