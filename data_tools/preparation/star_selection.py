"""Which stars a PSF is made from: frozen, checked, quick to import."""

from __future__ import annotations

from dataclasses import dataclass

from data_tools.foreign.limits import above, check, whole


@dataclass(frozen=True)
class StarSelection:
    """Which stars a PSF is made from.

    Attributes
    ----------
    snr : float
        Least flux within 4 pixels in units of its noise and crowding.
    isolation_px : float
        A star has no neighbour this close, ...
    neighbour : float
        ... whose middle is brighter than this share of its own.
    saturation_electrons : float
        A pixel with more electrons in one exposure is saturated; used where the header
        gives the exposure time.
    max_stars : int
        The brightest so many are used.
    """

    snr: float = 100.0
    isolation_px: float = 12.0
    neighbour: float = 0.03
    saturation_electrons: float = 60_000.0
    max_stars: int = 200

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "stars: ",
            {
                "snr": above(0, 1e9),
                "isolation_px": above(0, 1000),
                "neighbour": above(0, 1e9),
                "saturation_electrons": above(0, 1e12),
                "max_stars": whole(1, 1_000_000),
            },
        )
