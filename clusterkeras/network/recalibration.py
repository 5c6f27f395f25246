"""Few numbers that bring a trained model's probabilities nearer to the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Recalibration:
    """Few numbers that bring a trained model's probabilities nearer to the truth.

    The values by default change nothing.

    Attributes
    ----------
    stretch : tuple of float or None
        Factor, parameter by parameter, by which the posterior is made wider on the
        line where the prior is a normal; see
        `clusterkeras.network.posteriors.line.LinePosterior`. None for none.
    presence_temperature, presence_offset : float
        The logit of ``p_cluster`` is divided by the first, then the second is added.
    visibility_factor : float
        Factor by which the visibility's distribution is made wider about its mean.

    Raises
    ------
    ValueError
        If one that must be above 0 is not.
    """

    stretch: tuple[float, ...] | None = None
    presence_temperature: float = 1.0
    presence_offset: float = 0.0
    visibility_factor: float = 1.0

    def __post_init__(self) -> None:
        """Check the factors."""
        if self.stretch is not None:
            object.__setattr__(self, "stretch", tuple(map(float, self.stretch)))
        factors = (
            *(self.stretch or ()),
            self.presence_temperature,
            self.visibility_factor,
        )
        if not all(factor > 0 for factor in factors):
            raise ValueError(
                f"recalibration: expected factors above 0; received {self}"
            )

    def presence(self, logit: Any) -> Any:
        """Return the logit of ``p_cluster`` that stands for `logit`, of any shape."""
        return logit / self.presence_temperature + self.presence_offset
