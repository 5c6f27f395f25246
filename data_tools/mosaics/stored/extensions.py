"""Which image of a FITS file is the science, and which are maps of its pixels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from astropy.io import fits

#: Words in the names of extensions that hold something else than the science: weights,
#: errors, exposure, context, data quality, look-up tables of distortion, models and
#: what is left of them.
_OTHERS = re.compile(
    r"(?i)(^|[^a-z])(i?var|ivm|invvar|variance|wht|weights?|wt|"
    r"(weight|wht|wt|w|err|rms|var|exp)maps?|err|errors?|rms|std|stddev|"
    r"residuals?|resid|snr|chi2|"
    r"sigma|noise|unc|uncert|uncertainty|exp|exposure|exptime|expmap|nexp|time|tim|ctx|"
    r"con|context|dq|quality|mask|bitmask|flags?|bpm|samp|npix|nimg|cov|coverage|area|"
    r"seg|segmentation|psf|bkg|bg|background|sky|model|thumbnail|preview|wcsdvarr|"
    r"d2imarr|hdrlet)([^a-z]|$)"
)
#: Names of the science, where others are beside it.
_SCIENCE = re.compile(r"(?i)(sci|drz|drc|image|data|science|mosaic)([^a-z]|$)")

#: Keywords that places, fluxes and exposure are read from.
_READ = re.compile(
    r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)\d|(CD|PC|PV|LTM)\d+_\d+|LTV\d|RADE(C?SYS)"
    r"|EQUINOX|PHOT[A-Z]+|[A-Z]*EXPTIME|NCOMBINE|BUNIT|BSCALE|BZERO|BLANK|FILTER\d?"
)
#: Ends of the names of files that AstroDrizzle writes beside the science.
_OTHER_FILES = re.compile(r"(?i)[_-](wht|ctx|con|err|rms|dq)\.fits?(\.\w+)?$")

#: The end of the name of a science image whose maps are in files of their own.
_SCIENCE_FILE = re.compile(r"(?<=[_-])sci(\.fits(\.\w+)?)$")


def find_science(hdus: fits.HDUList, path: Path) -> Any:
    """Return the science image of a file.

    That is the extension ``SCI``; without one the only 2-D image that does not bear the
    name of a map (weights, errors, exposure, context, data quality); of several the
    only one with a name of science (``DRZ``, ``IMAGE``).

    Parameters
    ----------
    hdus : HDUList
        The file.
    path : Path
        The file, for messages.

    Returns
    -------
    HDU
        The image.

    Raises
    ------
    ValueError
        If there is none, or more than one can be meant.
    """
    named = [hdu for hdu in hdus if hdu.name == "SCI"]
    if len(named) > 1:
        raise ValueError(
            f"{path}: expected one SCI extension, found {len(named)}; "
            "give the drizzled mosaic (_drc, _drz), not an exposure"
        )
    images = [
        (number, hdu)
        for number, hdu in enumerate(hdus)
        if hdu.is_image
        and len(getattr(hdu, "shape", ())) == 2
        and (not named or hdu is named[0])
    ]
    if not images:
        raise ValueError(f"{path}: expected a 2-D image, found none")
    science = [i for i in images if named or not _OTHERS.search(i[1].name)]
    if not science or (not named and _OTHER_FILES.search(path.name)):
        raise ValueError(
            f"{path}: expected the science image, found {_listed(images)}; give the "
            "file that holds it, or call its extension SCI"
        )
    if len(science) > 1:
        science = [i for i in science if _SCIENCE.match(i[1].name)] or science
    if len(science) > 1:
        raise ValueError(
            f"{path}: expected one science image, found {_listed(science)}; call the "
            "extension that is meant SCI (EXTNAME), or give it in a file of its own"
        )
    return science[0][1]


def check_once(header: fits.Header, path: Path) -> None:
    """Refuse a header that says two things of what is read from it.

    Readers differ in which of two cards of one keyword they take.

    Parameters
    ----------
    header : Header
        Of an image.
    path : Path
        What messages call it.

    Raises
    ------
    ValueError
        If a keyword of places, fluxes or exposure has two values.
    """
    read = [key for key in header if _READ.fullmatch(key)]
    for key in dict.fromkeys(key for key in read if read.count(key) > 1):
        values = dict.fromkeys(str(header[key, i]) for i in range(header.count(key)))
        if len(values) > 1:
            raise ValueError(
                f"{path}: expected {key} once in the header; received "
                f"{' and '.join(values)}: keep the card that is meant"
            )


def _listed(images: list[tuple[int, Any]]) -> str:
    return " and ".join(
        f"extension {number} ({hdu.name or 'no name'}, {hdu.shape[0]} x {hdu.shape[1]})"
        for number, hdu in images
    )


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


def files_of(images: Any) -> list[Path]:
    """Return the files that are read of images, those beside them among them.

    Parameters
    ----------
    images : Mosaics, or iterable of str, Path and what is in memory
        Files may be missing.
    """
    given = getattr(images, "paths", images)
    given = [given] if isinstance(given, str | Path) else given
    paths = [Path(image) for image in given if isinstance(image, str | Path)]
    maps = [find(p) for p in paths for find in (weights_beside, quality_beside)]
    return [*paths, *filter(None, maps)]


def _beside(path: Path, what: str) -> Path | None:
    beside = path.with_name(_SCIENCE_FILE.sub(rf"{what}\1", path.name))
    return beside if beside != path and beside.is_file() else None
