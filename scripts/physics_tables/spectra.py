"""Throughputs of bands, spectra of stars, and means of the one through the other."""

from __future__ import annotations

import io
import warnings

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

from physics_tables.inputs import Archive

PLANCK = 6.62607015e-27
LIGHT_SPEED = 2.99792458e10
BOLTZMANN = 1.380649e-16
HST_AREA_CM2 = 45238.93416  # Unobstructed 2.4 m aperture, as in STScI's synphot.


def text_table(data: bytes, delimiter: str | None = None) -> tuple[np.ndarray, ...]:
    """Return the first two columns of a text table, rising in the first."""
    lines = [
        line
        for line in data.decode("utf-8", "replace").splitlines()
        if line.strip() and not line.lstrip()[0].isalpha() and line.lstrip()[0] != "#"
    ]
    table = np.loadtxt(lines, delimiter=delimiter, usecols=(0, 1))
    order = np.argsort(table[:, 0], kind="stable")
    return table[order, 0], table[order, 1]


def total_throughputs(sedpy: Archive, pyphot: Archive) -> dict[str, tuple]:
    """Return wavelength [Angstrom] and total throughput of every band.

    F438W comes as glass only. The rest of the light path (telescope, mirrors,
    window, detector) is the total over the glass of its neighbours, F390W
    below and F475W above, joined linearly over 4050-4350 Angstrom. So does F657N,
    within F606W: its light path is F606W's.
    """
    total, glass = {}, {}
    for band in ("F275W", "F336W", "F390W", "F475W", "F555W", "F606W", "F814W"):
        total[band] = text_table(sedpy.read(f"/wfc3_uvis_{band.lower()}.par"))
    for band in ("F390W", "F438W", "F475W", "F606W", "F657N"):
        glass[band] = text_table(
            pyphot.read(f"/hst_wfc3_{band.lower()}.csv"), delimiter=","
        )
    wavelength = np.arange(3500.0, 5200.0)
    path = {}
    for band in ("F390W", "F475W"):
        through = np.interp(wavelength, *glass[band])
        good = through > 0.5
        ratio = np.interp(wavelength, *total[band])[good] / through[good]
        path[band] = np.interp(wavelength, wavelength[good], ratio)
    weight = np.clip((wavelength - 4050.0) / 300.0, 0.0, 1.0)
    light_path = (1 - weight) * path["F390W"] + weight * path["F475W"]
    f438w = np.interp(wavelength, *glass["F438W"]) * light_path
    f438w[np.interp(wavelength, *glass["F438W"]) < 1e-3] = 0.0
    total["F438W"] = (wavelength, f438w)
    wavelength, through = glass["F657N"]
    inside = (wavelength > 6400) & (wavelength < 6750)
    wavelength, through = wavelength[inside], through[inside]
    path = np.interp(wavelength, *total["F606W"]) / np.interp(
        wavelength, *glass["F606W"]
    )
    total["F657N"] = (wavelength, through * path)
    return total


def mean_flux(
    wavelength: np.ndarray, flux: np.ndarray, band: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the photon-weighted mean of F_lambda through a band.

    ``<F> = int F S lambda dlambda / int S lambda dlambda``
    (Bessell & Murphy 2012, PASP 124, 140, appendix A).
    """
    grid = np.arange(1900.0, 11500.0)
    through = np.interp(grid, *band, left=0.0, right=0.0) * grid
    flux = np.atleast_2d(flux)
    on_grid = np.stack([np.interp(grid, wavelength, row) for row in flux])
    return np.squeeze(on_grid @ through / through.sum())


def pivot_wavelength(band: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the pivot wavelength of a photon-counting band, in Angstrom."""
    wave, through = band
    return float(
        np.sqrt(np.trapezoid(through * wave, wave) / np.trapezoid(through / wave, wave))
    )


def photflam(band: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the F_lambda [erg/s/cm2/A] that gives one electron a second."""
    wave, through = band
    counts = np.trapezoid(through * wave, wave) * 1e-8 * HST_AREA_CM2
    return PLANCK * LIGHT_SPEED / counts


def read_calspec(pyphot: Archive, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return wavelength [A] and F_lambda of a CALSPEC spectrum."""
    # Read the columns as records: their display formats upset astropy's Table,
    # and the null values named in the header upset astropy's checks.
    with (
        warnings.catch_warnings(category=VerifyWarning, action="ignore"),
        fits.open(io.BytesIO(pyphot.read("/" + name))) as hdus,
    ):
        data = hdus[1].data
        return data["WAVELENGTH"].astype(float), data["FLUX"].astype(float)


def read_atlas9(pyhdust: Archive) -> tuple[np.ndarray, ...]:
    """Return Teff, log g, wavelength [A] and surface F_lambda of ATLAS9 models.

    The file gives the Eddington flux H_nu per steradian on 1221 wavelengths in
    nm; the surface flux is 4 pi H_nu (Kurucz 1993, SAO CD-ROM 13).
    """
    lines = pyhdust.read("/refs/fp00k0.pck").decode("latin-1").splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("TEFF")]
    wave = []
    for line in lines[22 : heads[0]]:
        wave += [float(line[k : k + 10]) for k in range(0, len(line.rstrip()), 10)]
    wave = np.array(wave)
    rows = -(-len(wave) // 8)
    teff, log_g, h_nu = [], [], []
    for i in heads:
        words = lines[i].split()
        teff.append(float(words[1]))
        log_g.append(float(words[3]))
        body = "".join(line.ljust(80) for line in lines[i + 1 : i + 1 + rows])
        cells = [body[10 * k : 10 * k + 10] for k in range(len(wave))]
        h_nu.append(np.array(cells, dtype="U10").astype(float))
    angstrom = wave * 10.0
    f_nu = 4 * np.pi * np.clip(np.array(h_nu), 0.0, None)
    f_lambda = f_nu * LIGHT_SPEED * 1e8 / angstrom**2
    return np.array(teff), np.array(log_g), angstrom, f_lambda


def black_body(wavelength: np.ndarray, teff: float) -> np.ndarray:
    """Return pi B_lambda, in erg/s/cm2/A, at wavelength [A]."""
    cm = wavelength * 1e-8
    exponent = PLANCK * LIGHT_SPEED / (cm * BOLTZMANN * teff)
    return 2 * np.pi * PLANCK * LIGHT_SPEED**2 / cm**5 / np.expm1(exponent) * 1e-8
