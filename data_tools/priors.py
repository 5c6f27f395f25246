"""What a training set draws from, beside the flat box of the target."""

from __future__ import annotations

from dataclasses import dataclass, field

from data_tools.schema import KINDS
from data_tools.target import EXTINCTION_LAWS

Range = tuple[float, float]


def _check_range(name: str, value: Range, low: float, high: float) -> None:
    ordered = len(value) == 2 and low <= value[0] <= value[1] <= high
    if not ordered:
        raise ValueError(
            f"priors: {name} must be (low, high) with {low} <= low <= high <= {high}; "
            f"received {tuple(value)}"
        )


def _default_negatives() -> dict[str, float]:
    return {
        "empty": 0.10,
        "field_peak": 0.30,
        "bright_star": 0.15,
        "blend": 0.15,
        "association": 0.15,
        "background_galaxy": 0.08,
        "dust_edge": 0.04,
        "artefact": 0.03,
    }


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
        [Fe/H] of each cluster less the target's, in dex; as far as isochrones reach.
    extinction_laws : tuple of str
        Laws that each cluster's extinction is drawn from, all equally likely; none for
        the target's alone.
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
        charge transfer.
    exposure_factor : (float, float)
        log10 of the factor between a field's exposure and the target's.
    sky_factor : (float, float)
        log10 of the factor between a field's sky and the target's.
    read_noise_factor : (float, float)
        Factor between a field's read-out noise and the target's.
    sky_residual : float
        Largest residual of the sky subtraction as a fraction of the sky.
    field_old_mass_density : (float, float)
        log10 of the old disc's surface density in Msun / pc^2.
    field_sfr_density : (float, float)
        log10 of the star-formation rate's surface density in Msun / yr / kpc^2.
    field_dust_a_v : (float, float)
        log10 of the median A_V through the disc in mag.
    field_association_share : (float, float)
        Share of the stars younger than 100 Myr in loose associations.
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
        Records cut from one field.

    Examples
    --------
    >>> from data_tools import Priors
    >>> crowded = Priors(cluster_fraction=0.3, neighbour_fraction=0.5)
    >>> crowded.cluster_fraction
    0.3
    """

    cluster_fraction: float = 0.7
    negatives: dict[str, float] = field(default_factory=_default_negatives)
    centre_offset_px: float = 3.0
    neighbour_fraction: float = 0.15
    eff_eta: Range = (1.2, 3.0)
    king_fraction: float = 0.2
    king_log_concentration: Range = (0.5, 2.0)
    feh_offset: Range = (-0.25, 0.25)
    extinction_laws: tuple[str, ...] = EXTINCTION_LAWS
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
    zero_point_mag: float = 0.05
    exposure_factor: Range = (-0.3, 0.2)
    sky_factor: Range = (-0.2, 0.3)
    read_noise_factor: Range = (0.9, 1.3)
    sky_residual: float = 0.1
    field_old_mass_density: Range = (1.0, 3.0)
    field_sfr_density: Range = (-3.0, -0.7)
    field_dust_a_v: Range = (-1.3, 0.2)
    field_association_share: Range = (0.2, 0.7)
    field_arm_fraction: float = 0.4
    field_arm_contrast: Range = (0.3, 1.0)
    field_bulge_fraction: float = 0.15
    field_bulge_mass_density: Range = (2.5, 4.0)
    foreground_a_v: float = 0.18
    field_px: int = 768
    mocks_per_field: int = 256

    def __post_init__(self) -> None:
        """Check every value."""
        for name in (
            "cluster_fraction",
            "king_fraction",
            "neighbour_fraction",
            "sky_residual",
            "field_arm_fraction",
            "field_bulge_fraction",
        ):
            _check_range(name, (0.0, getattr(self, name)), 0.0, 1.0)
        unknown = sorted(set(self.negatives) - set(KINDS[1:]))
        if unknown or min(self.negatives.values(), default=0) < 0:
            raise ValueError(
                f"priors: negatives must be shares >= 0 of {list(KINDS[1:])}; "
                f"received {self.negatives}"
            )
        if self.cluster_fraction < 1 and sum(self.negatives.values()) <= 0:
            raise ValueError("priors: negatives must not all be zero")
        _check_range("centre_offset_px", (0.0, self.centre_offset_px), 0.0, 8.0)
        _check_range("eff_eta", self.eff_eta, 1.05, 10.0)
        _check_range("king_log_concentration", self.king_log_concentration, 0.1, 3.0)
        _check_range("feh_offset", self.feh_offset, -3.0, 1.0)
        unknown = sorted(set(self.extinction_laws) - set(EXTINCTION_LAWS))
        if unknown:
            raise ValueError(
                f"priors: extinction_laws must be among {EXTINCTION_LAWS}; received "
                f"{unknown}"
            )
        for band, blur in self.drizzle_blur_px.items():
            _check_range(f"drizzle_blur_px.{band}", blur, 0.0, 3.0)
        _check_range("noise_shift_px", self.noise_shift_px, 0.0, 0.5)
        _check_range("band_shift_px", (0.0, self.band_shift_px), 0.0, 2.0)
        _check_range("zero_point_mag", (0.0, self.zero_point_mag), 0.0, 1.0)
        _check_range("exposure_factor", self.exposure_factor, -2.0, 2.0)
        _check_range("sky_factor", self.sky_factor, -2.0, 2.0)
        _check_range("read_noise_factor", self.read_noise_factor, 0.0, 10.0)
        _check_range("field_old_mass_density", self.field_old_mass_density, -3, 4)
        _check_range("field_sfr_density", self.field_sfr_density, -6, 2)
        _check_range("field_dust_a_v", self.field_dust_a_v, -4, 1)
        share = self.field_association_share
        _check_range("field_association_share", share, 0.0, 1.0)
        _check_range("field_arm_contrast", self.field_arm_contrast, 0.0, 3.0)
        density = self.field_bulge_mass_density
        _check_range("field_bulge_mass_density", density, -3, 6)
        _check_range("foreground_a_v", (0.0, self.foreground_a_v), 0.0, 5.0)
        if self.field_px < 128 or self.field_px % 16:
            raise ValueError(
                "priors: field_px must be a multiple of 16, at least 128; received "
                f"{self.field_px}"
            )
        if self.mocks_per_field < 1:
            raise ValueError(
                f"priors: mocks_per_field must be >= 1; received {self.mocks_per_field}"
            )

    def blur_range(self, band: str) -> Range:
        """Return the range of drizzle blur (sigma, pixels) of a band."""
        return self.drizzle_blur_px.get(band, (0.5, 1.0))
