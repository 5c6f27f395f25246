"""A posterior mixed with the flat prior, the more so the less its image is known."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.network.posteriors.base import Posterior, sobol
from clusterkeras.network.posteriors.transforms import BoxProbit, InBox, line_to_box

tfd = tfp.distributions

#: Share of the flat prior where an image is like the mocks, and where it is not at all.
LEAST_SHARE = 1e-3
MOST_SHARE = 0.9

#: Score of likeness, log10 of the share of the mocks that are further out, at which an
#: image is as likely not of the mocks' kind as of it. Closer to 0 rare mocks lose what
#: is known of them; further down what is far from all mocks stays too sure.
EVEN_ODDS = -4.0

#: Points that stand for the prior in summaries.
PRIOR_POINTS = 64


def flat_logit(unlike_mocks: tf.Tensor) -> tf.Tensor:
    """Return the logit of the flat prior's share in a posterior.

    From `LEAST_SHARE` it climbs to `MOST_SHARE` as the probability that the image is
    not of the mocks' kind, by Bayes' theorem: the shares of mocks that are further out,
    10^score, are even from 0 to 1, and the scores of other images are taken to be even
    from 0 down, so that the odds are 10^(`EVEN_ODDS` - score).

    Parameters
    ----------
    unlike_mocks : tensor (...)
        Score of the image, as `clusterkeras.network.layers.unlike.UnlikeMocks` gives
        it; NaN, of a model that has none, counts as like the mocks.

    Returns
    -------
    tensor (...)
        Never falls where the score falls.
    """
    known = tf.where(tf.math.is_nan(unlike_mocks), math.inf, unlike_mocks)
    other = tf.math.sigmoid(math.log(10) * (EVEN_ODDS - known))
    share = LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * other
    return tf.math.log(share) - tf.math.log1p(-share)


@keras.saving.register_keras_serializable(package="clusterkeras")
class WithFlatPrior(Posterior):
    """Mix a posterior with the flat prior of its box: p = (1 - eps) q + eps / volume.

    So no density is below eps / volume, and none can be sure of nonsense.

    Parameters
    ----------
    posterior : Posterior
        The q.

    Attributes
    ----------
    n_outputs : int
        Those of the posterior, and at last the logit of eps; see `flat_logit`.
    """

    def __init__(self, posterior: Posterior, **kwargs: Any) -> None:
        super().__init__(posterior.low, posterior.high, **kwargs)
        self.posterior = posterior
        self.n_outputs = posterior.n_outputs + 1
        points = sobol(PRIOR_POINTS, self.dimensions)
        self._prior_points = self.low + (self.high - self.low) * points.astype("f4")

    def parts(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Split the outputs into the posterior's, and the logit of eps (B,)."""
        raw = self.check(raw)
        return raw[:, :-1], raw[:, -1]

    def distribution(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the mixture; see `Posterior.distribution`."""
        raw, share = self.parts(raw)
        # on the line, where the prior is normal, it has a density at the edges too
        normal = tfd.MultivariateNormalDiag(tf.zeros((tf.shape(raw)[0], len(self.low))))
        logits = tf.stack([tf.zeros_like(share), share], axis=-1)
        return tfd.Mixture(
            tfd.Categorical(logits=logits),
            [
                self.posterior.distribution(raw),
                InBox(normal, BoxProbit(self.low, self.high)),
            ],
        )

    def carry(self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
        """Carry random numbers to draws; see `Posterior.carry`.

        The uniform number says from which of the two, and what it says beyond that is
        the posterior's own.
        """
        raw, share = self.parts(raw)
        eps = tf.math.sigmoid(share)[:, None]
        rest = tf.maximum((uniform - eps) / (1 - eps), 0)
        return tf.where(
            (uniform < eps)[..., None],
            line_to_box(normal, self.low, self.high),
            self.posterior.carry(raw, rest, normal),
        )

    def even_draws(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the posterior's even draws and `PRIOR_POINTS` of the prior, weighed.

        So eps may be far below one in their number; see `Posterior.even_draws`.
        """
        raw, share = self.parts(raw)
        draws, weights = self.posterior.even_draws(raw)
        of_prior = (tf.shape(raw)[0], *self._prior_points.shape)
        # NaN of a row without an answer is the share's too
        each = tf.math.sigmoid(share)[:, None] / PRIOR_POINTS
        return (
            tf.concat([draws, tf.broadcast_to(self._prior_points, of_prior)], axis=1),
            tf.concat(
                [
                    weights * tf.math.sigmoid(-share)[:, None],
                    tf.repeat(each, PRIOR_POINTS, axis=1),
                ],
                axis=1,
            ),
        )

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        config = super().get_config()
        # the posterior says which box it is
        del config["low"], config["high"]
        return {
            **config,
            "posterior": keras.saving.serialize_keras_object(self.posterior),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WithFlatPrior:
        """Build a posterior from what `get_config` gives."""
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{**config, "posterior": deserialize(config["posterior"])})
