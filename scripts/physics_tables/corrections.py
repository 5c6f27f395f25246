"""Bolometric corrections and extinction coefficients on (log Teff, log g)."""

from __future__ import annotations

import numpy as np

from physics_tables.inputs import Archive
from physics_tables.spectra import (
    LIGHT_SPEED,
    black_body,
    mean_flux,
    photflam,
    pivot_wavelength,
    read_atlas9,
    read_calspec,
    text_table,
    total_throughputs,
)

LAWS = ("CCM89", "F99", "G23")
R_V = 3.1
# The range of R_V that each law states.
R_V_RANGE = {"CCM89": (2.0, 6.0), "F99": (2.0, 6.0), "G23": (2.3, 5.6)}
# The coolest star that the change with R_V is fitted to. In F275W a cooler one is
# seen through the red leak.
R_V_LEAST_TEFF = {"F275W": 5500.0}
# IAU 2015 Resolution B3 and CODATA 2018, cgs.
SOLAR_LUMINOSITY = 3.828e33
SOLAR_BOLOMETRIC_MAGNITUDE = 4.74
PARSEC_CM = 3.0856775814913673e18
STEFAN_BOLTZMANN = 5.670374419e-5
# Nodes above ATLAS9's hottest model, filled by the black-body offset.
HOT_NODES = np.array([60e3, 80e3, 100e3, 130e3, 160e3, 200e3, 300e3])
LOG_G_NODES = np.arange(0.0, 5.01, 0.5)
# The giants that reach below ATLAS9's coolest model. M9 and M10 are left out:
# their spectra are synthetic and carry no flux in F336W.
M_GIANTS = ("M4III", "M5III", "M6III", "M7III", "M8III")


def correction(mean: np.ndarray, bolometric: np.ndarray, vega: float) -> np.ndarray:
    """Return the bolometric correction, so that M = 4.74 - 2.5 log L - BC.

    Parameters
    ----------
    mean : array
        Mean F_lambda through the band at the star's surface.
    bolometric : array
        Bolometric flux at the surface.
    vega : float
        Mean F_lambda of Vega at the Earth, magnitude 0 by definition.
    """
    at_ten_parsec = SOLAR_LUMINOSITY / (4 * np.pi * (10 * PARSEC_CM) ** 2)
    return SOLAR_BOLOMETRIC_MAGNITUDE + 2.5 * np.log10(
        mean / bolometric * at_ten_parsec / vega
    )


def pickles_giants(
    pyhdust: Archive, bands: dict[str, tuple], vega: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return Teff and bolometric corrections of the M giants of Pickles (1998).

    Temperatures are those of the library's own table. The spectra end at 2.5
    micron; a black body of that temperature carries on from there.
    """
    table = pyhdust.read("/refs/stars/synphot.dat").decode("latin-1").splitlines()
    log_teff = {}
    for line in table:
        words = line.split()
        for name in M_GIANTS:
            if name in words:
                log_teff[name] = float(words[words.index(name) + 1])
    temperatures, corrections = [], []
    for name in M_GIANTS:
        wave, flux = text_table(pyhdust.read(f"/refs/stars/uk{name.lower()}.dat"))
        teff = 10 ** log_teff[name]
        tail = np.geomspace(wave[-1], 1e7, 4000)
        shape = black_body(tail, teff)
        end = flux[-40:].mean() / black_body(wave[-40:], teff).mean()
        bolometric = np.trapezoid(flux, wave) + end * np.trapezoid(shape, tail)
        temperatures.append(teff)
        corrections.append(
            [
                correction(mean_flux(wave, flux, bands[b]), bolometric, vega[b])
                for b in vega
            ]
        )
    order = np.argsort(temperatures)
    return np.array(temperatures)[order], np.array(corrections)[order]


def extinction_law(name: str, wavelength: np.ndarray, r_v: float = R_V) -> np.ndarray:
    """Return A(lambda)/A_V, zero outside 1500-20000 Angstrom."""
    from astropy import units as u
    from dust_extinction.parameter_averages import CCM89, F99, G23

    law = {"CCM89": CCM89, "F99": F99, "G23": G23}[name](Rv=r_v)
    inside = (wavelength > 1500) & (wavelength < 20000)
    curve = np.zeros_like(wavelength)
    curve[inside] = law(wavelength[inside] * u.AA)
    return curve


def r_v_nodes(law: str) -> np.ndarray:
    """Return the values of R_V at which a law's change is stored, evenly in 1/R_V."""
    low, high = R_V_RANGE[law]
    below = np.linspace(1 / low, 1 / R_V, 4)
    above = np.linspace(1 / R_V, 1 / high, 4)
    return 1 / np.concatenate([below, above[1:]])


def band_coefficients(
    spectra: np.ndarray, through: np.ndarray, curve: np.ndarray, a_v: float = 1.0
) -> np.ndarray:
    """Return A_band / A_V of spectra, shape (spectra,), all on one wavelength grid."""
    dim = spectra @ (through * 10 ** (-0.4 * a_v * curve))
    return -2.5 * np.log10(dim / (spectra @ through)) / a_v


def photometry_arrays(
    pyhdust: Archive, sedpy: Archive, pyphot: Archive, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return corrections and extinction coefficients on (log Teff, log g)."""
    bands = total_throughputs(sedpy, pyphot)
    vega_spectrum = read_calspec(pyphot, "alpha_lyr_stis_011.fits")
    vega = {b: float(mean_flux(*vega_spectrum, bands[b])) for b in names}
    pivot = np.array([pivot_wavelength(bands[b]) for b in names])
    zero_flux = np.array([vega[b] for b in names])
    # AB: F_nu = F_lambda pivot^2 / c, zero point 3631 Jy (Oke & Gunn 1983).
    vega_ab = -2.5 * np.log10(zero_flux * pivot**2 / (LIGHT_SPEED * 1e8)) - 48.60

    teff, log_g, wave, spectra = read_atlas9(pyhdust)
    bolometric = STEFAN_BOLTZMANN * teff**4
    mean = np.stack([mean_flux(wave, spectra, bands[b]) for b in names], axis=1)
    bc = np.stack(
        [correction(mean[:, k], bolometric, vega[b]) for k, b in enumerate(names)],
        axis=1,
    )
    # Fine sampling first: the law must be evaluated inside the bands.
    fine = np.arange(1900.0, 11500.0)
    on_fine = np.stack([np.interp(fine, wave, s) for s in spectra])
    through = [np.interp(fine, *bands[b], left=0.0, right=0.0) * fine for b in names]
    coefficients = np.empty((len(LAWS), len(teff), len(names)))
    r_v = np.stack([r_v_nodes(law) for law in LAWS])
    changes = np.empty((len(LAWS), r_v.shape[1], 2, len(names)))
    for n, law in enumerate(LAWS):
        curve = extinction_law(law, fine)
        curves = [extinction_law(law, fine, x) for x in r_v[n]]
        for k, b in enumerate(names):
            standard = band_coefficients(on_fine, through[k], curve)
            coefficients[n, :, k] = standard
            warm = teff >= R_V_LEAST_TEFF.get(b, 0.0)
            for i, other in enumerate(curves):
                there = band_coefficients(on_fine[warm], through[k], other)
                slope, shift = np.polyfit(standard[warm], there, 1)
                changes[n, i, :, k] = shift, slope

    nodes = np.unique(teff)
    grid_bc = np.empty((len(nodes), len(LOG_G_NODES), len(names)))
    grid_ext = np.empty((len(LAWS), *grid_bc.shape))
    for i, t in enumerate(nodes):
        rows = np.flatnonzero(teff == t)
        # Outside the gravities computed at this temperature: the nearest one.
        nearest = rows[np.abs(log_g[rows][:, None] - LOG_G_NODES).argmin(axis=0)]
        grid_bc[i] = bc[nearest]
        grid_ext[:, i] = coefficients[:, nearest]

    cool, cool_bc = pickles_giants(pyhdust, bands, vega)
    at_join = np.array([np.interp(nodes[0], cool, c) for c in cool_bc.T])
    below = cool < nodes[0]
    cold = cool[below]
    cold_bc = grid_bc[0] + (cool_bc[below] - at_join)[:, None, :]
    hot = []
    for t in (nodes[-1], *HOT_NODES):
        flux = black_body(wave, t)
        means = np.array([mean_flux(wave, flux, bands[b]) for b in names])
        hot.append(correction(means, STEFAN_BOLTZMANN * t**4, zero_flux))
    hot = np.array(hot)
    hot_bc = grid_bc[-1] + (hot[1:] - hot[0])[:, None, :]

    def pad(grid: np.ndarray) -> np.ndarray:
        first = np.repeat(grid[:1], len(cold), axis=0)
        last = np.repeat(grid[-1:], len(HOT_NODES), axis=0)
        return np.concatenate([first, grid, last])

    sun = read_calspec(pyphot, "sun_reference_stis_001.fits")
    au_to_ten_parsec = (10 * PARSEC_CM / 1.495978707e13) ** 2
    sun_magnitudes = [
        -2.5 * np.log10(float(mean_flux(*sun, bands[b])) / au_to_ten_parsec / vega[b])
        for b in names
    ]
    return {
        "bands": np.array(names),
        "laws": np.array(LAWS),
        "pivot": pivot,
        "vega_ab": vega_ab,
        "photflam": np.array([photflam(bands[b]) for b in names]),
        "sun_vega": np.array(sun_magnitudes),
        "bc_log_teff": np.log10(np.concatenate([cold, nodes, HOT_NODES])),
        "bc_log_g": LOG_G_NODES,
        "bc": np.concatenate([cold_bc, grid_bc, hot_bc]).astype(np.float32),
        "extinction": np.stack([pad(g) for g in grid_ext]).astype(np.float32),
        "r_v": r_v,
        "r_v_change": changes,
    }
