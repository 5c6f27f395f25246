"""How wide the PSF of each band is on a mosaic, as its isolated stars show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from photutils.aperture import CircularAnnulus, CircularAperture

from data_tools.imaging.psf import OVERSAMPLING, fwhm_px, n_positions, psf_spectra
from data_tools.mosaics.mosaic import Mosaics
from data_tools.preparation.isolated_stars import (
    ANNULUS_PX,
    RADII_PX,
    STAMP_PX,
    concentration,
    find_stars,
)
from data_tools.preparation.star_selection import StarSelection
from data_tools.preparation.training_range import middle_blur
from data_tools.priors import Priors
from data_tools.target import Target

#: Of fewer stars the width is not told.
LEAST_STARS = 10

#: A width is known to this, as the training of a network takes it; so far outside of
#: the mocks' range it may lie by chance.
_SURE = 0.05
#: Parts of a mosaic that are searched: a second each and band.
_MOST_TILES = 12
#: Drizzle blurs in pixels at which a PSF's width is computed.
_BLURS_PX = np.linspace(0, 2.4, 25)
#: Side of the PSF's grid in samples: a stamp has 50.
_GRID = 128


@dataclass(frozen=True)
class PsfWidth:
    """Width of one band's PSF.

    Attributes
    ----------
    fwhm_px : float
        Full width at half maximum in the mosaic's pixels, as
        `data_tools.imaging.psf.fwhm_px` has it; NaN if it is not known.
    n_stars : int
        Stars it was measured on, or too few.
    """

    fwhm_px: float
    n_stars: int


def measure_psf_widths(
    mosaics: Mosaics, target: Target, *, progress: bool = True
) -> list[PsfWidth]:
    """Measure the width of each band's PSF on its isolated stars.

    The share of a star's light within 4 pixels that falls within 1.5, the median of the
    stars, is that of the target's PSF under some drizzle blur (a Gaussian), and the
    width that of this PSF: as wide as the mock's that shows stars so.

    Parameters
    ----------
    mosaics : Mosaics
        Open mosaics in the target's bands.
    target : Target
        Bands, pixel scale, PSFs.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    list of PsfWidth
        One a band.
    """
    images = _psf_images(target)
    middle = middle_blur(target, Priors().fixed_by(target))
    expected = [
        np.interp(blur, _BLURS_PX, [concentration(i, OVERSAMPLING) for i in band])
        for blur, band in zip(middle, images, strict=True)
    ]
    exposures = [band.n_exposures for band in target.bands]
    found = find_stars(
        *(mosaics, exposures, np.array(expected), StarSelection(), _MOST_TILES),
        progress=progress,
    )
    widths = []
    for stars, band in zip(found, images, strict=True):
        n = len(stars.x)
        width = math.nan
        if n >= LEAST_STARS:
            half = STAMP_PX // 2
            shares = [
                _share(stamp, (x - np.rint(x) + half, y - np.rint(y) + half))
                for x, y, stamp in zip(stars.x, stars.y, stars.stamps, strict=True)
            ]
            # the wider the smaller, and interpolation wants it rising
            of_blurs = [_share_of_psf(image) for image in band][::-1]
            blur = np.interp(np.median(shares), of_blurs, _BLURS_PX[::-1])
            width = np.interp(blur, _BLURS_PX, [fwhm_px(image) for image in band])
        widths.append(PsfWidth(float(width), n))
    return widths


def outside_mocks(widths_px: Sequence[float], target: Target) -> dict[str, str]:
    """Say of which bands the PSF is wider, or narrower, than any that mocks have.

    Parameters
    ----------
    widths_px : sequence of float
        Full width at half maximum of each band; NaN if it is not known.
    target : Target
        What the mocks were made for; its priors, and elsewhere the default ones, give
        the drizzle blur.

    Returns
    -------
    dict of str to str
        By band the range of the mocks in pixels, in words.
    """
    priors, outside = Priors().fixed_by(target), {}
    images = _psf_images(target)
    for width, band, psfs in zip(widths_px, target.band_names, images, strict=True):
        low, high = np.interp(
            priors.blur_range(band), _BLURS_PX, [fwhm_px(image) for image in psfs]
        )
        if width < low * (1 - _SURE) or width > high * (1 + _SURE):
            outside[band] = f"{low:.2f} to {high:.2f}"
    return outside


def as_wide(
    priors: Priors, target: Target, widths_px: Sequence[float | None]
) -> Priors:
    """Return priors under which PSFs are as wide as they were measured to be.

    Parameters
    ----------
    priors : Priors
        Their drizzle blur stays where no width is known.
    target : Target
        Bands and PSFs.
    widths_px : sequence of float or None
        Full width at half maximum of each band in pixels; None or NaN if it is not
        known.

    Returns
    -------
    Priors
        With the range of drizzle blur of each band that gives its width to 5 %.
    """
    blurs = dict(priors.drizzle_blur_px)
    images = _psf_images(target)
    for width, band, psfs in zip(widths_px, target.band_names, images, strict=True):
        if width is None or not math.isfinite(width):
            continue
        widths = [fwhm_px(image) for image in psfs]
        ends = width * (1 - _SURE), width * (1 + _SURE)
        blurs[band] = tuple(np.interp(ends, widths, _BLURS_PX).tolist())
    return replace(priors, drizzle_blur_px=blurs)


def _psf_images(target: Target) -> NDArray[np.float64]:
    """Return mean PSFs over the detector, (bands, blurs, side, side), side odd."""
    none = np.zeros(len(target.bands))
    base = np.mean(
        [psf_spectra(target, _GRID, p, none) for p in range(n_positions())], axis=0
    )
    along = np.fft.fftfreq(_GRID) * OVERSAMPLING, np.fft.rfftfreq(_GRID) * OVERSAMPLING
    squared = along[0][:, None] ** 2 + along[1] ** 2
    blur = np.exp(-2 * (np.pi * _BLURS_PX[:, None, None]) ** 2 * squared)
    images = scipy.fft.irfft2(base[:, None] * blur, s=(_GRID, _GRID))
    return scipy.fft.fftshift(images, axes=(2, 3))[..., 1:, 1:]


def _share_of_psf(image: NDArray[np.floating]) -> float:
    """Return `_share` of a PSF on the finer grid, mean over places in a pixel."""
    middle = image.shape[0] // 2
    first = middle % OVERSAMPLING
    shares = []
    for y in range(OVERSAMPLING):
        for x in range(OVERSAMPLING):
            rows, columns = ((first + o) % OVERSAMPLING for o in (y, x))
            place = ((middle - columns) / OVERSAMPLING, (middle - rows) / OVERSAMPLING)
            shares.append(
                _share(image[rows::OVERSAMPLING, columns::OVERSAMPLING], place)
            )
    return float(np.mean(shares))


def _share(stamp: NDArray[np.floating], place: tuple[float, float]) -> float:
    """Return the share of the larger aperture's light that is in the smaller one."""
    around = CircularAnnulus(place, *ANNULUS_PX).to_mask(method="center")
    level = np.median(around.get_values(stamp))
    inner, outer = (
        CircularAperture(place, radius).do_photometry(stamp - level)[0][0]
        for radius in RADII_PX
    )
    return float(inner / outer)
