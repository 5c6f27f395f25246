"""Point-spread functions: empirical core, TinyTim wings, the user's own, blur."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from scipy.ndimage import map_coordinates

from data_tools.imaging.psf_files import read_psf
from data_tools.tables import load_tables
from data_tools.target import Target

#: Images are rendered on a grid so many times finer than the mosaic's pixels. Beyond
#: the finer grid's Nyquist frequency (25 cycles / arcsec) the pixel and the optics
#: leave nothing of a UVIS PSF.
OVERSAMPLING = 2

#: Largest side of the finer grid of a PSF, 5 arcsec: it holds all but 1 to 2 % of the
#: light within 6 arcsec.
LARGEST_GRID = 256

#: Core and wings change over between these radii, in arcsec.
_JOIN_ARCSEC = (0.28, 0.44)
#: From this share of the largest grid's half side on, wings fade to zero.
_FADE = 0.8
#: A half maximum is looked for so far from the middle, in such steps, in pixels.
_HALF_MAXIMUM_PX, _FINE_PX = 5.0, 0.1


def _sample(
    image: np.ndarray, step_arcsec: float, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Interpolate an image, centred on its middle pixel, at offsets in arcsec."""
    middle = image.shape[0] // 2
    return map_coordinates(
        image.astype(float),
        [y / step_arcsec + middle, x / step_arcsec + middle],
        order=3,
    )


def _offsets(n: int, pixel_scale_arcsec: float) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (x, y) in arcsec of an n x n finer grid, zero at [n // 2, n // 2]."""
    axis = (np.arange(n) - n // 2) * (pixel_scale_arcsec / OVERSAMPLING)
    return np.meshgrid(axis, axis)


def _rise(radius: np.ndarray, low: float, high: float) -> np.ndarray:
    """Rise smoothly from 0 at the lower radius to 1 at the higher."""
    share = np.clip((radius - low) / (high - low), 0, 1)
    return share**2 * (3 - 2 * share)


@lru_cache(maxsize=16)
def _wing(
    band: str, n: int, pixel_scale_arcsec: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the wings, faded out where the core is, and the weight of the core."""
    tables = load_tables((band,))
    x, y = _offsets(n, pixel_scale_arcsec)
    radius = np.hypot(x, y)
    outer = _rise(radius, *_JOIN_ARCSEC)
    wing = _sample(tables.psf_wing[0], tables.psf_wing_pixel_arcsec, x, y)
    wing *= outer * (pixel_scale_arcsec / tables.psf_wing_pixel_arcsec) ** 2
    # without an edge, so that the brightest objects do not stand in a square
    edge = LARGEST_GRID / 2 * pixel_scale_arcsec / OVERSAMPLING
    wing *= 1 - _rise(radius, _FADE * edge, edge)
    return wing, 1 - outer


def _with_wings(
    core: np.ndarray,
    step_arcsec: float,
    band: str,
    n: int,
    pixel_scale_arcsec: float,
) -> np.ndarray:
    """Join a core, in the unit of the tables' cores, to the wings of the tables."""
    tables = load_tables((band,))
    wing, weight = _wing(band, n, pixel_scale_arcsec)
    inner = weight > 0
    x, y = (offset[inner] for offset in _offsets(n, pixel_scale_arcsec))
    scale = (
        tables.psf_core_scale[0] * (pixel_scale_arcsec / tables.psf_pixel_arcsec) ** 2
    )
    image = wing.copy()
    image[inner] += scale * weight[inner] * _sample(core, step_arcsec, x, y)
    return image


def psf_image(
    path: str | None,
    band: str,
    position: int,
    n: int,
    pixel_scale_arcsec: float,
) -> np.ndarray:
    """Return a PSF on the finer grid, before blur.

    The value is the share of a star's flux in one mosaic pixel centred at that offset,
    so that every second sample along each axis adds up to the flux that falls on the
    grid: of the shipped PSF, whose unit is the flux within 6 arcsec, 0.977 to 0.994.

    Parameters
    ----------
    path : str or None
        Path of a FITS PSF as `data_tools.imaging.psf_files.read_psf` takes it, or None
        for the shipped one. STScI's empirical PSFs get the shipped wings.
    band : str
        Filter name.
    position : int
        Which of the detector's 56 empirical PSFs (Anderson 2016, WFC3 ISR 2016-12),
        or which of a file's, which begin anew after the last.
    n : int
        Side of the finer grid, even.
    pixel_scale_arcsec : float
        Pixel of the mosaic.

    Returns
    -------
    (n, n) ndarray
        Centred on ``[n // 2, n // 2]``.

    Raises
    ------
    ValueError
        For a band without a table, or a file that is not a PSF as described.
    FileNotFoundError
        If the file does not exist.
    """
    tables = load_tables((band,))
    if path is None:
        core, step = tables.psf_core[0, position], tables.psf_core_step_arcsec
        image = _with_wings(core, step, band, n, pixel_scale_arcsec)
        return image.astype(np.float32)
    file = read_psf(path, pixel_scale_arcsec, tables.psf_pixel_arcsec)
    own = file.images[position % len(file.images)]
    if file.is_core:
        image = _with_wings(own, file.step_arcsec, band, n, pixel_scale_arcsec)
    else:
        image = _sample(own, file.step_arcsec, *_offsets(n, pixel_scale_arcsec))
        image *= (pixel_scale_arcsec / file.pixel_arcsec) ** 2
    return image.astype(np.float32)


@lru_cache(maxsize=256)
def _transform(
    path: str | None, band: str, position: int, n: int, pixel_scale_arcsec: float
) -> np.ndarray:
    image = psf_image(path, band, position, n, pixel_scale_arcsec)
    spectrum = scipy.fft.rfft2(np.fft.ifftshift(image))
    spectrum.flags.writeable = False
    return spectrum


def n_positions() -> int:
    """Return the number of empirical PSFs over the detector."""
    return len(load_tables().psf_positions)


def psf_spectra(
    target: Target,
    n: int,
    position: int,
    blur_px: np.ndarray,
    shift_px: np.ndarray | None = None,
) -> np.ndarray:
    """Return the Fourier transforms of all bands' PSFs on the finer grid.

    With a blur of 1.2, 0.8 and 0.6 px the mean of F336W, F438W and F814W over the
    detector holds the light that STScI states for drizzled images within 0.12 and 0.40
    arcsec, to 0.02. Within 0.12 arcsec the positions scatter by 0.004 to 0.007; within
    0.40 by less than 0.001, since they share their wings.

    Parameters
    ----------
    target : Target
        Bands, pixel scale, own PSF files.
    n : int
        Side of the finer grid, even, at most `LARGEST_GRID`.
    position : int
        Which empirical PSF.
    blur_px : (bands,) ndarray
        Sigma of a Gaussian blur in mosaic pixels: what drizzling adds.
    shift_px : (bands, 2) ndarray, optional
        How far each band's image stands off, (x, y) in mosaic pixels: what aligning
        the mosaics left.

    Returns
    -------
    (bands, n, n // 2 + 1) ndarray of complex64
        ``scipy.fft.rfft2`` of a PSF centred on pixel [0, 0], or shifted from there.
    """
    frequency = np.fft.fftfreq(n) * OVERSAMPLING
    spectra = np.empty((len(target.bands), n, n // 2 + 1), np.complex64)
    for i, band in enumerate(target.band_names):
        damping = np.exp(-2 * (np.pi * blur_px[i] * frequency) ** 2)
        x, y = (0.0, 0.0) if shift_px is None else shift_px[i]
        along_x, along_y = (
            (damping * np.exp(-2j * np.pi * v * frequency)).astype(np.complex64)
            if v
            else damping.astype(np.float32)
            for v in (x, y)
        )
        base = _transform(
            target.psf.get(band), band, position, n, target.pixel_scale_arcsec
        )
        np.multiply(base, along_y[:, None], out=spectra[i])
        spectra[i] *= along_x[: n // 2 + 1]
    return spectra


def fwhm_px(image: np.ndarray) -> float:
    """Return the diameter of the circle as large as what is above half the maximum.

    Parameters
    ----------
    image : (side, side) ndarray
        On the finer grid, centred on [side // 2, side // 2].

    Returns
    -------
    float
        In pixels of the mosaic.
    """
    middle = len(image) // 2
    axis = np.arange(-_HALF_MAXIMUM_PX, _HALF_MAXIMUM_PX, _FINE_PX)
    places = np.meshgrid(axis, axis)
    reach = min(middle, int(OVERSAMPLING * (_HALF_MAXIMUM_PX + 4)))
    part = slice(middle - reach, middle + reach + 1)
    places = np.multiply(places, OVERSAMPLING) + reach
    fine = map_coordinates(image[part, part], places, order=3)
    area = (fine > fine.max() / 2).sum() * _FINE_PX**2
    return float(2 * np.sqrt(area / np.pi))
