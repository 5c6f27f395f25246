"""Peaks of an image above its local background, narrow and wide, in all bands."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from photutils.background import Background2D
from photutils.detection import find_peaks
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import cKDTree

#: Kernels in units of the narrowest one's FWHM, from unresolved to extended clusters.
KERNELS = (1.0, 2.0, 4.0, 8.0)
#: A peak takes in weaker ones within this share of the FWHM it was found at. With
#: half of it, as many candidates miss 2 % more of the clusters above S/N 100: a crowd
#: of stars found at a large width takes in the cluster beside it.
REACH = 0.25
#: Surroundings that a kernel's light is compared with, in units of its width.
SURROUNDINGS = 2.0
#: Boxes with more missing pixels than this take the background of their neighbours.
_MASKED_PERCENT = 90


def combine(
    pixels: NDArray[np.float32], box_px: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Return the detection image: all bands, each by its signal-to-noise.

    Parameters
    ----------
    pixels : ndarray, shape (rows, columns, bands)
        nJy per pixel, NaN where there are no data.
    box_px : int
        Side of the boxes of background and noise.

    Returns
    -------
    image : ndarray of float32, shape (rows, columns)
        Sum of the bands' S/N over the root of the number of bands with data.
    known : ndarray of bool, shape (rows, columns)
        Where some band has data.
    flux : ndarray of float32, shape (rows, columns, bands)
        nJy per pixel above the background.
    """
    flux, rms = _subtract_background(pixels, box_px)
    usable = rms > 0
    snr = np.divide(flux, rms, out=np.zeros_like(flux), where=usable)
    bands = np.maximum(usable.sum(axis=-1), 1)
    image = (snr.sum(axis=-1) / np.sqrt(bands)).astype(np.float32)
    return image, usable.any(axis=-1), flux


def find(
    image: NDArray[np.float32],
    known: NDArray[np.bool_],
    *,
    threshold: float,
    fwhm_px: float,
    box_px: int,
) -> NDArray[np.float64]:
    """Find the peaks of a detection image at every width of `KERNELS`.

    Parameters
    ----------
    image, known : ndarray, shape (rows, columns)
        As of `combine`.
    threshold : float
        Least height in units of the local RMS of the smoothed image.
    fwhm_px : float
        FWHM of the narrowest Gaussian, in pixels.
    box_px : int
        Side of the boxes in which that RMS is measured.

    Returns
    -------
    ndarray, shape (n, 4)
        x, y (0-based pixels), height over the local RMS, FWHM of the kernel; the same
        object may be there at several widths: see `strongest_apart`.
    """
    return np.concatenate(
        [_peaks(image, known, k * fwhm_px, threshold, box_px) for k in KERNELS]
    )


def strongest_apart(
    candidates: NDArray[np.float64], separation_px: float
) -> NDArray[np.float64]:
    """Sort peaks by height and drop what belongs to a stronger one.

    That is what is closer to it than the stated separation or `REACH` of the FWHM at
    which it was found.

    Parameters
    ----------
    candidates : ndarray, shape (n, columns)
        Rows of `find`, whatever columns follow.
    separation_px : float
        Peaks closer than this are one.

    Returns
    -------
    ndarray, shape (m, columns)
        Those that stay, highest first.
    """
    candidates = candidates[np.argsort(-candidates[:, 2], kind="stable")]
    places, reach = (
        candidates[:, :2],
        np.maximum(separation_px, REACH * candidates[:, 3]),
    )
    keep = np.ones(len(candidates), dtype=bool)
    if len(candidates):
        tree = cKDTree(places)
        for i, neighbours in enumerate(tree.query_ball_point(places, reach)):
            if keep[i]:
                keep[[k for k in neighbours if k > i]] = False
    return candidates[keep]


def _subtract_background(
    image: NDArray[np.float32], box_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return flux above the background and its RMS, both zero without data."""
    flux, rms = np.zeros_like(image), np.zeros_like(image)
    for band in range(image.shape[-1]):
        plane = image[..., band]
        missing = np.isnan(plane)
        if missing.all():
            continue
        background = Background2D(
            np.where(missing, 0, plane),
            np.minimum(box_px, plane.shape),
            filter_size=1,  # `_at_pixels` does that
            mask=missing,
            exclude_percentile=_MASKED_PERCENT,
        )
        level = _at_pixels(background.background_mesh, box_px, plane.shape)
        flux[..., band] = np.where(missing, 0, plane - level)
        noise = _at_pixels(background.background_rms_mesh, box_px, plane.shape)
        rms[..., band] = np.where(missing, 0, noise)
    return flux, rms


def _at_pixels(
    mesh: NDArray[np.floating], box_px: int, shape: tuple[int, int]
) -> NDArray[np.floating]:
    """Return values of boxes at the pixels: the medians with their neighbours, splined.

    As photutils does it for a filter of 3 boxes, but all boxes at once and one axis
    after the other, in a fraction of its time.
    """
    around = sliding_window_view(np.pad(mesh, 1, constant_values=np.nan), (3, 3))
    mesh = np.nanmedian(around, axis=(2, 3)).astype(mesh.dtype)
    rows, columns = (
        _spline(boxes, min(box_px, side))[:side]
        for boxes, side in zip(mesh.shape, shape, strict=True)
    )
    full = rows.astype(mesh.dtype) @ mesh @ columns.astype(mesh.dtype).T
    return np.clip(full, mesh.min(), mesh.max(), out=full)


@lru_cache(maxsize=8)
def _spline(boxes: int, box_px: int) -> NDArray[np.float64]:
    """Return the weight of each box at each pixel along an axis, (pixels, boxes)."""
    each = [
        zoom(one, box_px, order=3, mode="reflect", grid_mode=True)
        for one in np.eye(boxes)
    ]
    return np.stack(each, axis=1)


def _peaks(
    image: NDArray[np.float32],
    known: NDArray[np.bool_],
    fwhm_px: float,
    threshold: float,
    box_px: int,
) -> NDArray[np.float64]:
    """Return x, y, S/N and FWHM, (n, 4), of the peaks at one width."""
    sigma = fwhm_px * gaussian_fwhm_to_sigma
    contrast, share = _smooth(image, known, sigma)
    contrast -= _smooth(image, known, SURROUNDINGS * sigma)[0]
    # beside an area without data fewer pixels are averaged, and the noise is higher
    contrast *= np.sqrt(share) * known
    local = Background2D(
        contrast,
        np.minimum(box_px, contrast.shape),
        filter_size=1,
        mask=~known,
        exclude_percentile=_MASKED_PERCENT,
    )
    # pixels clipped at zero seem to have no noise, but smoothed ones have this much
    noise = _at_pixels(local.background_rms_mesh, box_px, contrast.shape)
    contrast /= np.maximum(noise, _white_noise(sigma))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        table = find_peaks(contrast, threshold, box_size=3)
    if table is None:
        return np.empty((0, 4))
    x, y = (np.asarray(table[k], dtype=int) for k in ("x_peak", "y_peak"))
    inside = (x > 0) & (y > 0) & (x < image.shape[1] - 1) & (y < image.shape[0] - 1)
    x, y = x[inside], y[inside]
    top = contrast[y, x]
    offsets = []
    for dy, dx in ((0, 1), (1, 0)):
        before, after = contrast[y - dy, x - dx], contrast[y + dy, x + dx]
        curvature = 2 * top - before - after
        # the peak of the parabola through three pixels; zero on a plateau
        shift = np.divide(
            after - before, 2 * curvature, out=np.zeros_like(top), where=curvature > 0
        )
        offsets.append(np.clip(shift, -0.5, 0.5))
    return np.column_stack(
        [x + offsets[0], y + offsets[1], top, np.full(len(x), fwhm_px)]
    )


def _smooth(
    image: NDArray[np.float32], known: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the mean of the known pixels under a Gaussian, and the share it covers."""
    mean = gaussian_filter(image, sigma)
    if known.all():
        return mean, np.ones_like(mean)
    share = gaussian_filter(known.astype(np.float32), sigma)
    np.divide(mean, share, out=mean, where=share > 0)
    return mean, share


def _white_noise(sigma: float) -> float:
    """Return RMS of unit white noise after smoothing and taking the surroundings."""
    wide = SURROUNDINGS * sigma
    variance = 1 / sigma**2 + 1 / wide**2 - 4 / (sigma**2 + wide**2)
    return math.sqrt(variance / (4 * math.pi))
