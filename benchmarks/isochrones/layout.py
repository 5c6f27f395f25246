"""Isochrones of any stellar model in the layout of PARSEC's web form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_tools.running.output import whole_file
from data_tools.stars.evolution.stellar_photometry import vega_magnitudes

#: The Sun's gravity and temperature (IAU 2015 Resolution B3).
LOG_G_SUN, LOG_T_SUN = 4.438, np.log10(5772.0)


@dataclass(frozen=True)
class StarRows:
    """Stars of one age and metallicity, from the lightest up.

    Attributes
    ----------
    feh, log_age : float
        [Fe/H] in dex, log10 of the age in years.
    label : ndarray of int, shape (n,)
        Stage in PARSEC's numbers: 1 main sequence, 2 subgiants, 3 red giants, 4 core
        helium burning, 7 and 8 AGB. It never falls.
    mass_initial, mass, log_l, log_teff : ndarray, shape (n,)
        Mass at birth and now in Msun, luminosity in suns, temperature in K.
    """

    feh: float
    log_age: float
    label: NDArray[np.int64]
    mass_initial: NDArray[np.float64]
    mass: NDArray[np.float64]
    log_l: NDArray[np.float64]
    log_teff: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse stars that are not in order."""
        for name in ("label", "mass_initial"):
            if np.any(np.diff(getattr(self, name)) < 0):
                raise ValueError(
                    f"isochrone of [Fe/H] {self.feh:g}, log age {self.log_age:g}: "
                    f"expected a {name} that never falls; received one that does"
                )

    @property
    def log_g(self) -> NDArray[np.float64]:
        """Gravity in cm/s2, from mass, luminosity and temperature."""
        warmer = self.log_teff - LOG_T_SUN
        return LOG_G_SUN + np.log10(self.mass) - self.log_l + 4 * warmer


def write_isochrones(
    path: Path, about: Sequence[str], isochrones: Sequence[StarRows], bands: list[str]
) -> None:
    """Write isochrones with magnitudes by the shipped bolometric corrections.

    So what differs from the models that ship is the stars alone.

    Parameters
    ----------
    path : Path
        The file, for ``--isochrones`` and a target's ``isochrones``.
    about : sequence of str
        What they are: lines of its header.
    isochrones : sequence of StarRows
        The same ages for every [Fe/H].
    bands : list of str
        Bands of the shipped table.
    """
    columns = "MH logAge Mini Mass logL logTe logg label"
    names = " ".join(f"{band}mag" for band in bands)
    with whole_file(path) as file:
        for line in (*about, "Vega mag by ClusterKeras's bolometric corrections"):
            file.write(f"# {line}\n".encode())
        file.write(f"# Zini {columns} {names}\n".encode())
        for iso in isochrones:
            one = np.ones(len(iso.mass))
            # the reader needs the place of Zini, not its value
            rows = [0 * one, iso.feh * one, iso.log_age * one, iso.mass_initial]
            rows += [iso.mass, iso.log_l, iso.log_teff, iso.log_g, iso.label]
            rows += [*vega_magnitudes(iso.log_l, iso.log_teff, iso.log_g, bands).T]
            wide = ["%.0f", "%.4f", "%.4f", "%.9f", "%.9f", *["%.5f"] * 3, "%d"]
            np.savetxt(file, np.column_stack(rows), wide + ["%.4f"] * len(bands))
