"""What a star looks like: its magnitudes and reddening in the shipped tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_tools.tables import load_tables

SOLAR_BOLOMETRIC_MAGNITUDE = 4.74  # IAU 2015 Resolution B2


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
) -> np.ndarray:
    """Return A_band / A_V of stars, at R_V = 3.1.

    Parameters
    ----------
    log_teff, log_g : array, shape (n,)
        log10 of temperature in K and of gravity in cm/s2.
    bands : sequence of str
        Bands of the table.
    law : {"CCM89", "F99", "G23"}
        Cardelli, Clayton & Mathis (1989), Fitzpatrick (1999) or Gordon et al.
        (2023).

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
    return _on_stellar_grid(values, np.atleast_1d(log_teff), np.atleast_1d(log_g))
