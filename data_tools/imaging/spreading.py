"""Stars spread over a few points of a grid that is finer than the pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from data_tools.compiled import compiled

#: Points of the finer grid, along an axis, over which a star is spread.
WIDTH = 4
#: Shape of the spreading function exp(beta (sqrt(1 - z^2) - 1)) (Barnett, Magland &
#: af Klinteberg 2019, SIAM J. Sci. Comput. 41, C479). Their 2.3 a point is for signals
#: that fill half of the finer grid's band; a drizzled PSF fills about as much, and this
#: draws one to 4e-4 of its peak.
_BETA = 2.4 * WIDTH
#: Steps of a star's place between two points of the finer grid.
_STEPS = 1 << 12


def _spread(distance: np.ndarray) -> np.ndarray:
    z = np.minimum(np.abs(distance) * (2 / WIDTH), 1.0)
    return np.exp(_BETA * (np.sqrt(1 - z * z) - 1))


@lru_cache(maxsize=1)
def _weights() -> np.ndarray:
    """Weights of the points along an axis, for each step, (steps, points)."""
    before = WIDTH / 2 - 1 + (np.arange(_STEPS) + 0.5) / _STEPS
    return _spread(np.arange(WIDTH) - before[:, None]).astype(np.float32)


@lru_cache(maxsize=8)
def sharpening(n: int) -> np.ndarray:
    """One over the spreading function's transform on the n-point grid, (n, n//2+1)."""
    nodes, weights = np.polynomial.legendre.leggauss(64)
    distance = nodes * (WIDTH / 2)
    phase = 2 * np.pi * np.fft.fftfreq(n)[:, None] * distance
    spectrum = (weights * _spread(distance) * np.cos(phase)).sum(1) * (WIDTH / 2)
    return (1 / (spectrum[:, None] * spectrum[: n // 2 + 1])).astype(np.float32)


def spread_stars(
    x: np.ndarray, y: np.ndarray, flux: np.ndarray, grid: np.ndarray
) -> None:
    """Add stars to a finer grid, each spread over the points about it.

    Parameters
    ----------
    x, y : (n,) ndarray
        Places in points of the grid. Stars are left out that would reach beyond its
        first rows, or beyond as many columns.
    flux : (n, k) ndarray
        Fluxes.
    grid : (k, rows, columns) ndarray of float32
        What they are added to, at least as wide as high.
    """
    x, y = (np.ascontiguousarray(place, np.float64) for place in (x, y))
    _add(x, y, np.ascontiguousarray(flux, np.float32), grid, _weights())


@compiled
def _add(x, y, flux, grid, weights):
    end = grid.shape[1] - 2
    for star in range(len(flux)):
        row, column = y[star], x[star]
        if not (1 <= row < end and 1 <= column < end):
            continue
        along_y = weights[int(row * _STEPS) % _STEPS]
        along_x = weights[int(column * _STEPS) % _STEPS]
        # the first point that a star reaches is one before its own
        top, left = int(row) - 1, int(column) - 1
        points = grid[:, top : top + WIDTH, left : left + WIDTH]
        for kind in range(len(points)):
            for i in range(WIDTH):
                weight = flux[star, kind] * along_y[i]
                for j in range(WIDTH):
                    points[kind, i, j] += weight * along_x[j]
