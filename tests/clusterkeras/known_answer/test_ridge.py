"""A problem whose posterior is known exactly: only the sum of two parameters is seen.

Like a colour that both age and extinction redden. The posterior is a ridge across the
whole box, cut by its edges.
"""

import numpy as np
import pytest
from scipy import stats

from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS[:2]])

#: Error of the observed colour, where each parameter reddens it by 0 … 1.
NOISE = 0.1


def simulate(n, seed):
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(n, 2))
    colour = share.sum(axis=1) + rng.normal(0, NOISE, n)
    parameters = LOW + (HIGH - LOW) * share
    return colour[:, None].astype("f4"), parameters.astype("f4")


def exact_log_prob(colour, parameters):
    """Return the log of the exact posterior: likelihood over its mean over the box.

    The mean over one parameter is a difference of two error functions, that over the
    other a sum over 400 midpoints.
    """
    share = (parameters - LOW) / (HIGH - LOW)
    likelihood = stats.norm.logpdf(colour[:, 0], share.sum(axis=1), NOISE)
    other = (np.arange(400) + 0.5) / 400
    evidence = np.mean(
        stats.norm.cdf((colour - other) / NOISE)
        - stats.norm.cdf((colour - other - 1) / NOISE),
        axis=1,
    )
    return likelihood - np.log(evidence) - np.log(HIGH - LOW).sum()


@pytest.fixture(scope="module", params=["mixture", "flow"])
def trained(request, learn):
    """Return a posterior's name, it, and the network that has learned the problem."""
    data = simulate(1000 * 512, seed=1)
    return request.param, *learn(request.param, LOW, HIGH, *data, batch=512)


def test_a_short_training_comes_close_to_the_exact_posterior(trained, check_divergence):
    colour, parameters = simulate(20_000, seed=2)
    exact = exact_log_prob(colour, parameters)
    check_divergence(*trained, colour, parameters, exact)


def test_draws_lie_along_the_degeneracy(trained):
    _, posterior, network = trained
    draws = posterior.draw(network(np.float32([[1.0]])), [7], 4000).numpy()[0]
    share = (draws - LOW) / (HIGH - LOW)
    # the exact posterior of a colour of 1: share of age flat, their sum seen to NOISE
    rng = np.random.default_rng(3)
    exact = rng.uniform(size=(400_000, 2))
    kept = np.exp(-0.5 * ((exact.sum(axis=1) - 1) / NOISE) ** 2)
    exact = exact[rng.uniform(size=len(exact)) < kept]
    correlation = np.corrcoef(exact.T)[0, 1]
    assert correlation < -0.9
    assert np.corrcoef(share.T)[0, 1] == pytest.approx(correlation, abs=0.02)
    np.testing.assert_allclose(share.std(axis=0), exact.std(axis=0), rtol=0.06)
    assert share.sum(axis=1).std() == pytest.approx(NOISE, rel=0.12)
    # the whole ridge, from young and dusty to old and clean
    assert np.mean((share[:, 0] < 0.2) & (share[:, 1] > 0.7)) > 0.08
    assert np.mean((share[:, 0] > 0.8) & (share[:, 1] < 0.3)) > 0.08
