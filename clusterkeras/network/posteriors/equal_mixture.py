"""Several posteriors as one mixture of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.network.posteriors.line import LinePosterior

tfd = tfp.distributions


@keras.saving.register_keras_serializable(package="clusterkeras")
class EnsemblePosterior(LinePosterior):
    """Mix the posteriors of several networks, in shares that the outputs say.

    Parameters
    ----------
    members : sequence of LinePosterior
        The posteriors, over one box; the outputs of their networks stand next to each
        other in this order, the logs of their shares behind them all. A member keeps
        its own stretch.
    stretch : sequence of float (P,), optional
        Factors that stretch the mixture; see `LinePosterior`.

    Attributes
    ----------
    n_outputs : int
        Outputs of all members' networks together, and K logs of shares, which need not
        add up to one.

    Raises
    ------
    ValueError
        If there is no member, one has no density on the line (the grid), or their
        boxes differ.
    """

    def __init__(
        self,
        members: Sequence[LinePosterior],
        stretch: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        kinds = [type(member).__name__ for member in members]
        if not members or not all(isinstance(m, LinePosterior) for m in members):
            raise ValueError(
                "ensemble: expected members with a mixture or a flow as posterior; "
                f"received {kinds}"
            )
        super().__init__(members[0].low, members[0].high, stretch, **kwargs)
        for member in members:
            if not np.array_equal([member.low, member.high], [self.low, self.high]):
                raise ValueError(
                    "ensemble: expected members over one box, "
                    f"{self.low.tolist()} to {self.high.tolist()}; received "
                    f"{member.low.tolist()} to {member.high.tolist()}"
                )
        self.members = list(members)
        self.n_outputs = sum(member.n_outputs + 1 for member in members)

    def parts(self, raw: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Split the outputs into those of each member's network, and shares (B, K)."""
        sizes = [member.n_outputs for member in self.members]
        *parts, logits = tf.split(self.check(raw), [*sizes, len(sizes)], axis=-1)
        return parts, tf.nn.softmax(logits)

    def plain_line(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the mixture; see `LinePosterior.plain_line`."""
        parts, shares = self.parts(raw)
        return tfd.Mixture(
            tfd.Categorical(probs=shares),
            [m.line(part) for m, part in zip(self.members, parts, strict=True)],
        )

    def centre(self, raw: tf.Tensor, even: tf.Tensor | None = None) -> tf.Tensor:
        """Return the mean of the members' centres: (B, P)."""
        parts, shares = self.parts(raw)
        centres = [m.centre(part) for m, part in zip(self.members, parts, strict=True)]
        return tf.linalg.matvec(tf.stack(centres, axis=-1), shares)

    def plain_carry(
        self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tf.Tensor:
        """Carry random numbers to draws; see `LinePosterior.plain_carry`.

        The uniform number chooses the member, and what it says beyond that is the
        member's own uniform number. Each member carries all normal numbers: K times
        the work of one.
        """
        parts, shares = self.parts(raw)
        draws, before = tf.zeros_like(normal), tf.zeros_like(shares[:, :1])
        for k, (member, part) in enumerate(zip(self.members, parts, strict=True)):
            rest = tf.clip_by_value((uniform - before) / shares[:, k : k + 1], 0, 1)
            own = member.carry_line(part, rest, normal)
            draws = tf.where((uniform >= before)[..., None], own, draws)
            before += shares[:, k : k + 1]
        return draws

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        config = super().get_config()
        # the members say which box it is
        del config["low"], config["high"]
        serialize = keras.saving.serialize_keras_object
        return {**config, "members": [serialize(member) for member in self.members]}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EnsemblePosterior:
        """Build a posterior from what `get_config` gives."""
        deserialize = keras.saving.deserialize_keras_object
        return cls(**{**config, "members": [deserialize(m) for m in config["members"]]})
