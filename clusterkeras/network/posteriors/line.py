"""Posteriors on the real line, carried to the prior's box, and their stretch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from clusterkeras.network.posteriors.base import SUMMARY_POINTS, Posterior
from clusterkeras.network.posteriors.transforms import BoxProbit, InBox, line_to_box

tfb, tfd = tfp.bijectors, tfp.distributions


class LinePosterior(Posterior):
    """A posterior on the line where the flat prior is a standard normal.

    A subclass says what its density on the line is (`plain_line`) and where it carries
    random numbers there (`plain_carry`). It may then be stretched, parameter by
    parameter, about its own mean m: with ``u' = m + T (u - m)`` the density becomes
    ``log p'(u') = log p(m + (u' - m) / T) - sum log T``, still normalised. T above 1
    makes a posterior wider that is too narrow.

    Parameters
    ----------
    low, high : sequence of float (P,)
        Edges of the prior's box in the parameters' own units.
    stretch : sequence of float (P,), optional
        The factors T, above 0; without, none.

    Raises
    ------
    ValueError
        If the factors are not P numbers above 0.
    """

    def __init__(
        self,
        low: Sequence[float],
        high: Sequence[float],
        stretch: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(low, high, **kwargs)
        self.stretch = None
        if stretch is not None:
            self.stretch = np.asarray(stretch, np.float32)
            if self.stretch.shape != self.low.shape or not (self.stretch > 0).all():
                raise ValueError(
                    f"stretch: expected {self.dimensions} factors above 0; received "
                    f"{self.stretch.tolist()}"
                )

    def plain_line(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the density on the line before any stretch.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.

        Returns
        -------
        tfd.Distribution
            Batch shape (B,), event shape (P,).
        """
        raise NotImplementedError

    def plain_carry(
        self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tf.Tensor:
        """Carry random numbers to draws on the line before any stretch.

        Parameters
        ----------
        raw, uniform, normal : tensor
            As `Posterior.carry`.

        Returns
        -------
        tensor (B, n, P)
            Distributed as `plain_line`.
        """
        raise NotImplementedError

    def centre(self, raw: tf.Tensor, even: tf.Tensor | None = None) -> tf.Tensor:
        """Return the mean on the line, the same each time: (B, P).

        It comes from the points that `summarise` reads from, where a subclass does not
        know it exactly.

        Parameters
        ----------
        raw : tensor (B, n_outputs)
            Outputs of the network.
        even : tensor (B, n, P), optional
            Those points before any stretch, if they are at hand.
        """
        if even is None:
            even = self.plain_carry(raw, *self.summary_numbers(tf.shape(raw)[0]))
        return tf.reduce_mean(even, axis=1)

    def line(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the density on the line, stretched: batch (B,), event (P,)."""
        plain = self.plain_line(raw)
        if self.stretch is None:
            return plain
        shift = tfb.Shift(self.centre(raw) * (1 - self.stretch))
        return tfd.TransformedDistribution(plain, shift(tfb.Scale(self.stretch)))

    def carry_line(
        self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor
    ) -> tf.Tensor:
        """Carry random numbers to draws (B, n, P) from `line`; see `plain_carry`."""
        return self._stretched(raw, self.plain_carry(raw, uniform, normal))

    def _stretched(
        self, raw: tf.Tensor, u: tf.Tensor, even: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Stretch draws `u` (B, n, P) about the `centre`."""
        if self.stretch is None:
            return u
        centre = self.centre(raw, even)[:, None]
        return centre + self.stretch * (u - centre)

    def distribution(self, raw: tf.Tensor) -> tfd.Distribution:
        """Build the posterior; see `Posterior.distribution`."""
        return InBox(self.line(raw), BoxProbit(self.low, self.high))

    def carry(self, raw: tf.Tensor, uniform: tf.Tensor, normal: tf.Tensor) -> tf.Tensor:
        """Carry random numbers to draws; see `Posterior.carry`."""
        return line_to_box(self.carry_line(raw, uniform, normal), self.low, self.high)

    def even_draws(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return draws that stand evenly; see `Posterior.even_draws`.

        They are carried once, and say where the centre is as well.
        """
        uniform, normal = self.summary_numbers(tf.shape(raw)[0])
        even = self.plain_carry(raw, uniform, normal)
        draws = line_to_box(self._stretched(raw, even, even), self.low, self.high)
        return draws, tf.ones_like(uniform) / SUMMARY_POINTS

    def get_config(self) -> dict[str, Any]:
        """Return all arguments, as plain values."""
        stretch = None if self.stretch is None else self.stretch.tolist()
        return {**super().get_config(), "stretch": stretch}
