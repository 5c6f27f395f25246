import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network.backbones import FusedBatchNormalization
from clusterkeras.workers import sums
from clusterkeras.workers.sums import Workers


@pytest.fixture
def twin(monkeypatch):
    """Make this the first of two workers, the second of which has the same rows."""
    monkeypatch.setattr(sums, "_here", Workers(2, 0))
    monkeypatch.setattr(sums, "_reduced", lambda value: 2 * value)


def test_one_worker_is_its_own_sum():
    assert sums.current_workers() == Workers(1, 0)
    assert sums.current_workers().leads
    value = tf.constant([1.0, 2.0])
    assert sums.sum_over_workers(value) is value
    assert sums.sum_all_over_workers([value, None])[0] is value
    assert sums.first_says(True) and not sums.first_says(False)


def test_means_are_of_the_rows_of_all_workers_and_gradients_of_those_here(monkeypatch):
    # the other has three rows of sum 7 in the first mean, and none in the second
    other = tf.constant([[7.0, 0.0], [3.0, 0.0]])
    monkeypatch.setattr(sums, "_here", Workers(2, 1))
    monkeypatch.setattr(sums, "_reduced", lambda value: value + other)
    totals = tf.constant([5.0, 0.0])
    with tf.GradientTape() as tape:
        tape.watch(totals)
        means = sums.mean_over_workers(totals, tf.constant([1.0, 0.0]))
    np.testing.assert_allclose(means, [3.0, 0.0])
    np.testing.assert_allclose(tape.gradient(means, totals), [0.25, 0.0])


def test_many_sums_come_back_in_their_shapes(twin):
    given = [tf.ones((2, 3)), None, tf.constant(4.0)]
    found = sums.sum_all_over_workers(given)
    assert found[1] is None
    np.testing.assert_array_equal(found[0], np.full((2, 3), 2.0))
    assert float(found[2]) == 8.0


def test_the_rows_of_all_workers_are_the_batch(monkeypatch):
    batches = tf.data.Dataset.range(7).batch(5)
    found = []
    for index in range(3):
        monkeypatch.setattr(sums, "_here", Workers(3, index))
        own = sums.own_rows(tf.data.Dataset.zip(batches, batches))
        assert int(own.cardinality()) == 2
        found.append([x.numpy().tolist() for x, _ in own])
    assert found == [[[0, 3], [5]], [[1, 4], [6]], [[2], []]]


def test_workers_that_differ_are_told(monkeypatch):
    monkeypatch.setattr(sums, "_here", Workers(2, 1))
    variable = keras.Variable(np.float32([1, 2, np.nan, np.inf]))
    first = tf.constant([1.0, 2.0, np.nan, np.inf])
    monkeypatch.setattr(sums, "_reduced", lambda v: v + first if v.shape.rank else v)
    sums.check_alike([variable])
    variable.assign([1, 2.001, np.nan, np.inf])
    sums.check_alike([variable])
    for other in ([1, 2.01, np.nan, np.inf], [1, np.nan] * 2, [1, 2, 0, np.inf]):
        variable.assign(other)
        with pytest.raises(RuntimeError, match="same weights in all; received others"):
            sums.check_alike([variable])
    sums.take_from_first([variable])
    np.testing.assert_array_equal(variable.numpy(), first)


def test_a_batch_is_normalised_by_the_rows_of_all_workers(monkeypatch):
    # far from zero, where the mean of squares would cancel
    images = 50 + np.random.default_rng(1).standard_normal((6, 4, 4, 3))
    images = tf.constant(images, tf.float32)
    weights = tf.constant(np.random.default_rng(2).random((6, 4, 4, 3)), tf.float32)

    def learn(images, weights):
        layer = FusedBatchNormalization(momentum=0.5)
        layer.build(images.shape)
        layer.moving_mean.assign([49.0, 50.0, 51.0])
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = layer(images, training=True)
            loss = tf.reduce_sum(weights * outputs**2)
        of = [images, layer.gamma.value, layer.beta.value]
        return outputs, tape.gradient(loss, of), layer.get_weights()

    twice = [tf.concat([x, x], 0) for x in (images, weights)]
    outputs, gradients, moving = learn(*twice)
    monkeypatch.setattr(sums, "_here", Workers(2, 0))
    monkeypatch.setattr(sums, "_reduced", lambda value: 2 * value)
    found = learn(images, weights)
    np.testing.assert_allclose(found[0], outputs[:6], atol=1e-4)
    np.testing.assert_allclose(found[1][0], gradients[0][:6], atol=1e-3)
    for ours, whole in zip(found[1][1:], gradients[1:], strict=True):
        np.testing.assert_allclose(2 * ours, whole, rtol=1e-3, atol=1e-2)
    for ours, whole in zip(found[2], moving, strict=True):
        np.testing.assert_allclose(ours, whole, rtol=1e-4)


def config(index, *hosts):
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(hosts)}, "task": task})


def test_one_that_is_named_alone_joins_nobody(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(0, "localhost:1"))
    assert sums.join_workers() == Workers(1, 0)


def test_a_worker_that_is_not_among_the_named_is_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(5, "localhost:1", "localhost:2"))
    with pytest.raises(ValueError, match=r"TF_CONFIG: expected one of the tasks .* 5"):
        sums.join_workers()


def test_it_is_too_late_to_join_once_tensorflow_works(monkeypatch):
    assert float(tf.constant(1.0)) == 1
    monkeypatch.setenv("TF_CONFIG", config(0, "localhost:1", "localhost:2"))
    with pytest.raises(RuntimeError, match="expected to join them before TensorFlow"):
        sums.join_workers()
