"""The target of an observation: a galaxy as an instrument sees it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from data_tools.foreign.limits import (
    Limits,
    above,
    by_name,
    check,
    each,
    file_name,
    number,
    one_of,
    optional,
    ordered,
    text,
    whole,
)
from data_tools.foreign.typed import build
from data_tools.priors import Priors
from data_tools.running.plain_files import read_settings
from data_tools.schema import EXTINCTION_LAWS, PARAMETERS

#: AB magnitude 0 in nJy: 3631 Jy by definition (Oke & Gunn 1983, ApJ 266, 713).
AB_ZERO_NJY = 3.631e12

_Values = TypeVar("_Values", float, np.ndarray)


def ab_zero_point(photflam: float, photplam: float) -> float:
    """Return the AB magnitude of one count per second.

    -2.5 log10 PHOTFLAM - 5 log10 PHOTPLAM - 2.408 (WFC3 Data Handbook, section 9.1).

    Parameters
    ----------
    photflam : float
        Inverse sensitivity in erg / (cm2 Å count).
    photplam : float
        Pivot wavelength in Å.
    """
    return -2.5 * math.log10(photflam) - 5 * math.log10(photplam) - 2.408


def ab_to_njy(magnitude: _Values) -> _Values:
    """Return the flux in nJy of an AB magnitude (Oke & Gunn 1983, ApJ 266, 713)."""
    return AB_ZERO_NJY * 10 ** (-0.4 * magnitude)


def njy_to_ab(flux: _Values) -> _Values:
    """Return the AB magnitude of a flux in nJy; `ab_to_njy` the other way."""
    return -2.5 * np.log10(flux / AB_ZERO_NJY)


#: Arcsec in one radian.
ARCSEC_PER_RADIAN = 180 * 3600 / math.pi

ISOCHRONE_FORMATS = ("parsec", "mist")


def _require(condition: bool, name: str, expected: str, received: object) -> None:
    if not condition:
        raise ValueError(f"target: {name} must be {expected}; received {received!r}")


#: What a box may span at most: beyond it there are no stars, no light or no pixels.
_WIDEST_BOX = {
    "log_age": (5.0, 10.3),
    "a_v": (0.0, 50.0),
    "log_mass": (0.0, 9.0),
    "log_half_light_radius": (-4.0, 2.0),
}


@dataclass(frozen=True)
class Band:
    """One band of a target's mosaics.

    Attributes
    ----------
    name : str
        Filter name as in the FITS header, e.g. ``F336W``.
    exposure_s : float
        Total exposure time in seconds.
    n_exposures : int
        Exposures combined, each with its own read-out.
    photflam : float
        Inverse sensitivity in erg / (cm2 Å e-); only mocks use it, a real mosaic is
        calibrated by its own header.
    photplam : float
        Pivot wavelength in Å.
    sky_electrons_s : float
        Sky and dark current in electrons / s / native pixel.
    """

    name: str
    exposure_s: float
    n_exposures: int
    photflam: float
    photplam: float
    sky_electrons_s: float

    def __post_init__(self) -> None:
        """Check every value."""
        check(self, "target: bands.", {"name": file_name()})
        check(
            self,
            f"target: bands.{self.name}.",
            {
                "exposure_s": above(0, 1e9),
                "n_exposures": whole(1, 1_000_000),
                # some 1e-19 for HST; what is far from it is in other units
                "photflam": number(1e-25, 1e-10),
                "photplam": number(100, 1e6),
                "sky_electrons_s": number(0, 1e6),
            },
        )

    @property
    def njy_per_electron_s(self) -> float:
        """Flux in nJy of one electron per second."""
        return ab_to_njy(ab_zero_point(self.photflam, self.photplam))

    @property
    def electron_njy(self) -> float:
        """Flux in nJy that gives one electron over the whole exposure."""
        return self.njy_per_electron_s / self.exposure_s


def _default_box() -> dict[str, tuple[float, float]]:
    return {p.name: (p.low, p.high) for p in PARAMETERS}


@dataclass(frozen=True)
class Target:
    """A galaxy and the instrument that observed it.

    Attributes
    ----------
    name : str
        Name of the target, used in file names.
    distance_mpc : float
        Distance in Mpc.
    distance_uncertainty_mpc : float or None
        Its standard uncertainty in Mpc, which sizes in pc carry; none if not stated.
        Mocks are all at the distance itself.
    feh : float
        [Fe/H] of the clusters and of the disc.
    bands : tuple of Band
        In the order of the image's last axis.
    pixel_scale_arcsec : float
        Pixel of the mosaics in arcsec.
    cutout_px : int
        Side of the square image the network sees; a multiple of 8.
    read_noise_electrons : float
        Read-out noise of one exposure in electrons.
    extinction_law : {"CCM89", "F99", "G23"}
        Extinction law, at R_V = 3.1.
    isochrones : str or None
        Path of an isochrone file that replaces the shipped table.
    isochrones_format : {"parsec", "mist"}
        Format of that file.
    psf : dict of str to str
        Path of a FITS PSF per band that replaces the shipped one (may be empty).
    box : dict of str to (float, float)
        Range of each parameter in its own unit: flat prior of the training set and
        support of the posterior.
    priors : dict of str to any
        Priors that the galaxy fixes, by the names of `data_tools.Priors`, whatever
        else a set is drawn with: ``{foreground_a_v: 0.11, r_v: [3.1, 3.1]}``.

    Examples
    --------
    >>> from data_tools import Target
    >>> target = Target.load("m83-wfc3-uvis")
    >>> target.band_names
    ('F336W', 'F438W', 'F814W')
    >>> f"{target.pc_per_arcsec:.1f} pc in an arcsec"
    '21.8 pc in an arcsec'
    """

    name: str = "m83-wfc3-uvis"
    distance_mpc: float = 4.5
    distance_uncertainty_mpc: float | None = None
    feh: float = 0.0
    bands: tuple[Band, ...] = ()
    pixel_scale_arcsec: float = 0.0396
    cutout_px: int = 64
    read_noise_electrons: float = 3.1
    extinction_law: str = "CCM89"
    isochrones: str | None = None
    isochrones_format: str = "parsec"
    psf: dict[str, str] = field(default_factory=dict)
    box: dict[str, tuple[float, float]] = field(default_factory=_default_box)
    priors: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every value and bring mappings into the parameters' order."""
        check(
            self,
            "target: ",
            {
                "name": file_name(),
                "distance_mpc": above(0, 10_000),
                "distance_uncertainty_mpc": optional(number(0, 10_000)),
                "feh": number(-5, 2),
                "bands": each(Limits("a Band", lambda v: isinstance(v, Band))),
                "pixel_scale_arcsec": number(0.005, 1),
                # 512 pixels in 3 bands are 3 MB a record
                "cutout_px": whole(16, 512, multiple_of=8),
                "read_noise_electrons": number(0, 10_000),
                "extinction_law": one_of(EXTINCTION_LAWS),
                "isochrones": optional(text()),
                "isochrones_format": one_of(ISOCHRONE_FORMATS),
            },
        )
        if self.distance_uncertainty_mpc is not None:
            _require(
                self.distance_uncertainty_mpc < self.distance_mpc,
                "distance_uncertainty_mpc",
                "between 0 and the distance",
                self.distance_uncertainty_mpc,
            )
        names = [b.name for b in self.bands]
        _require(
            len(names) >= 2 and len(set(names)) == len(names),
            "bands",
            "at least two different ones",
            names,
        )
        known = [p.name for p in PARAMETERS]
        check(
            self,
            "target: ",
            {
                "psf": by_name(names, text(empty=False)),
                "box": Limits(
                    f"a mapping of {', '.join(known)}",
                    lambda v: isinstance(v, dict) and set(v) == set(known),
                ),
            },
        )
        for key in known:
            limits = ordered(*_WIDEST_BOX[key], apart=True)
            _require(
                limits.holds(self.box[key]), f"box.{key}", limits.words, self.box[key]
            )
        box = {key: (float(self.box[key][0]), float(self.box[key][1])) for key in known}
        object.__setattr__(self, "box", box)
        object.__setattr__(self, "bands", tuple(self.bands))
        _require(
            isinstance(self.priors, dict),
            "priors",
            "a mapping of values by the names of data_tools.Priors",
            self.priors,
        )
        if self.priors:
            Priors().fixed_by(self)

    @property
    def band_names(self) -> tuple[str, ...]:
        """Names of the bands, in the order of the image's last axis."""
        return tuple(b.name for b in self.bands)

    @property
    def distance_modulus(self) -> float:
        """Distance modulus in mag: 5 log10(distance / 10 pc)."""
        return 5 * math.log10(self.distance_mpc * 1e5)

    @property
    def pc_per_arcsec(self) -> float:
        """Parsecs that one arcsec spans at the target."""
        return self.distance_mpc * 1e6 / ARCSEC_PER_RADIAN

    def to_dict(self) -> dict[str, Any]:
        """Return the target as plain lists, dictionaries, numbers and strings."""
        plain = dataclasses.asdict(self)
        plain["bands"] = [dataclasses.asdict(b) for b in self.bands]
        plain["box"] = {k: list(v) for k, v in self.box.items()}
        for name, left_out in (("distance_uncertainty_mpc", None), ("priors", {})):
            if plain[name] == left_out:
                del plain[name]
        return plain

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Target:
        """Build a target from what `to_dict` gives.

        Raises
        ------
        ValueError
            On an unknown key or a value outside its range.
        """
        if isinstance(values, Mapping) and "binary_fraction" in values:
            # where it stood before a target could fix any prior
            values = dict(values)
            fraction = values.pop("binary_fraction")
            own = {"binary_fraction": [fraction, fraction]}
            values["priors"] = own | values.get("priors", {})
        bands = values.get("bands", ()) if isinstance(values, Mapping) else ()
        _require(
            isinstance(bands, list | tuple) and all(isinstance(b, dict) for b in bands),
            "bands",
            f"a list of mappings of {[f.name for f in dataclasses.fields(Band)]}",
            bands,
        )
        return build(cls, values, "target")

    @classmethod
    def load(cls, name_or_path: str | Path) -> Target:
        """Load a target that ships, by name, or a YAML file, by path.

        Parameters
        ----------
        name_or_path : str or Path
            ``m83-wfc3-uvis``, or the path of a YAML file with the attributes above.

        Raises
        ------
        FileNotFoundError
            If there is neither; the message lists the targets that ship.
        ValueError
            If the file is not a mapping, has an unknown key or a bad value; the
            message names the file.
        """
        shipped = resources.files("data_tools.targets")
        path = Path(name_or_path)
        source = shipped / f"{name_or_path}.yaml" if not path.suffix else path
        if not source.is_file():
            names = sorted(
                p.name[:-5] for p in shipped.iterdir() if p.name.endswith(".yaml")
            )
            raise FileNotFoundError(
                f"target {str(name_or_path)!r}: expected one of {names} or the path "
                "of a .yaml file; nothing found there"
            )
        values = read_settings(source)
        try:
            return cls.from_dict(values)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
