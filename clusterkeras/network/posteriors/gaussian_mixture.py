"""A mixture of full-covariance Gaussians as joint posterior in the prior's box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import ndtri

from clusterkeras.network.posteriors.base import sobol
from clusterkeras.network.posteriors.line import LinePosterior
from clusterkeras.network.posteriors.transforms import cholesky_entries, fill_cholesky

tfd = tfp.distributions

#: Spread of the components' means before training; with the scale below, the mixture
#: then has the prior's mean and covariance.
START_SPREAD = 0.6
START_SCALE = (1 - START_SPREAD**2) ** 0.5


@keras.saving.register_keras_serializable(package="clusterkeras")
class MixturePosterior(LinePosterior):
    """Turn a network's plain outputs into a joint posterior: a Gaussian mixture.

    The Gaussians live on the real line, where the flat prior is a standard normal
    (`clusterkeras.network.posteriors.transforms`). Outputs of zero are the untrained
    posterior: means spread over the prior, and a density near the prior's.

    Parameters
    ----------
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.
    components : int
        Number of Gaussians, K.

    Attributes
    ----------
    n_outputs : int
        Outputs the network must give: K logits, then K P means, then K P (P + 1) / 2
        entries of the Cholesky factors.

    Raises
    ------
    ValueError
        On a number out of range.
    """

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        components: int = 12,
        **kwargs: Any,
    ) -> None:
        super().__init__(low, high, **kwargs)
        if components < 1:
            raise ValueError(f"components: expected at least 1; received {components}")
        self.components = components
        entries = cholesky_entries(self.dimensions)
        self.n_outputs = components * (1 + self.dimensions + entries)
        self._start_means = self._spread_means()

    def _spread_means(self) -> np.ndarray:
        """Spread means over the prior: mean 0, standard deviation START_SPREAD."""
        if self.components == 1:
            return np.zeros((1, self.dimensions), np.float32)
        power_of_two = 1 << (self.components - 1).bit_length()
        points = sobol(power_of_two, self.dimensions)[: self.components]
        means = ndtri(points)
        means = (means - means.mean(axis=0)) / means.std(axis=0)
        return (START_SPREAD * means).astype(np.float32)

    def parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Split the network's outputs into the mixture's parameters.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Any real values.

        Returns
        -------
        logits : tensor (B, K)
            Unnormalised log weights.
        means : tensor (B, K, P)
            Means on the real line.
        cholesky : tensor (B, K, P, P)
            Lower Cholesky factors of the covariances.

        Raises
        ------
        ValueError
            If the last axis has another length.
        """
        raw, k, p = self.check(raw), self.components, self.dimensions
        entries = cholesky_entries(p)
        logits, means, cholesky = tf.split(raw, [k, k * p, k * entries], axis=-1)
        means = tf.reshape(means, (-1, k, p)) + self._start_means
        cholesky = tf.reshape(cholesky, (-1, k, entries))
        return logits, means, fill_cholesky(cholesky, p, START_SCALE)

    def plain_line(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the mixture; see `LinePosterior.plain_line`."""
        logits, means, cholesky = self.parts(raw)
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=logits),
            tfd.MultivariateNormalTriL(means, cholesky),
        )

    def centre(self, raw: tf.Tensor, even: tf.Tensor | None = None) -> tf.Tensor:
        """Return the mixture's mean, exactly: (B, P)."""
        logits, means, _ = self.parts(raw)
        return tf.linalg.matvec(means, tf.nn.softmax(logits), transpose_a=True)

    def plain_carry(
        self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tf.Tensor:
        """Carry random numbers to draws; see `LinePosterior.plain_carry`."""
        logits, means, cholesky = self.parts(raw)
        cumulative = tf.cumsum(tf.nn.softmax(logits), axis=-1)
        chosen = tf.reduce_sum(
            tf.cast(uniform[..., None] > cumulative[:, None, :-1], tf.int32), axis=-1
        )
        return tf.gather(means, chosen, batch_dims=1) + tf.linalg.matvec(
            tf.gather(cholesky, chosen, batch_dims=1), normal
        )

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        return {**super().get_config(), "components": self.components}
