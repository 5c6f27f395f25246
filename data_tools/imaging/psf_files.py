"""PSFs in FITS files: a user's own, STScI's STDPSF, TinyTim's."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from data_tools.foreign.reading import reading

#: Samples per native pixel, along an axis, of STScI's empirical PSFs (Anderson 2016,
#: WFC3 ISR 2016-12).
_STDPSF_OVERSAMPLING = 4
#: TinyTim's pixels that are smaller than this share of a mosaic's were subsampled:
#: its PSF is then not yet seen through a pixel.
_SUBSAMPLED = 0.75
#: Of an image or a stack; STScI's have 571,256, none has a million.
MOST_PIXELS = 50_000_000
#: What a header may say of samples a pixel, of a pixel in arcsec and of the share of a
#: star's light.
OVERSAMPLINGS, PIXELS_ARCSEC, SHARES = (0.1, 100), (1e-4, 1), (0.01, 1.1)


@dataclass(frozen=True)
class PsfFile:
    """What a file says a point source looks like.

    Attributes
    ----------
    images : (n, side, side) ndarray
        At n places of the detector, the star on ``[side // 2, side // 2]``: the share
        of its flux in one pixel, centred at that offset.
    step_arcsec : float
        Distance between samples.
    pixel_arcsec : float
        Side of that pixel.
    is_core : bool
        Whether the flux is that within about 0.2 arcsec, and wings are missing.
    """

    images: np.ndarray
    step_arcsec: float
    pixel_arcsec: float
    is_core: bool = False


def read_psf(
    path: str | Path, pixel_scale_arcsec: float, native_pixel_arcsec: float
) -> PsfFile:
    """Read a PSF from a FITS file.

    Three kinds are told apart by their headers:

    - a stack of PSFs with ``NXPSFS``: STDPSF, the empirical PSFs of STScI, at a quarter
      of the native pixel;
    - an image with ``PIXSCALE`` and no ``OVERSAMP``: TinyTim, the pixel in arcsec; if
      it was subsampled it is blurred by a pixel of the mosaic;
    - any other image: a PSF as the mosaic shows it, with ``OVERSAMP`` samples (1 if it
      is not there) per pixel of the mosaic along an axis. It holds the share
      ``ENCLOSED`` (1 if it is not there) of a star's light.

    Parameters
    ----------
    path : str or Path
        FITS file.
    pixel_scale_arcsec : float
        Pixel of the mosaic.
    native_pixel_arcsec : float
        Pixel of the detector.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none of these; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"PSF file {path}: not found")
    data, header = _read(path)
    side = data.shape[-1]
    stack = "NXPSFS" in header
    tinytim = not stack and "PIXSCALE" in header and "OVERSAMP" not in header
    if data.ndim != (3 if stack else 2):
        raise ValueError(f"PSF file {path}: expected a 2-D image; found {data.ndim}-D")
    if data.shape[-2] != side or (side % 2 == 0 and not tinytim):
        raise ValueError(
            f"PSF file {path}: expected a square image of odd side with the star on "
            f"the middle pixel; received {data.shape}"
        )
    if not np.isfinite(data).all() or data.sum() <= 0:
        raise ValueError(f"PSF file {path}: expected finite pixels of positive sum")

    if stack:
        # a border that was never filled holds -0.1
        data = np.where(data < -0.05, 0, data)
        step = native_pixel_arcsec / _STDPSF_OVERSAMPLING
        return PsfFile(data, step, native_pixel_arcsec, is_core=True)
    if tinytim:
        step = _number(path, header, "PIXSCALE", *PIXELS_ARCSEC)
        data = data / data.sum()
        if step < _SUBSAMPLED * pixel_scale_arcsec:
            ratio = pixel_scale_arcsec / step
            data = _through_pixel(data, ratio) * ratio**2
            return PsfFile(data[None], step, pixel_scale_arcsec)
        return PsfFile(data[None], step, step)
    oversampling = _number(path, header, "OVERSAMP", *OVERSAMPLINGS)
    enclosed = _number(path, header, "ENCLOSED", *SHARES)
    data = data * (enclosed * oversampling**2 / data.sum())
    step = pixel_scale_arcsec / oversampling
    return PsfFile(data[None], step, pixel_scale_arcsec)


def _read(path: Path) -> tuple[np.ndarray, fits.Header]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        with reading(path, "a PSF in FITS"):
            # some of STScI's files go on after their end, with no header
            hdus = fits.open(path, ignore_missing_end=True)
        with hdus:
            with reading(path, "a PSF in FITS"):
                hdu = next((h for h in hdus if h.is_image and h.shape), None)
                shape = tuple(int(n) for n in hdu.shape) if hdu else ()
            if not shape:
                raise ValueError(f"PSF file {path}: expected an image; found none")
            if math.prod(shape) > MOST_PIXELS:
                raise ValueError(
                    f"PSF file {path}: expected at most {MOST_PIXELS:,} pixels; its "
                    f"header says {' x '.join(map(str, shape))}. Is it a PSF?"
                )
            with reading(path, "a PSF in FITS"):
                return np.asarray(hdu.data, float), hdu.header


def _number(
    path: Path, header: fits.Header, key: str, low: float, high: float
) -> float:
    """Return a number of a header, 1 if it is not there."""
    with reading(path, "a PSF in FITS"):
        value = header.get(key, 1)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:
        raise ValueError(
            f"PSF file {path}: expected {key} from {low:g} to {high:g}; received "
            f"{value!r}"
        )
    return float(value)


def _through_pixel(image: np.ndarray, side: float) -> np.ndarray:
    """Average an image over a square of that many samples around each."""
    n = len(image)
    along = np.sinc(np.fft.fftfreq(n) * side)
    spectrum = scipy.fft.rfft2(image) * along[:, None] * along[: n // 2 + 1]
    return scipy.fft.irfft2(spectrum, s=image.shape)
