"""What a training set draws from, beside the flat box of the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from data_tools.foreign.limits import (
    Limits,
    by_name,
    check,
    each,
    number,
    one_of,
    ordered,
    whole,
)
from data_tools.foreign.typed import build
from data_tools.schema import EXTINCTION_LAWS, KINDS, STELLAR_MODELS

Range = tuple[float, float]


class FixesPriors(Protocol):
    """A target, as far as priors know one: it stands on them."""

    @property
    def priors(self) -> Mapping[str, Any]:
        """Values that it fixes, by name."""


def _default_negatives() -> dict[str, float]:
    return {
        "empty": 0.08,
        "field_peak": 0.40,
        "bright_star": 0.13,
        "blend": 0.13,
        "association": 0.13,
        "background_galaxy": 0.07,
        "dust_edge": 0.035,
        "artefact": 0.025,
    }


#: Distances in pixels of a second object from the middle of the cutout.
NEIGHBOUR_PX = (8.0, 30.0)


@dataclass(frozen=True)
class Priors:
    """Shares and ranges of a training set; every range is drawn from uniformly.

    Attributes
    ----------
    cluster_fraction : float
        Share of records with a cluster in the middle.
    negatives : dict of str to float
        Relative shares of the kinds of record without a cluster. ``field_peak`` is a
        peak of the field itself, what `clusterkeras detect` finds where no cluster is;
        on backgrounds from real mosaics it is one that the table of known clusters
        does not name; without a table it becomes ``empty``, since a peak may be a
        cluster.
    complex_peak_fraction : float
        Share of the records of kind ``field_peak`` in a young complex: beside a cluster
        below 50 Myr, in the association it was born in. None on backgrounds from real
        mosaics, which have their own.
    centre_offset_px : float
        Largest offset of the object from the middle of the cutout, in x and in y.
    neighbour_fraction : float
        Share of records with a second object, a cluster or a bright star, beside the
        middle.
    eff_eta : (float, float)
        Slope of the EFF profile, mu ~ (1 + r^2/a^2)^-eta (Elson, Fall & Freeman
        1987, ApJ 323, 54).
    king_fraction : float
        Share of clusters with a King (1962) profile instead.
    king_log_concentration : (float, float)
        log10 of tidal over core radius of those.
    feh_offset : (float, float)
        [Fe/H] of each cluster, and of each field's stars, less the target's, in dex;
        as far as isochrones reach.
    stellar_models : dict of str to float
        Relative shares of the models of `data_tools.schema.STELLAR_MODELS` that each
        cluster, and each field, is drawn from (SSE up to 1 Gyr, and no field, unless it
        is alone: its old giants are too cool); the target's own file of isochrones
        replaces them all. A field is of SSE only where no other has a share: its old
        stars lack giants.
    extinction_laws : tuple of str
        Laws that each cluster's and field's extinction is drawn from, all equally
        likely; none for the target's alone.
    r_v : (float, float)
        Total over selective extinction, A_V / E(B-V), of each cluster's dust: the
        range of nearly all sight lines in the Milky Way (Fitzpatrick & Massa 2007, ApJ
        663, 320).
    binary_fraction : (float, float)
        Share of each cluster's stars that have an unresolved companion: from none to
        the 0.7 of O stars (Sana et al. 2012, Science 337, 444).
    uneven_fraction : float
        Share of the clusters whose dust differs from star to star, by the two ranges
        that follow; the others are behind an even screen. A few stars in front of much
        dust give all the light in the blue, so that without such screens no cluster
        would be as red as its A_V says.
    a_v_scatter : (float, float)
        Scatter of A_V from star to star (log-normal) over its mean, of each cluster;
        the Milky Way's part is the same for all. E(B-V) differs by 0.2 to 1.0 mag
        within young clusters (Yadav & Sagar 2001, MNRAS 328, 370).
    a_v_front : (float, float)
        Share of each cluster's stars that are in front of all dust but the Milky Way's.
    segregation : (float, float)
        Radius of the profile of the brightest fifth of the stars that are placed one by
        one, in units of the others' (de Grijs et al. 2002, MNRAS 331, 245, find massive
        stars at half the radius in young clusters of the LMC); 1 for none.
    axis_ratio : (float, float)
        Short over long axis of each cluster's ellipse: those of the Magellanic Clouds
        are 0.6 to 1 (Frenk & Fall 1982, MNRAS 199, 565).
    host_fraction : float
        Share of the clusters below 50 Myr that lie in an association of their own age;
        most are born in one (Grasha et al. 2015, ApJ 815, 93; Gouliermis 2018, PASP
        130, 072001), but not all are seen as young as that.
    young_stars_fraction : float
        Share of all records with a loose group of young stars of another age nearby.

    nebular_covering : (float, float)
        Share of each young cluster's ionising light that gas in view takes up: none
        where it is blown away or leaks (0.4 of it over the Magellanic Clouds:
        Pellegrini et al. 2012, ApJ 755, 40), all where a region is bounded by it.
    nebular_log_u : (float, float)
        log10 of that gas's ionisation parameter (H II regions of spirals: Dopita et
        al. 2006, ApJS 167, 177).
    nebular_compact : (float, float)
        Share of the gas's light that lies on the stars; the rest is in a shell.
    nebular_radius_pc : (float, float)
        Outer radius of the shell, even in its logarithm: in M83 below 7 pc where a
        cluster emerges, 7 to 20 pc and more later (Whitmore et al. 2011, ApJ 729, 78).
    nebular_band_dex : float
        Scatter (sigma) of the gas's light in each band about what is computed, in dex.
    drizzle_blur_px : dict of str to (float, float)
        Gaussian blur, sigma in pixels, added to the PSF by drizzling, per band; the
        default for a band not named is (0.5, 1.0).
    noise_shift_px : (float, float)
        How far drizzling correlates the noise of neighbours, per band; see
        `data_tools.imaging.observation.drizzled`. (0, 0) leaves pixels independent.
    band_shift_px : float
        Largest offset, in x and in y, of a band's image from the others' grid.
    zero_point_mag : float
        Largest error of a field's photometric zero point, in each band: about 0.01 mag
        from the detector (Calamida et al. 2022, AJ 164, 32), the rest for drizzling and
        charge transfer, and for stellar models, whose colours differ by as much from
        one another and from real stars.
    exposure_factor : (float, float)
        log10 of the factor between a field's exposure and the target's.
    sky_factor : (float, float)
        log10 of the factor between a field's sky and the target's.
    read_noise_factor : (float, float)
        Factor between a field's read-out noise and the target's.
    sky_residual : float
        Largest residual of the sky subtraction as a fraction of the sky.
    sky_pedestal : (float, float)
        Level taken away from a field in each band with its sky, in units of the level
        that 5 % of its pixels lie below: AstroDrizzle takes the least level of a chip
        for sky, which is meant for sparse fields (DrizzlePac's notes on sky matching)
        and in one that the galaxy fills is light. (0, 0) leaves all where it is.
    full_well : (float, float)
        Electrons that fill a pixel in one exposure, in each field: 63,000 to 72,000
        over the detector (WFC3 Data Handbook, section 5.6.1). (1e12, 1e12) for pixels
        that never fill.
    transfer_loss : (float, float)
        Share of the light at the far end from the read-out, without sky, that trails
        behind along the column when the charge is read out. Faint stars lose 0.05 mag
        more each year since 2009, about half of it where the images are corrected
        (Kuhn 2026, arXiv:2602.07133); bright ones lose less, which is left out.
    cosmic_ray_fraction : float
        Share of records in which cosmic rays have left tracks in one band. 5 to 9 % of
        the pixels are hit in 1800 s (WFC3 Instrument Handbook, section 5.4.10): of
        three exposures of 600 s, two are hit in the same pixel five times in a cutout,
        which rejection does not always see.
    gap_fraction : float
        Share of records with pixels without data, in one band or in all: beyond an
        edge of the mosaic or in a strip, as the gap between the chips leaves.
    field_old_mass_density : (float, float)
        log10 of the old disc's surface density in Msun / pc^2.
    field_sfr_density : (float, float)
        log10 of the star-formation rate's surface density in Msun / yr / kpc^2.
    field_old_decline : (float, float)
        How fast a field's star formation has declined between 12 and 1 Gyr ago, in 1 /
        Gyr: the rate goes as exp(decline x lookback time). The Sun's surroundings have
        declined by a factor 2 to 7 (Aumer & Binney 2009, MNRAS 397, 1286), 0.06 to
        0.18; a disc may also have grown. (0, 0) for a constant rate.
    field_burst_fraction : float
        Share of fields that formed more stars, or fewer, in half a dex of age within
        the last Gyr.
    field_burst : (float, float)
        log10 of the factor of their rate in that time: in patches of a disc it varies
        by factors of several (Lewis et al. 2015, ApJ 805, 183, for M31).
    field_dust_a_v : (float, float)
        log10 of the median A_V through the disc in mag.
    field_association_share : (float, float)
        Share of the stars younger than 100 Myr in loose associations.
    field_nebular_covering : (float, float)
        Share of the ionising light of a field's young stars that its gas takes up:
        half of it and more escapes H II regions and galaxies of some kinds (Pellegrini
        et al. 2012), little in others.
    field_arm_fraction : float
        Share of fields in or beside a spiral arm.
    field_arm_contrast : (float, float)
        log10 of the star-formation rate on an arm's ridge over that beside it.
    field_bulge_fraction : float
        Share of fields that lie on a bulge.
    field_bulge_mass_density : (float, float)
        log10 of the bulge's surface density at its middle in Msun / pc^2.
    foreground_a_v : float
        Extinction by the Milky Way in mag; part of every field's light.
    field_px : int
        Side of one synthetic field in pixels.
    mocks_per_field : int
        Records cut from one field; fewer of a validation or test split, see
        `data_tools.records.plan.mocks_per_field`.

    Examples
    --------
    >>> from data_tools import Priors
    >>> crowded = Priors(cluster_fraction=0.3, neighbour_fraction=0.5)
    >>> crowded.cluster_fraction
    0.3
    """

    cluster_fraction: float = 0.7
    negatives: dict[str, float] = field(default_factory=_default_negatives)
    complex_peak_fraction: float = 0.3
    centre_offset_px: float = 3.0
    neighbour_fraction: float = 0.15
    eff_eta: Range = (1.2, 3.0)
    king_fraction: float = 0.2
    king_log_concentration: Range = (0.5, 2.0)
    feh_offset: Range = (-0.25, 0.25)
    stellar_models: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(STELLAR_MODELS, 1.0)
    )
    extinction_laws: tuple[str, ...] = EXTINCTION_LAWS
    r_v: Range = (2.5, 5.0)
    binary_fraction: Range = (0.0, 0.7)
    uneven_fraction: float = 0.5
    a_v_scatter: Range = (0.0, 0.5)
    a_v_front: Range = (0.0, 0.3)
    segregation: Range = (0.5, 1.0)
    axis_ratio: Range = (0.6, 1.0)
    host_fraction: float = 0.4
    young_stars_fraction: float = 0.05

    nebular_covering: Range = (0.0, 1.0)
    nebular_log_u: Range = (-3.5, -2.0)
    nebular_compact: Range = (0.0, 1.0)
    nebular_radius_pc: Range = (1.0, 30.0)
    nebular_band_dex: float = 0.1
    drizzle_blur_px: dict[str, Range] = field(
        default_factory=lambda: {
            "F275W": (0.6, 1.6),
            "F336W": (0.7, 1.7),
            "F438W": (0.4, 1.3),
            "F814W": (0.2, 1.1),
        }
    )
    noise_shift_px: Range = (0.0, 0.5)
    band_shift_px: float = 0.15
    zero_point_mag: float = 0.1
    exposure_factor: Range = (-0.3, 0.2)
    sky_factor: Range = (-0.2, 0.3)
    read_noise_factor: Range = (0.9, 1.3)
    sky_residual: float = 0.1
    sky_pedestal: Range = (0.0, 1.0)
    full_well: Range = (63_000.0, 72_000.0)
    transfer_loss: Range = (0.0, 0.15)
    cosmic_ray_fraction: float = 0.15
    gap_fraction: float = 0.05
    field_old_mass_density: Range = (1.0, 3.0)
    field_sfr_density: Range = (-3.0, -0.7)
    field_old_decline: Range = (-0.1, 0.3)
    field_burst_fraction: float = 0.4
    field_burst: Range = (-0.5, 0.8)
    field_dust_a_v: Range = (-1.3, 0.2)
    field_association_share: Range = (0.2, 0.7)
    field_nebular_covering: Range = (0.0, 1.0)
    field_arm_fraction: float = 0.4
    field_arm_contrast: Range = (0.3, 1.0)
    field_bulge_fraction: float = 0.15
    field_bulge_mass_density: Range = (2.5, 4.0)
    foreground_a_v: float = 0.18
    field_px: int = 768
    mocks_per_field: int = 512

    def __post_init__(self) -> None:
        """Check every value."""
        check(
            self,
            "priors: ",
            {
                "cluster_fraction": number(0, 1),
                "negatives": Limits(
                    f"shares >= 0 of {list(KINDS[1:])}",
                    by_name(KINDS[1:], number(0, 1e9)).holds,
                ),
                "complex_peak_fraction": number(0, 1),
                "centre_offset_px": number(0, 8),
                "neighbour_fraction": number(0, 1),
                "eff_eta": ordered(1.05, 10),
                "king_fraction": number(0, 1),
                "king_log_concentration": ordered(0.1, 3),
                "feh_offset": ordered(-3, 1),
                "stellar_models": Limits(
                    f"shares >= 0 of {list(STELLAR_MODELS)}, and not all zero",
                    by_name(STELLAR_MODELS, number(0, 1e9)).holds,
                ),
                "extinction_laws": Limits(
                    f"among {EXTINCTION_LAWS}", each(one_of(EXTINCTION_LAWS)).holds
                ),
                "r_v": ordered(2.3, 5.6),
                "binary_fraction": ordered(0, 1),
                "uneven_fraction": number(0, 1),
                "a_v_scatter": ordered(0, 2),
                "a_v_front": ordered(0, 0.4),
                "segregation": ordered(0.1, 1),
                "axis_ratio": ordered(0.1, 1),
                "host_fraction": number(0, 1),
                "young_stars_fraction": number(0, 1),
                # models differ by a factor of 2 in ionising light
                "nebular_covering": ordered(0, 2),
                "nebular_log_u": ordered(-5, 0),
                "nebular_compact": ordered(0, 1),
                "nebular_radius_pc": ordered(0.01, 1000),
                "nebular_band_dex": number(0, 1),
                "drizzle_blur_px": by_name(None, ordered(0, 3)),
                "noise_shift_px": ordered(0, 0.5),
                "band_shift_px": number(0, 2),
                "zero_point_mag": number(0, 1),
                "exposure_factor": ordered(-2, 2),
                "sky_factor": ordered(-2, 2),
                "read_noise_factor": ordered(0, 10),
                "sky_residual": number(0, 1),
                "sky_pedestal": ordered(0, 2),
                "full_well": ordered(100, 1e12),
                "transfer_loss": ordered(0, 0.9),
                "cosmic_ray_fraction": number(0, 1),
                "gap_fraction": number(0, 1),
                "field_old_mass_density": ordered(-3, 4),
                "field_sfr_density": ordered(-6, 2),
                "field_old_decline": ordered(-2, 2),
                "field_burst_fraction": number(0, 1),
                "field_burst": ordered(-3, 3),
                "field_dust_a_v": ordered(-4, 1),
                "field_association_share": ordered(0, 1),
                "field_nebular_covering": ordered(0, 2),
                "field_arm_fraction": number(0, 1),
                "field_arm_contrast": ordered(0, 3),
                "field_bulge_fraction": number(0, 1),
                "field_bulge_mass_density": ordered(-3, 6),
                "foreground_a_v": number(0, 5),
                # arrays of so many pixels a side: 8,192 are 0.5 GB each
                "field_px": whole(128, 8192, multiple_of=16),
                "mocks_per_field": whole(1, 1_000_000),
            },
        )
        if self.cluster_fraction < 1 and sum(self.negatives.values()) <= 0:
            raise ValueError("priors: negatives must not all be zero")

        if not sum(self.stellar_models.values()) > 0:
            raise ValueError("priors: stellar_models must not all be zero")

    def fixed_by(self, target: FixesPriors) -> Priors:
        """Return these priors with what the target fixes (its ``priors``) in place.

        Raises
        ------
        ValueError
            If the target names what no prior is called, or a value out of bounds.
        """
        if not target.priors:
            return self
        return build(Priors, {**asdict(self), **target.priors}, "priors")

    def blur_range(self, band: str) -> Range:
        """Return the range of drizzle blur (sigma, pixels) of a band."""
        return self.drizzle_blur_px.get(band, (0.5, 1.0))
