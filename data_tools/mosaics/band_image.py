"""One band of a mosaic in its FITS file: find the image, read parts in nJy."""

from __future__ import annotations

import functools
import logging
from collections import ChainMap
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from numpy.typing import NDArray

from data_tools.mosaics.calibration import read_band, read_calibration
from data_tools.mosaics.gaps import (
    HALF_A_STEP,
    Mark,
    find_marks,
    has_mark,
    rounded_zeros,
)
from data_tools.mosaics.sky import read_physical, read_wcs
from data_tools.mosaics.stored.extensions import (
    check_once,
    find_science,
    quality_beside,
    weights_beside,
)
from data_tools.mosaics.stored.fits_file import OpenFile, open_fits
from data_tools.mosaics.stored.stored_pixels import StoredPixels

logger = logging.getLogger(__name__)

#: Rows that a mosaic which cannot be mapped gives at once: one strip costs about as
#: much as one cutout, because compressed tiles are rows of the whole image.
_STRIP_ROWS = 256
_STRIPS_KEPT = 3

#: Bits of a data-quality map that mean saturation: full well and A-to-D converter, the
#: same in WFC3/UVIS and ACS/WFC (WFC3 and ACS Data Handbooks, tables of data-quality
#: flags).
SATURATED_BITS = 256 | 2048

#: Rows, evenly spread, in which an image's marks for no data are looked for, and the
#: noise of a weight map.
_MARK_ROWS, _WEIGHT_ROWS = 128, 64
#: A weight is none if it is no more than this share of a usual one, ...
_REST = 1e-4
#: ... or than what noise around zero makes: so many times the spread of the weights
#: below zero, and at most this share of a usual one; ...
_NOISE_SPREADS, _MOST_NOISE = 2.0, 0.05
#: ... or less than this share where the pixel is zero.
_REST_OF_ZERO = 0.01


class BandImage:
    """One band of a mosaic, read where it is asked for.

    Plain images are memory mapped; tile-compressed ones are read in strips of rows, the
    last few of which are kept; files that are compressed as a whole are read whole.

    Where a mosaic has no data its pixels are zero, or its weights. Lossy compression
    with dithering makes numbers around zero of both: weights within half a step of its
    rounding count as zero, and so do pixels, without weights, in patches of some 81
    pixels that are three or more wide, or 41 in a row (a single one cannot be told from
    noise). A number far outside of all others that many pixels have (-999, 1e30) stands
    for no data too, and the log says so.

    Parameters
    ----------
    source : str, Path or HDUList
        FITS file, or what astropy has read of one: one image, a drizzled
        multi-extension file (``SCI`` and, if it is there, ``WHT``), or a
        tile-compressed image. A file whose name ends in ``sci`` and that has no WHT has
        its weights in the one beside it that ends in ``wht``, if there is one:
        AstroDrizzle may write them apart. A data-quality map is an extension ``DQ``, or
        such a file that ends in ``dq``.

    Attributes
    ----------
    band : tuple of str
        Filter names in the header (two wheels may hold one each).
    shape : (int, int)
        Rows and columns.
    wcs : WCS
        Celestial coordinates.
    physical : ndarray of float64, shape (2, 3), or None
        Physical coordinates (x, y, 1), those of the image that this one was cut from
        (IRAF's LTM and LTV), to pixels; both count from 1. None if they are the same.
    calibration : Calibration
        Flux scale.
    closed : bool
        Whether its file was closed, so that no pixel can be read.
    in_memory : bool
        Whether the pixels were given in memory and not as a file.
    has_weight : bool
        Whether there is a weight map.
    has_quality : bool
        Whether there is a data-quality map.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a FITS file, is truncated, has no 2-D image or several, no
        filter, no WCS, no PHOTFLAM or PHOTPLAM, or an unknown unit.
    """

    def __init__(self, source: str | Path | fits.HDUList):
        """Open the file and check its header; no pixel is read."""
        self.in_memory = isinstance(source, fits.HDUList)
        self.closed = False
        self._beside: list[fits.HDUList] = []
        if self.in_memory:
            self.path = Path(source.filename() or "image in memory")
            self._file = OpenFile(source, in_parts=False)
        else:
            self.path = Path(source)
            self._file = open_fits(self.path)
        try:
            hdu = find_science(self._file.hdus, self.path)
            self._science = self._pixels(hdu)
            header = hdu.header
            for one in (header, self._file.hdus[0].header):
                check_once(one, self.path)
            # a keyword that the image lacks may stand in the file's first header
            both = ChainMap(header, self._file.hdus[0].header)
            self.shape: tuple[int, int] = hdu.shape
            self.band = read_band(both, self.path)
            if self.in_memory and not source.filename():
                self.path = Path("+".join(self.band))
            self.calibration = read_calibration(both, self.path)
            self.wcs = read_wcs(header, self._file.hdus, self.path)
            self.physical = read_physical(header, self.path)
            self._weight = self._find_map("WHT", weights_beside(self.path), "weights")
            self._quality = self._find_map(
                "DQ", quality_beside(self.path), "data quality"
            )
            self.has_weight = self._weight is not None
            self.has_quality = self._quality is not None
        except VerifyError as e:
            self.close()
            what = str(e).partition(",")[0]
            raise ValueError(
                f"{self.path}: the header is not readable: {what}; write a text in "
                "quotes ('N/A'), a number without a comma or a unit"
            ) from e
        except BaseException:
            self.close()
            raise
        # Integer pixels may be zero by rounding; in floats an exact zero is the
        # drizzle's mark for "no exposure here".
        self._zero_is_missing = self._weight is None and header["BITPIX"] < 0
        self._in_strips, self._dark = self._file.in_parts, False
        self._strip = functools.lru_cache(maxsize=_STRIPS_KEPT)(self._read_strip)

    def close(self) -> None:
        """Close the file; what was given in memory stays as it is."""
        self.closed = not self.in_memory
        for hdus in (*(() if self.in_memory else (self._file.hdus,)), *self._beside):
            hdus.close()

    def _pixels(self, hdu: Any) -> StoredPixels:
        return StoredPixels(self._file, hdu, self.path, self.in_memory)

    def _find_map(
        self, name: str, beside: Path | None, words: str
    ) -> StoredPixels | None:
        """Return a map of the pixels, in this file or the one beside it."""
        for hdu in self._file.hdus:
            if hdu.name == name and hdu.is_image and hdu.shape:
                if hdu.shape == self.shape:
                    return self._pixels(hdu)
                raise ValueError(
                    f"{self.path}: expected {words} ({name}) of {self.shape[0]} x "
                    f"{self.shape[1]} pixels (rows x columns) as the science image; "
                    f"received {' x '.join(map(str, hdu.shape))}; take the extension "
                    "away to do without"
                )
        if beside is None:
            return None
        file = open_fits(beside)
        self._beside.append(file.hdus)
        for hdu in file.hdus:
            if hdu.is_image and getattr(hdu, "shape", None) == self.shape:
                return StoredPixels(file, hdu, beside)
        raise ValueError(
            f"{beside}: expected {words} of {self.shape[0]} x {self.shape[1]} pixels "
            f"(rows x columns) as in {self.path.name}, found none; take it away to do "
            "without"
        )

    def _calibrated(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        pixels = self._science.read(rows, columns)
        missing = self._missing(pixels, rows, columns) | self._dark
        if self._zero_is_missing and self._science.rounded:
            missing |= rounded_zeros(self._science, rows, columns)
        if self._marks:
            missing |= has_mark(pixels, self._marks)
        if missing.any():
            pixels[missing] = np.nan
        return pixels * np.float32(self.calibration.njy_per_unit)

    def _missing(
        self, pixels: NDArray[np.float32], rows: slice, columns: slice
    ) -> NDArray[np.bool_]:
        """Say which pixels are no data by themselves and by their weights."""
        missing = ~np.isfinite(pixels)
        if self._weight is not None:
            weight = self.weight(rows, columns)
            missing |= (weight == 0) | (
                (pixels == 0) & (weight < _REST_OF_ZERO * self._weights_seen[0])
            )
        elif self._zero_is_missing and not self._science.rounded:
            missing |= pixels == 0
        return missing

    @functools.cached_property
    def _marks(self) -> tuple[Mark, ...]:
        """Numbers that stand for no data beside those that `_missing` knows."""
        every, some = slice(0, self.shape[1]), []
        for row in np.unique(np.linspace(0, self.shape[0] - 1, _MARK_ROWS).astype(int)):
            where = slice(row, row + 1), every
            pixels = self._science.read(*where)
            some.append(pixels[~self._missing(pixels, *where)])
        marks = find_marks(np.concatenate(some))
        if marks:
            logger.warning(
                "%s: pixels of %s are taken for no data: many have that number, far "
                "outside of all others",
                self.path,
                " and ".join(f"{mark.value:g}" for mark in marks),
            )
        return marks

    @functools.cached_property
    def _weights_seen(self) -> tuple[float, float]:
        """A usual weight, and what a weight must exceed that is not left of zero."""
        chosen = np.linspace(0, self.shape[0] - 1, _WEIGHT_ROWS).astype(int)
        every = slice(0, self.shape[1])
        some = np.concatenate(
            [self._weight.read(slice(row, row + 1), every) for row in np.unique(chosen)]
        )
        above, below = some[some > 0], some[some < 0]
        if not above.size:
            return 0.0, 0.0
        usual = float(np.median(above[above > _REST_OF_ZERO * above.max()]))
        # one value below zero is a mark, noise has many
        noise = _NOISE_SPREADS * float(np.ptp(below)) if below.size else 0.0
        return usual, max(_REST * usual, min(noise, _MOST_NOISE * usual))

    def weight(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a rectangle of the weight map, zero where nothing was exposed.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            As stored in the ``WHT`` extension; one everywhere if there is none. Zero
            also where it is no more than what rounding or lossy compression makes of
            zeros.
        """
        if self._weight is None:
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            return np.ones(shape, np.float32)
        weight = self._weight.read(rows, columns)
        least = np.float32(self._weights_seen[1])
        if self._weight.rounded:
            step = self._weight.step(rows, columns)
            least = np.maximum(least, np.float32(HALF_A_STEP) * step)
        return np.where(weight > least, weight, np.float32(0))

    def saturated(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Say where the data-quality map has one of `SATURATED_BITS`.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.

        Returns
        -------
        ndarray of bool, shape (rows, columns)
            False everywhere without such a map.
        """
        if self._quality is None:
            return np.zeros(
                (rows.stop - rows.start, columns.stop - columns.start), bool
            )
        bits = self._quality.read(rows, columns, np.int64)
        return (bits & SATURATED_BITS) > 0

    def drop_if_dark(self) -> bool:
        """Take all pixels for missing if none has data other than zero.

        Returns
        -------
        bool
            Whether it is so. A mosaic with data is read from the middle on until there
            are some.
        """
        starts = np.arange(0, self.shape[0], _STRIP_ROWS)
        for start in starts[np.argsort(abs(starts - self.shape[0] / 2))]:
            rows = slice(int(start), min(int(start) + _STRIP_ROWS, self.shape[0]))
            pixels = self.read(rows, slice(0, self.shape[1]))
            if (np.isfinite(pixels) & (pixels != 0)).any():
                return False
        self._dark = True
        self._strip.cache_clear()
        return True

    def _read_strip(self, number: int) -> NDArray[np.float32]:
        first = number * _STRIP_ROWS
        last = min(first + _STRIP_ROWS, self.shape[0])
        return self._calibrated(slice(first, last), slice(0, self.shape[1]))

    def read(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a rectangle in nJy, NaN where there are no data.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            nJy per pixel.
        """
        if not self._in_strips:
            return self._calibrated(rows, columns)
        first, last = rows.start // _STRIP_ROWS, (rows.stop - 1) // _STRIP_ROWS
        parts = []
        for number in range(first, last + 1):
            top = number * _STRIP_ROWS
            inside = slice(max(rows.start - top, 0), rows.stop - top)
            parts.append(self._strip(number)[inside, columns])
        return np.concatenate(parts)
