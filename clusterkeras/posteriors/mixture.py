"""A mixture of full-covariance Gaussians as joint posterior in the prior's box."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy.special import ndtri
from scipy.stats import qmc

from clusterkeras.posteriors.transforms import BoxProbit, InBox, line_to_box

tfd = tfp.distributions

#: Smallest standard deviation along an axis of a component, where the prior's is 1.
SCALE_FLOOR = 1e-3

#: Spread of the components' means before training; with the scale below, the mixture
#: then has the prior's mean and covariance.
START_SPREAD = 0.6
START_SCALE = (1 - START_SPREAD**2) ** 0.5

#: Points of the fixed set from which `MixturePosterior.summarise` reads.
SUMMARY_POINTS = 1024

#: Cumulative probabilities of median, lower and upper: the normal's ±1 sigma.
QUANTILES = {"median": 0.5, "lower": 0.15865525, "upper": 0.84134475}


def _sobol(points: int, dimensions: int) -> np.ndarray:
    """Give the first `points` (a power of two) Sobol points, none on an edge."""
    sequence = qmc.Sobol(dimensions, scramble=False)
    return sequence.random_base2(points.bit_length() - 1) + 0.5 / points


class MixturePosterior:
    """Turn a network's plain outputs into a joint posterior of the parameters.

    The Gaussians live on the real line, where the flat prior is a standard normal
    (`clusterkeras.posteriors.transforms`). Outputs of zero are the untrained
    posterior: means spread over the prior, and a density near the prior's.

    Parameters
    ----------
    components : int
        Number of Gaussians, K.
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.

    Attributes
    ----------
    n_outputs : int
        Outputs the network must give: K logits, then K P means, then K P (P + 1) / 2
        entries of the Cholesky factors.
    """

    def __init__(
        self, components: int, low: Sequence[float], high: Sequence[float]
    ) -> None:
        if components < 1:
            raise ValueError(f"components: expected at least 1; received {components}")
        low, high = np.asarray(low, np.float32), np.asarray(high, np.float32)
        if low.ndim != 1 or low.shape != high.shape or not (low < high).all():
            raise ValueError(
                "low, high: expected two sequences of one length, low < high; "
                f"received {low.tolist()} and {high.tolist()}"
            )
        self.components = components
        self.low, self.high = low, high
        self.dimensions = len(low)
        self._per_cholesky = self.dimensions * (self.dimensions + 1) // 2
        self.n_outputs = components * (1 + self.dimensions + self._per_cholesky)
        self._start_means = self._spread_means()
        self._fill = self._fill_matrix()
        points = _sobol(SUMMARY_POINTS, 1 + self.dimensions)
        self._summary_uniform = points[:, 0].astype(np.float32)
        self._summary_normal = ndtri(points[:, 1:]).astype(np.float32)

    def _spread_means(self) -> np.ndarray:
        """Spread means over the prior: mean 0, standard deviation START_SPREAD."""
        if self.components == 1:
            return np.zeros((1, self.dimensions), np.float32)
        power_of_two = 1 << (self.components - 1).bit_length()
        points = _sobol(power_of_two, self.dimensions)[: self.components]
        means = ndtri(points)
        means = (means - means.mean(axis=0)) / means.std(axis=0)
        return (START_SPREAD * means).astype(np.float32)

    def _fill_matrix(self) -> np.ndarray:
        """Place a vector of entries in a lower triangle, row by row, as a matmul."""
        rows, columns = np.tril_indices(self.dimensions)
        fill = np.zeros((self._per_cholesky, self.dimensions**2), np.float32)
        fill[np.arange(self._per_cholesky), rows * self.dimensions + columns] = 1
        return fill

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
            Lower Cholesky factors of the covariances, diagonal above SCALE_FLOOR.

        Raises
        ------
        ValueError
            If the last axis has another length.
        """
        raw = tf.convert_to_tensor(raw, tf.float32)
        if raw.shape[-1] != self.n_outputs:
            raise ValueError(
                f"posterior: expected (batch, {self.n_outputs}) outputs of the "
                f"network; received shape {tuple(raw.shape)}"
            )
        k, p = self.components, self.dimensions
        logits, means, entries = tf.split(
            raw, [k, k * p, k * self._per_cholesky], axis=-1
        )
        means = tf.reshape(means, (-1, k, p)) + self._start_means
        entries = tf.reshape(entries, (-1, self._per_cholesky)) @ self._fill
        lower = tf.reshape(entries, (-1, k, p, p))
        # softplus(0 + offset) + floor is the start's scale
        offset = np.log(np.expm1(START_SCALE - SCALE_FLOOR)).astype(np.float32)
        diagonal = tf.math.softplus(tf.linalg.diag_part(lower) + offset) + SCALE_FLOOR
        return logits, means, tf.linalg.set_diag(lower, diagonal)

    def distribution(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the posterior over the parameters in their own units.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.

        Returns
        -------
        tfd.Distribution
            Batch shape (B,), event shape (P,); zero density outside the box.
        """
        logits, means, cholesky = self.parts(raw)
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(logits=logits),
            tfd.MultivariateNormalTriL(means, cholesky),
        )
        return InBox(mixture, BoxProbit(self.low, self.high))

    def _at(self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
        """Carry uniform (B, n) and normal (B, n, P) numbers to draws (B, n, P)."""
        logits, means, cholesky = self.parts(raw)
        cumulative = tf.cumsum(tf.nn.softmax(logits), axis=-1)
        chosen = tf.reduce_sum(
            tf.cast(uniform[..., None] > cumulative[:, None, :-1], tf.int32), axis=-1
        )
        u = tf.gather(means, chosen, batch_dims=1) + tf.linalg.matvec(
            tf.gather(cholesky, chosen, batch_dims=1), normal
        )
        return line_to_box(u, self.low, self.high)

    def draw(self, raw: tf.Tensor, seed: tf.Tensor, n: int) -> tf.Tensor:
        """Draw from the posterior, with TensorFlow's own operations alone.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.
        seed : tensor (B,) int32
            A row's draws depend on its own seed and outputs only, not on its place.
        n : int
            Draws a row.

        Returns
        -------
        tensor (B, n, P)
            Independent draws in the parameters' own units, inside the box.
        """
        p = self.dimensions

        def numbers(row_seed: tf.Tensor) -> tf.Tensor:
            for_uniform, for_normal = tf.stack([row_seed, 0]), tf.stack([row_seed, 1])
            uniform = tf.random.stateless_uniform((n, 1), for_uniform, alg="philox")
            normal = tf.random.stateless_normal((n, p), for_normal, alg="philox")
            return tf.concat([uniform, normal], axis=-1)

        seed = tf.cast(tf.convert_to_tensor(seed), tf.int32)
        signature = tf.TensorSpec((n, 1 + p), tf.float32)
        drawn = tf.map_fn(numbers, seed, fn_output_signature=signature)
        return self._at(raw, drawn[..., 0], drawn[..., 1:])

    def summarise(self, raw: tf.Tensor) -> dict[str, tf.Tensor]:
        """Summarise the posterior, the same way each time.

        The numbers come from `SUMMARY_POINTS` Sobol points carried through the
        posterior, which is more exact than as many random draws.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.

        Returns
        -------
        dict of str to tensor
            ``median``, ``lower``, ``upper`` (16 and 84 %), ``mean``: (B, P);
            ``covariance``: (B, P, P); in the parameters' own units.
        """
        batch = tf.shape(raw)[0]
        shape = (batch, SUMMARY_POINTS)
        draws = self._at(
            raw,
            tf.broadcast_to(self._summary_uniform, shape),
            tf.broadcast_to(self._summary_normal, (*shape, self.dimensions)),
        )
        ordered = tf.sort(tf.transpose(draws, (0, 2, 1)), axis=-1)
        summary = {}
        for name, probability in QUANTILES.items():
            place = probability * SUMMARY_POINTS - 0.5
            below = int(place)
            step = ordered[..., below + 1] - ordered[..., below]
            summary[name] = ordered[..., below] + (place - below) * step
        mean = tf.reduce_mean(draws, axis=1)
        residual = draws - mean[:, None, :]
        summary["mean"] = mean
        summary["covariance"] = (
            tf.matmul(residual, residual, transpose_a=True) / SUMMARY_POINTS
        )
        return summary
