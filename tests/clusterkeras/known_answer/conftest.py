"""Problems whose posterior is known exactly, and a short training on them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.config import ModelConfig
from clusterkeras.network import posteriors
from clusterkeras.training.optimizer import WarmupPlateauDecay

#: Highest learning rate of each posterior, and the largest mean Kullback-Leibler
#: divergence, in nats, that a short training may leave to the exact posterior.
HEADS = {"mixture": (1e-2, 0.05), "flow": (5e-3, 0.02)}


@pytest.fixture(scope="package")
def learn():
    """Return a function that trains a small dense network with a posterior on it.

    It takes the posterior's name, the box, numbers that were observed (n, D), the
    parameters that they come from (n, P), each row seen once, and the batch; it gives
    the posterior and the network.
    """

    def train(name, low, high, observed, parameters, batch):
        keras.utils.set_random_seed(0)
        posterior = posteriors.build(
            ModelConfig(posterior=name, flow_depth=4), low, high
        )
        network = keras.Sequential(
            [
                keras.Input(observed.shape[1:]),
                keras.layers.Dense(64, activation="gelu"),
                keras.layers.Dense(64, activation="gelu"),
                keras.layers.Dense(
                    posterior.n_outputs,
                    kernel_initializer=keras.initializers.VarianceScaling(0.01),
                ),
            ]
        )
        variables = [*network.trainable_variables, *posterior.trainable_variables]
        steps = len(observed) // batch
        schedule = WarmupPlateauDecay(HEADS[name][0], steps, decay=0.9)
        optimizer = keras.optimizers.Adam(schedule, global_clipnorm=5.0)
        optimizer.build(variables)

        @tf.function
        def step(observed, parameters):
            with tf.GradientTape() as tape:
                distribution = posterior.distribution(network(observed))
                loss = -tf.reduce_mean(distribution.log_prob(parameters))
            optimizer.apply(tape.gradient(loss, variables), variables)

        for rows in np.arange(steps * batch).reshape(steps, batch):
            step(tf.constant(observed[rows]), tf.constant(parameters[rows]))
        return posterior, network

    return train


@pytest.fixture(scope="package")
def check_divergence():
    """Return a function that checks the mean divergence to the exact posterior.

    It takes the posterior's name, the two that `learn` gives, and observed numbers,
    parameters and the exact log density at them. For parameters that are draws of the
    exact posterior, the mean of exact minus learned log density is the divergence.
    """

    def check(name, posterior, network, observed, parameters, exact):
        learned = np.concatenate(
            [
                posterior.distribution(network(observed[i : i + 2000])).log_prob(
                    parameters[i : i + 2000]
                )
                for i in range(0, len(observed), 2000)
            ]
        )
        gap = exact - learned
        # never below zero but for chance
        error = gap.std() / len(gap) ** 0.5
        assert error < 0.005
        assert -3 * error < gap.mean() < HEADS[name][1]

    return check
