"""Sets that differ from the nominal one: what is changed in target and priors."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from data_tools.imaging.psf import OVERSAMPLING, psf_image
from data_tools.priors import Priors
from data_tools.target import Target

#: Factor between a broader PSF's total sigma and the nominal one's.
PSF_FACTOR = 1.15
#: FWHM of a Gaussian in units of its sigma.
_FWHM = 2 * math.sqrt(2 * math.log(2))
_PSF_GRID = 64

#: From target and priors to those of a shift's own set.
Change = Callable[[Target, Priors], tuple[Target, Priors]]


def nothing(target: Target, priors: Priors) -> tuple[Target, Priors]:
    """Change nothing."""
    return target, priors


def fixed(**values: Any) -> Change:
    """Return what gives priors these values, whatever the target has fixed."""

    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        rest = {k: v for k, v in target.priors.items() if k not in values}
        return (
            dataclasses.replace(target, priors=rest),
            dataclasses.replace(priors, **values),
        )

    return change


def core_sigma_px(target: Target, band: str) -> float:
    """Return the sigma in pixels of the Gaussian with the FWHM of a band's PSF.

    The PSF is the one in the middle of the detector, or a user's first, pixel included
    and before any blur by drizzling.
    """
    image = psf_image(
        target.psf.get(band), band, 28, _PSF_GRID, target.pixel_scale_arcsec
    )
    radii = np.linspace(0, _PSF_GRID / 4, 500)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)[:, None]
    middle = _PSF_GRID // 2
    places = [middle + radii * np.sin(angles), middle + radii * np.cos(angles)]
    profile = map_coordinates(image.astype(float), places, order=3).mean(axis=0)
    half = int(np.argmax(profile < profile[0] / 2))
    radius = np.interp(
        -profile[0] / 2, -profile[half - 1 : half + 1], radii[half - 1 : half + 1]
    )
    return 2 * radius / OVERSAMPLING / _FWHM


def broader_psf(target: Target, priors: Priors) -> tuple[Target, Priors]:
    """Make every band's PSF, drizzling included, `PSF_FACTOR` times as broad.

    With s the sigma of the PSF's core (`core_sigma_px`) and b that of the blur by
    drizzling, which is drawn from a range, the total is sqrt(s^2 + b^2): so both ends
    of the range become sqrt(f^2 (s^2 + b^2) - s^2). A core is no Gaussian: over the
    default ranges the FWHM itself grows by 13 to 19 %.
    """

    def broader(sigma: float, blur: float) -> float:
        return math.sqrt(PSF_FACTOR**2 * (sigma**2 + blur**2) - sigma**2)

    blurs = dict(priors.drizzle_blur_px)
    for band in target.band_names:
        sigma = core_sigma_px(target, band)
        low, high = (broader(sigma, blur) for blur in priors.blur_range(band))
        blurs[band] = (low, high)
    return target, dataclasses.replace(priors, drizzle_blur_px=blurs)


def deeper(factor: float) -> Change:
    """Return what multiplies the exposure of all bands."""

    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        bands = tuple(
            dataclasses.replace(band, exposure_s=factor * band.exposure_s)
            for band in target.bands
        )
        return dataclasses.replace(target, bands=bands), priors

    return change


def metallicity(offset: float) -> Change:
    """Return what moves [Fe/H] of all clusters and of the disc, in dex."""

    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        return (
            dataclasses.replace(target, feh=target.feh + offset),
            dataclasses.replace(priors, feh_offset=(0.0, 0.0)),
        )

    return change


def law_alone(law: str) -> Change:
    """Return what reddens everything by one law."""

    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        return (
            dataclasses.replace(target, extinction_law=law),
            dataclasses.replace(priors, extinction_laws=(law,)),
        )

    return change


def brighter_disc(target: Target, priors: Priors) -> tuple[Target, Priors]:
    """Give the disc three times the stars, old and young."""

    def brighter(densities: tuple[float, float]) -> tuple[float, float]:
        low, high = densities
        return low + math.log10(3), high + math.log10(3)

    return target, dataclasses.replace(
        priors,
        field_old_mass_density=brighter(priors.field_old_mass_density),
        field_sfr_density=brighter(priors.field_sfr_density),
    )
