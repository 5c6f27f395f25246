"""Distributions over the parameters, each in the prior's box, by name."""

from __future__ import annotations

from collections.abc import Sequence

from clusterkeras.config import ModelConfig
from clusterkeras.posteriors.base import Posterior
from clusterkeras.posteriors.flow import FlowPosterior
from clusterkeras.posteriors.grid import GridPosterior
from clusterkeras.posteriors.mixture import MixturePosterior


def build(
    config: ModelConfig, low: Sequence[float], high: Sequence[float]
) -> Posterior:
    """Build the posterior that a configuration names.

    Parameters
    ----------
    config : ModelConfig
        Its ``posterior``, and the settings of that posterior.
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.
    """
    if config.posterior == "mixture":
        return MixturePosterior(low, high, config.components)
    if config.posterior == "flow":
        return FlowPosterior(
            low, high, config.flow_depth, config.flow_bins, config.flow_width
        )
    return GridPosterior(low, high)
