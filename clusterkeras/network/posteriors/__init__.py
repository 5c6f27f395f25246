"""Distributions over the parameters, each in the prior's box, by name."""

from __future__ import annotations

from collections.abc import Sequence

from clusterkeras.config import ModelConfig
from clusterkeras.network.posteriors.base import Posterior
from clusterkeras.network.posteriors.flow import FlowPosterior
from clusterkeras.network.posteriors.gaussian_mixture import MixturePosterior
from clusterkeras.network.posteriors.grid import GridPosterior


def build(
    config: ModelConfig,
    low: Sequence[float],
    high: Sequence[float],
    stretch: Sequence[float] | None = None,
) -> Posterior:
    """Build the posterior that a configuration names.

    Parameters
    ----------
    config : ModelConfig
        Its ``posterior``, and the settings of that posterior.
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.
    stretch : sequence of float (P,), optional
        Factors that make it wider; a grid takes none.
    """
    if config.posterior == "mixture":
        return MixturePosterior(low, high, config.components, stretch=stretch)
    if config.posterior == "flow":
        shape = config.flow_depth, config.flow_bins, config.flow_width
        return FlowPosterior(low, high, *shape, stretch=stretch)
    return GridPosterior(low, high)
