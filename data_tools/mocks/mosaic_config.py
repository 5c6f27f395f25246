"""Size and contents of a mock mosaic: frozen, checked, quick to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MosaicConfig:
    """Size and contents of a mock mosaic.

    Attributes
    ----------
    size_px : int
        Side in pixels, a multiple of 16.
    n : int
        Clusters, drawn from the target's flat box like those of a training set.
    min_separation_px : float
        Smallest distance between two clusters' centres.
    edge_px : float
        Smallest distance of a centre from the mosaic's edge.
    seed : int
        Seed of everything; the same seed gives the same mosaic.
    """

    size_px: int = 1536
    n: int = 250
    min_separation_px: float = 20.0
    edge_px: float = 32.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Check every value."""
        if self.size_px < 128 or self.size_px % 16:
            raise ValueError(
                "mosaic: size_px must be a multiple of 16, at least 128; received "
                f"{self.size_px}"
            )
        for name, low in (("n", 1), ("min_separation_px", 0), ("seed", 0)):
            value = getattr(self, name)
            if not value >= low:
                raise ValueError(f"mosaic: {name} must be >= {low}; received {value}")
        if not 0 <= self.edge_px < self.size_px / 2:
            raise ValueError(
                "mosaic: edge_px must be >= 0 and less than half of size_px; received "
                f"{self.edge_px}"
            )
