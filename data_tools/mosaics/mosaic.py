"""Real HST mosaics: open one per band, check that they agree, cut out.

Pixels are 0-based inside ClusterKeras: the middle of the first pixel is (0, 0), x
runs along the second axis of the array. Nothing is resampled.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from data_tools.mosaics.agreement import check_bands, check_grid, check_scale
from data_tools.mosaics.band_image import BandImage
from data_tools.mosaics.calibration import SHIPPED_INSTRUMENT
from data_tools.mosaics.cutout import CORE_PX, Cutout, is_saturated
from data_tools.target import Target

logger = logging.getLogger(__name__)

#: A whole number is as far from two middles. So that a position and the same one after
#: a turn through the sky give the same cutout, just below counts as just above.
ROUNDING_PX = 1e-3

#: Rows of a weight map that its median is taken of.
_WEIGHT_ROWS = 64


class Mosaics:
    """The mosaics of one field in all bands, on one pixel grid.

    Made by `open_mosaics`; a context manager that closes the files.

    Parameters
    ----------
    planes : sequence of BandImage
        In the order of the bands; already checked against each other.
    bands : sequence of str
        Their names.

    Attributes
    ----------
    bands : tuple of str
        Names, in the order of the image's last axis.
    shape : (int, int)
        Rows and columns.
    wcs : WCS
        Celestial coordinates of the first band.
    physical : ndarray of float64, shape (2, 3), or None
        Its physical coordinates to pixels; see `BandImage`.
    calibrations : tuple of Calibration
        Flux scale of each band.
    paths : tuple of Path
        The files.
    has_weights : tuple of bool
        Whether each band has a weight map.
    planes : tuple of BandImage
        One a band.
    """

    def __init__(self, planes: Sequence[BandImage], bands: Sequence[str]):
        """Keep the planes."""
        self.planes = tuple(planes)
        self.bands = tuple(bands)
        self.shape = planes[0].shape
        self.wcs = planes[0].wcs
        self.physical = planes[0].physical
        self.calibrations = tuple(p.calibration for p in planes)
        self.paths = tuple(p.path for p in planes)
        self.has_weights = tuple(p.has_weight for p in planes)

    def __enter__(self) -> Mosaics:
        """Return itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the files."""
        self.close()

    def close(self) -> None:
        """Close the files."""
        for plane in self.planes:
            plane.close()

    def pixel_limits(
        self, electrons: float, n_exposures: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return the flux of a pixel that holds so many electrons in one exposure.

        Parameters
        ----------
        electrons : float
            Electrons in one exposure, e.g. the full well.
        n_exposures : sequence of int
            Exposures of each band, used where the header has no NCOMBINE.

        Returns
        -------
        ndarray of float32, shape (bands,)
            nJy per pixel; infinite where the header states no exposure time.
        """
        limits = []
        for calibration, fall_back in zip(self.calibrations, n_exposures, strict=True):
            c = calibration
            single = c.exposure_s / (c.n_exposures or fall_back)
            limit = (
                electrons / single * c.njy_per_electron_s if single > 0 else math.inf
            )
            limits.append(limit)
        return np.array(limits, dtype=np.float32)

    def of_other_instruments(self, target: Target) -> dict[str, str]:
        """Return the bands that another instrument took than the one of their PSF.

        Parameters
        ----------
        target : Target
            A band without a PSF of its own has that of WFC3/UVIS.

        Returns
        -------
        dict of str to str
            Band to instrument and detector, as its header states them.
        """
        return {
            band: c.instrument
            for band, c in zip(self.bands, self.calibrations, strict=True)
            if c.is_of_another_instrument and band not in target.psf
        }

    def window(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a rectangle of all bands in nJy, NaN where there are no data.

        Parameters
        ----------
        rows, columns : slice
            Within the mosaic, with start and stop.

        Returns
        -------
        ndarray of float32, shape (rows, columns, bands)
            nJy per pixel.
        """
        return np.stack([p.read(rows, columns) for p in self.planes], axis=-1)

    def weights(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a rectangle of all bands' weight maps.

        Parameters
        ----------
        rows, columns : slice
            Within the mosaic, with start and stop.

        Returns
        -------
        ndarray of float32, shape (rows, columns, bands)
            In each file's own unit, zero where nothing was exposed; one everywhere in
            a band without a weight map.
        """
        return np.stack([p.weight(rows, columns) for p in self.planes], axis=-1)

    @functools.cached_property
    def _median_weights(self) -> NDArray[np.float64]:
        """Median of each band's weights where exposed, of rows evenly spread."""
        medians = np.ones(len(self.planes))
        rows, columns = self.shape
        for band, plane in enumerate(self.planes):
            if plane.has_weight:
                chosen = np.unique(np.linspace(0, rows - 1, _WEIGHT_ROWS).astype(int))
                every = slice(0, columns)
                some = [plane.weight(slice(row, row + 1), every) for row in chosen]
                exposed = np.concatenate(some)[np.concatenate(some) > 0]
                medians[band] = np.median(exposed) if exposed.size else 1.0
        return medians

    def exposure(self, x: float, y: float) -> NDArray[np.float64]:
        """Return the exposure of each band at a position.

        That of the header, times the weight there over the median weight.

        Parameters
        ----------
        x, y : float
            0-based position in pixels.

        Returns
        -------
        ndarray of float64, shape (bands,)
            Seconds: the median of the exposed pixels within `CORE_PX`; NaN where the
            header states no exposure, or nothing was exposed.
        """
        seconds = np.array([c.exposure_s for c in self.calibrations], float)
        if not (math.isfinite(x) and math.isfinite(y)):
            return np.full(len(seconds), np.nan)
        ends = zip((y, x), self.shape, strict=True)
        rows, columns = (
            slice(
                max(round(at) - CORE_PX // 2, 0), min(round(at) + CORE_PX // 2 + 1, n)
            )
            for at, n in ends
        )
        for band, plane in enumerate(self.planes):
            if not plane.has_weight:
                continue
            weight = np.empty(0)
            if rows.start < rows.stop and columns.start < columns.stop:
                weight = plane.weight(rows, columns)
            weight = weight[weight > 0]
            share = np.median(weight) if weight.size else np.nan
            seconds[band] *= share / self._median_weights[band]
        return seconds

    def coverage(self, step: int) -> NDArray[np.bool_]:
        """Say where all bands have data, judged by every step-th row and column.

        Parameters
        ----------
        step : int
            Pixels between two looks, along both axes.

        Returns
        -------
        ndarray of bool, shape (ceil(rows / step), ceil(columns / step))
            Whether pixel (step i, step j) has data in every band.
        """
        rows, columns = self.shape
        known = []
        for row in range(0, rows, step):
            line = self.window(slice(row, row + 1), slice(0, columns))[0, ::step]
            known.append(np.isfinite(line).all(axis=-1))
        return np.array(known)

    def cutout(
        self, x: float, y: float, px: int, limits: NDArray[np.float32] | None = None
    ) -> Cutout:
        """Cut a square of all bands around a position, by whole pixels.

        The side is even, so the middle of the cutout lies between the pixels
        ``px/2 - 1`` and ``px/2``; the cutout is placed so that the position is within
        half a pixel of that middle, in x and in y (to `ROUNDING_PX`). Parts outside the
        mosaic are NaN.

        Parameters
        ----------
        x, y : float
            0-based position in pixels; it may lie outside the mosaic, or be NaN.
        px : int
            Side of the square in pixels, even.
        limits : ndarray, shape (bands,), optional
            nJy per pixel above which a pixel is saturated; see `pixel_limits`.

        Returns
        -------
        Cutout
            The image and what is known about it.
        """
        image = np.full((px, px, len(self.bands)), np.nan, dtype=np.float32)
        if not (math.isfinite(x) and math.isfinite(y)):
            return Cutout(image, 0, 0, True, 0.0, False, False)
        # far outside the array any whole number does, and int() stays small
        rows, columns = self.shape
        x0 = _first_pixel(min(max(x, -2 * px), columns + 2 * px), px)
        y0 = _first_pixel(min(max(y, -2 * px), rows + 2 * px), px)
        inner_y = slice(max(y0, 0), min(y0 + px, rows))
        inner_x = slice(max(x0, 0), min(x0 + px, columns))
        edge = x0 < 0 or y0 < 0 or x0 + px > columns or y0 + px > rows
        saturated = False
        if inner_y.start < inner_y.stop and inner_x.start < inner_x.stop:
            inside = self.window(inner_y, inner_x)
            image[
                inner_y.start - y0 : inner_y.stop - y0,
                inner_x.start - x0 : inner_x.stop - x0,
            ] = inside
            saturated = is_saturated(inside, self.planes, inner_y, inner_x, limits)
        known = np.isfinite(image)
        covered, usable = 1.0, True
        # most cutouts are whole, and sums over a short last axis are slow
        if not known.all():
            covered = float(known.all(axis=-1).mean())
            core = slice(px // 2 - 1 - CORE_PX // 2, px // 2 - 1 + CORE_PX // 2 + 1)
            usable = bool(known[core, core].any(axis=(0, 1)).all())
        return Cutout(image, x0, y0, edge, covered, saturated, usable)


def _first_pixel(position: float, px: int) -> int:
    return math.floor(position + ROUNDING_PX) - px // 2 + 1


def open_mosaics(
    paths: Sequence[str | Path | fits.HDUList],
    bands: Sequence[str],
    pixel_scale_arcsec: float,
) -> Mosaics:
    """Open one mosaic per band and check that they belong together.

    They must be on one grid of the model's pixels
    (`data_tools.mosaics.agreement.check_grid`). Fluxes are calibrated by each file's
    own PHOTFLAM and PHOTPLAM, see `data_tools.target.ab_zero_point`.

    Parameters
    ----------
    paths : sequence of str, Path or HDUList
        FITS files, in the order of the bands; or what astropy has read of them.
    bands : sequence of str
        Filter names in the model's order.
    pixel_scale_arcsec : float
        Pixel of the model in arcsec.

    Returns
    -------
    Mosaics
        Open files; close them with ``with`` or ``close()``.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file is unreadable or uncalibrated, or the bands do not agree with the
        model or with each other.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from astropy.io import fits
    >>> from data_tools import Target, open_mosaics
    >>> target = Target.load("m83-f438w-f814w")
    >>> def write(path, band):
    ...     step = target.pixel_scale_arcsec / 3600
    ...     header = fits.Header({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    ...     header.update(CRVAL1=204.25, CRVAL2=-29.87, CDELT1=-step, CDELT2=step)
    ...     header.update(PHOTFLAM=band.photflam, PHOTPLAM=band.photplam)
    ...     header.update(FILTER=band.name, BUNIT="ELECTRONS/S")
    ...     fits.writeto(path, np.ones((90, 100), np.float32), header)
    ...     return path
    >>> with TemporaryDirectory() as directory:
    ...     paths = [write(Path(directory, b.name + ".fits"), b) for b in target.bands]
    ...     with open_mosaics(paths, target.band_names, 0.0396) as mosaics:
    ...         mosaics.window(slice(0, 64), slice(0, 64)).shape
    (64, 64, 2)
    """
    if isinstance(paths, str | Path):
        raise ValueError(f"expected mosaics in a list, one a band; received {paths!r}")
    bands, paths = tuple(bands), list(paths)
    if len(paths) != len(bands):
        names = [Path(str(p)).name for p in paths] or ["none"]
        raise ValueError(
            f"expected {len(bands)} mosaics, one per band ({', '.join(bands)}); "
            f"received {len(paths)}: {', '.join(names)}"
        )
    planes: list[BandImage] = []
    try:
        for path in paths:
            planes.append(BandImage(path))
        check_bands(planes, bands)
        check_grid(planes, pixel_scale_arcsec)
        for plane in planes:
            if plane.drop_if_dark():
                logger.warning(
                    "%s: no pixel has data (all are NaN, BLANK, zero or without "
                    "weight), so that no place has: is it the band's mosaic?",
                    plane.path,
                )
    except BaseException:
        for plane in planes:
            plane.close()
        raise
    return Mosaics(planes, bands)


@contextmanager
def opened(images: Sequence[str | Path] | Mosaics, target: Target) -> Iterator[Mosaics]:
    """Open mosaics of a target for a while; those that are open already stay so.

    Parameters
    ----------
    images : sequence of str or Path, or Mosaics
        As of `open_mosaics`.
    target : Target
        Gives the bands and the pixel scale.

    Yields
    ------
    Mosaics
        Closed afterwards if they were opened here.

    Raises
    ------
    FileNotFoundError, ValueError
        As `open_mosaics`; or if open mosaics have other bands or other pixels than the
        target, or were closed.
    """
    if not isinstance(images, Mosaics):
        with open_mosaics(
            images, target.band_names, target.pixel_scale_arcsec
        ) as mosaics:
            warn_of_other_instruments(mosaics, target)
            yield mosaics
        return
    if images.bands != tuple(target.band_names):
        raise ValueError(
            f"expected mosaics of the bands {', '.join(target.band_names)}; received "
            f"{', '.join(images.bands)}"
        )
    check_scale(images.planes[0], target.pixel_scale_arcsec)
    if any(plane.closed for plane in images.planes):
        raise ValueError(
            "expected open mosaics; these were closed: use them before that, or give "
            "their paths"
        )
    yield images


def warn_of_other_instruments(mosaics: Mosaics, target: Target) -> None:
    """Say in the log which mosaics another instrument took than the mocks' one."""
    for band, instrument in mosaics.of_other_instruments(target).items():
        logger.warning(
            "%s: %s was taken by %s, and the mocks of %s by %s: PSF and pixels differ; "
            "train with a PSF of that camera (the target's key psf)",
            mosaics.paths[mosaics.bands.index(band)],
            band,
            instrument,
            target.name,
            SHIPPED_INSTRUMENT,
        )
