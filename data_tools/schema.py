"""Parameters, record features and flags: the one list everything else reads."""

from __future__ import annotations

from dataclasses import dataclass

#: Raised whenever a feature changes its name, type, unit or meaning.
SCHEMA_VERSION = 3

#: Pixels of a record are stored as float16 of (flux in nJy / this number): the
#: brightest cluster of the default prior then stays a factor of ten below float16's
#: largest value, and the faintest noise a factor of 1000 above its smallest.
PIXEL_UNIT_NJY = 32.0


@dataclass(frozen=True)
class Parameter:
    """One parameter of a cluster, as it is called in every table and record.

    Attributes
    ----------
    name : str
        Column and record name.
    unit : str
        Unit of the value as astropy writes it; ``dex(yr)`` is log10 of years.
    low, high : float
        Training range for M83, in that unit; a target may have another.
    label : str
        Label of a plot's axis, without unit.
    description : str
        One line, for column descriptions and documentation.
    ucd : str
        What it is in the words of the Virtual Observatory (IVOA, UCD1+).
    """

    name: str
    unit: str
    low: float
    high: float
    label: str
    description: str
    ucd: str


PARAMETERS: tuple[Parameter, ...] = (
    Parameter(
        "log_age",
        "dex(yr)",
        6.0,
        10.1,
        "log age",
        "log10 of the age in years",
        "time.age",
    ),
    Parameter(
        "a_v",
        "mag",
        0.0,
        4.0,
        "A_V",
        "extinction in V, foreground included: mean of the stars, each weighed by its "
        "light (electrons in all bands) without dust",
        "phys.absorption;em.opt.V",
    ),
    Parameter(
        "log_mass",
        "dex(solMass)",
        2.5,
        6.0,
        "log mass",
        "log10 of the initial stellar mass in solar masses, companions included, as "
        "expected of the stars",
        "phys.mass",
    ),
    Parameter(
        "log_half_light_radius",
        "dex(arcsec)",
        -1.6,
        -0.2,
        "log r_h",
        "log10 of the projected half-light radius in arcsec: expected of the drawn "
        "stars, sqrt(a b) of an ellipse",
        "phys.angSize",
    ),
)

PARAMETER_NAMES: tuple[str, ...] = tuple(p.name for p in PARAMETERS)

#: Stellar models that ship: evolution of stars alone, with the same light at equal
#: temperature and gravity. The index is the trait ``stellar_model``.
STELLAR_MODELS: tuple[str, ...] = ("MIST", "PARSEC", "SSE")
#: Age (log10 yr) from which on a model's clusters are not drawn where another's may be:
#: who is told that model takes an older cluster for a younger one. SSE's giants are so
#: cool at [Fe/H] 0 that at 10 Gyr 0.5 % of the light in F814W is of stars brighter than
#: M = -2, a fifth in the others; the red giants of a disc reach M_I = -3.7 (Bellazzini,
#: Ferraro & Pancino 2001, ApJ 556, 635).
DRAWN_UP_TO = {"SSE": 9.0}

#: Extinction laws that the tables hold. The index is the trait ``extinction_law``.
EXTINCTION_LAWS: tuple[str, ...] = ("CCM89", "F99", "G23")


@dataclass(frozen=True)
class Trait:
    """What a cluster or a background was drawn with, or shows, beside parameters.

    Attributes
    ----------
    name : str
        As the record's feature ``traits`` has it at its place in `TRAITS`, or
        ``field_traits`` in `FIELD_TRAITS`.
    unit : str
        As astropy writes it; empty for a plain number.
    description : str
        One line.
    """

    name: str
    unit: str
    description: str


TRAITS: tuple[Trait, ...] = (
    Trait("stellar_model", "", "index into STELLAR_MODELS; -1 for a file of the user"),
    Trait("feh", "dex", "[Fe/H]"),
    Trait("extinction_law", "", "index into EXTINCTION_LAWS"),
    Trait("r_v", "", "total over selective extinction, A_V / E(B-V)"),
    Trait("binary_fraction", "", "share of the stars that have a companion"),
    Trait("a_v_scatter", "", "scatter of A_V from star to star over its mean"),
    Trait("a_v_front", "", "share of the stars that are in front of the dust"),
    Trait(
        "segregation", "", "radius of the brightest fifth's profile over the others'"
    ),
    Trait("axis_ratio", "", "short over long axis of the projected profile"),
    Trait("host_log_mass", "dex(solMass)", "mass of the host association; NaN if none"),
    Trait("nebular_covering", "", "share of the ionising light that gas takes up"),
    Trait("nebular_log_u", "", "log10 of the gas's ionisation parameter"),
    Trait("nebular_compact", "", "share of the gas's light that lies on the stars"),
    Trait("nebular_radius_pc", "pc", "outer radius of the shell of gas"),
    Trait("a_v_seen", "mag", "as a_v, by light with dust: of what is seen"),
    Trait("log_mass_drawn", "dex(solMass)", "initial mass of the stars drawn"),
    Trait("log_mass_current", "dex(solMass)", "mass of the living, in expectation"),
    Trait(
        "log_half_light_radius_drawn",
        "dex(arcsec)",
        "as log_half_light_radius, measured on the stars drawn where they were put",
    ),
    Trait(
        "log_half_number_radius",
        "dex(arcsec)",
        "radius that holds half of the stars by number, in expectation",
    ),
)

TRAIT_NAMES: tuple[str, ...] = tuple(t.name for t in TRAITS)

#: What a background was drawn with, or shows. A real mosaic tells none of it: NaN.
FIELD_TRAITS: tuple[Trait, ...] = (
    *TRAITS[:4],
    *(trait for trait in TRAITS if trait.name in ("nebular_covering", "nebular_log_u")),
    Trait("old_decline", "1 / Gyr", "decline of the rate between 12 and 1 Gyr ago"),
    Trait("burst", "dex", "change of the rate in half a dex of age; 0 for none"),
    Trait("burst_age", "dex(yr)", "log10 of that age in years; NaN for none"),
    Trait(
        "sky_pedestal",
        "",
        "level taken away, over the field's 5th percentile of light; mean of the bands",
    ),
    Trait("full_well", "electron", "electrons that fill a pixel in one exposure"),
    Trait("transfer_loss", "", "share of the light that trails; mean of the bands"),
    Trait("cosmic_rays", "", "tracks of cosmic rays in one band"),
    Trait("missing", "", "share of the pixels that have no data"),
)

FIELD_TRAIT_NAMES: tuple[str, ...] = tuple(t.name for t in FIELD_TRAITS)

#: Parts of a mock set, from fields of their own.
SPLITS = ("train", "validation", "test")

#: What stands in the middle of a cutout. The index is the record's ``kind``.
KINDS: tuple[str, ...] = (
    "cluster",
    "empty",
    "bright_star",
    "blend",
    "association",
    "background_galaxy",
    "dust_edge",
    "artefact",
    "field_peak",
)


@dataclass(frozen=True)
class Feature:
    """One feature of a record (a ``tf.train.Example``).

    Attributes
    ----------
    name : str
        Key in the Example.
    dtype : str
        ``float16`` images are raw bytes, C order; the rest are native lists.
    shape : tuple of (int or str)
        ``"px"`` stands for the cutout's side, ``"bands"`` for the number of bands.
    unit : str
        Unit; ``PIXEL_UNIT`` is `PIXEL_UNIT_NJY` nJy per pixel.
    description : str
        One line.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    unit: str
    description: str

    def sizes(self, px: int, bands: int) -> tuple[int, ...]:
        """Return the shape in numbers, for a cutout's side and number of bands."""
        number = {"px": px, "bands": bands}
        return tuple(number[s] if isinstance(s, str) else s for s in self.shape)


FEATURES: tuple[Feature, ...] = (
    Feature("schema_version", "int64", (), "", "SCHEMA_VERSION of the writer"),
    Feature(
        "cluster",
        "float16",
        ("px", "px", "bands"),
        "PIXEL_UNIT",
        "noise-free light of the object in the middle (zero for an empty field)",
    ),
    Feature(
        "background",
        "float16",
        ("px", "px", "bands"),
        "PIXEL_UNIT",
        "everything else, with its own noise; NaN where there are no data",
    ),
    Feature(
        "parameters",
        "float32",
        (len(PARAMETERS),),
        "",
        "the cluster's parameters in the order of PARAMETERS; NaN without cluster",
    ),
    Feature(
        "traits",
        "float32",
        (len(TRAITS),),
        "",
        "what else the cluster was drawn with, in the order of TRAITS; NaN without",
    ),
    Feature(
        "field_traits",
        "float32",
        (len(FIELD_TRAITS),),
        "",
        "what the background was drawn with, in the order of FIELD_TRAITS",
    ),
    Feature("is_cluster", "int64", (), "", "1 if the object is a cluster, else 0"),
    Feature("kind", "int64", (), "", "index into KINDS"),
    Feature(
        "log_snr",
        "float32",
        (),
        "dex",
        "visibility: log10 S/N of the object on its field; NaN where there is none",
    ),
    Feature(
        "centre",
        "float32",
        (2,),
        "pix",
        "offset (x, y) of the object from the middle of the cutout",
    ),
    Feature(
        "electron_njy",
        "float32",
        ("bands",),
        "nJy",
        "flux of one electron over the exposure, at the background's place",
    ),
    Feature(
        "background_variance",
        "float32",
        ("bands",),
        "nJy2",
        "variance per pixel of the background: noise and crowding, as if independent",
    ),
    Feature(
        "noise_shift_px",
        "float32",
        ("bands",),
        "pix",
        "how far drizzling correlates its noise; see "
        "data_tools.imaging.observation.drizzled",
    ),
    Feature(
        "psf_fwhm_px",
        "float32",
        ("bands",),
        "pix",
        "full width at half maximum of the PSF in the mosaic's pixels",
    ),
    Feature("field_id", "int64", (), "", "number of the field of the background"),
    Feature("mock_id", "int64", (), "", "number of the record in the whole set"),
)

#: What a network may be told of an image beside its pixels. Any number may be unknown:
#: NaN, or -1 for a whole number.
CONTEXT: tuple[Feature, ...] = (
    Feature(
        "psf_fwhm_px",
        "float32",
        ("bands",),
        "pix",
        "full width at half maximum of the PSF in the mosaic's pixels",
    ),
    Feature("exposure_s", "float32", ("bands",), "s", "exposure at the place"),
    Feature("stellar_model", "int32", (), "", "index into STELLAR_MODELS; -1 for any"),
)

#: Bits of a catalogue's ``flags`` column.
FLAGS: dict[str, tuple[int, str]] = {
    "edge": (1, "the cutout crosses the edge of the mosaic"),
    "missing": (2, "the cutout has pixels without data, filled by the local median"),
    "saturated": (4, "a pixel of the cutout is saturated or above the stated limit"),
    "below_visibility": (8, "the visibility is below the stated limit"),
    "outside_training": (16, "the posterior leans on an edge of the training range"),
    "unlike_mocks": (32, "the image is unlike anything the network was trained on"),
    "no_data": (64, "no usable pixel at the position: the posterior is NaN"),
    "overlap": (128, "within two half-light radii, or 8 px, of a likelier cluster: it"),
    "depth": (256, "the exposure there is outside that of the training's mocks"),
    "position": (512, "pixel and sky position disagree, or one is impossible"),
    "other_instrument": (1024, "a mosaic is of another instrument than the mocks"),
}


@dataclass(frozen=True)
class Column:
    """One column of a catalogue.

    Attributes
    ----------
    name : str
        As the table has it.
    unit : str
        As astropy writes it; empty for a plain number.
    ucd : str
        What it is in the words of the Virtual Observatory (IVOA, UCD1+).
    description : str
        One line.
    """

    name: str
    unit: str
    ucd: str
    description: str


#: Summaries of a parameter: name, UCD, what is meant. A spread has the unit of a
#: difference.
_SUMMARIES = (
    ("median", "{};stat.median", "median of the {}"),
    ("p16", "{};stat.percentile", "16th percentile of the {}"),
    ("p84", "{};stat.percentile", "84th percentile of the {}"),
    ("mean", "{};stat.mean", "mean of the {}"),
    ("std", "stat.stdev;{}", "standard deviation of the {}"),
)

_PLACE = (
    Column(
        "x", "pix", "pos.cartesian.x", "column of the position; the first pixel is 0"
    ),
    Column("y", "pix", "pos.cartesian.y", "row of the position; the first pixel is 0"),
    Column("ra", "deg", "pos.eq.ra;meta.main", "right ascension, ICRS"),
    Column("dec", "deg", "pos.eq.dec;meta.main", "declination, ICRS"),
    Column(
        "covered",
        "",
        "stat.filling",
        "share of the cutout's pixels with data in all bands",
    ),
    Column(
        "p_cluster",
        "",
        "stat.probability;src.class",
        "probability that it is a cluster",
    ),
    Column(
        "other_kind",
        "",
        "src.class",
        "likeliest kind if it is no cluster; empty of a model that tells none apart",
    ),
    Column(
        "p_other_kind",
        "",
        "stat.probability;src.class",
        "probability that it is of that kind",
    ),
    Column(
        "log_snr",
        "dex",
        "stat.snr;stat.mean",
        "mean of the visibility, log10 S/N of the object",
    ),
    Column(
        "log_snr_std",
        "dex",
        "stat.stdev;arith.ratio",
        "standard deviation of the visibility, log10 S/N of the object",
    ),
    Column(
        "unlike_mocks",
        "",
        "stat.fit.goodness",
        "log10 of the share of the training's mocks that are further out",
    ),
)

_SIZE_PC = tuple(
    Column(
        f"half_light_radius_pc_{key}",
        "pc",
        f"phys.size.radius;{ucd}",
        f"{words} of the projected half-light radius in pc, at the target's distance"
        f"{error}",
    )
    for key, ucd, words, error in (
        ("median", "stat.median", "median", ""),
        ("p16", "stat.percentile", "16th percentile", " and with its uncertainty"),
        ("p84", "stat.percentile", "84th percentile", " and with its uncertainty"),
    )
)


_LIVING = tuple(
    Column(
        f"log_mass_current_{key}",
        "dex(solMass)",
        f"phys.mass;{ucd}",
        f"{words} of the log10 of the mass in living stars in solar masses",
    )
    for key, ucd, words in (
        ("median", "stat.median", "median"),
        ("p16", "stat.percentile", "16th percentile"),
        ("p84", "stat.percentile", "84th percentile"),
    )
)


#: Parameters that a catalogue can have under each stellar model.
BY_STELLAR_MODEL: tuple[str, ...] = ("log_age", "a_v")


def stellar_model_columns() -> tuple[Column, ...]:
    """List the columns that a catalogue has more if it is asked by stellar model.

    Model by model, parameter by parameter: median, 16th and 84th percentile.
    """
    return tuple(
        Column(
            f"{p.name}_{key}_{model.lower()}",
            p.unit,
            ucd.format(p.ucd),
            f"{words.format(p.description)}, if {model} is the stellar model"
            + _as_far_as(model),
        )
        for model in STELLAR_MODELS
        for p in PARAMETERS
        if p.name in BY_STELLAR_MODEL
        for key, ucd, words in _SUMMARIES[:3]
    )


def _as_far_as(stellar_model: str) -> str:
    """Return words for the ages that clusters of a stellar model end at, if they do."""
    if stellar_model not in DRAWN_UP_TO:
        return ""
    return f", of which mocks end at log age {DRAWN_UP_TO[stellar_model]:g}"


def spread_unit(unit: str) -> str:
    """Return the unit of a difference: two logarithms differ by dex."""
    return "dex" if unit.startswith("dex(") else unit


def catalogue_columns() -> tuple[Column, ...]:
    """List the columns of a catalogue in their order."""
    summaries = tuple(
        Column(
            f"{p.name}_{key}",
            spread_unit(p.unit) if key == "std" else p.unit,
            ucd.format(p.ucd),
            words.format(p.description),
        )
        for p in PARAMETERS
        for key, ucd, words in _SUMMARIES
    )
    covariances = tuple(
        Column(
            f"cov_{b.name}_{a.name}",
            " ".join(spread_unit(p.unit) for p in (b, a)),
            f"stat.covariance;{b.ucd};{a.ucd}",
            f"covariance of {b.name} and {a.name}",
        )
        for i, a in enumerate(PARAMETERS)
        for b in PARAMETERS[:i]
    )
    bits = "; ".join(f"{bit}: {words}" for bit, words in FLAGS.values())
    flags = Column("flags", "", "meta.code.qual", f"sum of bits, 0 if none. {bits}")
    return (*_PLACE, *summaries, *_SIZE_PC, *_LIVING, *covariances, flags)
