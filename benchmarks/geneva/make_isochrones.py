r"""Isochrones of a stellar model that no mock was drawn with: Geneva's, rotating.

The tracks are those of Ekstroem et al. (2012, A&A 537, A146) at Z = 0.014, with an
initial rotation of 0.4 of the critical one (``Z0140v40.txt``) or none
(``Z0140v00.txt``), as Starburst99 and SLUG distribute them (``lib/tracks/sb99`` of
SLUG). Each of 24 initial masses has 400 points that mean the same along all tracks, so
tracks of masses between are means of two, point by point.

What a cluster needs and they have not is MIST's: stars below 0.8 Msun, which give next
to no light, and all of what is older than ``--oldest``, since the tracks of light stars
end at their helium flash. So the fields are as in the mocks, and young clusters are
Geneva's. Colours are by the shipped bolometric corrections.

What it writes is in PARSEC's layout, and read in any place that takes such a file::

    python benchmarks/geneva/make_isochrones.py Z0140v40.txt -o geneva.dat
    clusterkeras shifts -o shifts --only isochrones --isochrones geneva.dat
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_tools.running.output import check_file, whole_file
from data_tools.stars.stellar_photometry import vega_magnitudes
from data_tools.tables.stellar_models import load_model
from data_tools.target import Target

LOG_AGES = np.round(np.arange(6.0, 10.151, 0.05), 2)
#: Columns of a track's row: number, age in years, mass in Msun, log L, log Teff.
_AGE, _MASS, _LOG_L, _LOG_TEFF = 1, 2, 3, 4
#: Last point of the main sequence and the first of helium burning, and its end
#: (Ekstroem et al. 2012, section 2.3), as PARSEC's column ``label`` names the stages.
_STAGES = ((110, 1), (190, 3), (370, 4), (400, 7))
#: Masses of the first look at an isochrone, and points between two of a track in which
#: stars leave the main sequence.
_MASSES, _BETWEEN = 300, 3
_SOLAR_Z = 0.014


@dataclass(frozen=True)
class Tracks:
    """Tracks of one metallicity and rotation, the lightest first.

    Attributes
    ----------
    mass : ndarray, shape (tracks,)
        Initial mass in Msun.
    log_age, mass_left, log_l, log_teff : ndarray, shape (tracks, points)
        Age in log10 years, share of the initial mass, luminosity in suns, temperature
        in K.
    """

    mass: NDArray[np.float64]
    log_age: NDArray[np.float64]
    mass_left: NDArray[np.float64]
    log_l: NDArray[np.float64]
    log_teff: NDArray[np.float64]

    def of(self, mass: float) -> tuple[NDArray[np.float64], ...]:
        """Return log age, share of mass, log L and log Teff of a track between."""
        place = np.interp(
            np.log(mass), np.log(self.mass), np.arange(len(self.mass), dtype=float)
        )
        low = min(int(place), len(self.mass) - 2)
        part = place - low
        return tuple(
            (1 - part) * values[low] + part * values[low + 1]
            for values in (self.log_age, self.mass_left, self.log_l, self.log_teff)
        )


def read_tracks(path: Path) -> Tracks:
    """Read a file of tracks in the form of Starburst99.

    Parameters
    ----------
    path : Path
        A title; numbers of tracks and points; and of each track a line with its mass
        and its points.

    Raises
    ------
    ValueError
        If it is another file.
    """
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    try:
        n_tracks, n_points = map(int, lines[1][:2])
        blocks = np.array(
            [
                [
                    [float(word) for word in words[: _LOG_TEFF + 1]]
                    for words in lines[first + 1 : first + 1 + n_points]
                ]
                for first in range(2, 2 + n_tracks * (n_points + 1), n_points + 1)
            ]
        )
        mass = np.array([float(w[0]) for w in lines[2 :: n_points + 1][:n_tracks]])
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"{path}: expected tracks as Starburst99 has them, such as Z0140v40.txt: "
            f"{error}"
        ) from error
    if blocks.shape != (n_tracks, n_points, _LOG_TEFF + 1):
        raise ValueError(
            f"{path}: expected {n_tracks} tracks of {n_points} points; received "
            f"{blocks.shape}"
        )
    order = np.argsort(mass)
    blocks = blocks[order]
    return Tracks(
        mass[order],
        np.log10(np.maximum.accumulate(blocks[..., _AGE], axis=1)),
        blocks[..., _MASS] / mass[order, None],
        blocks[..., _LOG_L],
        blocks[..., _LOG_TEFF],
    )


def isochrone(tracks: Tracks, log_age: float) -> NDArray[np.float64]:
    """Return the living stars of an age, the lightest first.

    Parameters
    ----------
    tracks : Tracks
        What they are made of.
    log_age : float
        log10 of the age in years.

    Returns
    -------
    ndarray, shape (n, 6)
        Initial mass, mass, log L, log Teff, log g and PARSEC's label.
    """
    masses = set(np.geomspace(tracks.mass[0], tracks.mass[-1], _MASSES))
    # where each point of the tracks is reached at this age
    reached = [_mass_at(tracks, point, log_age) for point in np.arange(400)]
    reached = np.unique([mass for mass in reached if mass is not None])
    for part in np.arange(_BETWEEN) / _BETWEEN:
        masses |= set(reached[:-1] + part * np.diff(reached))
    masses |= set(reached)
    rows = []
    for mass in sorted(masses):
        ages, left, log_l, log_teff = tracks.of(mass)
        if log_age > ages[-1]:
            continue
        point = np.interp(log_age, ages, np.arange(1, len(ages) + 1))
        left, log_l, log_teff = (
            np.interp(log_age, ages, values) for values in (left, log_l, log_teff)
        )
        now = mass * left
        # the Sun's: 10^4.438 cm/s2, 5772 K (IAU 2015 Resolution B3)
        log_g = 4.438 + np.log10(now) + 4 * (log_teff - np.log10(5772)) - log_l
        label = next(stage for last, stage in _STAGES if point <= last)
        rows.append((mass, now, log_l, log_teff, log_g, label))
    return np.array(rows)


def _mass_at(tracks: Tracks, point: int, log_age: float) -> float | None:
    """Return the initial mass that is at a point of its track, if one is."""
    ages = tracks.log_age[:, point]
    if not ages[-1] <= log_age <= ages[0]:
        return None
    return float(np.exp(np.interp(-log_age, -ages, np.log(tracks.mass))))


def mist(log_age: float) -> NDArray[np.float64]:
    """Return MIST's stars of an age and the Sun's metallicity, as `isochrone` does."""
    model = load_model("MIST")
    node = np.flatnonzero((model.feh == 0) & (abs(model.log_age - log_age) < 0.01))[0]
    rows = model.rows[node]
    mass = model.mass_initial[rows]
    eep = model.phase[rows]
    # MIST's primary points: 202 the main sequence begins, 454 it ends, 605 the tip of
    # the giants, 707 the end of helium in the core (Dotter 2016, ApJS 222, 8, table 2)
    label = np.select([eep < 454, eep < 605, eep < 707], [1, 3, 4], 7)
    return np.column_stack(
        [
            mass,
            model.mass_current[rows],
            model.log_l[rows],
            model.log_teff[rows],
            model.log_g[rows],
            np.maximum.accumulate(label),
        ]
    )


def main() -> None:
    """Read the tracks, make the isochrones, write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tracks", type=Path, help="Z0140v40.txt or Z0140v00.txt")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--oldest", type=float, default=8.5, help="last log age of these tracks"
    )
    args = parser.parse_args()
    try:
        check_file(args.output, "table of isochrones", (".dat", ".txt"))
        tracks = read_tracks(args.tracks)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    bands = Target.load("m83-wfc3-uvis").band_names
    lines = [
        f"# Geneva tracks (Ekstroem et al. 2012), {args.tracks.name}, to log age "
        f"{args.oldest:g}; MIST",
        "# below their least mass and beyond; in the layout of PARSEC's CMD 3.x",
        "# Vega mag by ClusterKeras's corrections",
        "# Zini MH logAge Mini Mass logL logTe logg label "
        + " ".join(f"{band}mag" for band in bands),
    ]
    for log_age in LOG_AGES:
        stars = mist(log_age)
        if log_age <= args.oldest:
            own = isochrone(tracks, log_age)
            stars = np.concatenate([stars[stars[:, 0] < own[0, 0]], own])
        magnitudes = vega_magnitudes(*stars[:, 2:5].T, bands)
        for star, magnitude in zip(stars, magnitudes, strict=True):
            lines.append(
                f"{_SOLAR_Z:.6f} 0.00 {log_age:.2f} {star[0]:.9f} {star[1]:.9f} "
                + " ".join(f"{value:.5f}" for value in star[2:5])
                + f" {int(star[5])} "
                + " ".join(f"{value:.4f}" for value in magnitude)
            )
    with whole_file(args.output) as file:
        file.write(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    main()
