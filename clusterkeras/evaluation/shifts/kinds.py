"""Domain shifts: mock sets with one thing changed each, and images unlike any mock."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clusterkeras.evaluation.shifts.images import (
    ImageChange,
    bands_reversed,
    blank,
    dust_lane,
    fainter,
    first_fainter,
    gradient,
    misaligned,
    noise,
    off_centre,
    saturated,
    without_sky,
)
from clusterkeras.evaluation.shifts.sets import (
    Change,
    brighter_disc,
    broader_psf,
    deeper,
    fixed,
    law_alone,
    metallicity,
    nothing,
)
from data_tools.fields.mosaic_field import Backgrounds
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.schema import EXTINCTION_LAWS, STELLAR_MODELS
from data_tools.stars.population import isochrones_of
from data_tools.target import Target

#: The set that all others are held to.
NOMINAL = "nominal"

#: Error of [Fe/H] in dex.
FEH_DEX = 0.25


@dataclass(frozen=True)
class Shift:
    """One thing that is not as in the nominal set.

    Attributes
    ----------
    name : str
        Small letters and underscores.
    description : str
        What is changed, for a table.
    change : callable
        From target and priors to those of the shift's own set.
    images : callable, optional
        From images (B, px, px, bands) of the nominal set in nJy, the target and a
        source of randomness to those that the model is shown; there is no set then.
    has_truth : bool
        Whether the images still show what the labels say.
    needs : {"", "images", "isochrones"}
        What the user has to name: mosaics to cut backgrounds from, or isochrones.
    """

    name: str
    description: str
    change: Change = nothing
    images: ImageChange | None = None
    has_truth: bool = True
    needs: str = ""

    @property
    def simulated(self) -> bool:
        """Whether it has a mock set of its own."""
        return self.images is None


@dataclass(frozen=True)
class UserFiles:
    """What a user names for the shifts that need it.

    Attributes
    ----------
    backgrounds : Backgrounds, optional
        Real mosaics; of their shares and tiles only the size counts, since all of
        their sky is used.
    isochrones : str, optional
        File of isochrones of another model than the target's.
    isochrones_format : {"parsec", "mist"}
        Its format.
    """

    backgrounds: Backgrounds | None = None
    isochrones: str | None = None
    isochrones_format: str = "parsec"


def mock_set(n: int, seed: int) -> MockSet:
    """Return the size of a shift's set: `n` records, all in one split.

    A set has at least a training split: here it is all there is, and nothing is trained
    on it.
    """
    return MockSet(n_train=n, n_validation=0, n_test=0, seed=seed, shard_size=1024)


def whole_sky(backgrounds: Backgrounds) -> Backgrounds:
    """Return mosaics all of whose sky is for `mock_set`'s split."""
    return dataclasses.replace(backgrounds, shares={"train": 1.0})


#: Of a prior: what it does, what is least of it in the mocks, what is most unless that
#: is the nominal set itself, and what is beyond all of them, if anything can be.
RANGES: tuple[tuple[str, str, float, float | None, float | None], ...] = (
    ("r_v", "R_V {}", 2.5, 5.0, 5.6),
    ("a_v_scatter", "extinction scatters by {} A_V from star to star", 0.0, 0.5, 0.8),
    ("a_v_front", "{} of the stars in front of the dust", 0.0, 0.3, 0.4),
    ("binary_fraction", "{} of the stars have a companion", 0.0, 0.7, 1.0),
    ("segregation", "the brightest fifth at {} of the radius", 1.0, 0.5, 0.3),
    ("axis_ratio", "axis ratio {}", 1.0, 0.6, 0.4),
    ("host_fraction", "{} of the young in an association of their age", 0, 1, None),
    ("young_stars_fraction", "{} beside young stars of another age", 0, 1, None),
    ("complex_peak_fraction", "{} of the peaks in young complexes", 0, 1, None),
    ("nebular_covering", "gas takes up {} of the ionising light", 0.0, 1.0, None),
    ("nebular_compact", "{} of the gas's light on the stars", 0.0, 1.0, None),
    ("nebular_radius_pc", "shells of gas of {} pc", 1.0, 30.0, 60.0),
    ("nebular_band_dex", "the gas's bands scatter by {} dex", 0.0, None, 0.3),
    ("zero_point_mag", "zero points up to {} mag off", 0.0, None, 0.2),
    ("sky_pedestal", "{} of the field's 5th percentile taken away", 0.0, 1.0, 2.0),
    ("full_well", "pixels that hold {} electrons", 72_000, 63_000, 20_000),
    ("transfer_loss", "{} of the light trails behind", 0.0, 0.15, 0.3),
    ("cosmic_ray_fraction", "a cosmic ray on {} of the cutouts", 0, 1, None),
    ("gap_fraction", "pixels without data on {} of the cutouts", 0, 1, None),
)


def _of_priors() -> tuple[Shift, ...]:
    """Return a shift for each end of each range, and one beyond it."""
    shifts = []
    for name, words, *values in RANGES:
        others = {"uneven_fraction": 1.0} if name.startswith("a_v_") else {}
        is_range = isinstance(getattr(Priors(), name), tuple)
        for end, value in zip(("least", "most", "beyond"), values, strict=True):
            if value is not None:
                more = ", beyond what is drawn" if end == "beyond" else ""
                own = (value, value) if is_range else value
                shifts.append(
                    Shift(
                        f"{name}_{end}",
                        words.format(value) + more,
                        fixed(**{name: own}, **others),
                    )
                )
    return tuple(shifts)


#: Every shift, in the order of the table; the first is the one that changes nothing.
SHIFTS: tuple[Shift, ...] = (
    Shift(NOMINAL, "nothing"),
    Shift("psf_broader", "PSF with drizzling 15 % broader in sigma", broader_psf),
    Shift("zero_points", "all bands recorded 0.1 mag too faint", images=fainter),
    Shift(
        "zero_point_first",
        "the first band alone recorded 0.1 mag too faint",
        images=first_fainter,
    ),
    Shift("feh_low", "[Fe/H] 0.25 lower, of clusters and disc", metallicity(-FEH_DEX)),
    Shift("feh_high", "[Fe/H] 0.25 higher, of clusters and disc", metallicity(FEH_DEX)),
    *(
        Shift(f"extinction_{law.lower()}", f"all extinction by {law}", law_alone(law))
        for law in EXTINCTION_LAWS
    ),
    *(
        Shift(
            f"stars_{model.lower()}",
            f"all stars, of clusters and fields, as {model} has them",
            fixed(stellar_models={model: 1.0}),
        )
        for model in STELLAR_MODELS
    ),
    *_of_priors(),
    Shift("king", "King profiles for all clusters", fixed(king_fraction=1.0)),
    Shift("centre", "cutouts 2 px beside the position", images=off_centre),
    Shift(
        "real_background",
        "backgrounds cut from the mosaics that were given",
        needs="images",
    ),
    Shift("depth_halved", "half the exposure in all bands", deeper(0.5)),
    Shift("depth_tripled", "three times the exposure in all bands", deeper(3.0)),
    Shift(
        "disc_brighter",
        "disc with three times the stars, old and young",
        brighter_disc,
    ),
    Shift(
        "dust_lane",
        "never drawn: the edge of a dust lane, A_V 1, crosses the position",
        images=dust_lane,
    ),
    Shift(
        "gradient",
        "never drawn: light rises across the cutout, by three sigma",
        images=gradient,
    ),
    Shift(
        "misaligned",
        "never drawn: the first band smeared over three pixels",
        images=misaligned,
    ),
    Shift("isochrones", "isochrones of the file that was given", needs="isochrones"),
    Shift("sky_subtracted", "the local median subtracted", images=without_sky),
    Shift("bands_reversed", "bands in the wrong order", images=bands_reversed),
    Shift(
        "noise",
        "white noise of each image's own median and scatter",
        images=noise,
        has_truth=False,
    ),
    Shift("blank", "zero everywhere", images=blank, has_truth=False),
    Shift(
        "saturated",
        "a saturated star with bleeding columns in the middle",
        images=saturated,
        has_truth=False,
    ),
)


def choose(only: tuple[str, ...] = ()) -> tuple[Shift, ...]:
    """Return shifts by name, the nominal set first; all of them for no name.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    known = [shift.name for shift in SHIFTS]
    unknown = sorted(set(only) - set(known))
    if unknown:
        raise ValueError(f"shifts: expected names among {known}; received {unknown}")
    return tuple(s for s in SHIFTS if not only or s.name in (NOMINAL, *only))


def missing(shift: Shift, target: Target, priors: Priors, given: UserFiles) -> str:
    """Say why a shift cannot be made, from what `settings` takes; nothing if it can."""
    bands = ", ".join(target.band_names)
    reasons = {
        "images": (
            given.backgrounds is None,
            f"no mosaics in {bands} were given (--images)",
        ),
        "isochrones": (
            given.isochrones is None,
            "no isochrones of another model were given (--isochrones)",
        ),
    }
    lacks, reason = reasons.get(shift.needs, (False, ""))
    if lacks:
        return reason
    feh = settings(shift, target, priors, given)["target"].feh
    low, high = isochrones_of(target).fehs[[0, -1]]
    if shift.needs != "isochrones" and not low <= feh <= high:
        return f"the isochrones reach from [Fe/H] {low:g} to {high:g}, not to {feh:g}"
    return ""


def settings(
    shift: Shift, target: Target, priors: Priors, given: UserFiles
) -> dict[str, Any]:
    """Return what `data_tools.records.simulate.simulate` makes a shift's set of.

    Parameters
    ----------
    shift : Shift
        One that has a set of its own.
    target : Target
        The nominal target.
    priors : Priors
        The nominal priors.
    given : UserFiles
        What the user named.

    Returns
    -------
    dict
        ``target``, ``priors``, ``backgrounds``.
    """
    backgrounds = None
    if shift.needs == "images" and given.backgrounds is not None:
        backgrounds = whole_sky(given.backgrounds)
    if shift.needs == "isochrones":
        target = dataclasses.replace(
            target,
            isochrones=given.isochrones,
            isochrones_format=given.isochrones_format,
        )
    target, priors = shift.change(target, priors)
    return {"target": target, "priors": priors, "backgrounds": backgrounds}
