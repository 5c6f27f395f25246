"""FITS files of others: what one declares is compared with what it holds."""

from __future__ import annotations

import bz2
import errno
import gzip
import logging
import lzma
import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from numpy.typing import NDArray

from data_tools.foreign.reading import reading

logger = logging.getLogger(__name__)

#: Bytes of a block and of a card (FITS standard 4.0, section 3), and the most cards
#: that a header is read with: reading takes 60 us and 3 kB for each.
_BLOCK, _CARD = 2880, 80
_MOST_CARDS = 36_000
#: The most parts of a file, and the most bytes after them, which astropy would read in
#: search of another part.
_MOST_PARTS, _MOST_BYTES_AFTER = 1000, 1_000_000

#: An image of the sky has noise in its pixels, which compresses little, and zeros
#: around. Above so many bytes no file is opened that would grow by more than this, as a
#: whole or in its tiles (which are read a few rows at a time).
_ALWAYS_OPENED = 2**30
_LARGEST_GROWTH, _LARGEST_GROWTH_IN_TILES = 250, 1000

_BITS = (8, 16, 32, 64, -32, -64)


def _open_zip(path: Path) -> IO[bytes]:
    archive = zipfile.ZipFile(path)
    return archive.open(archive.namelist()[0])


#: How a file is read that begins so.
_PACKED: dict[bytes, Callable[[Path], IO[bytes]]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
    b"PK\x03\x04": _open_zip,
}


class OpenFile(NamedTuple):
    """A FITS file that was opened.

    Attributes
    ----------
    hdus : HDUList
        Its parts, all headers read; pixels as they are stored, without BSCALE, BZERO
        and BLANK.
    in_parts : bool
        Whether pixels are to be read in parts, as they cannot be mapped.
    """

    hdus: fits.HDUList
    in_parts: bool


@contextmanager
def reading_fits(path: Path) -> Iterator[None]:
    """Turn whatever reading a damaged file raises into one line with its name."""
    with warnings.catch_warnings(), reading(path, "readable as FITS"):
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            yield
        except OSError as e:
            if e.errno != errno.EINVAL:
                raise
            raise ValueError("it names a place that no file has") from e


def open_fits(path: Path) -> OpenFile:
    """Open a FITS file, plain or compressed, whatever its name ends in.

    A plain file is mapped, tiles are read in parts, and a file that is compressed as a
    whole is read into memory. Before that its headers are walked through: lengths that
    cannot be, that are more than the file holds, or more than an image grows by
    decompression, are refused.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no FITS file, or damaged, or cut short, or declares too much.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such mosaic")
    with reading_fits(path):
        packed = check_fits(path)
        hdus = _opened(path, memmap=not packed)
        in_parts = not packed and any(isinstance(h, fits.CompImageHDU) for h in hdus)
        if in_parts:
            hdus.close()
            hdus = _opened(path, memmap=False)
        if packed:
            logger.warning(
                "%s is compressed as a whole and is read into memory; decompress it to "
                "read only what is needed",
                path.name,
            )
            try:
                for hdu in hdus:
                    _ = hdu.data
            except BaseException:
                hdus.close()
                raise
    return OpenFile(hdus, in_parts)


def _opened(path: Path, **how: Any) -> fits.HDUList:
    return fits.open(path, do_not_scale_image_data=True, lazy_load_hdus=False, **how)


def tile_steps(path: Path, number: int) -> NDArray[np.float64] | None:
    """Return the step of the whole numbers that each tile of an image is stored in.

    Parameters
    ----------
    path : Path
        The file.
    number : int
        Of the extension.

    Returns
    -------
    ndarray of float64, shape (tiles,), or None
        Zero where a tile is stored without loss; None if all are.
    """
    with reading_fits(path), fits.open(path, disable_image_compression=True) as hdus:
        table = hdus[number]
        if "ZSCALE" in table.columns.names:
            return np.abs(np.nan_to_num(table.data["ZSCALE"]))
        step = table.header.get("ZSCALE")
    return None if step is None else np.full(len(table.data), abs(float(step)))


def check_fits(path: Path) -> bool:
    """Hold what a file declares against what it holds; say if it is compressed.

    Raises
    ------
    ValueError
        If it is no FITS file, or damaged, or cut short, or declares too much.
    """
    held = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(6)
    unpack = next((o for magic, o in _PACKED.items() if start.startswith(magic)), None)
    with unpack(path) if unpack else path.open("rb") as stream:
        parts = 0
        while (header := _next_header(stream, parts == 0)) is not None:
            parts += 1
            if parts > _MOST_PARTS:
                raise ValueError(f"it has more than {_MOST_PARTS} parts")
            at = stream.tell()
            end = at + _data_bytes(header)
            if unpack:
                _check_growth(end, held, _LARGEST_GROWTH)
                held_to = stream.seek(end)
            else:
                held_to = held
            if end > held_to:
                raise ValueError(
                    f"{path}: the file is cut short: {end} bytes expected, {held_to} "
                    "found; fetch it again"
                )
            at += -(-(end - at) // _BLOCK) * _BLOCK
            stream.seek(at)
        stream.seek(at)
        rest = stream.read(_MOST_BYTES_AFTER + 1)
        if len(rest) > _MOST_BYTES_AFTER:
            raise ValueError(
                f"after its {parts} parts more than {_MOST_BYTES_AFTER} bytes follow "
                "that are no FITS"
            )
        if b"END".ljust(_CARD) in rest:
            raise ValueError(
                f"after its {parts} parts another begins where none can: bytes are "
                "lost, or too many"
            )
    return unpack is not None


def _next_header(stream: IO[bytes], first: bool) -> fits.Header | None:
    """Read a header of bounded length; None where no more parts follow."""
    text = b""
    while block := stream.read(_BLOCK):
        if not text and not block.startswith(b"SIMPLE  =" if first else b"XTENSION"):
            break
        text += block
        cards = range(0, len(block), _CARD)
        has_end = any(block[i : i + _CARD].rstrip() == b"END" for i in cards)
        if has_end and len(block) == _BLOCK:
            header = fits.Header.fromstring(text.decode("ascii", errors="replace"))
            _check_kind(header)
            return header
        if len(text) > _MOST_CARDS * _CARD:
            raise ValueError(
                f"a header of more than {_MOST_CARDS} cards; take the cards of other "
                "files out of it (HISTORY, COMMENT)"
            )
    if text:
        raise ValueError("the file is cut short in a header")
    if first:
        raise ValueError("it does not begin with SIMPLE")
    return None


def _check_kind(header: fits.Header) -> None:
    """Refuse a part of no known kind.

    astropy takes all that follows for such a part. In a packed file it does not know
    where that ends, and reads the same over and over.
    """
    key = next(iter(header))
    kind = header[key]
    if kind is not True if key == "SIMPLE" else not isinstance(kind, str):
        wanted = "T" if key == "SIMPLE" else "text"
        raise ValueError(f"expected {key} to be {wanted}; received {kind!r}")


def _whole(
    header: fits.Header, key: str, least: int, default: int | None = None
) -> int:
    value = header.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"expected {key} to be a whole number of at least {least}; received "
            f"{value!r}"
        )
    return value


def _bytes_per_pixel(header: fits.Header, key: str) -> int:
    if header.get(key) not in _BITS:
        raise ValueError(f"expected {key} to be one of {_BITS}; received {header[key]}")
    return abs(header[key]) // 8


def _data_bytes(header: fits.Header) -> int:
    """Return the length that a header declares (FITS standard 4.0, section 7)."""
    pixel = _bytes_per_pixel(header, "BITPIX")
    axes = [_whole(header, f"NAXIS{i + 1}", 0) for i in range(_axes(header, "NAXIS"))]
    if not axes:
        return 0
    more, groups = _whole(header, "PCOUNT", 0, 0), _whole(header, "GCOUNT", 0, 1)
    if header.get("GROUPS") is True and axes[0] == 0:
        axes = axes[1:]
    size = pixel * groups * (more + math.prod(axes))
    if header.get("ZIMAGE") is True:
        _check_tiles(header, size)
    return size


def _axes(header: fits.Header, key: str) -> int:
    number = _whole(header, key, 0)
    if number > 999:
        raise ValueError(f"expected {key} to be at most 999; received {number}")
    return number


def _check_tiles(header: fits.Header, held: int) -> None:
    """Compare the image that a table of tiles declares with the table."""
    pixel, tiles = _bytes_per_pixel(header, "ZBITPIX"), 1
    for i in range(_axes(header, "ZNAXIS")):
        side = _whole(header, f"ZNAXIS{i + 1}", 1)
        tiles *= -(-side // _whole(header, f"ZTILE{i + 1}", 1, side if i == 0 else 1))
        pixel *= side
    if tiles != header["NAXIS2"]:
        raise ValueError(
            f"its compressed image is declared to have {tiles} tiles, and "
            f"{header['NAXIS2']} are there"
        )
    _check_growth(pixel, held, _LARGEST_GROWTH_IN_TILES)


def _check_growth(declared: int, held: int, most: int) -> None:
    if declared > max(most * held, _ALWAYS_OPENED):
        raise ValueError(
            f"{declared} bytes are declared and {held} are there: no image of the sky "
            "compresses so well"
        )
