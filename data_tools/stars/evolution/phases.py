"""An isochrone laid on phases that others share, and any isochrone between two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from data_tools.compiled import compiled

#: Mass range, in Msun, of a phase that exists but holds no stars: rows of equal mass.
_LEAST_SPAN = 1e-15
#: Above it PARSEC counts stages in another way, in Msun; see `parsec_stages`.
_OTHER_LABELS_MSUN = 13.9


@dataclass(frozen=True)
class PhasedIsochrone:
    """One isochrone on the phases of a grid.

    Attributes
    ----------
    mass : ndarray, shape (phases,)
        Initial mass in solar masses, held constant where the isochrone has no stars
        (it did not get there, or skips that stage).
    span : ndarray, shape (phases,)
        Range of initial mass that is in a phase, zero where there is none.
    rest : ndarray of float32, shape (k, phases)
        A row for the share of the mass left and for each magnitude and coefficient:
        along the phases numpy is several times faster.
    """

    mass: np.ndarray
    span: np.ndarray
    rest: np.ndarray

    @property
    def extent(self) -> tuple[int, int]:
        """First phase that holds stars, and the one after the last."""
        rows = np.flatnonzero(self.span)
        return int(rows[0]), int(rows[-1]) + 1

    def part(self, rows: slice | np.ndarray) -> PhasedIsochrone:
        """Return some of the phases."""
        return PhasedIsochrone(self.mass[rows], self.span[rows], self.rest[:, rows])

    def towards(self, other: PhasedIsochrone, weight: float) -> PhasedIsochrone:
        """Return the isochrone between two nodes, ``weight`` on the other.

        A phase holds stars of both, each in the measure of its mass range and weight,
        and has their mean magnitude. So a phase that one of them rushes through, or
        lacks, looks like the other's: no light is lost, and none appears, on the way
        from one node to the next.
        """
        ours, theirs = ((iso.mass, iso.span, iso.rest) for iso in (self, other))
        return PhasedIsochrone(*_between(*ours, *theirs, weight))


@compiled
def _between(mass, span, rest, other_mass, other_span, other_rest, weight):
    mass, span, rest = mass.copy(), span.copy(), rest.copy()
    share = np.empty(len(mass), np.float32)
    for i in range(len(mass)):
        mass[i] += weight * (other_mass[i] - mass[i])
        theirs = weight * other_span[i]
        span[i] = (1.0 - weight) * span[i] + theirs
        share[i] = theirs / max(span[i], _LEAST_SPAN)
    for row in range(len(rest)):
        for i in range(len(share)):
            rest[row, i] += share[i] * (other_rest[row, i] - rest[row, i])
    return mass, span, rest


def lay(
    size: int, rows: np.ndarray, mass: np.ndarray, rest: np.ndarray
) -> PhasedIsochrone:
    """Lay an isochrone on phases, holding its mass where it has none.

    Parameters
    ----------
    size : int
        Number of phases.
    rows : ndarray of int, shape (n,)
        Phase of each of its points, rising.
    mass : ndarray, shape (n,)
        Initial mass in solar masses, never falling.
    rest : ndarray, shape (n, k)
        Columns to carry along.

    Returns
    -------
    PhasedIsochrone
        Its arrays cannot be written to.
    """
    full = np.zeros((rest.shape[1], size), np.float32)
    full[:, rows] = rest.T
    held = np.full(size, mass[0], np.float64)
    held[rows] = mass
    held = np.maximum.accumulate(held)
    edges = np.concatenate([[held[0]], 0.5 * (held[1:] + held[:-1]), [held[-1]]])
    span = np.zeros(size)
    span[rows] = np.maximum(np.diff(edges)[rows], _LEAST_SPAN)
    # At a node, callers get views of these.
    for array in (held, span, full):
        array.setflags(write=False)
    return PhasedIsochrone(held, span, full)


def parsec_stages(label: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Return the stages of an isochrone of PARSEC, which never go back.

    Parameters
    ----------
    label : ndarray of int, shape (n,)
        PARSEC's column of that name, in order of mass.
    mass : ndarray, shape (n,)
        Initial mass in Msun.

    Returns
    -------
    ndarray of int, shape (n,)
        0 before the main sequence, 1 on it, 2 subgiants, 3 red giants, 4 to 6 core
        helium burning, 7 and 8 AGB. Single odd rows join their neighbours.

    Notes
    -----
    Above 14 Msun the labels of CMD 3.7 are others: 0 is the main sequence, 1 the way
    across and most of helium burning, 2 and 3 what follows, as temperature, luminosity
    and surface hydrogen along the file show. Here they are 1, 4, 5 and 6.
    """
    stage = label.copy()
    odd = (label[1:-1] != label[:-2]) & (label[:-2] == label[2:])
    stage[1:-1][odd] = label[:-2][odd]
    massive = (mass > _OTHER_LABELS_MSUN) & (
        np.logical_or.accumulate((stage == 0) & (mass > _OTHER_LABELS_MSUN))
        | ((stage == 1) & (np.maximum.accumulate(stage) > 1))
    )
    massive = np.logical_or.accumulate(massive)
    stage[massive] = np.where(stage[massive] == 0, 1, stage[massive] + 3)
    return np.maximum.accumulate(stage)


def resampled(
    mass: np.ndarray, position: np.ndarray, rest: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lay one stage on ``size`` points equally spaced along its path.

    Parameters
    ----------
    mass : ndarray, shape (n,)
        Initial mass, never falling.
    position : ndarray, shape (n, 2)
        log L and log Teff.
    rest : ndarray, shape (n, k)
        Columns to carry along.
    size : int
        Number of points.

    Returns
    -------
    mass : ndarray, shape (size,)
    rest : ndarray, shape (size, k)
    """
    if len(mass) == 1:
        return np.full(size, mass[0]), np.repeat(rest, size, axis=0)
    # log Teff spans a quarter of log L; the small constant keeps the path rising.
    steps = np.hypot(*(np.diff(position, axis=0) * [1.0, 4.0]).T)
    span = max(mass[-1] - mass[0], 1e-12)
    path = np.concatenate([[0.0], np.cumsum(steps + np.diff(mass) / span + 1e-9)])
    points = np.linspace(0.0, path[-1], size)
    columns = [np.interp(points, path, column) for column in rest.T]
    return np.interp(points, path, mass), np.stack(columns, axis=1)
