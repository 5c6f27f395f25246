"""Monotonic rational-quadratic splines on the real line, and their inverse.

Durkan, Bekasov, Murray & Papamakarios 2019, "Neural spline flows", NeurIPS 32,
section 3.1 and appendix A, after Gregory & Delbourgo 1982, IMA J. Numer. Anal. 2, 123:
between knots that rise, a ratio of two quadratics whose slope at each knot is given;
beyond the last knots, the identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

#: The spline differs from the identity between minus and plus this.
BOUND = 5.0

#: Least width and height of a bin as shares of the whole, and least slope at a knot.
MIN_SHARE = 1e-3
MIN_SLOPE = 1e-3


def spline_outputs(bins: int) -> int:
    """Return how many numbers make one spline: widths, heights, slopes between bins."""
    return 3 * bins - 1


def split_outputs(raw: Any, bins: int) -> tuple[Any, Any]:
    """Split the numbers that make splines, or weights of a layer that gives them.

    Parameters
    ----------
    raw : tensor (`spline_outputs` of K, ...)
        Any real values; zeros make the identity.
    bins : int
        K.

    Returns
    -------
    sizes : tensor (2 K, ...)
        Logarithms of the bins' widths, then of their heights.
    slopes : tensor (K - 1, ...)
        One a knot between bins.
    """
    return raw[: 2 * bins], raw[2 * bins :]


def spline(x: Any, sizes: Any, slopes: Any) -> tuple[Any, Any]:
    """Evaluate one spline at each point.

    Parameters
    ----------
    x : tensor (n,)
        Any real values.
    sizes, slopes : tensor (2 K, n), (K - 1, n)
        What makes them; see `split_outputs`. The points come last, so that all is done
        on whole rows of them.

    Returns
    -------
    y : tensor (n,)
        Values of the splines.
    log_slope : tensor (n,)
        Natural log of dy/dx.
    """
    ops = keras.ops
    inside = ops.clip(x, -BOUND, BOUND)
    chosen = _bin_at(inside, sizes, slopes, axis=0)
    y, slope = chosen.at((inside - chosen.x) / chosen.width)
    outside = ops.abs(x) > BOUND
    return ops.where(outside, x, y), ops.where(outside, 0.0, ops.log(slope))


def inverse_spline(y: Any, sizes: Any, slopes: Any) -> Any:
    """Return the x, (n,), at which `spline` is y."""
    ops = keras.ops
    inside = ops.clip(y, -BOUND, BOUND)
    chosen = _bin_at(inside, sizes, slopes, axis=1)
    x = chosen.x + chosen.width * chosen.share_at(inside - chosen.y)
    return ops.where(ops.abs(y) > BOUND, y, x)


def _sums(sizes: Any, bins: int) -> list[Any]:
    """Return the sum of widths, then of heights, before each knot: 2 K + 2 of (n,).

    They count from the first knot in a unit of their own. Each bin has its
    `MIN_SHARE` of the last sum.
    """
    ops = keras.ops
    knot = np.arange(bins + 1)
    before = knot[:, None] > np.arange(bins)
    least = MIN_SHARE / (1 - bins * MIN_SHARE) * knot[:, None]
    # a softmax, all its sums in one product; nobody needs e^30
    together = np.kron(np.eye(2), before + least).astype(np.float32)
    sums = ops.matmul(together, ops.exp(ops.clip(sizes, -30, 30)))
    return ops.unstack(sums, 2 * bins + 2, axis=0)


def _bin_at(place: Any, sizes: Any, slopes: Any, axis: int) -> _Bin:
    """Return the bin in which each place lies along x (axis 0) or y (axis 1)."""
    ops = keras.ops
    bins = slopes.shape[0] + 1
    sums = _sums(sizes, bins)
    x, y = sums[: bins + 1], sums[bins + 1 :]
    # scaled are the few numbers that are needed, not the knots of all bins
    units = [2 * BOUND / knots[-1] for knots in (x, y)]
    level = (place + BOUND) / units[axis]
    # raw slopes of zero are slopes of one, those of the identity beyond the last knots
    knots = (x, y, [0.0, *ops.unstack(slopes, bins - 1, axis=0), 0.0])
    left, right = ([numbers[i] for numbers in knots] for i in (0, 1))
    for i in range(1, bins):
        reached = level >= knots[axis][i]
        for side, j in ((left, i), (right, i + 1)):
            for which, numbers in enumerate(knots):
                side[which] = ops.where(reached, numbers[j], side[which])
    offset = float(np.log(np.expm1(1 - MIN_SLOPE)))
    return _Bin(
        left[0] * units[0] - BOUND,
        left[1] * units[1] - BOUND,
        (right[0] - left[0]) * units[0],
        (right[1] - left[1]) * units[1],
        ops.softplus(left[2] + offset) + MIN_SLOPE,
        ops.softplus(right[2] + offset) + MIN_SLOPE,
    )


@dataclass(frozen=True)
class _Bin:
    """One bin of each of n splines.

    Attributes
    ----------
    x, y : tensor (n,)
        Its left lower corner.
    width, height : tensor (n,)
        Its size.
    left, right : tensor (n,)
        Slope at its two knots.
    """

    x: Any
    y: Any
    width: Any
    height: Any
    left: Any
    right: Any

    def at(self, share: Any) -> tuple[Any, Any]:
        """Return value and slope at a share of the width; equations 4 and 5."""
        mean = self.height / self.width
        rest = 1 - share
        both = share * rest
        below = mean + (self.left + self.right - 2 * mean) * both
        y = self.y + self.height * (mean * share * share + self.left * both) / below
        slope = self.right * share * share + 2 * mean * both + self.left * rest * rest
        ratio = mean / below
        return y, ratio * ratio * slope

    def share_at(self, up: Any) -> Any:
        """Return the share of the width at a height above the corner; equations 6-8."""
        ops = keras.ops
        mean = self.height / self.width
        bend = up * (self.left + self.right - 2 * mean)
        a = self.height * (mean - self.left) + bend
        b = self.height * self.left - bend
        c = mean * up
        # the root that does not cancel
        root = ops.sqrt(ops.maximum(b * b + 4 * a * c, 0.0))
        return ops.clip(2 * c / (b + root), 0.0, 1.0)
