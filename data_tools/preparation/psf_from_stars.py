"""A target's PSF made from the stars of its own mosaics."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from photutils.aperture import CircularAperture
from photutils.psf import EPSFBuilder, EPSFStar, EPSFStars
from tqdm import tqdm

from data_tools.imaging.psf import (
    LARGEST_GRID,
    OVERSAMPLING,
    fwhm_px,
    n_positions,
    psf_spectra,
)
from data_tools.mosaics.mosaic import opened
from data_tools.preparation.isolated_stars import (
    STAMP_PX,
    StarList,
    concentration,
    find_stars,
)
from data_tools.preparation.star_selection import StarSelection
from data_tools.priors import Priors
from data_tools.running.output import whole_path
from data_tools.running.seal import BLANK
from data_tools.target import Target

logger = logging.getLogger(__name__)

#: Fewer stars than the first make no PSF; fewer than the second a poor one.
LEAST_STARS = 10
GOOD_STARS = 30

#: Iterations of building: fit of the places, then of the PSF.
_ITERATIONS = 8
#: The stars' PSF gives way to the shipped one between these radii, in pixels: the
#: outer parts of a stamp.
_JOIN_PX = (7.0, 11.0)
#: Between these frequencies, in cycles per pixel, nothing of a PSF is left by pixel and
#: drizzling.
_FINEST = (0.6, 0.95)


@dataclass(frozen=True)
class StarPsf:
    """One band's PSF, made from stars.

    Attributes
    ----------
    band : str
        Filter name.
    image : (side, side) ndarray
        Share of a star's flux in one mosaic pixel centred at that offset, with
        `data_tools.imaging.psf.OVERSAMPLING` samples a pixel; the star on the middle
        sample.
    shipped : (side, side) ndarray
        The same of the shipped PSF, mean over the detector, with the middle of the
        range of drizzle blur.
    n_stars : int
        Stars it was made from.
    """

    band: str
    image: np.ndarray
    shipped: np.ndarray
    n_stars: int


def psf_from_stars(
    images: Sequence[str | Path],
    target: Target,
    selection: StarSelection | None = None,
) -> list[StarPsf]:
    """Build the PSF of each band from the isolated stars of its mosaic.

    The effective PSF (Anderson & King 2000, PASP 112, 1360; photutils) at half a
    mosaic's pixel holds pixel and drizzling as the mosaic has them. Stars are too faint
    to show wings: within 0.28 to 0.44 arcsec (at UVIS pixels) the shipped PSF takes
    over. The stars' flux, and the level under them, are such that both hold the same
    light within the inner radius and the same around it, so that the flux of a star is
    that within 6 arcsec.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the target's order.
    target : Target
        Bands, pixel scale; PSFs that it names are not used.
    selection : StarSelection, optional
        Which stars.

    Returns
    -------
    list of StarPsf
        One a band.

    Raises
    ------
    FileNotFoundError
        If a mosaic is missing.
    ValueError
        If a mosaic cannot be used, or a band has less than `LEAST_STARS` stars.
    """
    selection = selection or StarSelection()
    shipped = _shipped(target)
    expected = np.array([concentration(p, OVERSAMPLING) for p in shipped])
    with opened(images, target) as mosaics:
        exposures = [band.n_exposures for band in target.bands]
        found = find_stars(mosaics, exposures, expected, selection)
    for band, stars in zip(target.band_names, found, strict=True):
        _check_number(band, len(stars.x), selection)
    # a quarter of a minute a band
    work = tqdm(list(zip(target.band_names, found, shipped, strict=True)), "psf")
    return [
        StarPsf(band, _join(_effective(stars), wings), wings, len(stars.x))
        for band, stars, wings in work
    ]


def write_psf(
    psf: StarPsf, target: Target, source: str | Path, path: str | Path
) -> None:
    """Write a PSF as a FITS file that a target can name.

    Parameters
    ----------
    psf : StarPsf
        What to write.
    target : Target
        Its galaxy.
    source : str or Path
        Mosaic that the stars are on.
    path : str or Path
        Replaced if it is there.
    """
    header = fits.Header()
    header["OBJECT"] = target.name
    header["FILTER"] = psf.band
    header["OVERSAMP"] = (OVERSAMPLING, "samples per pixel of the mosaic")
    header["ENCLOSED"] = (
        float(psf.image.sum()) / OVERSAMPLING**2,
        "share of a star's light in this image",
    )
    header["NSTARS"] = (psf.n_stars, "stars it was made from")
    header["FWHM"] = (round(fwhm_px(psf.image), 3), "pixels of the mosaic")
    for radius in (0.12, 0.40):
        share = encircled_energy(psf.image, radius, target.pixel_scale_arcsec)
        header[f"EE{100 * radius:03.0f}"] = (
            round(share, 4),
            f"share of the light within {radius:.2f} arcsec",
        )
    header["SEAL"] = BLANK
    header["SOURCE"] = (Path(source).name, "mosaic")
    header["COMMENT"] = "Effective PSF of the stars; wings of the shipped PSF."
    with whole_path(Path(path)) as unfinished:
        fits.PrimaryHDU(psf.image.astype(np.float32), header).writeto(unfinished)


def encircled_energy(
    image: np.ndarray, radius_arcsec: float, pixel_scale_arcsec: float
) -> float:
    """Return the share of a star's light within a radius.

    Parameters
    ----------
    image : (side, side) ndarray
        As `StarPsf.image`.
    radius_arcsec, pixel_scale_arcsec : float
        The radius, and the mosaic's pixel.
    """
    middle = len(image) // 2
    radius = radius_arcsec / pixel_scale_arcsec * OVERSAMPLING
    inside = CircularAperture((middle, middle), radius).do_photometry(image)[0][0]
    return float(inside / OVERSAMPLING**2)


def _shipped(target: Target) -> np.ndarray:
    """Mean PSFs over the detector at a middle blur, (bands, side, side), side odd."""
    plain = dataclasses.replace(target, psf={})
    blur = np.array([np.mean(Priors().blur_range(b)) for b in target.band_names])
    n = LARGEST_GRID
    spectra = np.mean(
        [psf_spectra(plain, n, p, blur) for p in range(n_positions())], axis=0
    )
    images = scipy.fft.irfft2(spectra, s=(n, n))
    return scipy.fft.fftshift(images, axes=(1, 2))[:, 1:, 1:]


def _check_number(band: str, n: int, selection: StarSelection) -> None:
    if n >= GOOD_STARS:
        return
    advice = (
        f"a smaller S/N than {selection.snr:g} (--stars.snr), a smaller distance of "
        f"neighbours than {selection.isolation_px:g} px (--stars.isolation_px) or a "
        "larger mosaic gives more"
    )
    if n < LEAST_STARS:
        raise ValueError(
            f"{band}: found {n} isolated, unsaturated stars, expected {LEAST_STARS} or "
            f"more to make a PSF from: {advice}; or leave this target its shipped PSF"
        )
    logger.warning(
        "%s: its PSF is made from no more than %d stars; %s", band, n, advice
    )


def _effective(stars: StarList) -> np.ndarray:
    """Build the effective PSF, (side, side) with the star on the middle sample."""
    half = STAMP_PX // 2
    places = [
        (x - np.rint(x) + half, y - np.rint(y) + half)
        for x, y in zip(stars.x, stars.y, strict=True)
    ]
    made = EPSFStars(
        [
            EPSFStar(stamp, cutout_center=place)
            for stamp, place in zip(stars.stamps, places, strict=True)
        ]
    )
    builder = EPSFBuilder(
        oversampling=OVERSAMPLING, maxiters=_ITERATIONS, progress_bar=False
    )
    with warnings.catch_warnings():
        # of stars whose fit failed, which are left out, and of places not yet at rest
        warnings.simplefilter("ignore", AstropyWarning)
        return np.asarray(builder(made)[0].data, float)


def _join(core: np.ndarray, wings: np.ndarray) -> np.ndarray:
    """Join a core, in any unit and above any level, to wings that give its unit."""
    half, middle = len(core) // 2, len(wings) // 2
    part = slice(middle - half, middle + half + 1)
    axis = np.arange(-half, half + 1) / OVERSAMPLING
    radius = np.hypot(axis[:, None], axis)
    inside = radius < _JOIN_PX[0]
    around = ~inside & (radius < _JOIN_PX[1])
    # unit a and level b: a sum(core) + b n is the wings' sum, inside and around
    masks = np.array([inside, around])
    sums = [[core[m].sum(), m.sum()] for m in masks]
    unit, level = np.linalg.solve(sums, [wings[part, part][m].sum() for m in masks])
    low, high = _JOIN_PX
    outer = np.clip((radius - low) / (high - low), 0, 1)
    outer = outer**2 * (3 - 2 * outer)
    image = wings.astype(float)
    image[part, part] = (1 - outer) * (unit * core + level) + outer * image[part, part]
    return _smoothed(image)


def _smoothed(image: np.ndarray) -> np.ndarray:
    """Take away what is finer than a drizzled PSF can be: noise of the building."""
    n = len(image)
    low, high = _FINEST
    along = [np.fft.fftfreq(n), np.fft.rfftfreq(n)]
    frequency = np.hypot(*np.meshgrid(*along, indexing="ij")) * OVERSAMPLING
    passed = np.cos(0.5 * np.pi * np.clip((frequency - low) / (high - low), 0, 1)) ** 2
    return scipy.fft.irfft2(scipy.fft.rfft2(image) * passed, s=image.shape)
