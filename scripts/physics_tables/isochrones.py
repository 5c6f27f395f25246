"""Isochrones of the stellar models, packed into small integers."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from physics_tables.inputs import Archive

LOG_AGES = np.round(np.arange(6.0, 10.151, 0.05), 2)
# At +0.5 the grid lacks stars below 0.5 solar masses.
METALLICITIES = np.array([-0.5, -0.25, 0.0, 0.25])
LAST_EEP = 1409  # MIST's post-AGB point; what follows is the white dwarf.
# Quantisation steps: errors are half a step, in dex.
STEP_LOG_L = 2.5e-4
STEP_LOG_TEFF = 2e-4
STEP_LOG_G = 2e-4
STEP_MASS_FRACTION = 1 / 32000
LAST_STAGE = 8  # PARSEC's thermally pulsing AGB; 9 is what follows.
LEAST_LOG_L = -9.0  # PARSEC writes -9.999 where there is no light.
# PARSEC's metallicities as they are called here, and [M/H] of the two sources of each:
# every 0.05 dex of age from 6.6 on, and every 0.12 dex from 6.0 on.
PARSEC_FINE = {-0.5: -0.5, 0.0: 0.0}
PARSEC_COARSE = {-0.5: -0.45, 0.0: 0.05, 0.3: 0.3}
MOST_LOG_G = 6.0  # SSE's stars past the AGB, on their way to white dwarfs, have more.
COLUMNS = ("mass_initial", "mass_current", "log_l", "log_teff", "log_g")


@dataclass(frozen=True)
class Stars:
    """One isochrone in order of evolution: a phase a point, and its `COLUMNS`."""

    feh: float
    log_age: float
    phase: np.ndarray
    columns: np.ndarray


def read_mist(archive: Archive) -> list[Stars]:
    """Return MIST's isochrones, without gaps in EEP.

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
        found = []
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
                alive = dense <= LAST_EEP
                found.append(Stars(feh, log_age, dense[alive], filled[alive]))
    return found


def parsec_isochrone(feh: float, log_age: float, rows: np.ndarray) -> Stars:
    """Return the shining stars of rows of label and `COLUMNS`."""
    rows = rows[(rows[:, 0] <= LAST_STAGE) & (rows[:, 3] > LEAST_LOG_L)]
    # to three digits the present mass may exceed the initial one
    rows[:, 2] = np.minimum(rows[:, 1], rows[:, 2])
    return Stars(feh, log_age, rows[:, 0], rows[:, 1:])


def read_parsec(fine: Archive, coarse: Archive) -> list[Stars]:
    """Return PARSEC's isochrones: fine in age where that is to be had.

    Parameters
    ----------
    fine : Archive
        Holds output of CMD 3.7, every 0.05 dex from log age 6.6 to 10.1, [M/H] to 0.
    coarse : Archive
        Holds a table of the same release, every 0.12 dex from log age 6.0 to 10.2,
        [M/H] to 0.3.
    """
    text = fine.read("/isochrones_ubvrijhk.dat").decode().splitlines()
    names = next(line for line in text if line.split()[:1] == ["Zini"]).split()
    numbers = np.loadtxt(line for line in text if line[:1].isdigit())
    wanted = ("MH", "logAge", "label", "Mini", "Mass", "logL", "logTe", "logg")
    fine_rows = numbers[:, [names.index(name) for name in wanted]]
    raw = gzip.decompress(coarse.read("/parsec_grid.fits.gz"))
    with fits.open(io.BytesIO(raw)) as hdus:
        data = hdus[1].data
        coarse_rows = np.stack([data[name.upper()] for name in wanted], 1).astype(float)
    found = []
    for feh, coarse_mh in PARSEC_COARSE.items():
        sources = [(coarse_rows, coarse_mh)]
        if feh in PARSEC_FINE:
            sources.append((fine_rows, PARSEC_FINE[feh]))
        begin = [6.0, 6.59] if feh in PARSEC_FINE else [6.0]
        for (rows, mh), low, high in zip(
            sources, begin, [*begin[1:], np.inf], strict=True
        ):
            rows = rows[np.isclose(rows[:, 0], mh)]
            for log_age in np.unique(rows[:, 1]):
                if low <= log_age < high:
                    here = rows[rows[:, 1] == log_age, 2:]
                    rounded = round(float(log_age), 2)
                    found.append(parsec_isochrone(feh, rounded, here))
    return found


def read_sse(path: Path) -> list[Stars]:
    """Return SSE's isochrones from the file that COSMIC's stars were written to."""
    lines = path.read_text().splitlines()
    names = next(x for x in lines if x.startswith("# Zini")).lstrip("# ").split()
    wanted = ("MH", "logAge", "label", "Mini", "Mass", "logL", "logTe", "logg")
    rows = np.loadtxt(lines, usecols=[names.index(name) for name in wanted])
    rows = rows[rows[:, -1] <= MOST_LOG_G]
    found = []
    for feh, log_age in sorted({tuple(key) for key in rows[:, :2].tolist()}):
        here = rows[(rows[:, 0] == feh) & (rows[:, 1] == log_age), 2:]
        found.append(Stars(feh, log_age, here[:, 0], here[:, 1:]))
    return found


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


def packed(isochrones: list[Stars]) -> dict[str, np.ndarray]:
    """Pack isochrones: initial masses exact, the rest in small integers."""
    mass = np.concatenate(
        [np.maximum.accumulate(s.columns[:, 0].astype(np.float32)) for s in isochrones]
    )
    places = np.concatenate([s.columns for s in isochrones]).T[2:]
    steps = (STEP_LOG_L, STEP_LOG_TEFF, STEP_LOG_G)
    phase = np.concatenate([s.phase for s in isochrones]).astype(np.int16)
    left = np.concatenate([s.columns[:, 1] / s.columns[:, 0] for s in isochrones])
    return {
        "feh": np.array([s.feh for s in isochrones]),
        "log_age": np.array([s.log_age for s in isochrones]),
        "counts": np.array([len(s.phase) for s in isochrones], np.int16),
        "phase": shuffled_differences(phase),
        "mass_initial": shuffled_differences(mass.view(np.int32)),
        "mass_fraction": shuffled_differences(quantised(left, STEP_MASS_FRACTION)),
        "steps": np.array([STEP_MASS_FRACTION, *steps]),
        **{
            name: shuffled_differences(quantised(values, step))
            for name, values, step in zip(COLUMNS[2:], places, steps, strict=True)
        },
    }
