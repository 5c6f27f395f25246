"""Which real mosaics to cut fields from, and how: frozen, checked, quick to import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath

from data_tools.foreign.limits import (
    Limits,
    by_name,
    check,
    each,
    number,
    optional,
    seed,
    text,
    whole,
)
from data_tools.schema import SPLITS


def _default_shares() -> dict[str, float]:
    return {"train": 0.8, "validation": 0.1, "test": 0.1}


@dataclass(frozen=True)
class Backgrounds:
    """Real mosaics to cut fields from.

    Attributes
    ----------
    images : tuple of str
        One FITS mosaic a band, in the order of the target's bands.
    clusters : str or None
        Table of known clusters, with x and y (0-based pixels) or ra and dec (degrees):
        no cutout has one in its middle, and other peaks of the mosaics become
        look-alikes of the kind "field_peak", so that a network learns what a finder
        offers there. Clusters that it lacks are learnt as none then, and without a
        table end up as "empty" now and then.
    mask_radius_arcsec : float
        How far from the middle known clusters have to be.
    tile_px : int
        Side of the square tiles of the sky. Each belongs to one split.
    guard_px : int
        Smallest distance between two tiles; at least the side of a cutout.
    shares : dict of str to float
        Relative share of the sky of train, validation and test.
    seed : int
        Seed of which tile belongs to which split.

    Examples
    --------
    >>> from data_tools import Backgrounds
    >>> sky = Backgrounds(("f438w.fits", "f814w.fits"), shares={"train": 3, "test": 1})
    >>> sky.images
    ('f438w.fits', 'f814w.fits')
    """

    images: tuple[str, ...] = ()
    clusters: str | None = None
    mask_radius_arcsec: float = 1.0
    tile_px: int = 768
    guard_px: int = 64
    shares: dict[str, float] = field(default_factory=_default_shares)
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        if isinstance(self.images, list | tuple):
            paths = (str(i) if isinstance(i, PurePath) else i for i in self.images)
            object.__setattr__(self, "images", tuple(paths))
        check(
            self,
            "backgrounds: ",
            {
                "images": each(text(empty=False)),
                "clusters": optional(text(empty=False)),
                "mask_radius_arcsec": number(0, 1e6),
                "tile_px": whole(1, 100_000),
                "guard_px": whole(0, 100_000),
                "shares": Limits(
                    f">= 0 of {', '.join(SPLITS)}, and not all zero",
                    by_name(SPLITS, number(0, 1e9)).holds,
                ),
                "seed": seed(),
            },
        )
        if not sum(self.shares.values()) > 0:
            raise ValueError(
                f"backgrounds: shares must be >= 0 of {', '.join(SPLITS)}, and not all "
                f"zero; received {self.shares}"
            )

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that the fields depend on."""
        # beside it, since a command's help needs the options and not the FITS reader
        from data_tools.mosaics.stored.extensions import weights_beside

        weights = [str(w) for w in map(weights_beside, self.images) if w]
        return (*self.images, *weights, *filter(None, [self.clusters]))
