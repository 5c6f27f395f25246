"""Domain shifts: mock sets with one thing changed each, and images unlike any mock."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from data_tools.fields.mosaic_field import Backgrounds
from data_tools.imaging.psf import OVERSAMPLING, psf_image
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.stars.population import isochrones_of
from data_tools.target import EXTINCTION_LAWS, Target

#: The set that all others are held to.
NOMINAL = "nominal"

#: Factor between a broader PSF's total sigma and the nominal one's.
PSF_FACTOR = 1.15
#: Error of the zero points in mag, of [Fe/H] in dex, of the position in pixels.
ZERO_POINT_MAG = 0.1
FEH_DEX = 0.25
CENTRE_PX = 2

#: Electrons that fill a pixel of WFC3/UVIS in one exposure, about (WFC3 Instrument
#: Handbook, section 5.4.5: 63,000 to 72,000 over the detector).
FULL_WELL_ELECTRONS = 65_000.0
#: Radius of a saturated core and half-width of its bleeding columns, in pixels.
_CORE_PX, _BLEED_PX = 4.0, 1.0

#: FWHM of a Gaussian in units of its sigma.
_FWHM = 2 * math.sqrt(2 * math.log(2))
_PSF_GRID = 64

Change = Callable[[Target, Priors], tuple[Target, Priors]]


def _nothing(target: Target, priors: Priors) -> tuple[Target, Priors]:
    return target, priors


ImageChange = Callable[[NDArray, Target, np.random.Generator], NDArray]


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
    change: Change = _nothing
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


def core_sigma_px(target: Target, band: str) -> float:
    """Return the sigma in pixels of the Gaussian with the FWHM of a band's PSF.

    The PSF is the one in the middle of the detector, or a user's first, pixel included
    and before any blur by drizzling.
    """
    image = psf_image(
        target.psf.get(band), band, 28, _PSF_GRID, target.pixel_scale_arcsec
    )
    radii = np.linspace(0, _PSF_GRID / 4, 500)
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)[:, None]
    middle = _PSF_GRID // 2
    places = [middle + radii * np.sin(angles), middle + radii * np.cos(angles)]
    profile = map_coordinates(image.astype(float), places, order=3).mean(axis=0)
    half = int(np.argmax(profile < profile[0] / 2))
    radius = np.interp(
        -profile[0] / 2, -profile[half - 1 : half + 1], radii[half - 1 : half + 1]
    )
    return 2 * radius / OVERSAMPLING / _FWHM


def broader_psf(target: Target, priors: Priors) -> tuple[Target, Priors]:
    """Make every band's PSF, drizzling included, `PSF_FACTOR` times as broad.

    With s the sigma of the PSF's core (`core_sigma_px`) and b that of the blur by
    drizzling, which is drawn from a range, the total is sqrt(s^2 + b^2): so both ends
    of the range become sqrt(f^2 (s^2 + b^2) - s^2). A core is no Gaussian: over the
    default ranges the FWHM itself grows by 13 to 19 %.
    """

    def broader(sigma: float, blur: float) -> float:
        return math.sqrt(PSF_FACTOR**2 * (sigma**2 + blur**2) - sigma**2)

    blurs = dict(priors.drizzle_blur_px)
    for band in target.band_names:
        sigma = core_sigma_px(target, band)
        low, high = (broader(sigma, blur) for blur in priors.blur_range(band))
        blurs[band] = (low, high)
    return target, dataclasses.replace(priors, drizzle_blur_px=blurs)


def _deeper(factor: float) -> Change:
    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        bands = tuple(
            dataclasses.replace(band, exposure_s=factor * band.exposure_s)
            for band in target.bands
        )
        return dataclasses.replace(target, bands=bands), priors

    return change


def _metallicity(offset: float) -> Change:
    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        return (
            dataclasses.replace(target, feh=target.feh + offset),
            dataclasses.replace(priors, feh_offset=(0.0, 0.0)),
        )

    return change


def _law(law: str) -> Change:
    def change(target: Target, priors: Priors) -> tuple[Target, Priors]:
        return (
            dataclasses.replace(target, extinction_law=law),
            dataclasses.replace(priors, extinction_laws=(law,)),
        )

    return change


def _king(target: Target, priors: Priors) -> tuple[Target, Priors]:
    return target, dataclasses.replace(priors, king_fraction=1.0)


def _brighter_disc(target: Target, priors: Priors) -> tuple[Target, Priors]:
    def brighter(densities: tuple[float, float]) -> tuple[float, float]:
        low, high = densities
        return low + math.log10(3), high + math.log10(3)

    return target, dataclasses.replace(
        priors,
        field_old_mass_density=brighter(priors.field_old_mass_density),
        field_sfr_density=brighter(priors.field_sfr_density),
    )


def _fainter(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    return images * 10 ** (-0.4 * ZERO_POINT_MAG)


def _first_fainter(
    images: NDArray, target: Target, rng: np.random.Generator
) -> NDArray:
    factors = np.ones(images.shape[-1])
    factors[0] = 10 ** (-0.4 * ZERO_POINT_MAG)
    return images * factors


def _off_centre(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    # what comes in at the edge is not in the record: its mirror image
    missing = images[:, :, CENTRE_PX - 1 :: -1]
    return np.concatenate([missing, images[:, :, :-CENTRE_PX]], axis=2)


def _without_sky(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    return images - np.median(images, axis=(1, 2), keepdims=True)


def _bands_reversed(
    images: NDArray, target: Target, rng: np.random.Generator
) -> NDArray:
    return images[..., ::-1]


def _blank(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    return np.zeros_like(images)


def _noise(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    low, median, high = np.quantile(
        images, [0.25, 0.5, 0.75], axis=(1, 2), keepdims=True
    )
    # 1.349: distance of a Gaussian's quartiles in units of sigma
    return median + (high - low) / 1.349 * rng.standard_normal(images.shape)


def _saturated(images: NDArray, target: Target, rng: np.random.Generator) -> NDArray:
    full = [FULL_WELL_ELECTRONS * b.n_exposures * b.electron_njy for b in target.bands]
    side = images.shape[1]
    row, column = np.indices((side, side)) - (side - 1) / 2
    hit = (np.hypot(row, column) < _CORE_PX) | (np.abs(column) < _BLEED_PX)
    return np.where(hit[..., None], full, np.minimum(images, full))


#: Every shift, in the order of the table; the first is the one that changes nothing.
SHIFTS: tuple[Shift, ...] = (
    Shift(NOMINAL, "nothing"),
    Shift("psf_broader", "PSF with drizzling 15 % broader in sigma", broader_psf),
    Shift("zero_points", "all bands recorded 0.1 mag too faint", images=_fainter),
    Shift(
        "zero_point_first",
        "the first band alone recorded 0.1 mag too faint",
        images=_first_fainter,
    ),
    Shift("feh_low", "[Fe/H] 0.25 lower, of clusters and disc", _metallicity(-FEH_DEX)),
    Shift(
        "feh_high", "[Fe/H] 0.25 higher, of clusters and disc", _metallicity(FEH_DEX)
    ),
    *(
        Shift(f"extinction_{law.lower()}", f"all extinction by {law}", _law(law))
        for law in EXTINCTION_LAWS
    ),
    Shift("king", "King profiles for all clusters", _king),
    Shift("centre", "cutouts 2 px beside the position", images=_off_centre),
    Shift(
        "real_background",
        "backgrounds cut from the mosaics that were given",
        needs="images",
    ),
    Shift("depth_halved", "half the exposure in all bands", _deeper(0.5)),
    Shift("depth_tripled", "three times the exposure in all bands", _deeper(3.0)),
    Shift(
        "disc_brighter",
        "disc with three times the stars, old and young",
        _brighter_disc,
    ),
    Shift("isochrones", "isochrones of the file that was given", needs="isochrones"),
    Shift("sky_subtracted", "the local median subtracted", images=_without_sky),
    Shift("bands_reversed", "bands in the wrong order", images=_bands_reversed),
    Shift(
        "noise",
        "white noise of each image's own median and scatter",
        images=_noise,
        has_truth=False,
    ),
    Shift("blank", "zero everywhere", images=_blank, has_truth=False),
    Shift(
        "saturated",
        "a saturated star with bleeding columns in the middle",
        images=_saturated,
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
