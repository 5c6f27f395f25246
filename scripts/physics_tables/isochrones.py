"""MIST isochrones, packed into small integers."""

from __future__ import annotations

import io

import numpy as np

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
