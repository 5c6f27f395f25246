"""Isochrones of another stellar model than MIST: SSE, by COSMIC, in PARSEC's layout.

SSE (Hurley, Pols & Tout 2000, MNRAS 315, 543) fits the models of Pols et al. (1998,
MNRAS 298, 525): another code, other overshooting, no rotation, no stars before the main
sequence, its Sun at Z = 0.02. COSMIC (Breivik et al. 2020, ApJ 898, 71) evolves single
stars by it, with its default winds. Where the HR diagram of an isochrone has gaps,
stars between are evolved until it has none. Colours are by the shipped bolometric
corrections, as MIST's are: what differs is the stars alone.

It needs an environment of its own, see ``requirements.txt``. What it writes is read in
any place that takes a PARSEC file, and says by itself what it is::

    python benchmarks/cosmic/make_isochrones.py -o sse.dat
    clusterkeras shifts -o shifts --only isochrones --isochrones sse.dat
"""

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cosmic
import numpy as np
import pandas as pd
from cosmic.evolve import Evolve
from cosmic.sample.initialbinarytable import InitialBinaryTable
from numpy.typing import NDArray
from tqdm import tqdm

from data_tools.running.output import check_file, whole_file
from data_tools.stars.evolution.stellar_photometry import vega_magnitudes
from data_tools.target import Target

#: Range of initial masses: the fits' own (section 1), carried on from 100 Msun to where
#: the package's IMF ends; and the metallicity of their Sun.
MASSES_MSUN = (0.1, 120.0)
SOLAR_Z = 0.02
#: The fits end at Z = 0.03.
FEHS = (-0.5, -0.25, 0.0, 0.17)
LOG_AGES = np.round(np.arange(6.0, 10.151, 0.05), 2)

#: Stages of PARSEC's column ``label`` by SSE's type: main sequence (0 and 1),
#: Hertzsprung gap, first giant branch, core helium burning, early and thermally pulsing
#: AGB, naked helium stars (7 to 9), which come last. What is above is a remnant.
STAGES = np.array([1, 1, 2, 3, 4, 7, 8, 8, 8, 8])
#: The type at birth: 0 below this mass, 1 above (Hurley et al. 2000, section 5).
CONVECTIVE_MSUN = 0.7

#: First masses of each isochrone; longest gap between neighbours of a stage, in dex of
#: temperature, 4 dex of luminosity or 10 dex of mass; and how close masses may come.
FIRST_MASSES = 200
GAP_DEX = 0.02
LEAST_STEP = 1e-8
ROUNDS = 40


@dataclass(frozen=True)
class Stars:
    """Single stars of one metallicity at their ages, sorted by age and mass.

    Attributes
    ----------
    log_age, mass_initial : ndarray, shape (n,)
        Age in log10 years, mass in Msun at birth.
    kind : ndarray of int, shape (n,)
        SSE's type at that age.
    mass, log_l, log_teff, log_g : ndarray, shape (n,)
        Mass in Msun, luminosity in suns, temperature in K, gravity in cm/s2.
    """

    log_age: NDArray[np.float64]
    mass_initial: NDArray[np.float64]
    kind: NDArray[np.int64]
    mass: NDArray[np.float64]
    log_l: NDArray[np.float64]
    log_teff: NDArray[np.float64]
    log_g: NDArray[np.float64]

    def rows(self, rows: NDArray) -> "Stars":
        """Return some of the stars."""
        return Stars(*(values[rows] for values in vars(self).values()))

    def with_others(self, others: "Stars") -> "Stars":
        """Return these and other stars together."""
        parts = zip(vars(self).values(), vars(others).values(), strict=True)
        joined = Stars(*(np.concatenate(part) for part in parts))
        return joined.rows(np.lexsort((joined.mass_initial, joined.log_age)))


def default_settings() -> dict:
    """Return COSMIC's own default of every setting of SSE and BSE."""
    path = Path(cosmic.__file__).parent / "data" / "cosmic-settings.json"
    settings = {}
    for group in json.loads(path.read_text()):
        if group["category"] not in ("sse", "bse"):
            continue
        for setting in group["settings"]:
            options = setting.get("options", ())
            marked = [o["name"] for o in options if o.get("default")]
            value = marked[0] if marked else setting.get("default")
            if isinstance(value, str) and value.startswith("["):
                value = pd.eval(value) if "/" not in value else _fractions(value)
            settings[setting["name"]] = value
    return settings


def _fractions(text: str) -> list[float]:
    """Read a list of fractions."""
    pairs = (part.split("/") for part in text.strip("[]").split(","))
    return [float(a) / float(b) for a, b in pairs]


def evolve(log_age: NDArray, mass: NDArray, z: float, settings: dict) -> Stars:
    """Evolve single stars to their ages."""
    n = len(mass)
    table = InitialBinaryTable.InitialBinaries(
        m1=mass,
        m2=np.zeros(n),
        porb=np.full(n, -1.0),
        ecc=np.full(n, -1.0),
        tphysf=10 ** (log_age - 6),
        kstar1=(mass > CONVECTIVE_MSUN).astype(int),
        kstar2=np.full(n, 15),
        metallicity=np.full(n, z),
    )
    _, found, _, _ = Evolve.evolve(
        initialbinarytable=table, BSEDict=settings, randomseed=1
    )
    last = found.groupby("bin_num", sort=True).last()
    if len(last) != n:
        raise RuntimeError(f"COSMIC: expected {n} stars; received {len(last)}")
    mass_now, radius = last["mass_1"].to_numpy(), last["rad_1"].to_numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        # the Sun's gravity, 10^4.438 cm/s2 (IAU 2015 Resolution B3)
        log_g = 4.438 + np.log10(mass_now) - 2 * np.log10(radius)
        log_l, log_teff = np.log10(last[["lum_1", "teff_1"]].to_numpy()).T
    kind = last["kstar_1"].to_numpy().astype(int)
    return Stars(log_age, mass, kind, mass_now, log_l, log_teff, log_g)


def gaps(stars: Stars) -> tuple[NDArray, NDArray]:
    """Return ages and masses of stars to evolve between neighbours that are too far."""
    alive = stars.kind < len(STAGES)
    here, there = slice(None, -1), slice(1, None)
    step = np.log10(stars.mass_initial[there] / stars.mass_initial[here])
    with np.errstate(invalid="ignore"):
        distance = np.sqrt(
            np.diff(stars.log_teff) ** 2
            + (np.diff(stars.log_l) / 4) ** 2
            + (step / 10) ** 2
        )
    # where a stage ends, and where the last star dies, the place counts
    changes = np.diff(np.where(alive, stars.kind, -1)) != 0
    wanted = (stars.log_age[here] == stars.log_age[there]) & (
        np.where(changes, step > 1e-5, (distance > GAP_DEX) & alive[here])
    )
    wanted |= changes & alive[here] & alive[there] & (distance > GAP_DEX)
    wanted &= (stars.log_age[here] == stars.log_age[there]) & (step > LEAST_STEP)
    middle = np.sqrt(stars.mass_initial[here] * stars.mass_initial[there])
    return stars.log_age[here][wanted], middle[wanted]


def isochrones(feh: float, log_ages: Sequence[float], settings: dict) -> Stars:
    """Return all living stars of a metallicity, dense along every isochrone."""
    z = SOLAR_Z * 10**feh
    first = np.geomspace(*MASSES_MSUN, FIRST_MASSES)
    ages = np.repeat(log_ages, len(first))
    stars = evolve(ages, np.tile(first, len(log_ages)), z, settings)
    with tqdm(desc=f"[Fe/H] {feh:+.2f}", unit=" stars", initial=len(ages)) as bar:
        for _ in range(ROUNDS):
            age, mass = gaps(stars)
            if not len(age):
                break
            stars = stars.with_others(evolve(age, mass, z, settings))
            bar.update(len(age))
    return stars.rows(stars.kind < len(STAGES))


def write(path: Path, parts: dict[float, Stars], bands: Sequence[str]) -> None:
    """Write the isochrones as PARSEC's web form does, from the lightest star up."""
    lines = [
        f"# SSE (Hurley, Pols & Tout 2000) by COSMIC {cosmic.__version__},",
        "# in the layout of PARSEC's CMD 3.x; Vega mag by ClusterKeras's corrections",
        f"# Z of the Sun: {SOLAR_Z}",
        "# Zini MH logAge Mini Mass logL logTe logg label "
        + " ".join(f"{band}mag" for band in bands),
    ]
    for feh, stars in parts.items():
        magnitude = vega_magnitudes(stars.log_l, stars.log_teff, stars.log_g, bands)
        for k, kind in enumerate(stars.kind):
            numbers = (stars.mass_initial, stars.mass)
            place = (stars.log_l, stars.log_teff, stars.log_g)
            lines.append(
                f"{SOLAR_Z * 10**feh:.6f} {feh:.2f} {stars.log_age[k]:.2f} "
                + " ".join(f"{values[k]:.9f}" for values in numbers)
                + " "
                + " ".join(f"{values[k]:.5f}" for values in place)
                + f" {STAGES[kind]} "
                + " ".join(f"{value:.4f}" for value in magnitude[k])
            )
    with whole_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def main() -> None:
    """Evolve the stars of all metallicities and ages, and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="example: python benchmarks/cosmic/make_isochrones.py -o sse.dat",
    )
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--feh", type=float, nargs="+", default=list(FEHS))
    parser.add_argument("--log_ages", type=float, nargs="+", default=list(LOG_AGES))
    args = parser.parse_args()
    highest = math.log10(0.03 / SOLAR_Z)
    if not all(-2.3 <= feh <= highest for feh in args.feh):
        parser.error(
            f"--feh: expected -2.3 to {highest:.2f}, where the fits hold; received "
            f"{args.feh}"
        )
    try:
        check_file(args.output, "table of isochrones", (".dat", ".txt"))
        args.output.parent.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    settings = default_settings()
    parts = {feh: isochrones(feh, args.log_ages, settings) for feh in args.feh}
    write(args.output, parts, Target.load("m83-wfc3-uvis").band_names)


if __name__ == "__main__":
    main()
