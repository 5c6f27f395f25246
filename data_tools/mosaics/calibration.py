"""What a mosaic's header says about its filter and its flux."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from astropy.io.fits.card import Undefined

from data_tools.target import ab_to_njy, ab_zero_point

#: BUNIT, lower case without blanks, of mosaics in counts per second ...
RATE_UNITS = {
    *("electrons/s", "electron/s", "electrons/sec", "e-/s", "e/s", "electrons-1"),
    *("counts/s", "count/s", "counts/sec", "cps", "dn/s"),
}
#: ... and of mosaics in counts over the whole exposure.
TOTAL_UNITS = {"electrons", "electron", "e-", "counts", "count", "dn"}

#: Header keywords that can hold the filter: WFC3 and most, ACS, WFPC2.
FILTER_KEYWORDS = ("FILTER", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2")

#: Numbers of a header are believed between these: far beyond what any camera has.
_BELIEVED = {
    "PHOTFLAM": (1e-24, 1e-8, "erg/(cm2 Angstrom count)"),
    "PHOTPLAM": (100, 1e6, "Angstrom"),
    "EXPTIME": (1e-3, 1e8, "s"),
    "NCOMBINE": (1, 1e5, "exposures"),
}

#: What the PSFs that ship are of (Anderson 2016, WFC3 ISR 2016-12).
SHIPPED_INSTRUMENT = "WFC3/UVIS"


@dataclass(frozen=True)
class Calibration:
    """What a mosaic's header says about its flux.

    Attributes
    ----------
    photflam : float
        Inverse sensitivity in erg / (cm2 Å count).
    photplam : float
        Pivot wavelength in Å.
    zero_point : float
        AB magnitude of one count per second.
    njy_per_unit : float
        nJy of one unit of the stored pixels.
    exposure_s : float
        Total exposure in seconds; NaN if not stated.
    n_exposures : int
        Exposures combined; 0 if not stated.
    instrument : str
        Instrument and detector, as ``ACS/WFC``; empty if not stated.
    """

    photflam: float
    photplam: float
    zero_point: float
    njy_per_unit: float
    exposure_s: float
    n_exposures: int
    instrument: str = ""

    @property
    def njy_per_electron_s(self) -> float:
        """Flux in nJy of one count per second."""
        return ab_to_njy(self.zero_point)

    @property
    def is_of_another_instrument(self) -> bool:
        """Whether it is stated to be none that `SHIPPED_INSTRUMENT` took."""
        words = re.findall(r"[A-Z0-9]+", self.instrument.upper())
        uvis = any(word.startswith("UVIS") for word in words)
        return bool(words) and not uvis and words != ["WFC3"]


def read_band(header: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """Read the filters' names; two wheels may hold one each.

    Parameters
    ----------
    header : mapping
        Keywords of the image.
    path : Path
        The file, for the message.

    Raises
    ------
    ValueError
        If no filter is named.
    """
    names = tuple(n for n in _words(header, FILTER_KEYWORDS) if "CLEAR" not in n)
    if not names:
        raise ValueError(
            f"{path}: the header names no filter; expected one of the keywords "
            f"{', '.join(FILTER_KEYWORDS)}"
        )
    return names


def read_calibration(header: Mapping[str, Any], path: Path) -> Calibration:
    """Read the flux scale.

    Parameters
    ----------
    header : mapping
        Keywords of the image.
    path : Path
        The file, for the message.

    Raises
    ------
    ValueError
        If PHOTFLAM or PHOTPLAM is missing, the unit is unknown, counts have no
        exposure time, or a number is none or beyond what any camera has.
    """
    photflam = _needed(header, "PHOTFLAM", path)
    photplam = _needed(header, "PHOTPLAM", path)
    zero_point = ab_zero_point(photflam, photplam)
    njy = ab_to_njy(zero_point)
    written = header.get("BUNIT")
    unit = "".join(str(written or "").lower().split())
    if unit in TOTAL_UNITS:
        njy /= _needed(header, "EXPTIME", path)
    elif unit not in RATE_UNITS:
        raise ValueError(
            f"{path}: expected BUNIT to be ELECTRONS/S, ELECTRONS, COUNTS/S or COUNTS, "
            f"received {written!r}; set it to the mosaic's true unit"
        )
    exposures = _number(header, "NCOMBINE", path)
    return Calibration(
        photflam=photflam,
        photplam=photplam,
        zero_point=zero_point,
        njy_per_unit=njy,
        exposure_s=_number(header, "EXPTIME", path),
        n_exposures=0 if math.isnan(exposures) else int(exposures),
        instrument="/".join(_words(header, ("INSTRUME", "DETECTOR"))),
    )


def _needed(header: Mapping[str, Any], name: str, path: Path) -> float:
    number = _number(header, name, path)
    if math.isnan(number):
        value = header.get(name)
        found = "it is missing" if _is_missing(value) else f"received {value!r}"
        raise ValueError(
            f"{path}: expected a positive {name} in the header, {found}; without it "
            "the flux cannot be calibrated"
        )
    return number


def _number(header: Mapping[str, Any], name: str, path: Path) -> float:
    """Return a number of the header, NaN where it is missing or zero."""
    value, (low, high, unit) = header.get(name), _BELIEVED[name]
    if _is_missing(value):
        return math.nan
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if number == 0:
        return math.nan
    if not low <= number <= high:
        raise ValueError(
            f"{path}: expected a positive {name} in the header, from {low:g} to "
            f"{high:g} {unit}; received {value!r}: set it to the mosaic's true value"
        )
    return number


def _is_missing(value: object) -> bool:
    return isinstance(value, Undefined | None) or str(value).strip() == ""


def _words(header: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    """Return what keywords say, without those that are missing."""
    values = [header.get(key) for key in keys]
    return [str(v).strip().upper() for v in values if not _is_missing(v)]
