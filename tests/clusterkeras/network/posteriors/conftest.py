"""One of each posterior over the parameters, with outputs of a network for it."""

import keras
import numpy as np
import pytest

from clusterkeras.config import POSTERIORS, ModelConfig
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])


def make_flow(**arguments):
    """Make a flow whose weights are not those of the start."""
    from clusterkeras.network.posteriors import FlowPosterior

    # the same whichever tests came before
    keras.utils.set_random_seed(3)
    flow = FlowPosterior(LOW, HIGH, **arguments)
    rng = np.random.default_rng(3)
    for coupling in flow.couplings:
        shape = coupling.last.kernel.shape
        coupling.last.kernel.assign(rng.normal(0, 0.15 / shape[0] ** 0.5, shape))
    return flow


@pytest.fixture(scope="package")
def flow():
    """Return a shallow one: what a coupling does, all six do."""
    return make_flow(depth=3, width=8)


@pytest.fixture(scope="package", params=[*POSTERIORS, "ensemble", "flat"])
def posterior(request, flow):
    """Return one of each; the ensemble is stretched, and so is one of its members."""
    from clusterkeras.network import posteriors
    from clusterkeras.network.posteriors.equal_mixture import EnsemblePosterior
    from clusterkeras.network.posteriors.flat import WithFlatPrior

    if request.param == "flat":
        return WithFlatPrior(flow)
    if request.param == "flow":
        return flow
    if request.param == "ensemble":
        mixture = posteriors.MixturePosterior(LOW, HIGH, 3, stretch=[1.2, 1, 0.8, 1])
        return EnsemblePosterior([flow, mixture], stretch=[0.9, 1.1, 0.7, 1])
    return posteriors.build(
        ModelConfig(posterior=request.param, components=3), LOW, HIGH
    )


@pytest.fixture(scope="package")
def raw(posterior):
    """Return outputs of a network that has learned something, for 5 objects."""
    raw = np.random.default_rng(2).normal(0, 0.4, (5, posterior.n_outputs))
    if type(posterior).__name__ not in ("MixturePosterior", "GridPosterior"):
        # narrower than the prior: a density that piles up at the box's edges could not
        # be summed over points drawn from the prior
        raw[:, [4, 6, 9, 13]] -= 1.5
    return raw.astype("f4")


@pytest.fixture(scope="package")
def flat():
    """Return a function that draws points from the prior."""

    def draw(n, seed=0):
        return np.random.default_rng(seed).uniform(LOW, HIGH, (n, 4)).astype("f4")

    return draw
