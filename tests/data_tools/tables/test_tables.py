from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

import data_tools.tables as tables_module
from data_tools.imaging.psf import psf_image
from data_tools.schema import STELLAR_MODELS
from data_tools.tables import FILES, load_tables, table_file, table_files
from data_tools.tables.stellar_models import model_file

BANDS = ("F336W", "F438W", "F814W")
EXTRA = ("F275W", "F475W", "F555W", "F657N")
REFERENCES = Path(__file__).resolve().parents[4] / "shared/data/reference"
# The bands of the two files in turns: what is asked for is not what is stored.
MIXED = ("F814W", "F275W", "F438W", "F555W")


@pytest.fixture
def fresh_cache():
    def clear():
        load_tables.cache_clear()
        tables_module._read.cache_clear()

    clear()
    yield
    clear()


def reference(name):
    path = REFERENCES / name
    if not path.exists():
        pytest.skip(f"needs shared/data/reference/{name} beside the repository")
    return path


def every_file():
    return table_files(BANDS + EXTRA) + [model_file(name) for name in STELLAR_MODELS]


def at_star(values, teff, log_g):
    tables = load_tables()
    look_up = RegularGridInterpolator((tables.bc_log_teff, tables.bc_log_g), values)
    return look_up((np.log10(teff), log_g))


def test_the_tables_are_small_enough_to_ship():
    assert sum(len(file.read_bytes()) for file in every_file()) < 12e6


def test_the_hash_of_every_file_stands_in_the_provenance():
    text = table_file("PROVENANCE.md").read_text()
    for file in every_file():
        assert hashlib.sha256(file.read_bytes()).hexdigest() in text, file.name


def test_the_second_file_is_read_only_where_one_of_its_bands_is_asked_for():
    assert [file.name for file in table_files(BANDS[1:])] == ["wfc3_uvis.npz"]
    for bands in (("F475W",), MIXED):
        assert [file.name for file in table_files(bands)] == list(FILES)


def test_a_file_holds_the_bands_it_is_said_to_hold():
    for bands in FILES.values():
        stored = np.load(table_files(bands)[-1])["bands"]
        assert tuple(stored) == bands


def test_bands_come_in_the_order_asked_for_from_either_file():
    mixed = load_tables(MIXED)
    assert mixed.bands == MIXED
    for k, band in enumerate(MIXED):
        alone = load_tables((band,))
        for name in ("pivot", "vega_ab", "photflam", "sun_vega", "psf_core_scale"):
            assert getattr(mixed, name)[k] == getattr(alone, name)[0], (band, name)
        for name in ("psf_core", "psf_wing"):
            np.testing.assert_array_equal(
                getattr(mixed, name)[k], getattr(alone, name)[0]
            )
        for name in ("bc", "extinction", "r_v_change"):
            np.testing.assert_array_equal(
                getattr(mixed, name)[..., k], getattr(alone, name)[..., 0]
            )
    # the pivot wavelengths say which band is which
    np.testing.assert_allclose(mixed.pivot, [8030, 2710, 4326, 5308], atol=2)


def test_what_does_not_depend_on_the_band_is_kept_once():
    assert load_tables(MIXED).bc_log_teff is load_tables().bc_log_teff


@pytest.mark.parametrize("bands", [BANDS, EXTRA, MIXED], ids="-".join)
def test_arrays_have_the_stated_shapes_and_are_finite_and_read_only(bands):
    tables = load_tables(bands)
    n = len(bands)
    temperatures, gravities = len(tables.bc_log_teff), len(tables.bc_log_g)
    shapes = {
        "pivot": (n,),
        "vega_ab": (n,),
        "photflam": (n,),
        "sun_vega": (n,),
        "bc": (temperatures, gravities, n),
        "extinction": (3, temperatures, gravities, n),
        "r_v": (3, 7),
        "r_v_change": (3, 7, 2, n),
        "psf_core": (n, 56, 51, 51),
        "psf_core_scale": (n,),
        "psf_wing": (n, 161, 161),
        "psf_positions": (56, 2),
    }
    assert tables.bands == bands
    assert tables.laws == ("CCM89", "F99", "G23")
    for name, shape in shapes.items():
        array = getattr(tables, name)
        assert array.shape == shape, name
        assert np.isfinite(array).all(), name
        assert not array.flags.writeable, name


def test_pivot_wavelengths_are_those_of_the_observatory():
    # STScI's UVIS1 encircled-energy table gives 3354.5, 4326.2 and 8039.1; the
    # older throughput of F814W used here gives 8030.
    np.testing.assert_allclose(load_tables().pivot, [3354.5, 4326.2, 8030], atol=3)


def test_pivot_wavelengths_of_the_other_bands_are_those_of_the_observatory():
    # The same table of STScI.
    pivot = load_tables(EXTRA).pivot
    np.testing.assert_allclose(pivot, [2709.7, 4773.1, 5308.4, 6566.6], atol=1)


def test_zero_points_of_the_other_bands_are_those_of_the_observatory():
    # STScI after launch (WFC3 ISR 2009-31), infinite aperture, for one electron
    # a second: Vega 22.65, 25.79, 25.81; AB 24.14, 25.69, 25.78; F657N later, 22.67.
    tables = load_tables(EXTRA)
    st = -2.5 * np.log10(tables.photflam) - 21.10
    ab = st - 5 * np.log10(tables.pivot) + 18.692
    np.testing.assert_allclose(ab, [24.14, 25.69, 25.78, 22.67], atol=0.025)
    vega = (ab - tables.vega_ab)[:3]
    np.testing.assert_allclose(vega, [22.65, 25.79, 25.81], atol=0.02)


def test_the_sun_in_the_other_bands_is_that_of_another_code():
    # python-fsps, docs/filter_table.rst: AB 8.54, 5.08, 4.86 (CALSPEC Sun, chip 1).
    tables = load_tables(EXTRA[:3])
    expected = np.array([8.54, 5.08, 4.86])
    np.testing.assert_allclose(tables.sun_vega + tables.vega_ab, expected, atol=0.015)
    # ATLAS9 is 0.2 mag too bright for the Sun at 2700 Angstrom, as PROVENANCE says.
    model = 4.74 - at_star(tables.bc, 5772, 4.44) + tables.vega_ab
    np.testing.assert_allclose(model - expected, [-0.22, 0.0, 0.0], atol=0.03)


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


def test_a_star_like_vega_is_without_colour_in_the_other_bands():
    magnitudes = -at_star(load_tables(("F438W", *EXTRA)).bc, 9550, 3.95)
    assert np.ptp(magnitudes) < 0.045


def test_extinction_of_the_other_bands_follows_the_law_at_their_wavelength():
    # CCM89 at R_V = 3.1 and the pivots of F275W, F475W, F555W and F657N, by the paper's
    # equations 3 and 4; the mean over a band differs by a few per cent.
    tables = load_tables(EXTRA)
    hot = at_star(tables.extinction[tables.law_index("CCM89")], 20e3, 4.0)
    np.testing.assert_allclose(hot, [2.03, 1.20, 1.04, 0.816], rtol=0.04)
    # all stars alike in a narrow band
    assert np.ptp(tables.extinction[0, ..., 3]) < 0.002
    # the red leak carries most of an M star's light, where dust dims little
    cool = at_star(tables.extinction[0], 3500, 1.0)
    assert cool[0] < 1.6


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


@pytest.mark.parametrize("bands", [BANDS, EXTRA], ids="-".join)
def test_corrections_are_continuous_across_the_joints_of_the_libraries(bands):
    # The steepest is M7 to M8 giants in F555W: 67 mag/dex, under 0.01 mag/K.
    tables = load_tables(bands)
    step = np.abs(np.diff(tables.bc, axis=0))
    width = np.diff(tables.bc_log_teff)[:, None, None]
    assert (step / width).max() < 70


@pytest.mark.shared
def test_corrections_agree_with_an_independent_reduction():
    trial = np.load(reference("bc_wfc3.npz"))
    tables = load_tables()
    warm = (trial["logT"] > np.log10(3501)) & (trial["logT"] < np.log10(50001) + 1e-9)
    inside = (trial["logg"] >= 0) & (trial["logg"] <= 5)
    points = np.stack(
        np.meshgrid(
            np.clip(trial["logT"][warm], None, np.log10(50000)),
            trial["logg"][inside],
            indexing="ij",
        ),
        axis=-1,
    )
    for ours, theirs, tolerance in (
        (tables.bc, trial["bc"], 0.02),
        (tables.extinction[0], trial["aov"], 0.008),
    ):
        look_up = RegularGridInterpolator(
            (tables.bc_log_teff, tables.bc_log_g), ours, bounds_error=False
        )
        expected = theirs[warm][:, inside]
        np.testing.assert_allclose(look_up(points), expected, atol=tolerance)


def test_core_and_wings_have_their_stars_in_the_middle():
    tables = load_tables(BANDS + EXTRA)
    for k in range(len(tables.bands)):
        core = tables.psf_core[k].mean(axis=0)
        assert np.unravel_index(core.argmax(), core.shape) == (25, 25)
        wing = tables.psf_wing[k]
        assert np.unravel_index(wing.argmax(), wing.shape) == (80, 80)


def test_every_core_holds_its_unit_of_flux_within_a_fifth_of_an_arcsecond():
    tables = load_tables(BANDS + EXTRA)
    offset = (np.arange(51) - 25) * tables.psf_core_step_arcsec
    inside = np.hypot(offset[:, None], offset) <= 0.2
    flux = tables.psf_core[..., inside].sum(axis=-1) / tables.psf_core_oversampling**2
    # The samples are pixel-integrated and the rim is coarse: 2 per cent.
    np.testing.assert_allclose(flux, 1.0, atol=0.025)
    scale = load_tables().psf_core_scale
    np.testing.assert_allclose(scale, [0.846, 0.856, 0.855], atol=0.003)


def joined_energies(band, radii_arcsec):
    """Core inside 0.2 arcsec, wings outside 0.4, a linear change between."""
    tables = load_tables((band,))
    step = 0.0099
    axis = np.arange(-323, 324) * step
    x, y = np.meshgrid(axis, axis)
    radius = np.hypot(x, y)
    core_axis = (np.arange(51) - 25) * tables.psf_core_step_arcsec
    wing_axis = (np.arange(161) - 80) * tables.psf_wing_pixel_arcsec
    share = np.clip((0.4 - radius) / 0.2, 0, 1)
    core = RegularGridInterpolator(
        (core_axis, core_axis),
        tables.psf_core[0].mean(axis=0) * tables.psf_core_scale[0],
        bounds_error=False,
        fill_value=0.0,
    )((y, x))
    wing = RegularGridInterpolator(
        (wing_axis, wing_axis), tables.psf_wing[0], bounds_error=False, fill_value=0
    )((y, x))
    surface = (
        share * core / tables.psf_pixel_arcsec**2
        + (1 - share) * wing / tables.psf_wing_pixel_arcsec**2
    )
    return [surface[radius <= r].sum() * step**2 for r in radii_arcsec]


@pytest.mark.parametrize(
    ("band", "expected"),
    [("F336W", (0.776, 0.904)), ("F438W", (0.783, 0.911)), ("F814W", (0.719, 0.911))],
)
def test_core_and_wings_joined_reach_the_published_encircled_energy(band, expected):
    # Undrizzled, of all the flux, at 0.12 and 0.40 arcsec.
    enclosed = joined_energies(band, (0.12, 0.40, 3.2))
    np.testing.assert_allclose(enclosed[:2], expected, atol=0.01)
    assert 0.985 < enclosed[2] < 1.0


@pytest.mark.shared
@pytest.mark.parametrize("band", EXTRA)
def test_the_other_bands_reach_the_encircled_energy_of_drizzled_images(band):
    with open(reference("wfc3uvis1_aper_007_syn.csv")) as file:
        rows = {row[0]: row for row in csv.reader(file)}
    radii = [float(name.split("#")[1]) for name in rows["FILTER"][2:]]
    drizzled = np.interp([0.12, 0.40], radii, [float(v) for v in rows[band][2:]])
    n, step = 256, 0.0396 / 2
    psf = np.mean([psf_image(None, band, k, n, 0.0396) for k in range(56)], axis=0) / 4
    axis = (np.arange(n) - n // 2) * step
    radius = np.hypot(axis[:, None], axis)
    # a pixel on the rim counts by the part of it inside
    enclosed = [(psf * np.clip((r - radius) / step + 0.5, 0, 1)).sum() for r in radii]
    enclosed = np.interp([0.12, 0.40], radii, enclosed)
    # drizzling moves light from within 0.12 arcsec to just outside
    assert 0.02 < enclosed[0] - drizzled[0] < 0.08
    assert abs(enclosed[1] - drizzled[1]) < 0.004
    assert 0.98 < psf.sum() < 1.0


def test_the_sun_shows_in_f657n_the_line_that_hydrogen_absorbs():
    # between the published r and R (Willmer 2018: AB 4.65 and 4.61)
    tables = load_tables(("F657N",))
    sun = tables.sun_vega[0] + tables.vega_ab[0]
    assert 4.57 < sun < 4.68
    model = 4.74 - at_star(tables.bc, 5772, 4.44)[0] + tables.vega_ab[0]
    np.testing.assert_allclose(model, sun, atol=0.03)


def test_the_psf_of_f475w_lies_between_its_neighbours():
    blue, middle, red = load_tables(("F438W", "F475W", "F555W")).psf_core
    share = (4773.1 - 4326.2) / (5308.4 - 4326.2)
    np.testing.assert_allclose(middle, (1 - share) * blue + share * red, atol=2e-4)


def test_psf_positions_cover_the_detector():
    positions = load_tables().psf_positions
    assert len(np.unique(positions, axis=0)) == 56
    assert positions.min() == 0
    assert positions.max() == 4096


def test_an_unknown_band_names_the_bands_there_are():
    with pytest.raises(ValueError, match=r"F275W, F336W.*F814W; received F999W"):
        load_tables(("F336W", "F999W"))


def test_an_unknown_law_names_the_laws_there_are():
    with pytest.raises(ValueError, match="CCM89, F99, G23; received 'X'"):
        load_tables().law_index("X")


def test_a_missing_table_says_how_to_make_it(monkeypatch, fresh_cache):
    monkeypatch.setattr(tables_module, "FILES", {"absent.npz": BANDS})
    with pytest.raises(FileNotFoundError, match=r"scripts/build_tables\.py"):
        load_tables()


def test_a_table_of_another_schema_is_refused(monkeypatch, fresh_cache):
    monkeypatch.setattr(tables_module, "SCHEMA_VERSION", 99)
    with pytest.raises(ValueError, match=r"schema 2, this code reads 99"):
        load_tables()
