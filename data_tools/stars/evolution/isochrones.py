"""Isochrone photometry: absolute magnitudes and reddening of stars of one age.

Three stellar models ship; PARSEC and MIST files of the user's own replace them.
All become the same thing: for every node of ([Fe/H], log age) a table of
initial mass, current mass, magnitudes and A_band/A_V against a coordinate that
marks equal evolutionary phases, so that any age in between can be interpolated
phase by phase.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_tools.schema import STELLAR_MODELS
from data_tools.stars.evolution.isochrone_files import (
    FileIsochrone,
    read_mist_cmd,
    read_parsec,
)
from data_tools.stars.evolution.phases import (
    PhasedIsochrone,
    lay,
    parsec_stages,
    resampled,
)
from data_tools.stars.evolution.stellar_photometry import (
    extinction_coefficients,
    vega_magnitudes,
)
from data_tools.tables import load_tables
from data_tools.tables.stellar_models import load_model

__all__ = ["STELLAR_MODELS", "Isochrone", "IsochroneGrid"]


@dataclass(frozen=True)
class Isochrone:
    """Stars of one age and metallicity, ordered by evolutionary phase.

    Attributes
    ----------
    log_age : float
        log10 of the age in years.
    feh : float
        [Fe/H] in dex.
    eep : ndarray, shape (n,)
        Equivalent evolutionary point; for PARSEC an equivalent made here.
    mass_initial : ndarray, shape (n,)
        Initial mass in solar masses, float64, never falling.
    mass_current : ndarray, shape (n,)
        Present mass in solar masses.
    magnitude : ndarray, shape (n, bands)
        Absolute Vega magnitude, float32.
    extinction : ndarray, shape (n, bands)
        A_band / A_V.
    """

    log_age: float
    feh: float
    eep: np.ndarray
    mass_initial: np.ndarray
    mass_current: np.ndarray
    magnitude: np.ndarray
    extinction: np.ndarray


def _bracket(nodes: Sequence[float], value: float, name: str) -> tuple[int, int, float]:
    """Return the nodes on either side of a value and the weight of the upper."""
    tolerance = 1e-6
    if not nodes[0] - tolerance <= value <= nodes[-1] + tolerance:
        raise ValueError(
            f"{name} must be within the grid, {nodes[0]:g} to {nodes[-1]:g}; "
            f"received {value:g}. Narrow the prior or load a wider grid."
        )
    upper = min(bisect_left(nodes, value), len(nodes) - 1)
    lower = max(upper - 1, 0)
    if value >= nodes[upper]:
        return upper, upper, 0.0
    if value <= nodes[lower]:
        return lower, lower, 0.0
    return lower, upper, (value - nodes[lower]) / (nodes[upper] - nodes[lower])


class IsochroneGrid:
    """Isochrones on a grid of log age and [Fe/H], interpolated at equal phase.

    Make one with :meth:`from_tables`, :meth:`from_parsec` or
    :meth:`from_mist_cmd`.

    Attributes
    ----------
    bands : tuple of str
        Order of the bands in every array.
    law : str
        Extinction law of the coefficients.
    log_ages : ndarray, shape (ages,)
        log10 of age in years, rising, of isochrones of any [Fe/H], from the first to
        the last age that all have.
    fehs : ndarray, shape (fehs,)
        [Fe/H] in dex, rising.
    vega_ab : ndarray, shape (bands,)
        AB magnitude of Vega, so that m_AB = m_Vega + vega_ab.
    """

    def __init__(
        self,
        bands: Sequence[str],
        law: str,
        eep: np.ndarray,
        nodes: dict[tuple[float, float], PhasedIsochrone],
    ) -> None:
        self.bands = tuple(bands)
        self.law = law
        self.fehs = np.unique([feh for feh, _ in nodes])
        self.vega_ab = load_tables(self.bands).vega_ab
        self._eep = eep
        #: [Fe/H], and of each the ages, nodes and their extents.
        self._fehs = self.fehs.tolist()
        self._ages = [sorted(a for f, a in nodes if f == feh) for feh in self._fehs]
        youngest = max(ages[0] for ages in self._ages)
        oldest = min(ages[-1] for ages in self._ages)
        self.log_ages = np.array(
            sorted({a for _, a in nodes if youngest <= a <= oldest})
        )
        self._nodes = [
            [nodes[feh, age] for age in ages]
            for feh, ages in zip(self._fehs, self._ages, strict=True)
        ]
        self._extents = [[node.extent for node in row] for row in self._nodes]

    def __repr__(self) -> str:
        """Return bands, law and extent."""
        return (
            f"IsochroneGrid(bands={self.bands}, law={self.law!r}, log age "
            f"{self.log_ages[0]:g} to {self.log_ages[-1]:g}, [Fe/H] "
            f"{self.fehs[0]:g} to {self.fehs[-1]:g})"
        )

    def at(self, log_age: float, feh: float = 0.0) -> Isochrone:
        """Return the isochrone of this age and metallicity.

        Mass and number of stars are interpolated linearly in log age, then in
        [Fe/H], at equal evolutionary phase; magnitudes and coefficients are the
        means of the nodes' stars in that phase.

        Parameters
        ----------
        log_age : float
            log10 of the age in years.
        feh : float
            [Fe/H] in dex.

        Raises
        ------
        ValueError
            If either is outside the grid.
        """
        poor, rich, feh_weight = _bracket(self._fehs, feh, "feh")
        fehs = [poor] if feh_weight == 0.0 else [poor, rich]
        brackets = [_bracket(self._ages[j], log_age, "log_age") for j in fehs]
        extents = [
            self._extents[j][i]
            for j, (young, old, _) in zip(fehs, brackets, strict=True)
            for i in (young, old)
        ]
        rows = slice(min(x[0] for x in extents), max(x[1] for x in extents))
        along = []
        for j, (young, old, weight) in zip(fehs, brackets, strict=True):
            node = self._nodes[j][young].part(rows)
            if weight:
                node = node.towards(self._nodes[j][old].part(rows), weight)
            along.append(node)
        node = along[0] if len(along) == 1 else along[0].towards(along[1], feh_weight)
        eep = self._eep[rows]
        if not node.span.all():
            held = np.flatnonzero(node.span)
            node, eep = node.part(held), eep[held]
        bands = len(self.bands)
        return Isochrone(
            log_age=float(log_age),
            feh=float(feh),
            eep=eep,
            mass_initial=node.mass,
            mass_current=node.mass * node.rest[0],
            magnitude=node.rest[1 : 1 + bands].T,
            extinction=node.rest[1 + bands :].T,
        )

    @classmethod
    def from_tables(
        cls, bands: Sequence[str], law: str = "CCM89", model: str = "MIST"
    ) -> IsochroneGrid:
        """Return the grid of a stellar model that ships.

        Parameters
        ----------
        bands : sequence of str
            Bands of the shipped table, in the order wanted.
        law : {"CCM89", "F99", "G23"}
            Extinction law.
        model : {"MIST", "PARSEC", "SSE"}
            MIST rotates (v/v_crit = 0.4) and reaches [Fe/H] -0.5 to 0.25 and log age
            6.0 to 10.15. PARSEC reaches -0.5 to 0.3 and 6.0 to 10.1; its isochrones
            are 0.05 dex apart, but 0.12 below log age 6.6 and at [Fe/H] 0.3. SSE
            reaches -0.5 to 0.17 and 6.0 to 10.15; its stars have no time before the
            main sequence.

        Notes
        -----
        At log age 6.6-6.8 MIST is too red: its yellow supergiants carry half
        of the light in F438W.
        """
        table = load_model(model)
        magnitude = vega_magnitudes(table.log_l, table.log_teff, table.log_g, bands)
        phase = table.phase
        if model != "MIST":
            phase = np.concatenate(
                [parsec_stages(phase[x], table.mass_initial[x]) for x in table.rows]
            )
        columns = (phase, table.mass_initial, table.mass_current)
        columns += (table.log_l, table.log_teff, table.log_g, magnitude)
        read = [
            FileIsochrone(float(feh), float(log_age), *(x[rows] for x in columns))
            for feh, log_age, rows in zip(
                table.feh, table.log_age, table.rows, strict=True
            )
        ]
        laid = _laid_by_eep if model == "MIST" else _laid_by_stage
        return cls(bands, law, *laid(read, bands, law))

    @classmethod
    def from_mist_cmd(
        cls,
        path: str | Path | Sequence[str | Path],
        bands: Sequence[str],
        law: str = "CCM89",
    ) -> IsochroneGrid:
        """Return a grid read from MIST ``.iso.cmd`` files (packaged or web).

        Parameters
        ----------
        path : path or sequence of paths
            One file per metallicity, made without extinction, in Vega
            magnitudes; columns are called ``WFC3_UVIS_<band>``.
        bands : sequence of str
            Bands of the shipped table, in the order wanted.
        law : {"CCM89", "F99", "G23"}
            Extinction law. Its coefficients come from the shipped table.

        Raises
        ------
        ValueError
            If a file lacks a column, is reddened or is not in Vega magnitudes,
            or if the files do not share their ages.
        """
        paths = [path] if isinstance(path, str | Path) else list(path)
        read = [iso for file in paths for iso in read_mist_cmd(Path(file), bands)]
        _check_ages(read, ", ".join(str(file) for file in paths))
        return cls(bands, law, *_laid_by_eep(read, bands, law))

    @classmethod
    def from_parsec(
        cls,
        path: str | Path,
        bands: Sequence[str],
        law: str = "CCM89",
        system: str | None = None,
    ) -> IsochroneGrid:
        """Return a grid read from a file of the PARSEC CMD 3.x web form.

        PARSEC has no EEP. Each evolutionary stage (column ``label``) is laid
        on the same number of points in every isochrone, equally spaced in path
        length over initial mass and the HR diagram; a stage that an isochrone
        skips holds no stars there.

        Parameters
        ----------
        path : path
            Output "isochrone tables", without extinction. One file may hold
            several metallicities (column ``MH``), each with the same ages.
        bands : sequence of str
            Bands of the shipped table, in the order wanted; the file has them
            as ``<band>mag``.
        law : {"CCM89", "F99", "G23"}
            Extinction law. Its coefficients come from the shipped table.
        system : {"Vega", "AB"}, optional
            Magnitude system of the file. Needed where its header does not say.

        Raises
        ------
        ValueError
            If a column is missing, the magnitude system is unknown or the
            metallicities do not share their ages.
        """
        read = read_parsec(Path(path), bands, system)
        _check_ages(read, str(path))
        return cls(bands, law, *_laid_by_stage(read, bands, law))


def _check_ages(read: list[FileIsochrone], name: str) -> None:
    """Raise unless every [Fe/H] of a file has the same ages."""
    found = {(iso.feh, iso.log_age) for iso in read}
    fehs = sorted({feh for feh, _ in found})
    ages = sorted({age for _, age in found})
    missing = [(f, a) for f in fehs for a in ages if (f, a) not in found]
    if missing:
        raise ValueError(
            f"{name}: every [Fe/H] must have the same ages; [Fe/H] = "
            f"{missing[0][0]:g} lacks log age {missing[0][1]:g} ({len(missing)} "
            "isochrones are missing in all). Ask for one list of ages."
        )


def _laid_by_eep(
    read: list[FileIsochrone], bands: Sequence[str], law: str
) -> tuple[np.ndarray, dict[tuple[float, float], PhasedIsochrone]]:
    """Return phases and nodes of isochrones whose points are EEPs."""
    first = min(iso.phase[0] for iso in read)
    eep = np.arange(first, max(iso.phase[-1] for iso in read) + 1)
    return eep, {
        (iso.feh, iso.log_age): lay(
            len(eep), iso.phase - first, iso.mass_initial, _carried(iso, bands, law)
        )
        for iso in read
    }


def _laid_by_stage(
    read: list[FileIsochrone], bands: Sequence[str], law: str
) -> tuple[np.ndarray, dict[tuple[float, float], PhasedIsochrone]]:
    """Return phases and nodes of isochrones that have stages only.

    Each stage is laid on the same number of points in all of them.
    """
    stages = np.unique(np.concatenate([iso.phase for iso in read]))
    sizes = [max((iso.phase == s).sum() for iso in read) for s in stages]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    nodes = {}
    for iso in read:
        rest = _carried(iso, bands, law)
        rows, masses, rests = [], [], []
        for k, stage in enumerate(stages):
            here = iso.phase == stage
            if not here.any():
                continue
            place = np.column_stack([iso.log_l[here], iso.log_teff[here]])
            mass, carried = resampled(
                iso.mass_initial[here], place, rest[here], sizes[k]
            )
            rows.append(np.arange(offsets[k], offsets[k + 1]))
            masses.append(mass)
            rests.append(carried)
        laid = (np.concatenate(part) for part in (rows, masses, rests))
        nodes[iso.feh, iso.log_age] = lay(offsets[-1], *laid)
    return np.arange(offsets[-1]), nodes


def _carried(iso: FileIsochrone, bands: Sequence[str], law: str) -> np.ndarray:
    """Return what travels with the mass: share left, magnitudes, coefficients."""
    coefficient = extinction_coefficients(iso.log_teff, iso.log_g, bands, law)
    left = iso.mass_current / iso.mass_initial
    return np.column_stack([left, iso.magnitude, coefficient])
