"""Regions of highest density of a posterior, as few bytes as a page can draw.

A region is a set of polygons, and each is bytes ``region, n, x0, y0, x1, y1, …``:
``region`` counts the planes and in each the `SHARES`, plus `HOLE` for the inside of the
polygon before it; the n places are 255ths of the posterior's own window.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from contourpy import contour_generator
from numpy.typing import NDArray

from clusterkeras.diagnostics.metrics.contours import SHARES, density, levels
from data_tools.schema import PARAMETER_NAMES

#: The planes whose contours the page shows, as parameters along x and y.
PLANES = (("log_age", "a_v"), ("log_age", "log_mass"))

#: Added to a region's number where the polygon is a hole.
HOLE = 128

#: Cells of a side of the window.
CELLS = 48

#: What the window is wider than the draws, on each side, as a share of their range.
_MARGIN = 0.1

_STEPS = 255


@dataclass(frozen=True)
class Window:
    """The part of the box that holds a posterior.

    Attributes
    ----------
    low, high : ndarray of float32, shape (P,)
        Its edges in the parameters' own units.
    """

    low: NDArray[np.float32]
    high: NDArray[np.float32]


def window_of(
    draws: NDArray[np.floating], box: Mapping[str, tuple[float, float]]
) -> Window:
    """Return the part of the box that holds draws (S, P), and a margin."""
    low, high = np.transpose([box[name] for name in PARAMETER_NAMES])
    margin = _MARGIN * np.ptp(draws, axis=0) + 1e-3 * (high - low)
    return Window(
        np.maximum(low, draws.min(axis=0) - margin).astype(np.float32),
        np.minimum(high, draws.max(axis=0) + margin).astype(np.float32),
    )


def encode(draws: NDArray[np.floating], window: Window) -> bytes:
    """Return the regions of all `PLANES` and `SHARES` of draws (S, P) as bytes."""
    coded = bytearray()
    for i, plane in enumerate(PLANES):
        axes = [PARAMETER_NAMES.index(name) for name in plane]
        low, high = window.low[axes], window.high[axes]
        found = _levels(draws, window, plane)
        for j, share in enumerate(SHARES):
            for polygon in _filled(*found, share):
                for k, ring in enumerate(polygon):
                    places = np.rint(_STEPS * (ring - low) / (high - low))
                    places = np.clip(places, 0, _STEPS).astype(np.uint8)
                    moved = np.any(np.diff(places, axis=0, prepend=-1), axis=1)
                    places = places[moved]
                    places = places[:: -(-len(places) // 255)]
                    region = i * len(SHARES) + j + (HOLE if k else 0)
                    coded += bytes([region, len(places)]) + places.tobytes()
    return bytes(coded)


def _levels(
    draws: NDArray[np.floating], window: Window, plane: tuple[str, str]
) -> tuple[NDArray, NDArray, NDArray]:
    """Return places along x, along y, and the levels (x, y) there."""
    axes = [PARAMETER_NAMES.index(name) for name in plane]
    low, high, shown = window.low[axes], window.high[axes], draws[:, axes]
    level = levels(density(shown, low, high, CELLS), shown, low, high)
    # up to the window's edge as in the last cell, and nothing beyond
    level = np.pad(np.pad(level, 1, mode="edge"), 1, constant_values=1.0)
    share = (np.arange(CELLS) + 0.5) / CELLS
    share = np.concatenate([[-1e-6, 0], share, [1, 1 + 1e-6]])
    x, y = (low[:, None] + share * (high - low)[:, None]).astype(float)
    return x, y, level


def _filled(
    x: NDArray, y: NDArray, level: NDArray, share: float
) -> list[list[NDArray[np.float64]]]:
    generator = contour_generator(x, y, level.T, fill_type="OuterOffset")
    polygons = []
    for points, offsets in zip(*generator.filled(-1.0, share), strict=True):
        polygons.append([points[a:b] for a, b in itertools.pairwise(offsets)])
    return polygons
