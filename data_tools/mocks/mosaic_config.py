"""Size and contents of a mock mosaic: frozen, checked, quick to import."""

from __future__ import annotations

from dataclasses import dataclass

from data_tools.foreign.limits import check, number, optional, seed, whole

#: Clusters in a million pixels of M83's disc: 1,800 (Silva-Villa et al. 2014, MNRAS
#: 440, L116) to 3,380 (Bialopetravicius & Narbutis 2020, AJ 160, 264) in seven fields
#: of 4096 x 4096 pixels are 15 to 29.
CLUSTERS_PER_MILLION_PIXELS = 25.0


@dataclass(frozen=True)
class MosaicConfig:
    """Size and contents of a mock mosaic.

    Attributes
    ----------
    size_px : int
        Side in pixels, a multiple of 16.
    n : int, optional
        Clusters in the target's box; 25 in a million pixels, as M83 has them, unless it
        is given.
    min_separation_px : float
        Smallest distance between two clusters' centres.
    edge_px : float
        Smallest distance of a centre from the mosaic's edge.
    mass_slope : float
        Clusters are drawn with dN/dM ~ M^mass_slope between the ends of the target's
        box: -1 is flat in the logarithm, as a training set is; of galaxies it is near
        -2.
    age_slope : float
        The same of the age, dN/dt ~ t^age_slope; of galaxies it is between -1 and 0.
    seed : int
        Seed of everything; the same seed gives the same mosaic.
    field_seed : int, optional
        Seed of the field and of what it is seen through, if it is to be the same under
        other clusters.
    """

    size_px: int = 1536
    n: int | None = None
    min_separation_px: float = 20.0
    edge_px: float = 32.0
    mass_slope: float = -1.0
    age_slope: float = -1.0
    seed: int = 0
    field_seed: int | None = None

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "mosaic: ",
            {
                # it is made in memory: 16,384 pixels a side are 2 GB a band
                "size_px": whole(128, 16_384, multiple_of=16),
                "n": optional(whole(1, 1_000_000)),
                "min_separation_px": number(0, 10_000),
                "edge_px": number(0, 16_384),
                "mass_slope": number(-10, 10),
                "age_slope": number(-10, 10),
                "seed": seed(),
                "field_seed": optional(seed()),
            },
        )
        if self.edge_px >= self.size_px / 2:
            raise ValueError(
                "mosaic: edge_px must be >= 0 and less than half of size_px; received "
                f"{self.edge_px}"
            )

    @property
    def clusters(self) -> int:
        """Number of clusters: `n`, or as many as M83 has on that area."""
        if self.n is not None:
            return self.n
        return max(1, round(CLUSTERS_PER_MILLION_PIXELS * self.size_px**2 / 1e6))
