"""Isochrones of FSPS's PARSEC files (v1.2S), with magnitudes, for this package.

FSPS (Conroy, Gunn & White 2009, ApJ 699, 486) keeps a stellar model as one file a
metallicity, ``isoc_z0.0140.dat``: log age, initial and present mass, log L, log Teff,
log g, surface composition and stage, without magnitudes. PARSEC's (Bressan et al. 2012,
MNRAS 427, 127; version 1.2S, with the AGB of COLIBRI) become one file here::

    python benchmarks/isochrones/from_fsps.py PARSEC/isoc_z0.01*.dat -o parsec12s.dat
"""

import argparse
import gzip
import re
from pathlib import Path

import numpy as np
from layout import StarRows, write_isochrones

from data_tools.running.output import check_file
from data_tools.target import Target

#: Z of PARSEC's Sun (Bressan et al. 2012, section 3).
SOLAR_Z = 0.0152
#: PARSEC's number (`layout.StarRows`) of each of FSPS's stages 0 to 5.
LABELS = np.array([1, 2, 3, 4, 7, 8])
#: Heavier stars count from the main sequence on as CMD 3.7 does; see
#: `data_tools.stars.evolution.phases.parsec_stages`.
HEAVY_MSUN, HEAVY_LABELS = 13.9, np.array([1, 4, 5, 6, 7, 8])


def read(path: Path) -> list[StarRows]:
    """Read a file of one metallicity, which its name gives.

    Raises
    ------
    ValueError
        If the name has no Z, or the columns or stages are others.
    """
    z = re.search(r"z(0\.\d+)", path.name)
    if not z:
        raise ValueError(f"{path}: expected a name like isoc_z0.0140.dat")
    text = (gzip.open if path.suffix == ".gz" else open)(path, "rt")
    with text as lines:
        table = np.loadtxt(lines, ndmin=2)
    if table.shape[1] != 8 or not np.isin(table[:, 7], np.arange(len(LABELS))).all():
        raise ValueError(
            f"{path}: expected eight columns, the last a stage from 0 to 5; received "
            f"{table.shape[1]}. Name files of FSPS's PARSEC isochrones"
        )
    feh = round(float(np.log10(float(z[1]) / SOLAR_Z)), 3)
    found = []
    for log_age in np.unique(table[:, 0]):
        age, born, now, log_l, log_teff, _, _, stage = table[table[:, 0] == log_age].T
        numbers = np.where(born[:, None] > HEAVY_MSUN, HEAVY_LABELS, LABELS)
        label = numbers[np.arange(len(age)), stage.astype(int)]
        found.append(
            StarRows(
                feh,
                float(log_age),
                # single odd rows join those before them
                np.maximum.accumulate(label),
                np.maximum.accumulate(born),
                now,
                log_l,
                log_teff,
            )
        )
    return found


def main() -> None:
    """Read all metallicities and write them as one file."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0],
        epilog="example: python benchmarks/isochrones/from_fsps.py isoc_z0.0140.dat "
        "-o parsec12s.dat",
    )
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--bands", nargs="+", default=list(Target.load("m83-wfc3-uvis").band_names)
    )
    args = parser.parse_args()
    try:
        check_file(args.output, "table of isochrones", (".dat", ".txt"))
        found = [iso for path in args.files for iso in read(path)]
    except (ValueError, OSError) as error:
        parser.error(str(error))
    about = ["PARSEC v1.2S (Bressan et al. 2012), from files of FSPS"]
    write_isochrones(args.output, about, found, args.bands)


if __name__ == "__main__":
    main()
