from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

import data_tools.tables as tables_module
from data_tools.tables import FILE_NAME, load_tables

BANDS = ("F336W", "F438W", "F814W")
REFERENCE = Path(__file__).resolve().parents[3] / "shared/data/reference/bc_wfc3.npz"


@pytest.fixture
def fresh_cache():
    load_tables.cache_clear()
    yield
    load_tables.cache_clear()


def at_star(values, teff, log_g):
    tables = load_tables()
    look_up = RegularGridInterpolator((tables.bc_log_teff, tables.bc_log_g), values)
    return look_up((np.log10(teff), log_g))


def test_the_table_is_small_enough_to_ship():
    content = resources.files(tables_module).joinpath(FILE_NAME).read_bytes()
    assert len(content) < 5e6


def test_hash_of_the_file_stands_in_the_provenance():
    folder = resources.files(tables_module)
    digest = hashlib.sha256(folder.joinpath(FILE_NAME).read_bytes()).hexdigest()
    assert digest in folder.joinpath("PROVENANCE.md").read_text()


def test_arrays_have_the_stated_shapes_and_are_finite_and_read_only():
    tables = load_tables()
    points = tables.counts.sum()
    temperatures, gravities = len(tables.bc_log_teff), len(tables.bc_log_g)
    shapes = {
        "pivot": (3,),
        "vega_ab": (3,),
        "first_eep": (len(tables.fehs), len(tables.log_ages)),
        "counts": (len(tables.fehs), len(tables.log_ages)),
        "mass_initial": (points,),
        "mass_current": (points,),
        "log_l": (points,),
        "log_teff": (points,),
        "log_g": (points,),
        "bc": (temperatures, gravities, 3),
        "extinction": (3, temperatures, gravities, 3),
        "psf_core": (3, 56, 51, 51),
        "psf_core_scale": (3,),
        "psf_wing": (3, 161, 161),
        "psf_positions": (56, 2),
    }
    assert tables.bands == BANDS
    assert tables.laws == ("CCM89", "F99", "G23")
    for name, shape in shapes.items():
        array = getattr(tables, name)
        assert array.shape == shape, name
        assert np.isfinite(array).all(), name
        assert not array.flags.writeable, name


def test_isochrones_cover_the_training_range_from_a_tenth_of_a_sun():
    tables = load_tables()
    assert tables.log_ages[0] <= 6.5
    assert tables.log_ages[-1] >= 10.15
    assert {0.0, 0.25} <= set(tables.fehs.tolist())
    starts = np.concatenate([[0], np.cumsum(tables.counts.ravel())[:-1]])
    np.testing.assert_allclose(tables.mass_initial[starts], 0.1, rtol=1e-3)
    assert (tables.first_eep + tables.counts - 1).max() <= 1409


def test_initial_mass_never_falls_within_an_isochrone():
    tables = load_tables()
    steps = np.diff(tables.mass_initial)
    ends = np.cumsum(tables.counts.ravel())[:-1] - 1
    steps[ends] = 0.0
    assert (steps >= 0).all()


def test_tiny_steps_of_initial_mass_after_the_main_sequence_survive():
    # The whole AGB at 1 Gyr spans less than a thousandth of a solar mass.
    tables = load_tables()
    j, i = np.flatnonzero(tables.fehs == 0)[0], np.flatnonzero(tables.log_ages == 9)[0]
    start = tables.counts.ravel()[: j * len(tables.log_ages) + i].sum()
    eep = tables.first_eep[j, i] + np.arange(tables.counts[j, i])
    mass = tables.mass_initial[start : start + tables.counts[j, i]]
    agb = mass[(eep > 808) & (eep < 1400)]
    assert 0 < agb[-1] - agb[0] < 1e-2
    assert len(np.unique(agb)) > 100


def test_gravity_agrees_with_mass_temperature_and_luminosity():
    # log g = log M + 4 log Teff - log L - 10.61 (solar values of IAU 2015 B3).
    # MIST's own log g departs by up to 0.03 in late phases.
    tables = load_tables()
    expected = (
        np.log10(tables.mass_current) + 4 * tables.log_teff - tables.log_l - 10.6105
    )
    departure = np.abs(tables.log_g - expected)
    assert np.median(departure) < 2e-3
    assert np.quantile(departure, 0.99) < 0.02


def test_pivot_wavelengths_are_those_of_the_observatory():
    # STScI's UVIS1 encircled-energy table gives 3354.5, 4326.2 and 8039.1; the
    # older throughput of F814W used here gives 8030.
    np.testing.assert_allclose(load_tables().pivot, [3354.5, 4326.2, 8030], atol=3)


def test_vega_in_ab_magnitudes_is_as_calspec_gives_it():
    np.testing.assert_allclose(load_tables().vega_ab, [1.163, -0.165, 0.428], atol=5e-3)


def test_photflam_follows_from_the_throughput():
    # STScI, UVIS1, infinite aperture: 1.313e-18, 6.84e-19, 1.512e-19; the
    # detector's sensitivity changes by a few per cent over the years.
    np.testing.assert_allclose(
        load_tables().photflam, [1.313e-18, 6.84e-19, 1.512e-19], rtol=0.03
    )


def test_the_sun_has_the_published_absolute_magnitudes():
    # Published values scatter: 5.44-5.48, 5.50-5.52, 4.10-4.11 (e.g. Willmer
    # 2018, ApJS 236, 47).
    expected = [5.46, 5.51, 4.105]
    np.testing.assert_allclose(load_tables().sun_vega, expected, atol=0.03)
    model = 4.74 - at_star(load_tables().bc, 5772, 4.44)
    np.testing.assert_allclose(model, expected, atol=0.04)


def test_a_star_like_vega_is_without_colour():
    f336w, f438w, f814w = -at_star(load_tables().bc, 9550, 3.95)
    assert abs(f336w - f438w) < 0.04
    assert abs(f438w - f814w) < 0.04


@pytest.mark.parametrize(
    ("law", "hot", "cool"),
    [
        ("CCM89", [1.652, 1.358, 0.619], [1.605, 1.315, 0.576]),
        ("F99", [1.642, 1.335, 0.572], [1.591, 1.301, 0.535]),
        ("G23", [1.684, 1.338, 0.608], [1.620, 1.304, 0.570]),
    ],
)
def test_extinction_coefficients_run_from_hot_to_cool_stars(law, hot, cool):
    # Numbers of the design study, made apart from this table; 40 kK and 3500 K.
    tables = load_tables()
    values = tables.extinction[tables.law_index(law)]
    np.testing.assert_allclose(at_star(values, 40e3, 4.5), hot, atol=0.01)
    np.testing.assert_allclose(at_star(values, 3500, 1.0), cool, atol=0.01)


def test_corrections_are_continuous_across_the_joints_of_the_libraries():
    # The steepest is M7 to M8 giants in F438W: 62 mag/dex, under 0.01 mag/K.
    tables = load_tables()
    step = np.abs(np.diff(tables.bc, axis=0))
    width = np.diff(tables.bc_log_teff)[:, None, None]
    assert (step / width).max() < 70


@pytest.mark.shared
def test_corrections_agree_with_an_independent_reduction():
    if not REFERENCE.exists():
        pytest.skip("needs shared/data/reference/bc_wfc3.npz beside the repository")
    reference = np.load(REFERENCE)
    tables = load_tables()
    warm = (reference["logT"] > np.log10(3501)) & (
        reference["logT"] < np.log10(50001) + 1e-9
    )
    inside = (reference["logg"] >= 0) & (reference["logg"] <= 5)
    points = np.stack(
        np.meshgrid(
            np.clip(reference["logT"][warm], None, np.log10(50000)),
            reference["logg"][inside],
            indexing="ij",
        ),
        axis=-1,
    )
    for ours, theirs, tolerance in (
        (tables.bc, reference["bc"], 0.02),
        (tables.extinction[0], reference["aov"], 0.008),
    ):
        look_up = RegularGridInterpolator(
            (tables.bc_log_teff, tables.bc_log_g), ours, bounds_error=False
        )
        expected = theirs[warm][:, inside]
        np.testing.assert_allclose(look_up(points), expected, atol=tolerance)


def test_core_and_wings_have_their_stars_in_the_middle():
    tables = load_tables()
    for k in range(3):
        core = tables.psf_core[k].mean(axis=0)
        assert np.unravel_index(core.argmax(), core.shape) == (25, 25)
        wing = tables.psf_wing[k]
        assert np.unravel_index(wing.argmax(), wing.shape) == (80, 80)


def test_every_core_holds_its_unit_of_flux_within_a_fifth_of_an_arcsecond():
    tables = load_tables()
    offset = (np.arange(51) - 25) * tables.psf_core_step_arcsec
    inside = np.hypot(offset[:, None], offset) <= 0.2
    flux = tables.psf_core[..., inside].sum(axis=-1) / tables.psf_core_oversampling**2
    # The samples are pixel-integrated and the rim is coarse: 2 per cent.
    np.testing.assert_allclose(flux, 1.0, atol=0.025)
    np.testing.assert_allclose(tables.psf_core_scale, [0.846, 0.856, 0.855], atol=0.003)


def test_core_and_wings_joined_reach_the_published_encircled_energy():
    # Undrizzled: 0.776/0.904, 0.783/0.911, 0.719/0.911 at 0.12/0.40 arcsec,
    # of all the flux. Core inside 0.2 arcsec, wings outside 0.4, linear between.
    tables = load_tables()
    step = 0.0099
    axis = np.arange(-323, 324) * step
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)
    core_axis = (np.arange(51) - 25) * tables.psf_core_step_arcsec
    wing_axis = (np.arange(161) - 80) * tables.psf_wing_pixel_arcsec
    share = np.clip((0.4 - radius) / 0.2, 0, 1)
    expected = [(0.776, 0.904), (0.783, 0.911), (0.719, 0.911)]
    for k in range(3):
        core = RegularGridInterpolator(
            (core_axis, core_axis),
            tables.psf_core[k].mean(axis=0) * tables.psf_core_scale[k],
            bounds_error=False,
            fill_value=0.0,
        )((y, x))
        wing = RegularGridInterpolator(
            (wing_axis, wing_axis), tables.psf_wing[k], bounds_error=False, fill_value=0
        )((y, x))
        surface = (
            share * core / tables.psf_pixel_arcsec**2
            + (1 - share) * wing / tables.psf_wing_pixel_arcsec**2
        )
        enclosed = [surface[radius <= r].sum() * step**2 for r in (0.12, 0.40, 3.2)]
        np.testing.assert_allclose(enclosed[:2], expected[k], atol=0.01)
        assert 0.985 < enclosed[2] < 1.0


def test_psf_positions_cover_the_detector():
    positions = load_tables().psf_positions
    assert len(np.unique(positions, axis=0)) == 56
    assert positions.min() == 0
    assert positions.max() == 4096


def test_an_unknown_band_names_the_bands_there_are():
    with pytest.raises(ValueError, match="F336W, F438W, F814W; received F999W"):
        load_tables().band_indices(("F336W", "F999W"))


def test_an_unknown_law_names_the_laws_there_are():
    with pytest.raises(ValueError, match="CCM89, F99, G23; received 'X'"):
        load_tables().law_index("X")


def test_a_missing_table_says_how_to_make_it(monkeypatch, fresh_cache):
    monkeypatch.setattr(tables_module, "FILE_NAME", "absent.npz")
    with pytest.raises(FileNotFoundError, match=r"scripts/build_tables\.py"):
        load_tables()


def test_a_table_of_another_schema_is_refused(monkeypatch, fresh_cache):
    monkeypatch.setattr(tables_module, "SCHEMA_VERSION", 99)
    with pytest.raises(ValueError, match=r"schema 1, this code reads 99"):
        load_tables()
