"""What a cluster is like beside its parameters: nobody can tell, so it is drawn."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, fields
from itertools import accumulate

import numpy as np

from data_tools.priors import Priors
from data_tools.schema import DRAWN_UP_TO, EXTINCTION_LAWS, STELLAR_MODELS
from data_tools.stars.population import Population, isochrones_of, population_of
from data_tools.target import Target


@dataclass(frozen=True)
class Traits:
    """One cluster's traits; see `data_tools.schema.TRAITS` for their meaning.

    Attributes
    ----------
    stellar_model : str
        One of `data_tools.schema.STELLAR_MODELS`; empty for the target's own file.
    feh : float
        [Fe/H] in dex, not yet cut to what the model reaches.
    extinction_law : str
        One of `data_tools.schema.EXTINCTION_LAWS`.
    r_v : float
        A_V / E(B-V).
    binary_fraction : float
        Share of the stars that have an unresolved companion.
    a_v_scatter : float
        Scatter of A_V from star to star over its mean, the Milky Way's left out.
    a_v_front : float
        Share of the stars in front of all dust but the Milky Way's.
    segregation : float
        Radius of the brightest fifth's profile in units of the others'.
    axis_ratio : float
        Short over long axis of the projected profile.
    nebular_covering, nebular_log_u, nebular_compact, nebular_radius_pc : float
        Ionised gas, were the cluster young; see `data_tools.stars.nebula`.
    """

    stellar_model: str
    feh: float
    extinction_law: str
    r_v: float
    binary_fraction: float
    a_v_scatter: float
    a_v_front: float
    segregation: float
    axis_ratio: float
    nebular_covering: float
    nebular_log_u: float
    nebular_compact: float
    nebular_radius_pc: float


def draw_traits(
    target: Target, priors: Priors, rng: np.random.Generator, log_age: float
) -> Traits:
    """Draw the traits of a cluster.

    Each takes one random number whatever the others' ranges are, so that two sets
    that differ in one range have the same clusters otherwise.

    Parameters
    ----------
    target : Target
        Metallicity, extinction law, own isochrones.
    priors : Priors
        Ranges and shares.
    rng : numpy.random.Generator
        Source of randomness.
    log_age : float
        log10 of its age in years. From 1 Gyr on no cluster is of SSE, unless all are.
    """
    *numbers, last = rng.random(len(fields(Traits)) + 1)
    numbers = iter(numbers)

    def within(low: float, high: float) -> float:
        return low + (high - low) * next(numbers)

    def among(shares: dict[str, float]) -> str:
        edges = list(accumulate(shares.values()))
        place = bisect_right(edges, next(numbers) * edges[-1])
        return list(shares)[min(place, len(edges) - 1)]

    models = {m: share for m, share in priors.stellar_models.items() if share}
    drawn = {m: s for m, s in models.items() if log_age < DRAWN_UP_TO.get(m, np.inf)}
    models = drawn or models
    model = among(models)
    uneven = float(last < priors.uneven_fraction)
    laws = priors.extinction_laws or (target.extinction_law,)
    return Traits(
        stellar_model="" if target.isochrones else model,
        feh=target.feh + within(*priors.feh_offset),
        extinction_law=among(dict.fromkeys(laws, 1.0)),
        r_v=within(*priors.r_v),
        binary_fraction=within(*priors.binary_fraction),
        a_v_scatter=uneven * within(*priors.a_v_scatter),
        a_v_front=uneven * within(*priors.a_v_front),
        segregation=within(*priors.segregation),
        axis_ratio=within(*priors.axis_ratio),
        nebular_covering=within(*priors.nebular_covering),
        nebular_log_u=within(*priors.nebular_log_u),
        nebular_compact=within(*priors.nebular_compact),
        nebular_radius_pc=10 ** within(*np.log10(priors.nebular_radius_pc)),
    )


def as_numbers(traits: Traits) -> dict[str, float]:
    """Return traits as a record has them, by name."""
    model = traits.stellar_model
    return {
        **vars(traits),
        "stellar_model": STELLAR_MODELS.index(model) if model else -1,
        "extinction_law": EXTINCTION_LAWS.index(traits.extinction_law),
    }


def population_with(target: Target, log_age: float, traits: Traits) -> Population:
    """Return a target's population of an age (log10 yr) with traits, before dust.

    [Fe/H] beyond what the isochrones reach is the nearest that they have.
    """
    model = traits.stellar_model
    reached = isochrones_of(target, model=model).fehs
    return population_of(
        target,
        log_age,
        traits.binary_fraction,
        feh=float(min(max(traits.feh, reached[0]), reached[-1])),
        law=traits.extinction_law,
        r_v=traits.r_v,
        model=model,
    )
