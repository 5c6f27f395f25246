"""Candidates on a mosaic: peaks above the local background, in all bands together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
from astropy.table import QTable
from numpy.typing import NDArray
from photutils.aperture import CircularAperture
from tqdm import tqdm

from clusterkeras import __version__
from clusterkeras.config import DetectionConfig
from clusterkeras.model_files.presets import DEFAULT_PRESET
from clusterkeras.serving.served_model import facts_of
from data_tools.imaging.peaks import combine, find, strongest_apart
from data_tools.mosaics.mosaic import Mosaics, opened
from data_tools.mosaics.sky import to_icrs
from data_tools.mosaics.stored.extensions import files_of
from data_tools.running.output import check_file
from data_tools.running.replaced import check_replaced
from data_tools.running.table_file import FORMATS, write_table
from data_tools.target import Target

if TYPE_CHECKING:
    from clusterkeras.network.posterior_model import PosteriorModel

#: Side of the tiles that are held in memory, about, in pixels.
TILE_PX = 1024
#: Boxes of background that a tile sees beyond its own pixels on each side.
OVERLAP_BOXES = 2
#: Radius of the aperture in units of the configured FWHM.
APERTURE = 2.0


def find_candidates(
    mosaics: Mosaics, config: DetectionConfig | None = None, *, progress: bool = True
) -> QTable:
    """Find candidates on open mosaics of one field.

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
    mosaics : Mosaics
        Open mosaics, all bands.
    config : DetectionConfig, optional
        Threshold and scales.
    progress : bool
        Whether to show a progress bar.

    Returns
    -------
    QTable
        Most significant first: ``id``, ``x``, ``y`` (0-based pixels), ``ra``, ``dec``
        (deg), ``snr``, ``fwhm`` (pixels) and ``flux_<band>`` (nJy).

    Examples
    --------
    >>> from clusterkeras import find_candidates
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> find_candidates(galaxy.mosaics, progress=False).colnames[:3]
    ['id', 'x', 'y']
    """
    config = config or DetectionConfig()
    found = [
        _detect_tile(mosaics, rows, columns, config)
        for rows, columns in tqdm(
            tiles(mosaics.shape, config.box_px),
            desc="detect",
            unit="tile",
            disable=not progress,
        )
    ]
    candidates = strongest_apart(np.concatenate(found), config.min_separation_px)
    if config.max_candidates:
        candidates = candidates[: config.max_candidates]
    return _as_table(candidates, mosaics, config)


def detect(
    images: Sequence[str | Path] | Mosaics,
    output: str | Path | None = None,
    model_or_target: PosteriorModel | Target | str | Path = DEFAULT_PRESET,
    config: DetectionConfig | None = None,
    *,
    progress: bool = True,
    overwrite: bool = False,
) -> QTable:
    """Find candidates on the mosaics of one field; see `find_candidates`.

    Parameters
    ----------
    images : sequence of str or Path, or Mosaics
        One FITS mosaic a band, in the model's order.
    output : str or Path, optional
        Table of candidates, in the format its suffix names (``.ecsv``);
        ``clusterkeras infer`` reads it.
    model_or_target : PosteriorModel, Target, str or Path
        Gives the bands and the pixel scale; a model may be named.
    config : DetectionConfig, optional
        Threshold and scales.
    progress : bool
        Whether to show a progress bar.
    overwrite : bool
        Whether to write also over files that are not as this package wrote them, or
        into a directory with other files; see `data_tools.running.replaced`.

    Returns
    -------
    QTable
        What `find_candidates` returns; `clusterkeras.infer` takes it or its file.

    Raises
    ------
    FileNotFoundError
        If a mosaic is missing.
    ValueError
        If a mosaic cannot be used (see `data_tools.mosaics.mosaic.open_mosaics`), or
        the output is one.
    FileExistsError
        If something is there that may not be written over.

    Examples
    --------
    >>> import clusterkeras
    >>> from data_tools import Target, make_mosaic
    >>> galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=192, n=2, seed=1)
    >>> candidates = clusterkeras.detect(galaxy.mosaics, progress=False)
    >>> candidates["x"].unit
    Unit("pix")
    """
    if output is not None:
        output = check_file(output, "table", FORMATS)
        check_replaced([output], files_of(images), overwrite=overwrite)
    if isinstance(model_or_target, Target):
        target = model_or_target
    else:
        target = facts_of(model_or_target).target
    with opened(images, target) as mosaics:
        table = find_candidates(mosaics, config, progress=progress)
    table.meta["target"] = target.name
    if output is not None:
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
    peaks = find(
        image,
        known,
        threshold=config.threshold,
        fwhm_px=config.fwhm_px,
        box_px=config.box_px,
    )
    x, y = peaks[:, 0] + outer[1].start, peaks[:, 1] + outer[0].start
    own = (x >= columns.start - 0.5) & (x < columns.stop - 0.5)
    own &= (y >= rows.start - 0.5) & (y < rows.stop - 0.5)
    if not own.any():
        return np.empty((0, 4 + len(mosaics.bands)))
    aperture = CircularAperture(peaks[own, :2], APERTURE * config.fwhm_px)
    fluxes = [aperture.do_photometry(plane)[0] for plane in np.moveaxis(flux, -1, 0)]
    return np.column_stack([x[own], y[own], peaks[own, 2:], *fluxes])


def _as_table(
    candidates: NDArray[np.float64], mosaics: Mosaics, config: DetectionConfig
) -> QTable:
    x, y, snr, fwhm = candidates[:, :4].T
    ra, dec = to_icrs(mosaics.wcs, x, y)
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
            "ra": "right ascension, ICRS",
            "dec": "declination, ICRS",
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
