"""Which stars a PSF is made from: frozen, checked, quick to import."""

from __future__ import annotations

from dataclasses import dataclass


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
        for name in ("snr", "isolation_px", "neighbour", "saturation_electrons"):
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"stars: {name} must be > 0; received {value}")
        if self.max_stars < 1:
            raise ValueError(
                f"stars: max_stars must be >= 1; received {self.max_stars}"
            )
