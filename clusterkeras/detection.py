"""Candidates on a mosaic: peaks above the local background, in all bands together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.stats import gaussian_fwhm_to_sigma
from astropy.table import QTable
from numpy.typing import NDArray
from photutils.aperture import CircularAperture
from photutils.background import Background2D
from photutils.detection import find_peaks
from photutils.utils.exceptions import NoDetectionsWarning
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from tqdm import tqdm

from clusterkeras import __version__
from clusterkeras.config import DetectionConfig
from clusterkeras.table_output import check_table_path, write_table
from data_tools.mosaic import Mosaics, open_mosaics
from data_tools.target import Target

if TYPE_CHECKING:
    from clusterkeras.model import ClusterModel

#: Side of the tiles that are held in memory, about, in pixels.
TILE_PX = 1024
#: Boxes of background that a tile sees beyond its own pixels on each side.
OVERLAP_BOXES = 2
#: Kernels in units of the configured FWHM, from unresolved to extended clusters.
KERNELS = (1.0, 2.0, 4.0, 8.0)
#: A candidate takes in weaker ones within this share of the FWHM it was found at. With
#: half of it, as many candidates miss 2 % more of the clusters above S/N 100: a crowd
#: of stars found at a large width takes in the cluster beside it.
REACH = 0.25
#: Surroundings that a kernel's light is compared with, in units of its width.
SURROUNDINGS = 2.0
#: Boxes with more missing pixels than this take the background of their neighbours.
_MASKED_PERCENT = 90
#: Radius of the aperture in units of the configured FWHM.
APERTURE = 2.0


def detect(
    images: Sequence[str | Path],
    output: str | Path,
    model_or_target: ClusterModel | Target,
    config: DetectionConfig | None = None,
    *,
    progress: bool = True,
) -> QTable:
    """Find candidates on the mosaics of one field and write their table.

    In each band a smooth background and its RMS are measured in boxes (sigma-clipped,
    interpolated between them). The detection image is the sum over bands of (flux -
    background) / RMS, divided by the root of the number of bands that have data: each
    band counts by its signal-to-noise. It is smoothed with Gaussians of four widths,
    less its surroundings (the same twice as wide), so that extended clusters are found
    too; a candidate is a peak above the threshold times the local RMS of the smoothed
    image, which holds noise and crowding. Of the peaks of one object at several widths
    the most significant stays. The mosaic is worked through in overlapping tiles;
    pixels without data count as background.

    Parameters
    ----------
    images : sequence of str or Path
        One FITS mosaic a band, in the model's order.
    output : str or Path
        Table, in the format its suffix names; `clusterkeras.catalogue.infer` reads it.
    model_or_target : ClusterModel or Target
        Gives the bands and the pixel scale.
    config : DetectionConfig, optional
        Threshold and scales.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    QTable
        Most significant first: ``id``, ``x``, ``y`` (0-based pixels), ``ra``, ``dec``
        (deg), ``snr``, ``fwhm`` (pixels) and ``flux_<band>`` (nJy).

    Raises
    ------
    FileNotFoundError
        If a mosaic is missing.
    ValueError
        If a mosaic cannot be used; see `data_tools.mosaic.open_mosaics`.
    """
    config = config or DetectionConfig()
    output = check_table_path(output)
    target = (
        model_or_target
        if isinstance(model_or_target, Target)
        else model_or_target.target
    )
    with open_mosaics(images, target.band_names, target.pixel_scale_arcsec) as mosaics:
        found = [
            _detect_tile(mosaics, rows, columns, config)
            for rows, columns in tqdm(
                tiles(mosaics.shape, config.box_px),
                desc="detect",
                unit="tile",
                disable=not progress,
            )
        ]
        candidates = _strongest_apart(
            np.concatenate(found), config.min_separation_px, config.max_candidates
        )
        table = _as_table(candidates, mosaics, config)
    table.meta["target"] = target.name
    write_table(table, output)
    return table


def tiles(shape: tuple[int, int], box_px: int) -> list[tuple[slice, slice]]:
    """Divide a mosaic into tiles that begin at multiples of the background's box.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns.
    box_px : int
        Side of the boxes in pixels.

    Returns
    -------
    list of (slice, slice)
        Rows and columns of each tile, without overlap.
    """
    spans = []
    for size in shape:
        boxes = math.ceil(size / box_px)
        step = math.ceil(boxes / max(round(size / TILE_PX), 1)) * box_px
        starts = range(0, size, step)
        spans.append([slice(first, min(first + step, size)) for first in starts])
    return [(rows, columns) for rows in spans[0] for columns in spans[1]]


def _detect_tile(
    mosaics: Mosaics, rows: slice, columns: slice, config: DetectionConfig
) -> NDArray[np.float64]:
    """Find candidates of one tile: (n, 4 + bands) x, y, S/N, kernel's FWHM, fluxes."""
    margin = OVERLAP_BOXES * config.box_px
    outer = [
        slice(max(s.start - margin, 0), min(s.stop + margin, size))
        for s, size in zip((rows, columns), mosaics.shape, strict=True)
    ]
    image, known, flux = combine(mosaics.window(*outer), config.box_px)
    if not known.any():
        return np.empty((0, 4 + len(mosaics.bands)))
    peaks = np.concatenate(
        [_peaks(image, known, k * config.fwhm_px, config) for k in KERNELS]
    )
    x, y = peaks[:, 0] + outer[1].start, peaks[:, 1] + outer[0].start
    own = (x >= columns.start - 0.5) & (x < columns.stop - 0.5)
    own &= (y >= rows.start - 0.5) & (y < rows.stop - 0.5)
    if not own.any():
        return np.empty((0, 4 + len(mosaics.bands)))
    aperture = CircularAperture(peaks[own, :2], APERTURE * config.fwhm_px)
    fluxes = [aperture.do_photometry(plane)[0] for plane in np.moveaxis(flux, -1, 0)]
    return np.column_stack([x[own], y[own], peaks[own, 2:], *fluxes])


def combine(
    pixels: NDArray[np.float32], box_px: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float32]]:
    """Give the detection image: all bands, each by its signal-to-noise.

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


def _subtract_background(
    image: NDArray[np.float32], box_px: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Give flux above the background and its RMS; both zero where there are no data."""
    flux, rms = np.zeros_like(image), np.zeros_like(image)
    for band in range(image.shape[-1]):
        plane = image[..., band]
        missing = np.isnan(plane)
        if missing.all():
            continue
        background = Background2D(
            np.where(missing, 0, plane),
            np.minimum(box_px, plane.shape),
            filter_size=3,
            mask=missing,
            exclude_percentile=_MASKED_PERCENT,
        )
        flux[..., band] = np.where(missing, 0, plane - background.background)
        rms[..., band] = np.where(missing, 0, background.background_rms)
    return flux, rms


def _peaks(
    image: NDArray[np.float32],
    known: NDArray[np.bool_],
    fwhm_px: float,
    config: DetectionConfig,
) -> NDArray[np.float64]:
    """Give x, y, S/N and FWHM, (n, 4), of the peaks at one width."""
    sigma = fwhm_px * gaussian_fwhm_to_sigma
    contrast, share = _smooth(image, known, sigma)
    contrast -= _smooth(image, known, SURROUNDINGS * sigma)[0]
    # beside an area without data fewer pixels are averaged, and the noise is higher
    contrast *= np.sqrt(share) * known
    local = Background2D(
        contrast,
        np.minimum(config.box_px, contrast.shape),
        filter_size=3,
        mask=~known,
        exclude_percentile=_MASKED_PERCENT,
    )
    # pixels clipped at zero seem to have no noise, but smoothed ones have this much
    contrast /= np.maximum(local.background_rms, _white_noise(sigma))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoDetectionsWarning)
        table = find_peaks(contrast, config.threshold, box_size=3)
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
    """Give the mean of the known pixels under a Gaussian, and the share it covers."""
    share = gaussian_filter(known.astype(np.float32), sigma)
    mean = gaussian_filter(image, sigma)
    np.divide(mean, share, out=mean, where=share > 0)
    return mean, share


def _white_noise(sigma: float) -> float:
    """Give the RMS of unit white noise after smoothing and taking the surroundings."""
    wide = SURROUNDINGS * sigma
    variance = 1 / sigma**2 + 1 / wide**2 - 4 / (sigma**2 + wide**2)
    return math.sqrt(variance / (4 * math.pi))


def _strongest_apart(
    candidates: NDArray[np.float64], separation_px: float, limit: int
) -> NDArray[np.float64]:
    """Sort by S/N and drop what belongs to a stronger candidate.

    That is what is closer to it than the stated separation or `REACH` of the FWHM at
    which it was found.
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
    kept = candidates[keep]
    return kept[:limit] if limit else kept


def _as_table(
    candidates: NDArray[np.float64], mosaics: Mosaics, config: DetectionConfig
) -> QTable:
    x, y, snr, fwhm = candidates[:, :4].T
    ra, dec = mosaics.wcs.all_pix2world(x, y, 0) if len(x) else (x, y)
    table = QTable(
        {
            "id": np.arange(1, len(x) + 1),
            "x": x * u.pix,
            "y": y * u.pix,
            "ra": ra * u.deg,
            "dec": dec * u.deg,
            "snr": snr.astype(np.float32),
            "fwhm": fwhm.astype(np.float32) * u.pix,
        },
        descriptions={
            "id": "number of the candidate, most significant first",
            "x": "column of the peak; the first pixel is 0",
            "y": "row of the peak; the first pixel is 0",
            "ra": "right ascension, ICRS as in the mosaic's header",
            "dec": "declination, ICRS as in the mosaic's header",
            "snr": "peak of the smoothed image, all bands, over its local RMS",
            "fwhm": "width of the smoothing at which that is largest",
        },
    )
    radius = APERTURE * config.fwhm_px
    for band, flux in zip(mosaics.bands, candidates[:, 4:].T, strict=True):
        name = f"flux_{band}"
        table[name] = flux.astype(np.float32) * u.nJy
        table[name].info.description = f"{band} above background within {radius:g} px"
    table.meta.update(
        clusterkeras=__version__,
        images=[path.name for path in mosaics.paths],
        threshold=config.threshold,
        fwhm_px=config.fwhm_px,
        box_px=config.box_px,
        min_separation_px=config.min_separation_px,
    )
    return table
