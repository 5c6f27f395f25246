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


def spline(x: Any, raw: Any, bins: int) -> tuple[Any, Any]:
    """Evaluate one spline at each point.

    Parameters
    ----------
    x : tensor (n,)
        Any real values.
    raw : tensor (n, `spline_outputs` of K)
        Any real values; zeros make the identity.
    bins : int
        K.

    Returns
    -------
    y : tensor (n,)
        Values of the splines.
    log_slope : tensor (n,)
        Natural log of dy/dx.
    """
    ops = keras.ops
    inside = ops.clip(x, -BOUND, BOUND)
    chosen = _bin_at(inside, raw, bins, axis=0)
    y, slope = chosen.at((inside - chosen.x) / chosen.width)
    outside = ops.abs(x) > BOUND
    return ops.where(outside, x, y), ops.where(outside, 0.0, ops.log(slope))


def inverse_spline(y: Any, raw: Any, bins: int) -> Any:
    """Return the x, (n,), at which `spline` is y."""
    ops = keras.ops
    inside = ops.clip(y, -BOUND, BOUND)
    chosen = _bin_at(inside, raw, bins, axis=1)
    x = chosen.x + chosen.width * chosen.share_at(inside - chosen.y)
    return ops.where(ops.abs(y) > BOUND, y, x)


def _knots(raw: Any, bins: int) -> tuple[Any, Any]:
    """Return x and y of each knot, (n, 2, K + 1), and its raw slope, (n, K + 1)."""
    ops = keras.ops
    # a softmax, its sums before each knot in one product; nobody needs e^30
    sizes = ops.exp(ops.clip(ops.reshape(raw[:, : 2 * bins], (-1, bins)), -30, 30))
    knot = np.arange(bins + 1)
    before = (np.arange(bins)[:, None] < knot).astype(np.float32)
    sums = ops.matmul(sizes, before)
    least = (2 * BOUND * MIN_SHARE * knot - BOUND).astype(np.float32)
    places = least + (2 * BOUND * (1 - bins * MIN_SHARE) / sums[:, -1:]) * sums
    # raw slopes of zero are slopes of one, those of the identity beyond the last knots
    slopes = ops.pad(raw[:, 2 * bins :], ((0, 0), (1, 1)))
    return ops.reshape(places, (-1, 2, bins + 1)), slopes


def _bin_at(place: Any, raw: Any, bins: int, axis: int) -> _Bin:
    """Return the bin in which each place lies along x (axis 0) or y (axis 1)."""
    ops = keras.ops
    places, slopes = _knots(raw, bins)
    reached = place[:, None] >= places[:, axis, 1:-1]
    bin_ = ops.sum(ops.cast(reached, "int32"), axis=-1)
    # the numbers of both knots in one gather from the flat tensor
    row = ops.arange(ops.shape(place)[0], dtype="int32")
    first = (row * (2 * bins + 2) + bin_)[:, None]
    columns = np.array([0, 1, bins + 1, bins + 2], np.int32)
    found = ops.take(ops.reshape(places, -1), first + columns)
    x, right_x, y, right_y = ops.unstack(found, 4, axis=-1)
    first = (row * (bins + 1) + bin_)[:, None]
    found = ops.take(ops.reshape(slopes, -1), first + np.array([0, 1], np.int32))
    offset = float(np.log(np.expm1(1 - MIN_SLOPE)))
    left, right = ops.unstack(ops.softplus(found + offset) + MIN_SLOPE, 2, axis=-1)
    return _Bin(x, y, right_x - x, right_y - y, left, right)


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
