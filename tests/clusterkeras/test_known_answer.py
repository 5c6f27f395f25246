"""A problem whose posterior is known exactly: only the sum of two parameters is seen.

Like a colour that both age and extinction redden. The posterior is a ridge across the
whole box, cut by its edges.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from clusterkeras.posteriors.mixture import MixturePosterior
from clusterkeras.training import WarmupCosine
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS[:2]])

#: Error of the observed colour, where each parameter reddens it by 0 … 1.
NOISE = 0.1

STEPS, BATCH = 600, 512


def simulate(n, seed):
    rng = np.random.default_rng(seed)
    share = rng.uniform(size=(n, 2))
    colour = share.sum(axis=1) + rng.normal(0, NOISE, n)
    parameters = LOW + (HIGH - LOW) * share
    return colour[:, None].astype("f4"), parameters.astype("f4")


def exact_log_prob(colour, parameters):
    """Give the log of the exact posterior: likelihood over its mean over the box.

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


@pytest.fixture(scope="module")
def trained():
    """Give a mixture and the network that has learned the problem."""
    keras.utils.set_random_seed(0)
    mixture = MixturePosterior(LOW, HIGH, 12)
    small = keras.initializers.VarianceScaling(0.01)
    network = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(64, activation="gelu"),
            keras.layers.Dense(64, activation="gelu"),
            keras.layers.Dense(mixture.n_outputs, kernel_initializer=small),
        ]
    )
    optimizer = keras.optimizers.Adam(WarmupCosine(1e-2, STEPS), global_clipnorm=5.0)
    optimizer.build(network.trainable_variables)

    @tf.function
    def step(colour, parameters):
        with tf.GradientTape() as tape:
            posterior = mixture.distribution(network(colour))
            loss = -tf.reduce_mean(posterior.log_prob(parameters))
        optimizer.apply(tape.gradient(loss, network.trainable_variables))

    colour, parameters = simulate(STEPS * BATCH, seed=1)
    for i in range(0, STEPS * BATCH, BATCH):
        step(colour[i : i + BATCH], parameters[i : i + BATCH])
    return mixture, network


def test_the_mixture_comes_within_a_twentieth_of_a_nat_of_the_exact_posterior(trained):
    mixture, network = trained
    colour, parameters = simulate(20_000, seed=2)
    learned = mixture.distribution(network(colour)).log_prob(parameters).numpy()
    gap = exact_log_prob(colour, parameters) - learned
    # the gap is a Kullback-Leibler divergence: never below zero but for chance
    error = gap.std() / np.sqrt(len(gap))
    assert -3 * error < gap.mean() < 0.05


def test_draws_lie_along_the_degeneracy(trained):
    mixture, network = trained
    draws = mixture.draw(network(np.float32([[1.0]])), [7], 4000).numpy()[0]
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
