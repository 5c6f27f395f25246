"""What a mosaic's header says about its filter and its flux."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    """

    photflam: float
    photplam: float
    zero_point: float
    njy_per_unit: float
    exposure_s: float
    n_exposures: int

    @property
    def njy_per_electron_s(self) -> float:
        """Flux in nJy of one count per second."""
        return ab_to_njy(self.zero_point)


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
    values = [str(header.get(k) or "").strip() for k in FILTER_KEYWORDS]
    names = tuple(v.upper() for v in values if v and "CLEAR" not in v.upper())
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
        If PHOTFLAM or PHOTPLAM is missing, the unit is unknown, or counts have no
        exposure time.
    """
    photflam = _positive(header, "PHOTFLAM", path)
    photplam = _positive(header, "PHOTPLAM", path)
    zero_point = ab_zero_point(photflam, photplam)
    njy = ab_to_njy(zero_point)
    written = header.get("BUNIT")
    unit = "".join(str(written or "").lower().split())
    if unit in TOTAL_UNITS:
        njy /= _positive(header, "EXPTIME", path)
    elif unit not in RATE_UNITS:
        raise ValueError(
            f"{path}: expected BUNIT to be ELECTRONS/S, ELECTRONS, COUNTS/S or COUNTS, "
            f"received {written!r}; set it to the mosaic's true unit"
        )
    exposure, exposures = header.get("EXPTIME"), header.get("NCOMBINE")
    return Calibration(
        photflam=photflam,
        photplam=photplam,
        zero_point=zero_point,
        njy_per_unit=njy,
        exposure_s=float(exposure) if exposure else math.nan,
        n_exposures=int(exposures) if exposures else 0,
    )


def _positive(header: Mapping[str, Any], name: str, path: Path) -> float:
    value = header.get(name)
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        found = "it is missing" if value is None else f"received {value!r}"
        raise ValueError(
            f"{path}: expected a positive {name} in the header, {found}; without it "
            "the flux cannot be calibrated"
        )
    return number
