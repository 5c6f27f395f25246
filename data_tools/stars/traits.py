"""What a cluster is like beside its parameters: nobody can tell, so it is drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.priors import Priors
from data_tools.schema import STELLAR_MODELS, TRAIT_NAMES
from data_tools.target import EXTINCTION_LAWS, Target


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
        One of `data_tools.target.EXTINCTION_LAWS`.
    r_v : float
        A_V / E(B-V).
    binary_fraction : float
        Share of the stars that have an unresolved companion.
    """

    stellar_model: str
    feh: float
    extinction_law: str
    r_v: float
    binary_fraction: float


def draw_traits(target: Target, priors: Priors, rng: np.random.Generator) -> Traits:
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
    """
    numbers = iter(rng.random(len(TRAIT_NAMES)))

    def within(low: float, high: float) -> float:
        return low + (high - low) * next(numbers)

    def among(shares: dict[str, float]) -> str:
        edges = np.cumsum(list(shares.values()))
        place = np.searchsorted(edges, next(numbers) * edges[-1], side="right")
        return list(shares)[min(int(place), len(edges) - 1)]

    model = among(priors.stellar_models)
    laws = priors.extinction_laws or (target.extinction_law,)
    return Traits(
        stellar_model="" if target.isochrones else model,
        feh=target.feh + within(*priors.feh_offset),
        extinction_law=among(dict.fromkeys(laws, 1.0)),
        r_v=within(*priors.r_v),
        binary_fraction=within(*priors.binary_fraction),
    )


def as_numbers(traits: Traits) -> dict[str, float]:
    """Return traits as a record has them, by name."""
    model = traits.stellar_model
    return {
        "stellar_model": STELLAR_MODELS.index(model) if model else -1,
        "feh": traits.feh,
        "extinction_law": EXTINCTION_LAWS.index(traits.extinction_law),
        "r_v": traits.r_v,
        "binary_fraction": traits.binary_fraction,
    }
