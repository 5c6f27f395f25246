"""Ensemble: several trained networks as one equally weighted mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.config import ModelConfig
from clusterkeras.network.model import ClusterModel
from clusterkeras.network.posterior_model import SHARED, PosteriorModel, log_shares
from clusterkeras.network.posteriors.equal_mixture import EnsemblePosterior
from clusterkeras.network.recalibration import Recalibration

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="clusterkeras")
class Ensemble(PosteriorModel):
    """Let trained networks speak as one: the mixture of what they say, equal shares.

    The posterior of the parameters and the distribution of the visibility are the
    members' mixtures; ``p_cluster`` is the mean of the members' probabilities. It takes
    the place of a `ClusterModel` everywhere but in training.

    Parameters
    ----------
    members : sequence of ClusterModel
        Two or more; the ensemble takes the first one's target. Each keeps its own
        recalibration.
    recalibration : dict or Recalibration, optional
        What was found for the ensemble as a whole; without, none.

    Raises
    ------
    ValueError
        If there are fewer than two members, one is no `ClusterModel`, or they differ
        in bands, cutout, pixel scale, box or the training sets' shares of kinds.

    Examples
    --------
    >>> from clusterkeras import ClusterModel, Ensemble, ModelConfig
    >>> from data_tools import Target
    >>> config = ModelConfig(backbone="resnet_tiny", posterior="mixture", hidden=8)
    >>> target = Target.load("m83-wfc3-uvis")
    >>> both = Ensemble([ClusterModel(target, config) for _ in range(2)])
    >>> len(both.members)
    2
    """

    def __init__(
        self,
        members: Sequence[ClusterModel],
        recalibration: dict[str, Any] | Recalibration | None = None,
        **kwargs: Any,
    ) -> None:
        _check_alike(members)
        first = members[0]
        super().__init__(first.target, recalibration, **{"name": "ensemble", **kwargs})
        self.members = list(members)
        self.cluster_share, self.negatives = first.cluster_share, first.negatives
        self.joint = EnsemblePosterior(
            [member.joint for member in members], self.recalibration.stretch
        )
        self.build((None, *self.image_shape))

    @property
    def config(self) -> tuple[ModelConfig, ...]:
        """Shapes of the members' networks."""
        return tuple(member.config for member in self.members)

    @property
    def takes_context(self) -> bool:
        """Whether one of its members can be told what is known beside the pixels."""
        return any(member.takes_context for member in self.members)

    @property
    def tells_kinds(self) -> bool:
        """Whether all of its members tell all kinds apart."""
        return all(member.tells_kinds for member in self.members)

    def look(self, images: tf.Tensor, training: bool | None = None) -> list[Any]:
        """Return what each member sees."""
        return [member.look(images, training) for member in self.members]

    def answer(
        self,
        seen: list[Any],
        context: dict[str, tf.Tensor],
        training: bool | None = None,
    ) -> dict[str, tf.Tensor]:
        """Bring the members' answers together; see `PosteriorModel.answer`.

        ``visibility`` and ``features`` are those of the members next to each other,
        ``presence`` is the logit of the mean probability, ``unlike_mocks`` the mean.
        ``posterior`` has the members' own, how much of each is not the flat prior, and
        the logit of the mean share that is: the mean of the members' densities.
        """
        outputs = [
            member.answer(one, context, training)
            for member, one in zip(self.members, seen, strict=True)
        ]
        together = {
            name: tf.concat([output[name] for output in outputs], axis=-1)
            for name in ("visibility", "features")
        }
        presence = tf.concat([output["presence"] for output in outputs], axis=-1)
        flat = tf.concat([output["posterior"][:, -1:] for output in outputs], axis=-1)
        own = [output["posterior"][:, :-1] for output in outputs]
        posterior = [*own, tf.math.log_sigmoid(-flat), _mean_logit(flat)]
        unlike = tf.stack([output["unlike_mocks"] for output in outputs])
        together |= {
            "posterior": tf.concat(posterior, axis=-1),
            "presence": self.recalibration.presence(_mean_logit(presence)),
            "unlike_mocks": tf.reduce_mean(unlike, axis=0),
        }
        if self.tells_kinds:
            kinds = tf.stack([output["kinds"][:, 1:] for output in outputs])
            rest = tf.reduce_logsumexp(kinds, axis=0)
            rest -= tf.reduce_logsumexp(rest, axis=1, keepdims=True)
            together["kinds"] = log_shares(together["presence"], rest)
        return together

    def visibility(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the mixture of the members' normals; see `PosteriorModel.visibility`.

        A recalibration widens it about its mean.
        """
        parts = tf.split(raw, len(self.members), axis=-1)
        normals = [
            m.visibility(part) for m, part in zip(self.members, parts, strict=True)
        ]
        means, scales = (
            tf.stack([getattr(normal, name) for normal in normals], axis=-1)
            for name in ("loc", "scale")
        )
        mean = tf.reduce_mean(means, axis=-1, keepdims=True)
        factor = self.recalibration.visibility_factor
        return tfd.MixtureSameFamily(
            tfd.Categorical(logits=tf.zeros_like(means)),
            tfd.Normal(mean + factor * (means - mean), factor * scales),
        )

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        config = super().get_config()
        # the members say which target it is
        del config["target"]
        serialize = keras.saving.serialize_keras_object
        return {**config, "members": [serialize(member) for member in self.members]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Ensemble:
        """Build an ensemble from what `get_config` gives."""
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{**config, "members": [deserialize(m) for m in config["members"]]})


def _mean_logit(logits: tf.Tensor) -> tf.Tensor:
    """Return the logit (B, 1) of the mean of probabilities whose logits are (B, K)."""
    # from logarithms that a sure network does not exhaust
    one, other = (
        tf.reduce_logsumexp(tf.math.log_sigmoid(sign * logits), 1, keepdims=True)
        for sign in (1, -1)
    )
    return one - other


def _check_alike(members: Sequence[Any]) -> None:
    kinds = [type(member).__name__ for member in members]
    if len(members) < 2 or set(kinds) != {"ClusterModel"}:
        raise ValueError(
            f"ensemble: expected two or more ClusterModel; received {kinds}"
        )
    first = members[0]
    for number, member in enumerate(members[1:], 2):
        pairs = {
            name: (getattr(first.target, name), getattr(member.target, name))
            for name in SHARED
        }
        for name in ("cluster_share", "negatives"):
            pairs[name] = (getattr(first, name), getattr(member, name))
        for name, (expected, received) in pairs.items():
            if expected != received:
                raise ValueError(
                    f"ensemble: expected members of one {name}, {expected} as the "
                    f"first; received {received} from member {number}"
                )
