"""The pixels of one image as its file stores them, read in parts."""

from __future__ import annotations

import math
import mmap
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.io.fits.hdu.compressed import SUBTRACTIVE_DITHER_2
from numpy.typing import DTypeLike, NDArray

from data_tools.mosaics.stored.fits_file import OpenFile, reading_fits, tile_steps

#: Rows read of a mapped file until its memory is given back. The kernel maps 64 kB
#: around what is read, so that these are 64 MB.
_MAPPED_ROWS = 1024


class StoredPixels:
    """The pixels of an HDU, mapped or read in parts.

    What a mapped file has given stays in the process's memory as long as the machine
    has room. After `_MAPPED_ROWS` it is given back, so that a process on a large
    mosaic is no larger than on a small one.

    Parameters
    ----------
    file : OpenFile
        The file.
    hdu : HDU
        One of its images.
    path : Path
        Of the file, for messages.
    in_memory : bool
        Whether the pixels are in memory and scaled, as astropy gives them.

    Attributes
    ----------
    hdu : HDU
        The image.
    path : Path
        Of the file.

    Raises
    ------
    ValueError
        If BSCALE or BZERO is no number.
    """

    def __init__(self, file: OpenFile, hdu: Any, path: Path, in_memory: bool = False):
        """Read how the pixels are stored."""
        self.hdu, self.path = hdu, path
        self._in_parts, self._rows = file.in_parts, 0
        header = hdu.header
        self._scale = self._number("BSCALE", 1.0)
        self._zero = self._number("BZERO", 0.0)
        # astropy sees no BLANK of unsigned numbers, and none that is 0
        blank = header.get("BLANK")
        is_mark = header["BITPIX"] > 0 and isinstance(blank, int)
        self._blank = blank if is_mark else None
        self._scaled = in_memory
        if in_memory:
            if is_mark:
                self._blank = self._scale * blank + self._zero
            self._scale, self._zero = 1.0, 0.0
        self._steps = self._tile_steps(file)
        self._all: NDArray | None = None

    def _number(self, key: str, default: float) -> float:
        value = self.hdu.header.get(key, default)
        if isinstance(value, int | float) and math.isfinite(value):
            return value
        raise ValueError(
            f"{self.path}: expected {key} to be a number; received {value!r}"
        )

    def _tile_steps(self, file: OpenFile) -> NDArray[np.float64] | None:
        """Return the steps of tiles whose zeros are not kept as zeros."""
        hdu = self.hdu
        if (
            not isinstance(hdu, fits.CompImageHDU)
            or hdu.header["BITPIX"] > 0
            or hdu.quantize_method == SUBTRACTIVE_DITHER_2
            or not self.path.is_file()
        ):
            return None
        number = next(i for i, other in enumerate(file.hdus) if other is hdu)
        steps = tile_steps(self.path, number)
        if steps is None:
            return None
        tiles = [-(-n // t) for n, t in zip(hdu.shape, hdu.tile_shape, strict=True)]
        return steps.reshape(tiles) * abs(self._scale)

    @property
    def rounded(self) -> bool:
        """Whether pixels are stored in steps, so that a zero may be none any more."""
        return self._steps is not None

    def step(self, rows: slice, columns: slice) -> NDArray[np.float64]:
        """Return the step in which pixels are stored; 0 where they are exact.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.

        Returns
        -------
        ndarray of float64, shape (rows, columns)
            In units of the pixels.
        """
        if self._steps is None:
            return np.zeros((rows.stop - rows.start, columns.stop - columns.start))
        tiles = zip((rows, columns), self.hdu.tile_shape, strict=True)
        inside = [np.arange(s.start, s.stop) // tile for s, tile in tiles]
        return self._steps[np.ix_(*inside)]

    def read(
        self, rows: slice, columns: slice, dtype: DTypeLike = np.float32
    ) -> NDArray:
        """Return a rectangle of pixels, NaN (or 0 in whole numbers) where BLANK.

        Parameters
        ----------
        rows, columns : slice
            Within the image, with start and stop.
        dtype : dtype
            Of what is returned.

        Returns
        -------
        ndarray, shape (rows, columns)
            Scaled as the header says.

        Raises
        ------
        ValueError
            If the file is damaged there.
        """
        stored = self._stored(rows, columns)
        whole = stored.dtype.kind in "iu"
        blank = None
        if self._blank is not None and (whole or self._scaled):
            blank = stored == (self._blank if whole else stored.dtype.type(self._blank))
        if np.dtype(dtype).kind == "i" and whole and self._scale == 1:
            pixels = stored.astype(dtype) + np.dtype(dtype).type(self._zero)
            return pixels if blank is None else np.where(blank, 0, pixels)
        if whole and (self._scale != 1 or self._zero != 0 or blank is not None):
            # as wide as astropy makes them
            wide = np.float32 if stored.dtype.itemsize <= 2 else np.float64
            stored = stored.astype(wide)
        if self._scale != 1:
            stored = stored * self._scale
        if self._zero != 0:
            stored = stored + self._zero
        pixels = np.array(stored, dtype=dtype)
        if blank is not None:
            pixels[blank] = np.nan
        return pixels

    def _stored(self, rows: slice, columns: slice) -> NDArray:
        if self._in_parts:
            with reading_fits(self.path):
                return self.hdu.section[rows, columns]
        if self._all is None:
            # once: what catches warnings takes longer than to copy a cutout
            with reading_fits(self.path):
                self._all = self.hdu.data
        pixels = np.array(self._all[rows, columns])
        self._rows += len(pixels)
        if self._rows > _MAPPED_ROWS:
            self._rows = 0
            self._give_back()
        return pixels

    def _give_back(self) -> None:
        """Drop the pages that are in memory; the next read finds them in the file."""
        owner = self._all
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            owner.madvise(mmap.MADV_DONTNEED)
