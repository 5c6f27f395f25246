"""What a CCD does to light: full pixels bleed along columns, charge trails behind."""

from __future__ import annotations

import numpy as np

#: Pixels over which trapped charge comes out again, and those of them that are drawn:
#: 1.6 % of the light at most comes later, beyond the reach of a small canvas.
_RELEASED_PX, _DRAWN_PX = 60, 36
#: Electrons in a pixel of one exposure that halve the share that is trapped. Of faint
#: stars 48 % are lost at 1 to 3 electrons and 23 % at 20 to 25, 14 years after launch
#: (Kuhn 2026, arXiv:2602.07133, abstract).
_HALVED_AT = 20.0


def spilled(light: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Return light with what does not fit into a pixel spilled along its column.

    Half goes up and half down, each into the nearest pixels that have room, so that
    the sum over a column stays what it was: beyond saturation WFC3/UVIS is linear to 1
    % in that sum (Gilliland, Rajan & Deustua 2010, WFC3 ISR 2010-10). What leaves the
    image is lost.

    Parameters
    ----------
    light : (rows, columns, bands) ndarray
        Noise-free, in any unit.
    room : (bands,) or (rows, columns, bands) ndarray
        What fits into a pixel, in the same unit.

    Returns
    -------
    (rows, columns, bands) ndarray
        The light itself, where all of it fits.
    """
    full = light > room
    columns = full.any(axis=0)
    if not columns.any():
        return light
    before = light[:, columns].astype(float)
    held = np.minimum(before, np.broadcast_to(room, light.shape)[:, columns])
    half = 0.5 * (before - held)
    for way in (slice(None), slice(None, None, -1)):
        # what is under way beyond each pixel, as a queue that empties into free room
        free = np.broadcast_to(room, light.shape)[:, columns] - held
        walk = np.cumsum((half - free)[way], axis=0)
        under_way = walk - np.minimum(np.minimum.accumulate(walk, axis=0), 0)
        arrived = half[way] - np.diff(under_way, axis=0, prepend=0)
        held[way] += arrived
    out = light.copy()
    out[:, columns] = held
    return out


def trapped(loss: float, sky_electrons: np.ndarray) -> np.ndarray:
    """Return the share of the light that trails behind, with a sky that fills traps.

    Parameters
    ----------
    loss : float
        That share without sky.
    sky_electrons : (bands,) ndarray
        In a pixel of one exposure.
    """
    return loss / (1 + sky_electrons / _HALVED_AT)


def trail_spectra(share: np.ndarray, frequency: np.ndarray) -> np.ndarray:
    """Return the Fourier transforms of what charge transfer makes of a point of light.

    A share is trapped on its way along the column and comes out behind: a fifth of it
    in the next pixel, a tenth in the second, and all within 60 (WFC3 Data Handbook,
    section 6.4), as 1 / distance does.

    Parameters
    ----------
    share : (bands,) ndarray
        That trails behind; negative for trails towards the first row.
    frequency : (n,) ndarray
        Along a column, in cycles per pixel.

    Returns
    -------
    (bands, n) ndarray of complex64
    """
    distance = np.arange(1, _DRAWN_PX + 1)
    released = 1 / distance / (1 / np.arange(1, _RELEASED_PX + 1)).sum()
    phase = -2j * np.pi * frequency[:, None] * distance
    trail = np.exp(phase) @ released
    towards_first = (np.asarray(share) < 0)[:, None]
    size = np.abs(share)[:, None]
    spectra = 1 - size + size * np.where(towards_first, trail.conj(), trail)
    return spectra.astype(np.complex64)
