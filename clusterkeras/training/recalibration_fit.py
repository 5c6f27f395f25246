"""The few numbers under which a trained model makes a validation set most likely.

The joint posterior is stretched on the line where the prior is a normal
(`clusterkeras.network.posteriors.line`), the logit of ``p_cluster`` gets a temperature
and an offset (Platt 1999, Advances in Large Margin Classifiers, 61), the visibility's
distribution a wider or narrower scale.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import optimize

from clusterkeras.network.posterior_model import PosteriorModel
from clusterkeras.network.posteriors.line import LinePosterior
from clusterkeras.network.posteriors.transforms import box_to_line
from clusterkeras.network.recalibration import Recalibration

#: A factor is looked for between this and its inverse.
LARGEST = 5.0


@dataclass(frozen=True)
class Outputs:
    """What a model gives for records, and their truth; N rows each.

    Attributes
    ----------
    posterior, visibility : ndarray (N, O), (N, V)
        Outputs of the network.
    presence : ndarray (N,)
        Logit of ``p_cluster``.
    parameters : ndarray (N, P)
        True parameters.
    is_cluster, has_object : ndarray of bool (N,)
        Whether parameters and visibility count.
    log_snr : ndarray (N,)
        True visibility in dex.
    field_id : ndarray of int (N,)
        Field that each lies in: those of one err together.
    """

    posterior: NDArray[np.float32]
    visibility: NDArray[np.float32]
    presence: NDArray[np.float32]
    parameters: NDArray[np.float32]
    is_cluster: NDArray[np.bool_]
    has_object: NDArray[np.bool_]
    log_snr: NDArray[np.float32]
    field_id: NDArray[np.int64]

    def rows(self, chosen: slice) -> Outputs:
        """Return some of the rows."""
        return Outputs(**{name: value[chosen] for name, value in vars(self).items()})


def fit_recalibration(model: PosteriorModel, outputs: Outputs) -> Recalibration:
    """Find the recalibration under which records are most likely.

    Parameters
    ----------
    model : PosteriorModel
        The model, without a recalibration.
    outputs : Outputs
        What it gives for the records, and their truth.

    Raises
    ------
    ValueError
        If the posterior is a grid.
    """
    if not isinstance(model.joint, LinePosterior):
        raise ValueError(
            "recalibration: expected a model with a mixture or a flow as posterior; "
            f"received {type(model.joint).__name__}, whose cells cannot be stretched"
        )
    clusters = outputs.is_cluster
    raw, flat = model.with_flat_prior().parts(outputs.posterior[clusters])
    stretch = fit_stretch(model.joint, raw, flat, outputs.parameters[clusters])
    temperature, offset = fit_presence(outputs.presence, clusters)
    seen = outputs.has_object
    visibility = model.visibility(tf.constant(outputs.visibility[seen]))
    factor = fit_visibility(visibility, outputs.log_snr[seen])
    return Recalibration(tuple(stretch.tolist()), temperature, offset, factor)


def fit_stretch(
    joint: LinePosterior,
    raw: tf.Tensor,
    flat: tf.Tensor,
    parameters: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Find the stretch under which parameters are most likely.

    Parameters
    ----------
    joint : LinePosterior
        The posterior; a stretch it has stays, and what is found is beyond it.
    raw : tensor (N, O)
        Outputs of the network.
    flat : tensor (N,)
        Logit of the share of the flat prior that it is mixed with.
    parameters : ndarray (N, P)
        True parameters in their own units.

    Returns
    -------
    ndarray (P,)
        A factor for each parameter.
    """
    centre = joint.centre(raw)
    truth = box_to_line(tf.constant(parameters), joint.low, joint.high)
    offset = truth - centre
    # on the line the flat prior is a standard normal
    prior = -0.5 * tf.reduce_sum(truth**2 + math.log(2 * math.pi), axis=-1)
    of_prior = prior + tf.math.log_sigmoid(flat)

    @tf.function
    def loss_and_slope(log_factors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(log_factors)
            u = centre + offset * tf.exp(-log_factors)
            log_prob = joint.line(raw).log_prob(u) - tf.reduce_sum(log_factors)
            of_joint = log_prob + tf.math.log_sigmoid(-flat)
            both = tf.reduce_logsumexp(tf.stack([of_joint, of_prior]), axis=0)
            loss = -tf.reduce_mean(both)
        return loss, tape.gradient(loss, log_factors)

    def plain(log_factors: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        loss, slope = loss_and_slope(tf.constant(log_factors, tf.float32))
        return float(loss), slope.numpy().astype(float)

    return np.exp(_minimum(plain, joint.dimensions, slope=True))


def fit_presence(
    logit: NDArray[np.floating], is_cluster: NDArray[np.bool_]
) -> tuple[float, float]:
    """Find the temperature and the offset under which labels are most likely.

    Parameters
    ----------
    logit : ndarray (N,)
        Logits of a cluster.
    is_cluster : ndarray of bool (N,)
        The labels.

    Returns
    -------
    temperature, offset : float
        As `Recalibration` has them.
    """
    logit = np.asarray(logit, float)

    def loss(x: NDArray[np.float64]) -> float:
        return -presence_log_prob(logit * math.exp(-x[0]) + x[1], is_cluster).mean()

    log_temperature, offset = _minimum(loss, 2)
    return math.exp(log_temperature), float(offset)


def fit_visibility(visibility: Any, log_snr: NDArray[np.floating]) -> float:
    """Find the factor on a distribution's scale under which visibilities are likeliest.

    Parameters
    ----------
    visibility : tfd.Distribution
        Batch (N,), with a mean.
    log_snr : ndarray (N,)
        True visibilities in dex.

    Returns
    -------
    float
        The factor.
    """
    mean = visibility.mean().numpy()
    offset = np.asarray(log_snr, np.float32) - mean

    def loss(x: NDArray[np.float64]) -> float:
        at = tf.constant(mean + offset * math.exp(-x[0]), tf.float32)
        return x[0] - float(tf.reduce_mean(visibility.log_prob(at)))

    return math.exp(_minimum(loss, 1)[0])


def _minimum(
    loss: Callable[[NDArray[np.float64]], Any], dimensions: int, slope: bool = False
) -> NDArray[np.float64]:
    """Return where a smooth function of logarithms of factors, or offsets, is least."""
    found = optimize.minimize(
        loss,
        np.zeros(dimensions),
        jac=slope or None,
        method="L-BFGS-B",
        bounds=[(-math.log(LARGEST), math.log(LARGEST))] * dimensions,
        # differences of single precision are noise below this
        options={} if slope else {"eps": 1e-3},
    )
    return found.x


def presence_log_prob(
    logit: NDArray[np.floating], is_cluster: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the log-probability of each label, (N,), from logits of a cluster (N,)."""
    return -np.logaddexp(0, np.where(is_cluster, -1, 1) * np.asarray(logit, float))
