"""One band of a mosaic in its FITS file: find the image, read parts in nJy."""

from __future__ import annotations

import functools
import logging
import mmap
import re
import warnings
import zlib
from collections import ChainMap
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import DTypeLike, NDArray

from data_tools.mosaics.calibration import read_band, read_calibration
from data_tools.mosaics.sky import read_wcs

logger = logging.getLogger(__name__)

#: Rows that a mosaic which cannot be mapped gives at once: one strip costs about as
#: much as one cutout, because compressed tiles are rows of the whole image.
_STRIP_ROWS = 256
_STRIPS_KEPT = 3

#: Bits of a data-quality map that mean saturation: full well and A-to-D converter, the
#: same in WFC3/UVIS and ACS/WFC (WFC3 and ACS Data Handbooks, tables of data-quality
#: flags).
SATURATED_BITS = 256 | 2048

#: Rows read of a mapped file until its memory is given back. The kernel maps 64 kB
#: around what is read, so that these are 64 MB.
_MAPPED_ROWS = 1024

_SCALING = ("BSCALE", "BZERO", "BLANK")

#: The end of the name of a science image whose maps are in files of their own.
_SCIENCE_NAME = re.compile(r"(?<=[_-])sci(\.fits(\.\w+)?)$")


class _Pixels:
    """The pixels of an HDU, mapped or read in parts.

    What a mapped file has given stays in the process's memory as long as the machine
    has room. After `_MAPPED_ROWS` it is given back, so that a process on a large
    mosaic is no larger than on a small one.
    """

    def __init__(self, hdu: Any, in_parts: bool) -> None:
        self.hdu, self.in_parts = hdu, in_parts
        self._rows = 0

    def read(
        self, rows: slice, columns: slice, dtype: DTypeLike = np.float32
    ) -> NDArray:
        if self.in_parts:
            return np.asarray(self.hdu.section[rows, columns], dtype=dtype)
        pixels = np.array(self.hdu.data[rows, columns], dtype=dtype)
        self._rows += len(pixels)
        if self._rows > _MAPPED_ROWS:
            self._rows = 0
            self._give_back()
        return pixels

    def _give_back(self) -> None:
        """Drop the pages that are in memory; the next read finds them in the file."""
        owner = self.hdu.data
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)


class BandImage:
    """One band of a mosaic, read where it is asked for.

    Plain images are memory mapped; tile-compressed ones and scaled integers are read
    in strips of rows, the last few of which are kept; gzipped files are read whole.

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
            self._hdus, self._in_strips = source, False
        else:
            self.path = Path(source)
            if not self.path.is_file():
                raise FileNotFoundError(f"{self.path}: no such mosaic")
            self._hdus, self._in_strips = _open(self.path)
        try:
            self._science = self._find_science()
            if not self.in_memory:
                self._check_length()
            header = self._science.hdu.header
            # a keyword that the image lacks may stand in the file's first header
            both = ChainMap(header, self._hdus[0].header)
            self.shape: tuple[int, int] = self._science.hdu.shape
            self.band = read_band(both, self.path)
            if self.in_memory and not source.filename():
                self.path = Path("+".join(self.band))
            self.calibration = read_calibration(both, self.path)
            self.wcs = read_wcs(header, self._hdus, self.path)
            self._weight = self._find_map("WHT", weights_beside(self.path), "weights")
            self._quality = self._find_map(
                "DQ", quality_beside(self.path), "data quality"
            )
            self.has_weight = self._weight is not None
            self.has_quality = self._quality is not None
        except BaseException:
            self.close()
            raise
        # Integer pixels may be zero by rounding; in floats an exact zero is the
        # drizzle's mark for "no exposure here".
        self._zero_is_missing = self._weight is None and header["BITPIX"] < 0
        self._strip = functools.lru_cache(maxsize=_STRIPS_KEPT)(self._read_strip)

    def close(self) -> None:
        """Close the file; what was given in memory stays as it is."""
        self.closed = not self.in_memory
        for hdus in (*(() if self.in_memory else (self._hdus,)), *self._beside):
            hdus.close()

    def _find_science(self) -> _Pixels:
        named = [hdu for hdu in self._hdus if hdu.name == "SCI"]
        if len(named) > 1:
            raise ValueError(
                f"{self.path}: expected one SCI extension, found {len(named)}; "
                "give the drizzled mosaic (_drc, _drz), not an exposure"
            )
        images = [
            hdu
            for hdu in named or self._hdus
            if hdu.is_image and len(getattr(hdu, "shape", ())) == 2
        ]
        if not images:
            raise ValueError(f"{self.path}: expected a 2-D image, found none")
        return _Pixels(images[0], self._in_strips)

    def _check_length(self) -> None:
        if _is_zipped(self.path):
            return
        length = self.path.stat().st_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            stored = fits.open(self.path, disable_image_compression=True)
            len(stored)  # reads every header
        with stored:
            ends = [hdu.fileinfo()["datLoc"] + hdu.size for hdu in stored]
        if max(ends) > length:
            raise ValueError(
                f"{self.path}: the file is cut short: {max(ends)} bytes expected, "
                f"{length} found; fetch it again"
            )

    def _find_map(self, name: str, beside: Path | None, words: str) -> _Pixels | None:
        """Return a map of the pixels, in this file or the one beside it."""
        for hdu in self._hdus:
            if hdu.name == name and getattr(hdu, "shape", None) == self.shape:
                return _Pixels(hdu, self._in_strips)
        if beside is None:
            return None
        hdus, in_parts = _open(beside)
        self._beside.append(hdus)
        for hdu in hdus:
            if hdu.is_image and getattr(hdu, "shape", None) == self.shape:
                return _Pixels(hdu, in_parts)
        raise ValueError(
            f"{beside}: expected {words} of {self.shape[0]} x {self.shape[1]} pixels "
            f"(rows x columns) as in {self.path.name}, found none; take it away to do "
            "without"
        )

    def _calibrated(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        pixels = self._science.read(rows, columns)
        if self._weight is not None:
            missing = ~(self._weight.read(rows, columns) > 0)
        else:
            missing = (pixels == 0) & self._zero_is_missing
        missing |= ~np.isfinite(pixels)
        pixels = pixels * np.float32(self.calibration.njy_per_unit)
        pixels[missing] = np.nan
        return pixels

    def weight(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return a rectangle of the weight map, zero where nothing was exposed.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.

        Returns
        -------
        ndarray of float32, shape (rows, columns)
            As stored in the ``WHT`` extension; one everywhere if there is none.
        """
        if self._weight is None:
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            return np.ones(shape, np.float32)
        weight = self._weight.read(rows, columns)
        return np.where(weight > 0, weight, np.float32(0))

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

    def _read_strip(self, number: int) -> NDArray[np.float32]:
        first = number * _STRIP_ROWS
        return self._calibrated(slice(first, first + _STRIP_ROWS), slice(None))

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


def weights_beside(path: str | Path) -> Path | None:
    """Return the file beside a science image that may hold its weights, if any.

    Parameters
    ----------
    path : str or Path
        Of the science image; ``..._sci.fits`` has ``..._wht.fits``.
    """
    return _beside(Path(path), "wht")


def quality_beside(path: str | Path) -> Path | None:
    """Do the same for its data quality, ``..._dq.fits``."""
    return _beside(Path(path), "dq")


def _beside(path: Path, what: str) -> Path | None:
    beside = path.with_name(_SCIENCE_NAME.sub(rf"{what}\1", path.name))
    return beside if beside != path and beside.is_file() else None


def _is_zipped(path: Path) -> bool:
    return path.suffix.lower() in (".gz", ".bz2")


def _open(path: Path) -> tuple[fits.HDUList, bool]:
    """Open a file, and say whether its pixels are to be read in parts, not mapped."""
    zipped = _is_zipped(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)
            hdus = fits.open(path, memmap=not zipped)
            # scaled and compressed pixels cannot be mapped but are read in parts
            in_parts = not zipped and any(
                isinstance(hdu, fits.CompImageHDU)
                or any(key in hdu.header for key in _SCALING)
                for hdu in hdus
            )
            if in_parts:
                hdus.close()
                hdus = fits.open(path, memmap=False)
            len(hdus)  # reads every header
            if zipped:
                logger.warning(
                    "%s is compressed as a whole and is read into memory; "
                    "decompress it to read only what is needed",
                    path.name,
                )
                for hdu in hdus:
                    _ = hdu.data
    except (OSError, EOFError, ValueError, TypeError, KeyError, zlib.error) as e:
        raise ValueError(
            f"{path}: not readable as FITS (damaged or cut short?): {e}"
        ) from e
    return hdus, in_parts
