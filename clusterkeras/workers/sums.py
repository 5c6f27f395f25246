"""Processes that share every batch of a training, and what they sum.

Each is an ordinary one with its own rows of each batch, its own device and weights
that stay the same as all others', since whatever follows from a batch is summed over
all of them: the loss, the moments of a normalisation, the gradients.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

#: What TensorFlow knows this group of processes by.
_GROUP = 20585

#: Share of a tensor's largest entry by which weights of two workers may differ: devices
#: round differently, if they are not alike.
_ROUNDING = 1e-3

#: Jobs of ``TF_CONFIG`` that train; one called chief is the first.
_JOBS = ("chief", "worker")


@dataclass(frozen=True)
class Workers:
    """The processes that train together, and which of them this is.

    Attributes
    ----------
    number : int
        How many there are.
    index : int
        This one, from 0: the first leads, and writes what is written.
    """

    number: int = 1
    index: int = 0

    @property
    def leads(self) -> bool:
        """Whether this is the one that writes."""
        return self.index == 0


_here = Workers()
_keys = itertools.count(1)
# its servers and its look at who is alive end with it
_strategy: tf.distribute.Strategy | None = None


def current_workers() -> Workers:
    """Return the processes that train together; one if none were joined."""
    return _here


def join_workers() -> Workers:
    """Join the processes that ``TF_CONFIG`` names, if it names several.

    It waits until all are there. From then on one that is lost ends the others with an
    error, and what `sum_over_workers` gives depends on all.

    Raises
    ------
    RuntimeError
        If TensorFlow has been at work in this process already.
    ValueError
        If ``TF_CONFIG`` does not say which of them this is.
    """
    global _here, _strategy
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    jobs = resolver.cluster_spec().as_dict()
    tasks = [(job, i) for job in _JOBS for i in range(len(jobs.get(job, ())))]
    if len(tasks) < 2 or _strategy is not None:
        return _here
    own = (resolver.task_type, resolver.task_id)
    if own not in tasks:
        raise ValueError(
            f"TF_CONFIG: expected one of the tasks {tasks}; received {own}"
        )
    try:
        _strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise RuntimeError(
            "TF_CONFIG names several workers: expected to join them before TensorFlow "
            f"does anything else in this process; received: {error}"
        ) from error
    _here = Workers(len(tasks), tasks.index(own))
    return _here


def sum_over_workers(value: tf.Tensor) -> tf.Tensor:
    """Return the sum of a tensor over all workers, in each of them the same.

    All have to ask for the same sums in the same order, with tensors of one shape. Its
    gradient is summed too, as that of a loss that is the sum of all workers' is.

    Parameters
    ----------
    value : tensor
        Of float32 or int64.
    """
    if _here.number == 1:
        return value
    return _summed(value)


@tf.custom_gradient
def _summed(value: tf.Tensor) -> Any:
    return _reduced(value), _reduced


def _reduced(value: tf.Tensor) -> tf.Tensor:
    # a group is of devices, not of processes
    with tf.device("GPU:0" if tf.config.list_logical_devices("GPU") else "CPU:0"):
        return tf.raw_ops.CollectiveReduceV2(
            input=value,
            group_size=_here.number,
            group_key=_GROUP,
            # each sum of a graph has its own, as all draw it in the same order
            instance_key=next(_keys),
            ordering_token=[],
            merge_op="Add",
            final_op="Id",
        )


def sum_all_over_workers(values: Sequence[tf.Tensor | None]) -> list[tf.Tensor | None]:
    """Sum many float32 tensors as `sum_over_workers` does, in one message."""
    if _here.number == 1:
        return list(values)
    given = [tf.convert_to_tensor(v) for v in values if v is not None]
    flat = sum_over_workers(tf.concat([tf.reshape(v, [-1]) for v in given], axis=0))
    parts = iter(tf.split(flat, [tf.size(v) for v in given]))
    shapes = iter([tf.shape(v) for v in given])
    return [
        None if v is None else tf.reshape(next(parts), next(shapes)) for v in values
    ]


def mean_over_workers(totals: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Return means over the rows of all workers, zero over none.

    The gradient is that of the rows here, so that the sum over the workers is that of
    the means.

    Parameters
    ----------
    totals, counts : tensor (N,)
        Sums, and how many rows each is of, of the rows here.
    """
    if _here.number == 1:
        return tf.math.divide_no_nan(totals, counts)
    everywhere = sum_over_workers(tf.stop_gradient(tf.stack([totals, counts])))
    part = tf.math.divide_no_nan(totals, everywhere[1])
    mean = tf.math.divide_no_nan(everywhere[0], everywhere[1])
    return part + tf.stop_gradient(mean - part)


def take_from_first(variables: Iterable[tf.Variable]) -> None:
    """Set variables of every worker to those of the first."""
    if _here.number > 1:
        for variable in variables:
            variable.assign(_of_first(tf.convert_to_tensor(variable)))


def check_alike(variables: Iterable[tf.Variable]) -> None:
    """Check that variables are the same in all workers, but for rounding.

    Raises
    ------
    RuntimeError
        In all workers, if one has others than the first.
    """
    if _here.number > 1:
        values = [tf.cast(tf.convert_to_tensor(v), tf.float32) for v in variables]
        others = [_differs(value, _of_first(value)) for value in values]
        differ = sum_over_workers(tf.cast(tf.reduce_any(others), tf.float32))
        if differ > 0:
            raise RuntimeError(
                "workers: expected the same weights in all; received others in "
                f"{int(differ)} of {_here.number}. Take the same version of this "
                "package and of TensorFlow, and the same kind of device, in each"
            )


def _differs(value: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
    """Return whether a tensor is another, by more than two devices may differ."""
    size = tf.where(tf.math.is_finite(first), tf.abs(first), 0)
    near = tf.abs(value - first) <= _ROUNDING * tf.reduce_max(size)
    # NaN stands for what is told at the end, such as the score of what is unlike mocks
    same = (value == first) | (tf.math.is_nan(value) & tf.math.is_nan(first))
    return ~tf.reduce_all(near | same)


def _of_first(value: tf.Tensor) -> tf.Tensor:
    """Return the first worker's value of a tensor of any kind of number."""
    # of whole numbers not all kinds can be summed
    sent = value if value.dtype.is_floating else tf.cast(value, tf.int64)
    if not _here.leads:
        sent = tf.zeros_like(sent)
    return tf.cast(sum_over_workers(sent), value.dtype)


def first_says(answer: bool) -> bool:
    """Return what the first worker answers, in all of them."""
    said = tf.constant(float(answer and _here.leads))
    return bool(sum_over_workers(said))


def wait_for_workers() -> None:
    """Wait until all workers have come here."""
    if _here.number > 1:
        first_says(True)


def own_rows(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return of each batch the rows of this worker; of fewer rows some have none."""
    if _here.number == 1:
        return batches
    own = slice(_here.index, None, _here.number)
    return batches.map(lambda *batch: tf.nest.map_structure(lambda t: t[own], batch))
