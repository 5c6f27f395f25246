"""What a star looks like: its magnitudes and reddening in the shipped tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_tools.tables import load_tables

SOLAR_BOLOMETRIC_MAGNITUDE = 4.74  # IAU 2015 Resolution B2
#: Mean of the Milky Way's diffuse dust (Cardelli, Clayton & Mathis 1989, section III).
R_V = 3.1


def _on_stellar_grid(
    values: np.ndarray, log_teff: np.ndarray, log_g: np.ndarray
) -> np.ndarray:
    """Interpolate bilinearly in (log Teff, log g), holding the edges.

    Parameters
    ----------
    values : ndarray, shape (temperatures, gravities, k)
    log_teff, log_g : ndarray, shape (n,)

    Returns
    -------
    ndarray, shape (n, k)
    """
    tables = load_tables()
    corners, weights = [], []
    for nodes, x in ((tables.bc_log_teff, log_teff), (tables.bc_log_g, log_g)):
        x = np.clip(x, nodes[0], nodes[-1])
        i = np.clip(np.searchsorted(nodes, x, side="right") - 1, 0, len(nodes) - 2)
        corners.append(i)
        weights.append(((x - nodes[i]) / (nodes[i + 1] - nodes[i]))[:, None])
    (i, j), (u, v) = corners, weights
    return (1 - u) * ((1 - v) * values[i, j] + v * values[i, j + 1]) + u * (
        (1 - v) * values[i + 1, j] + v * values[i + 1, j + 1]
    )


def vega_magnitudes(
    log_l: np.ndarray, log_teff: np.ndarray, log_g: np.ndarray, bands: Sequence[str]
) -> np.ndarray:
    """Return absolute Vega magnitudes of stars.

    ``M = 4.74 - 2.5 log L - BC``, with the bolometric corrections of the
    shipped table (ATLAS9, Pickles M giants below 3500 K, the trend of a black
    body above 50 kK). Outside the table's temperatures and gravities the
    nearest edge is taken.

    Parameters
    ----------
    log_l, log_teff, log_g : array, shape (n,)
        log10 of luminosity in suns, temperature in K, gravity in cm/s2.
    bands : sequence of str
        Bands of the table.

    Returns
    -------
    ndarray, shape (n, bands)
        In mag.
    """
    correction = _on_stellar_grid(
        load_tables(tuple(bands)).bc, np.atleast_1d(log_teff), np.atleast_1d(log_g)
    )
    bolometric = SOLAR_BOLOMETRIC_MAGNITUDE - 2.5 * np.atleast_1d(log_l)
    return bolometric[:, None] - correction


def extinction_coefficients(
    log_teff: np.ndarray,
    log_g: np.ndarray,
    bands: Sequence[str],
    law: str = "CCM89",
    r_v: float = R_V,
) -> np.ndarray:
    """Return A_band / A_V of stars.

    Parameters
    ----------
    log_teff, log_g : array, shape (n,)
        log10 of temperature in K and of gravity in cm/s2.
    bands : sequence of str
        Bands of the table.
    law : {"CCM89", "F99", "G23"}
        Cardelli, Clayton & Mathis (1989), Fitzpatrick (1999) or Gordon et al.
        (2023).
    r_v : float
        A_V / E(B-V) of the dust, within the law's range; see `r_v_change`.

    Returns
    -------
    ndarray, shape (n, bands)

    Notes
    -----
    Computed at A_V = 1. One coefficient for all A_V holds to 0.012 mag per mag
    up to A_V = 3; in F275W to 0.03 above 5500 K, and not below, where the band's
    red leak carries a growing part of the light.
    """
    tables = load_tables(tuple(bands))
    values = tables.extinction[tables.law_index(law)]
    shift, slope = r_v_change(bands, law, r_v)
    return shift + slope * _on_stellar_grid(
        values, np.atleast_1d(log_teff), np.atleast_1d(log_g)
    )


def r_v_change(
    bands: Sequence[str], law: str, r_v: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the line from A_band / A_V at R_V = 3.1 to that at another R_V.

    Stars differ in a band by the wavelength at which their light weighs most, at any
    R_V, so that one coefficient follows from the other: it is shift + slope times
    that at 3.1. This holds to 0.3 % at all temperatures and R_V; a ratio alone, to
    1.7 %. In F275W it holds so above 5500 K; what its red leak passes of a cooler star
    may be 20 % off.

    Parameters
    ----------
    bands : sequence of str
        Bands of the table.
    law : {"CCM89", "F99", "G23"}
        Extinction law.
    r_v : float
        From 2 to 6 (CCM89, F99) or from 2.3 to 5.6 (G23): what the laws state.

    Returns
    -------
    shift, slope : ndarray, shape (bands,)
        0 and 1 at R_V = 3.1.

    Raises
    ------
    ValueError
        If the law does not reach that R_V.
    """
    tables = load_tables(tuple(bands))
    index = tables.law_index(law)
    nodes, change = tables.r_v[index], tables.r_v_change[index]
    if not nodes[0] - 1e-9 <= r_v <= nodes[-1] + 1e-9:
        raise ValueError(
            f"R_V must be from {nodes[0]:g} to {nodes[-1]:g} under {law}; received "
            f"{r_v:g}."
        )
    if r_v == R_V:
        return np.zeros(len(tables.bands)), np.ones(len(tables.bands))
    # the laws are linear in 1 / R_V, F99 nearly so
    x, place = 1 / nodes, 1 / r_v
    upper = min(max(int(np.searchsorted(-x, -place)), 1), len(x) - 1)
    weight = (place - x[upper - 1]) / (x[upper] - x[upper - 1])
    shift, slope = change[upper - 1] + weight * (change[upper] - change[upper - 1])
    return shift, slope
