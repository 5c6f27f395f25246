from __future__ import annotations

import csv
import dataclasses
import itertools
import time
from pathlib import Path

import numpy as np
import pytest

from data_tools.imaging.field_spectrum import FieldSpectrum
from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.mocks.negatives import NegativeMaker
from data_tools.priors import Priors
from data_tools.stars.cluster import ClusterMaker
from data_tools.stars.evolution import isochrones
from data_tools.stars.evolution.isochrone_files import FileIsochrone
from data_tools.stars.evolution.isochrones import IsochroneGrid
from data_tools.stars.evolution.stellar_photometry import vega_magnitudes
from data_tools.stars.imf import stars_below
from data_tools.tables.stellar_models import load_model
from data_tools.target import Target

BANDS = ("F336W", "F438W", "F814W")
MODELS = isochrones.STELLAR_MODELS
PARSEC = Path(__file__).resolve().parents[5] / "shared/data/isochrones"
SSP = Path(__file__).resolve().parents[5] / "shared/data/reference/ssp_mags.csv"

# First EEP of each PARSEC stage: pre-main sequence, main sequence, red giant
# branch, core helium burning, early AGB, thermally pulsing AGB.
STAGES = ((0, 0), (202, 1), (454, 3), (631, 4), (707, 7), (808, 8))


@pytest.fixture(scope="module")
def grids():
    return {name: IsochroneGrid.from_tables(BANDS, model=name) for name in MODELS}


@pytest.fixture(scope="module")
def grid(grids):
    return grids["MIST"]


def kroupa(mass):
    """Kroupa (2001, MNRAS 322, 231, eq. 2) above 0.08 Msun, not normalised."""
    return np.where(mass < 0.5, mass**-1.3, 0.5 * mass**-2.3)


def ssp_magnitudes(isochrone):
    """Return Vega magnitudes of one solar mass formed between 0.1 and 100 Msun."""
    mass = np.geomspace(0.1, 100, 20001)
    formed = np.trapezoid(mass * kroupa(mass), mass)
    edges = isochrone.mass_initial
    number = kroupa(0.5 * (edges[1:] + edges[:-1])) * np.diff(edges) / formed
    flux = 10 ** (-0.4 * isochrone.magnitude.astype(float))
    return -2.5 * np.log10(number @ (0.5 * (flux[1:] + flux[:-1])))


def published_ssp(model, metallicity, log_age):
    with SSP.open() as lines:
        rows = [
            row
            for row in csv.DictReader(lines)
            if row["model"] == model and row["Z"] == metallicity
        ]
    ages = [float(row["logage"]) for row in rows]
    return np.array(
        [
            np.interp(log_age, ages, [float(r[f"WFC3_UVIS_{b}_Vega"]) for r in rows])
            for b in BANDS
        ]
    )


@pytest.mark.parametrize(
    ("log_age", "blue", "red"),
    [
        (6.6, -1.07, -0.12),
        (7.0, -1.26, 1.16),
        (7.5, -0.75, 0.55),
        (8.0, -0.49, 0.64),
        (8.5, -0.01, 0.67),
        (9.0, 0.01, 1.46),
    ],
)
def test_integrated_colours_are_those_of_the_design_study(grid, log_age, blue, red):
    # F336W-F438W and F438W-F814W, solar MIST, made apart from this code.
    f336w, f438w, f814w = ssp_magnitudes(grid.at(log_age, 0.0))
    np.testing.assert_allclose([f336w - f438w, f438w - f814w], [blue, red], atol=0.03)


@pytest.mark.parametrize(
    ("log_age", "bc03", "tolerance"),
    [
        # Bruzual & Charlot (2003), Z = 0.02. MIST's supergiants are redder at
        # 10 Myr: 0.35 in F438W-F814W.
        (7.0, (-1.19, 0.81), (0.12, 0.40)),
        (7.5, (-0.93, 0.65), (0.20, 0.15)),
        (8.0, (-0.58, 0.61), (0.15, 0.10)),
        (8.5, (-0.05, 0.84), (0.10, 0.20)),
        (9.0, (0.07, 1.47), (0.10, 0.10)),
    ],
)
def test_integrated_colours_are_near_those_of_other_models(
    grid, log_age, bc03, tolerance
):
    f336w, f438w, f814w = ssp_magnitudes(grid.at(log_age, 0.0))
    assert abs(f336w - f438w - bc03[0]) < tolerance[0]
    assert abs(f438w - f814w - bc03[1]) < tolerance[1]


@pytest.mark.shared
@pytest.mark.parametrize("model", ["BC03-2016_MILES_Kroupa", "PopStar_Chabrier_total"])
@pytest.mark.parametrize("log_age", [7.0, 7.25, 7.5, 8.0, 8.5, 9.0, 9.5])
def test_light_per_unit_mass_is_near_that_of_other_models(grid, model, log_age):
    if not SSP.exists():
        pytest.skip("needs shared/data/reference/ssp_mags.csv beside the repository")
    ours = ssp_magnitudes(grid.at(log_age, 0.0))
    expected = published_ssp(model, "0.0200", log_age)
    np.testing.assert_allclose(ours, expected, atol=0.3)


def test_an_isochrone_has_one_row_per_phase_and_one_column_per_band(grid):
    isochrone = grid.at(7.512, 0.1)
    n = len(isochrone.eep)
    assert isochrone.mass_initial.shape == isochrone.mass_current.shape == (n,)
    assert isochrone.magnitude.shape == isochrone.extinction.shape == (n, 3)
    assert isochrone.mass_initial.dtype == np.float64
    assert isochrone.magnitude.dtype == np.float32
    assert (np.diff(isochrone.eep) == 1).all()
    assert np.isfinite(isochrone.magnitude).all()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("log_age", np.arange(6.01, 10.15, 0.173))
@pytest.mark.parametrize("feh", [-0.5, 0.0, 0.17])
def test_initial_mass_never_falls_and_current_mass_never_exceeds_it(
    grids, model, log_age, feh
):
    isochrone = grids[model].at(log_age, feh)
    assert (np.diff(isochrone.mass_initial) >= 0).all()
    assert (isochrone.mass_current <= isochrone.mass_initial * 1.002).all()
    assert (isochrone.mass_current > 0).all()


def test_a_node_of_the_grid_comes_back_as_it_was_stored(grid):
    (_, _, columns, magnitude), *_ = slices([7.5])
    isochrone = grid.at(7.5, 0.0)
    np.testing.assert_array_equal(isochrone.eep, columns[:, 0])
    np.testing.assert_array_equal(isochrone.mass_initial, columns[:, 1])
    np.testing.assert_allclose(isochrone.magnitude, magnitude, atol=1e-5)


@pytest.mark.parametrize("feh", [0.0, 0.1])
def test_integrated_light_changes_steadily_between_nodes(grid, feh):
    # Across 7.85 too, where MIST's last phase jumps from carbon burning to the
    # post-AGB: midway, the light is between that of the two nodes.
    for young in np.arange(6.0, 10.05, 0.05):
        low, middle, high = (
            10 ** (-0.4 * ssp_magnitudes(grid.at(young + step, feh)))
            for step in (0.0, 0.025, 0.05)
        )
        assert (middle > 0.9 * np.minimum(low, high)).all(), young
        assert (middle < 1.1 * np.maximum(low, high)).all(), young


def stars_brighter(isochrone, magnitude):
    """Return stars per 10^5 Msun brighter than each magnitude, (bands, magnitudes)."""
    mass = isochrone.mass_initial
    edges = np.concatenate([mass[:1], 0.5 * (mass[1:] + mass[:-1]), mass[-1:]])
    number = 1e5 * np.diff(stars_below(edges))
    counts = []
    for column in isochrone.magnitude.T:
        order = np.argsort(column)
        total = np.concatenate([[0.0], np.cumsum(number[order])])
        counts.append(total[np.searchsorted(column[order], magnitude)])
    return np.array(counts)


def assert_luminosity_function_between(middle, ends, stars=2):
    """Check that it lies between two others, within 0.2 mag, 1 % and some stars.

    Of 10^5 Msun, which holds 10 to 40 evolved stars at these ages.
    """
    magnitude = np.arange(-11, 1.01, 0.05)
    counts = stars_brighter(middle, magnitude)
    least = np.minimum(*(stars_brighter(end, magnitude - 0.2) for end in ends))
    most = np.maximum(*(stars_brighter(end, magnitude + 0.2) for end in ends))
    assert (counts >= 0.99 * least - stars).all()
    assert (counts <= 1.01 * most + stars).all()


@pytest.mark.parametrize("model", MODELS)
def test_luminosity_functions_at_a_middle_age_lie_between_those_of_the_nodes(
    grids, model
):
    grid = grids[model]
    table = load_model(model)
    nodes = table.log_age[(table.feh == 0) & (table.log_age < 7.25)]
    assert len(nodes) > 15
    for young, old in itertools.pairwise(nodes):
        ends = [grid.at(young, 0.0), grid.at(old, 0.0)]
        middle = grid.at(0.5 * (young + old), 0.0)
        # PARSEC's stages above 14 Msun are long, so that like meets unlike in them
        few = 8 if model == "PARSEC" else 2
        assert_luminosity_function_between(middle, ends, few)


@pytest.mark.parametrize("poor", [-0.5, -0.25, 0.0])
@pytest.mark.parametrize("log_age", np.arange(6.00, 7.21, 0.1))
def test_luminosity_functions_at_a_middle_metallicity_lie_between_those_of_the_nodes(
    grid, log_age, poor
):
    ends = [grid.at(log_age, poor), grid.at(log_age, poor + 0.25)]
    assert_luminosity_function_between(grid.at(log_age, poor + 0.125), ends)


@pytest.mark.parametrize(("log_age", "feh"), [(7.525, 0.0), (7.5, 0.125)])
def test_the_end_of_the_main_sequence_moves_evenly_between_nodes(grid, log_age, feh):
    # EEP 454 is the exhaustion of hydrogen in the core; lifetime falls with mass
    def turn_off(isochrone):
        row = np.flatnonzero(isochrone.eep == 454)[0]
        return isochrone.mass_initial[row], isochrone.magnitude[row]

    ends = [(7.5, 0.0), (7.55, 0.0) if feh == 0 else (7.5, 0.25)]
    (mass, light), *others = (
        turn_off(grid.at(*node)) for node in ((log_age, feh), *ends)
    )
    np.testing.assert_allclose(mass, np.mean([m for m, _ in others]), rtol=1e-6)
    np.testing.assert_allclose(light, np.mean([x for _, x in others], 0), atol=0.03)


def test_light_is_continuous_where_a_phase_appears(grid):
    # The upper tip of node 7.85 (EEP > 808) is absent at 7.80.
    just_after = ssp_magnitudes(grid.at(7.8001, 0.0))
    np.testing.assert_allclose(
        just_after, ssp_magnitudes(grid.at(7.80, 0.0)), atol=0.005
    )
    just_before = ssp_magnitudes(grid.at(7.8499, 0.0))
    np.testing.assert_allclose(
        just_before, ssp_magnitudes(grid.at(7.85, 0.0)), atol=0.005
    )


def test_bands_come_in_the_order_asked_for(grid):
    other = IsochroneGrid.from_tables(("F814W", "F336W"), law="F99")
    isochrone, reference = other.at(8.01, 0.0), grid.at(8.01, 0.0)
    np.testing.assert_array_equal(isochrone.magnitude, reference.magnitude[:, [2, 0]])
    np.testing.assert_allclose(other.vega_ab, [0.428, 1.163], atol=5e-3)
    assert (isochrone.extinction[:, 1] > 1.55).all()
    assert (isochrone.extinction[:, 0] < 0.6).all()


def test_a_target_whose_box_leaves_the_grid_is_refused_before_any_draw(m83):
    young = dataclasses.replace(m83, box={**m83.box, "log_age": (5.9, 8.0)})
    with pytest.raises(ValueError, match=r"log_age must be within the grid, 6 to"):
        ClusterMaker(young, Priors())
    poor = dataclasses.replace(m83, feh=-1.5)
    with pytest.raises(ValueError, match=r"feh must be within the grid, -0.5 to"):
        ClusterMaker(poor, Priors())


@pytest.mark.parametrize("log_age", [5.9, 10.3])
def test_an_age_outside_the_grid_is_refused(grid, log_age):
    with pytest.raises(ValueError, match=r"log_age must be within the grid, 6 to"):
        grid.at(log_age, 0.0)


def test_a_metallicity_outside_the_grid_is_refused(grid):
    with pytest.raises(ValueError, match=r"feh must be within the grid.*received 1"):
        grid.at(8.0, 1.0)


def test_the_edges_of_the_grid_belong_to_it(grid):
    for log_age, phases in ((6.0, 300), (10.15, 500)):
        for feh in (-0.5, 0.25):
            assert len(grid.at(log_age, feh).eep) > phases


def test_the_models_take_little_memory(grids):
    # Of each extinction law: 20, 11 and 14 MB.
    for grid in grids.values():
        nodes = [node for row in grid._nodes for node in row]
        taken = sum(n.mass.nbytes + n.span.nbytes + n.rest.nbytes for n in nodes)
        assert taken < 30e6


@pytest.mark.parametrize("model", MODELS)
def test_one_isochrone_takes_a_fraction_of_a_millisecond(grids, model):
    # 0.06-0.11 ms of processor time; the limit leaves room for a busy machine.
    grid = grids[model]
    ages = np.linspace(6.6, 10.1, 50)
    best = np.inf
    for _ in range(10):
        start = time.process_time()
        for log_age in ages:
            grid.at(log_age, 0.1)
        best = min(best, (time.process_time() - start) / len(ages))
    assert best < 5e-4


def test_callers_cannot_spoil_the_grid(grid):
    with pytest.raises(ValueError, match="read-only"):
        grid.at(7.5, 0.0).magnitude[:] = 0.0


# ---- other stellar models -----------------------------------------------------


def test_an_unknown_model_is_refused():
    with pytest.raises(ValueError, match=r"MIST, PARSEC.*; received 'mist'"):
        IsochroneGrid.from_tables(BANDS, model="mist")


def test_models_differ_most_when_supergiants_light_up_and_little_later(grids):
    # known: up to 0.6 mag in F336W-F438W, 1.0 in F438W-F814W and 0.8 in M/L at 4 to
    # 16 Myr, below 0.2 from 30 Myr on (F438W-F814W of the AGB apart)
    def spread(log_age):
        light = np.array([ssp_magnitudes(g.at(log_age, 0.0)) for g in grids.values()])
        return [*np.ptp(-np.diff(light), axis=0), np.ptp(light, axis=0)[1]]

    young = np.array([spread(x) for x in np.log10(np.arange(4e6, 16.1e6, 5e5))])
    blue, red, light = young.max(axis=0)
    assert 0.5 < blue < 0.8
    assert 0.7 < red < 1.2
    assert 0.7 < light < 1.1
    later = np.array([spread(x) for x in np.arange(7.5, 10.05, 0.1)])
    assert later[:, 0].max() < 0.2
    assert later[:, 1].max() < 0.35
    assert later[:12, 2].max() < 0.2
    assert later[:, 2].max() < 0.55  # beyond 0.5 Gyr SSE's stars are faint


@pytest.mark.parametrize(
    ("model", "shares"),
    # known of MIST: 41 to 53 % at 4 to 6 Myr
    [("MIST", (0.39, 0.56)), ("PARSEC", (0.0, 0.31)), ("SSE", (0.0, 0.05))],
)
def test_yellow_supergiants_carry_half_of_mists_blue_light_at_five_million_years(
    model, shares
):
    table = load_model(model)
    found = []
    for log_age in (6.6, 6.7, 6.8):
        at_node = (table.feh == 0) & np.isclose(table.log_age, log_age)
        rows = table.rows[np.flatnonzero(at_node)[0]]
        mass, log_teff = table.mass_initial[rows], table.log_teff[rows]
        magnitude = vega_magnitudes(
            table.log_l[rows], log_teff, table.log_g[rows], ["F438W"]
        )[:, 0]
        light = np.gradient(stars_below(mass)) * 10 ** (-0.4 * magnitude)
        yellow = (log_teff > np.log10(5000)) & (log_teff < 4)
        found.append(light[yellow].sum() / light.sum())
    assert shares[0] < min(found)
    assert max(found) < shares[1]
    if model != "MIST":
        assert np.mean(found) < 0.15


@pytest.mark.shared
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("published", ["BC03-2016_MILES_Kroupa"])
@pytest.mark.parametrize("log_age", [7.5, 7.75, 8.0, 8.5, 9.0, 9.5, 10.0])
def test_colours_of_every_model_are_near_published_ones(
    grids, model, published, log_age
):
    if not SSP.exists():
        pytest.skip("needs shared/data/reference/ssp_mags.csv beside the repository")
    ours = ssp_magnitudes(grids[model].at(log_age, 0.0))
    expected = published_ssp(published, "0.0200", log_age)
    np.testing.assert_allclose(-np.diff(ours), -np.diff(expected), atol=0.3)
    np.testing.assert_allclose(ours, expected, atol=0.35)


def parsec_file(metallicity):
    """Return PARSEC v1.2S of a metallicity: its isochrones by log age, as a file's."""
    path = PARSEC / f"PARSEC_isoc_z{metallicity}.dat.gz"
    if not path.exists():
        pytest.skip(f"needs shared/data/isochrones/{path.name} beside the repository")
    table = np.loadtxt(path)
    feh = np.log10(float(metallicity) / 0.01471)
    found = {}
    for log_age in np.unique(table[:, 0]):
        rows = table[table[:, 0] == log_age]
        found[round(log_age, 2)] = FileIsochrone(
            feh,
            round(log_age, 2),
            np.maximum.accumulate(rows[:, 7].astype(int)),
            np.maximum.accumulate(rows[:, 1]),
            *rows[:, 2:6].T,
            vega_magnitudes(*rows[:, 3:6].T, BANDS),
        )
    return found


@pytest.mark.shared
@pytest.mark.parametrize(
    ("metallicity", "tolerance"), [("0.0140", 0.05), ("0.0200", 0.06)]
)
def test_colours_of_parsec_are_those_of_its_own_isochrones(
    grids, metallicity, tolerance
):
    # [Fe/H] -0.02 and 0.13, so between nodes of the shipped table. From 8 to 55 Myr
    # the two releases themselves differ: supergiants' loops, and an early AGB that
    # the older one lacks.
    checked = 0
    for log_age, iso in parsec_file(metallicity).items():
        if 6.0 <= log_age < 6.48 or 7.74 < log_age < 10.105:
            ours = -np.diff(ssp_magnitudes(grids["PARSEC"].at(log_age, iso.feh)))
            theirs = -np.diff(ssp_magnitudes(iso))
            np.testing.assert_allclose(ours, theirs, atol=tolerance, err_msg=log_age)
            checked += 1
    assert checked > 50


@pytest.mark.shared
@pytest.mark.parametrize("first", [0, 1])
def test_between_coarse_nodes_parsec_comes_back(first):
    # Every second of its isochrones, 0.1 dex apart, against the one left out: the
    # shipped ones are 0.05 dex apart, where the error is half of this or less.
    isos = [x for age, x in parsec_file("0.0140").items() if 6.0 <= age <= 10.0]
    nodes = isochrones._laid_by_stage(isos[first::2], BANDS, "CCM89")
    grid = IsochroneGrid(BANDS, "CCM89", *nodes)
    magnitude = np.arange(-9, 1.01, 0.1)
    checked = 0
    for iso in isos[1 + first : -1 : 2]:
        middle = grid.at(iso.log_age, iso.feh)
        off = np.abs(np.diff(ssp_magnitudes(middle)) - np.diff(ssp_magnitudes(iso)))
        if iso.log_age < 6.46:
            assert off.max() < 0.03, iso.log_age
        if iso.log_age > 7.44:
            assert off.max() < 0.06, iso.log_age
        # where helium begins to burn in a flash, giants come and go within 0.1 dex
        if 7.44 < iso.log_age < 9.13 or iso.log_age > 9.52:
            # stars brighter than each magnitude, of 10^5 Msun
            found = stars_brighter(middle, magnitude)
            assert (found > stars_brighter(iso, magnitude - 0.2) - 9).all(), iso.log_age
            assert (found < stars_brighter(iso, magnitude + 0.2) + 9).all(), iso.log_age
            checked += 1
    assert checked > 18


# ---- files -------------------------------------------------------------------


def slices(ages, fehs=(0.0,)):
    """Yield the shipped table's isochrones with their physical columns."""
    table = load_model("MIST")
    for feh in fehs:
        for log_age in ages:
            rows = table.rows[
                np.flatnonzero((table.feh == feh) & (table.log_age == log_age))[0]
            ]
            columns = np.column_stack(
                [
                    table.phase[rows],
                    table.mass_initial[rows],
                    table.mass_current[rows],
                    table.log_l[rows],
                    table.log_teff[rows],
                    table.log_g[rows],
                ]
            )
            magnitudes = vega_magnitudes(*columns[:, 3:].T, BANDS)
            yield feh, log_age, columns, magnitudes


def write_mist(path, ages, a_v=0.0, system="HST_WFC3 (Vega)"):
    """Write isochrones as MIST's .iso.cmd does."""
    lines = [
        "# MIST version number  = 1.2",
        "# MESA revision number =     7503",
        f"# photometric system   = {system}",
        "# " + "-" * 86,
        "#  Yinit        Zinit   [Fe/H]   [a/Fe]  v/vcrit",
        "# 0.2703  1.42857E-02     0.00     0.00     0.40",
        "# " + "-" * 86,
        f"# number of isochrones = {len(ages):4d}",
        f"# Av value = {a_v:.2f}",
    ]
    names = ["EEP", "log10_isochrone_age_yr", "initial_mass", "star_mass"]
    names += ["log_Teff", "log_g", "log_L", "[Fe/H]_init", "[Fe/H]"]
    names += [f"WFC3_UVIS_{band}" for band in BANDS]
    for feh, log_age, columns, magnitudes in slices(ages):
        eep, initial, current, log_l, log_teff, log_g = columns.T
        lines.append(f"# number of EEPs, cols = {len(eep)} {len(names)}")
        lines.append("# " + " ".join(str(k + 1) for k in range(len(names))))
        lines.append("# " + " ".join(names))
        for k in range(len(eep)):
            lines.append(
                f"{int(eep[k])} {log_age:.6f} {initial[k]:.16e} {current[k]:.16e} "
                f"{log_teff[k]:.8f} {log_g[k]:.8f} {log_l[k]:.8f} {feh} {feh} "
                + " ".join(f"{m:.6f}" for m in magnitudes[k])
            )
        lines += ["", ""]
    path.write_text("\n".join(lines))
    return path


def write_parsec(path, ages, fehs=(0.0,), note="Vegamags", a_v=None, offset=0.0):
    """Write isochrones as the PARSEC web form does, remnant row included."""
    lines = [
        "# File generated by CMD 3.7",
        "# isochrones based on PARSEC release v1.2S +  COLIBRI S_37",
        f"# Photometric system: HST/WFC3 UVIS, {note}",
        "# Kind of output: isochrone tables",
    ]
    if a_v is not None:
        lines.append(f"# Attention: photometry includes extinction of Av={a_v}, with")
    names = ["Zini", "MH", "logAge", "Mini", "int_IMF", "Mass", "logL", "logTe"]
    names += ["logg", "label", "mbolmag"]
    names += [f"{band}mag" for band in BANDS]
    for feh, log_age, columns, magnitudes in slices(ages, fehs):
        lines.append("# " + " ".join(names))
        for row, magnitude in zip(columns, magnitudes + offset, strict=True):
            label = [stage for first, stage in STAGES if row[0] >= first][-1]
            lines.append(
                f"0.0152 {feh} {log_age:.5f} {row[1]:.10f} 1.0 {row[2]:.6f} "
                f"{row[3]:.5f} {row[4]:.5f} {row[5]:.5f} {label} 4.0 "
                + " ".join(f"{m:.5f}" for m in magnitude)
            )
        lines.append(
            f"0.0152 {feh} {log_age:.5f} {columns[-1, 1] + 1e-6:.10f} 1.0 0.6 -9.999 "
            "4.0 7.0 9 29.7 99.999 99.999 99.999"
        )
    lines.append("#isochrone terminated")
    path.write_text("\n".join(lines))
    return path


def test_a_mist_file_gives_the_isochrones_it_was_written_from(tmp_path, grid):
    path = write_mist(tmp_path / "solar.iso.cmd", (7.5, 7.55))
    own = IsochroneGrid.from_mist_cmd(path, BANDS, "CCM89")
    for log_age in (7.5, 7.52):
        read, shipped = own.at(log_age, 0.0), grid.at(log_age, 0.0)
        np.testing.assert_array_equal(read.eep, shipped.eep)
        np.testing.assert_allclose(read.mass_initial, shipped.mass_initial, rtol=1e-9)
        np.testing.assert_allclose(read.magnitude, shipped.magnitude, atol=1e-4)
        np.testing.assert_allclose(read.extinction, shipped.extinction, atol=1e-5)


def test_a_reddened_mist_file_is_refused(tmp_path):
    path = write_mist(tmp_path / "red.iso.cmd", (7.5,), a_v=1.0)
    with pytest.raises(ValueError, match=r"red\.iso\.cmd was made with A_V = 1\.00"):
        IsochroneGrid.from_mist_cmd(path, BANDS)


def test_a_mist_file_in_ab_magnitudes_is_refused(tmp_path):
    path = write_mist(tmp_path / "ab.iso.cmd", (7.5,), system="HST_WFC3 (AB)")
    with pytest.raises(ValueError, match=r"HST_WFC3 \(AB\)'; expected"):
        IsochroneGrid.from_mist_cmd(path, BANDS)


def test_a_parsec_file_gives_the_light_it_was_written_from(tmp_path, grid):
    # 7.80 ends before the AGB, 7.85 after it.
    ages = (7.5, 7.55, 7.8, 7.85)
    path = write_parsec(tmp_path / "parsec.dat", ages, fehs=(0.0, 0.25))
    own = IsochroneGrid.from_parsec(path, BANDS, "CCM89")
    assert own.fehs.tolist() == [0.0, 0.25]
    for log_age in (*ages, 7.52, 7.82):
        np.testing.assert_allclose(
            ssp_magnitudes(own.at(log_age, 0.1)),
            ssp_magnitudes(grid.at(log_age, 0.1)),
            atol=0.03,
        )


def test_parsec_isochrones_are_sane_at_every_phase(tmp_path):
    path = write_parsec(tmp_path / "parsec.dat", (7.8, 7.85, 9.0))
    own = IsochroneGrid.from_parsec(path, BANDS)
    for log_age in (7.8, 7.83, 8.3, 9.0):
        isochrone = own.at(log_age, 0.0)
        assert (np.diff(isochrone.mass_initial) >= 0).all()
        assert (np.diff(isochrone.eep) > 0).all()
        assert isochrone.magnitude.max() < 30
        assert isochrone.extinction.min() > 0.5


def test_a_native_file_is_read_as_others_pass_it_on(tmp_path):
    # First and last rows of an isochrone by CMD 3.7, all its columns; the mark before
    # the names is gone, and magnitudes of these bands stand in place of its own.
    names = """Zini MH logAge Mini int_IMF Mass logL logTe logg label McoreTP C_O
        period0 period1 period2 period3 period4 pmode Mloss tau1m X Y Xc Xn Xo Cexcess Z
        mbolmag F336Wmag F438Wmag F814Wmag"""
    rest = "7.507e-01 2.491e-01 2.943e-05 7.939e-06 7.201e-05 -1.000 1.636e-04"
    rows = [
        f"0.01471 0.00000 {log_age} {mini} 1.1156111859 {mass} {place} {label} 0.000 "
        f"0.545 0.00 0.00 0.00 0.00 0.00 -1 -1.24e-14 0.00 {rest} {magnitudes}"
        for log_age in ("7.95001", "8.00000")
        for mini, mass, place, label, magnitudes in (
            ("0.0936335474", "0.094", "-1.477 3.5641 4.095", 0, "8.4 12.1 11.0 7.8"),
            ("4.0000000000", "4.000", "2.400 4.1500 4.000", 1, "-1.2 -1.1 -0.9 -0.5"),
            ("5.3127593994", "0.950", "-9.999 4.0000 7.900", 9, "29.7 99.9 99.9 99.9"),
        )
    ]
    path = tmp_path / "native.dat"
    path.write_text(
        "# File generated by CMD 3.7 (http://stev.oapd.inaf.it/cmd)\n"
        "# Photometric system: HST/WFC3 (Vegamags)\n"
        f" {' '.join(names.split())} \n" + "\n".join(rows) + "\n#isochrone terminated\n"
    )
    own = IsochroneGrid.from_parsec(path, BANDS)
    assert own.log_ages.tolist() == [7.95, 8.0]
    isochrone = own.at(8.0, 0.0)
    np.testing.assert_allclose(isochrone.mass_initial, [0.0936335474, 4.0])
    np.testing.assert_allclose(isochrone.magnitude[1], [-1.1, -0.9, -0.5], atol=1e-6)


def test_a_stage_that_flickers_for_one_row_is_smoothed(tmp_path):
    path = write_parsec(tmp_path / "parsec.dat", (8.0,))
    lines = path.read_text().splitlines()
    words = lines[20].split()
    words[9] = "7"
    lines[20] = " ".join(words)
    flickering = tmp_path / "flicker.dat"
    flickering.write_text("\n".join(lines))
    np.testing.assert_allclose(
        ssp_magnitudes(IsochroneGrid.from_parsec(flickering, BANDS).at(8.0, 0.0)),
        ssp_magnitudes(IsochroneGrid.from_parsec(path, BANDS).at(8.0, 0.0)),
        atol=1e-6,
    )


def test_ab_magnitudes_of_a_parsec_file_become_vega(tmp_path, grid):
    vega_ab = grid.vega_ab
    path = write_parsec(tmp_path / "ab.dat", (8.0,), note="ABmags", offset=vega_ab)
    own = IsochroneGrid.from_parsec(path, BANDS)
    np.testing.assert_allclose(
        ssp_magnitudes(own.at(8.0, 0.0)), ssp_magnitudes(grid.at(8.0, 0.0)), atol=0.03
    )


def test_a_parsec_file_that_hides_its_magnitude_system_needs_it_stated(tmp_path):
    path = write_parsec(tmp_path / "mute.dat", (8.0,), note="final throughputs")
    with pytest.raises(ValueError, match=r"mute\.dat: its header does not say"):
        IsochroneGrid.from_parsec(path, BANDS)
    assert IsochroneGrid.from_parsec(path, BANDS, system="Vega").bands == BANDS


def test_a_stated_system_may_not_contradict_the_header(tmp_path):
    path = write_parsec(tmp_path / "vega.dat", (8.0,))
    with pytest.raises(ValueError, match="its header says Vega magnitudes"):
        IsochroneGrid.from_parsec(path, BANDS, system="AB")
    with pytest.raises(ValueError, match="must be 'Vega' or 'AB'; received 'ST'"):
        IsochroneGrid.from_parsec(path, BANDS, system="ST")


def test_a_reddened_parsec_file_is_refused(tmp_path):
    path = write_parsec(tmp_path / "red.dat", (8.0,), a_v=0.5)
    with pytest.raises(ValueError, match=r"red\.dat was made with A_V = 0\.5"):
        IsochroneGrid.from_parsec(path, BANDS)


def test_a_file_of_another_photometric_system_names_the_missing_columns(tmp_path):
    path = write_parsec(tmp_path / "other.dat", (8.0,))
    path.write_text(path.read_text().replace("F336Wmag", "Umag"))
    with pytest.raises(ValueError, match=r"other\.dat lacks the columns F336Wmag"):
        IsochroneGrid.from_parsec(path, BANDS)


def test_a_file_of_another_kind_is_refused_by_name(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("# nothing here\n1 2 3\n")
    with pytest.raises(ValueError, match=r"notes\.txt: expected a comment line"):
        IsochroneGrid.from_parsec(path, BANDS)


def test_a_file_that_stops_midway_is_refused_by_name(tmp_path):
    path = write_parsec(tmp_path / "cut.dat", (8.0,))
    text = path.read_text()
    path.write_text(text[: len(text) // 2].rsplit(" ", 3)[0])
    with pytest.raises(ValueError, match=r"cut\.dat: not a whole file of isoc"):
        IsochroneGrid.from_parsec(path, BANDS)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("initial_mass", "nan", "expected initial_mass from 0 to 1000; found nan"),
        ("initial_mass", "1e300", "expected initial_mass from"),
        ("star_mass", "-1", "expected star_mass from"),
        ("log_L", "inf", "expected log_L from"),
        ("log_Teff", "5770", "expected log_Teff from .* other units"),
        ("log10_isochrone_age_yr", "1e8", "expected log10_isochrone_age_yr from"),
        ("EEP", "-1e300", "expected EEP from"),
        ("WFC3_UVIS_F336W", "nan", "expected numbers in WFC3_UVIS_F336W"),
        ("WFC3_UVIS_F336W", "bright", "bad.iso.cmd: not a whole file of isochrones"),
    ],
)
def test_a_number_that_no_star_has_is_refused_by_column(
    tmp_path, column, value, message
):
    path = write_mist(tmp_path / "bad.iso.cmd", (8.0,))
    lines = path.read_text().splitlines()
    names = next(line for line in lines if line.startswith("# EEP")).split()[1:]
    row = next(i for i, line in enumerate(lines) if line and line[0].isdigit())
    words = lines[row].split()
    words[names.index(column)] = value
    lines[row] = " ".join(words)
    path.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=f"bad.iso.cmd: .*{message.split(': ')[-1]}"):
        IsochroneGrid.from_mist_cmd(path, BANDS)


def test_a_file_larger_than_any_is_not_read(tmp_path):
    path = tmp_path / "huge.dat"
    with path.open("wb") as file:
        file.truncate(2_000_000_000)
    with pytest.raises(ValueError, match=r"huge\.dat: expected at most 1000 MB"):
        IsochroneGrid.from_parsec(path, BANDS)


def test_metallicities_with_different_ages_are_refused(tmp_path):
    path = write_parsec(tmp_path / "a.dat", (8.0, 8.05))
    other = write_parsec(tmp_path / "b.dat", (8.0,), fehs=(0.25,))
    path.write_text(path.read_text() + "\n" + other.read_text())
    with pytest.raises(ValueError, match=r"\[Fe/H\] = 0.25 lacks log age 8.05"):
        IsochroneGrid.from_parsec(path, BANDS)


@pytest.mark.parametrize(
    ("form", "write"), [("mist", write_mist), ("parsec", write_parsec)]
)
def test_a_target_that_names_a_file_draws_its_stars_from_it(tmp_path, form, write):
    # the file holds the shipped table's ages 8.0 to 8.1 under other names, so that
    # the light must be that of the table
    shipped = Target.load("m83-wfc3-uvis")
    path = write(tmp_path / "own.dat", [8.0, 8.05, 8.1])
    own = dataclasses.replace(
        shipped,
        isochrones=str(path),
        isochrones_format=form,
        box={**shipped.box, "log_age": (8.0, 8.1)},
    )
    light = [
        ClusterMaker(t, Priors()).population(8.05).mean_flux(0.5)
        for t in (own, shipped)
    ]
    np.testing.assert_allclose(*light, rtol=0.02)
    with pytest.raises(ValueError, match="9"):
        ClusterMaker(own, Priors()).population(9.0)


def test_associations_are_no_younger_than_a_file_that_a_target_names(tmp_path):
    shipped = Target.load("m83-wfc3-uvis")
    own = dataclasses.replace(
        shipped,
        isochrones=str(write_mist(tmp_path / "own.dat", [7.9, 8.0])),
        isochrones_format="mist",
        box={**shipped.box, "log_age": (7.9, 8.0)},
    )
    renderer = Renderer(own.cutout_px, 16)
    maker = NegativeMaker(ClusterMaker(own, Priors()), renderer)
    psf = psf_spectra(own, renderer.grid, 7, np.ones(3))
    sky = FieldSpectrum.white(np.ones(3), own.cutout_px)
    rng, middle = np.random.default_rng(3), np.zeros(2)
    for _ in range(5):
        assert maker.draw("association", middle, psf, sky, np.ones(3), rng).any()
