"""The shipped stellar models, as they are stored."""

import numpy as np
import pytest

from data_tools.schema import STELLAR_MODELS
from data_tools.tables import stellar_models
from data_tools.tables.stellar_models import MODEL_FILES, load_model


def rows_of(table, feh, log_age):
    """Return the points of one isochrone."""
    return table.rows[
        np.flatnonzero((table.feh == feh) & np.isclose(table.log_age, log_age))[0]
    ]


def test_there_is_a_file_for_every_model_that_is_named():
    assert tuple(MODEL_FILES) == STELLAR_MODELS


def test_an_unknown_model_names_those_there_are():
    with pytest.raises(ValueError, match=r"MIST, PARSEC.*; received 'BaSTI'"):
        load_model("BaSTI")


@pytest.mark.parametrize("name", STELLAR_MODELS)
def test_its_arrays_are_whole_and_read_only(name):
    table = load_model(name)
    for values in (table.feh, table.log_age, table.counts):
        assert values.shape == table.counts.shape
        assert not values.flags.writeable
    for column in ("phase", "mass_initial", "mass_current"):
        assert getattr(table, column).shape == (table.counts.sum(),)
    for column in ("log_l", "log_teff", "log_g"):
        values = getattr(table, column)
        assert values.shape == (table.counts.sum(),)
        assert np.isfinite(values).all()
        assert not values.flags.writeable


@pytest.mark.parametrize("name", STELLAR_MODELS)
def test_it_runs_from_a_million_years_and_from_light_to_heavy_stars(name):
    table = load_model(name)
    for feh in np.unique(table.feh):
        ages = table.log_age[table.feh == feh]
        assert (np.diff(ages) > 0).all()
        assert ages[0] == 6.0
        assert ages[-1] >= 10.1
    assert np.unique(table.feh)[0] <= -0.45
    first = np.array([table.mass_initial[rows][0] for rows in table.rows])
    assert (first[table.log_age > 6.47] < 0.12).all()
    # younger stars of less mass have not come to MIST's first phase
    assert (first < 0.27).all()
    # where the IMF ends
    last = np.array([table.mass_initial[rows][-1] for rows in table.rows])
    assert (last[table.log_age < 6.4] >= 120).all()


@pytest.mark.parametrize("name", STELLAR_MODELS)
def test_initial_mass_never_falls_and_present_mass_never_exceeds_it(name):
    table = load_model(name)
    assert (table.mass_current <= table.mass_initial * 1.002).all()
    for rows in table.rows:
        assert (np.diff(table.mass_initial[rows]) >= 0).all()


@pytest.mark.parametrize("name", STELLAR_MODELS)
def test_gravity_agrees_with_mass_temperature_and_luminosity(name):
    # log g = log M + 4 log Teff - log L - 10.61 (solar values of IAU 2015 B3).
    # MIST's own log g departs by up to 0.03 in late phases; SSE's Sun is 15 K cooler.
    table = load_model(name)
    expected = np.log10(table.mass_current) + 4 * table.log_teff - table.log_l - 10.6105
    departure = np.abs(table.log_g - expected)
    assert np.median(departure) < 5e-3
    assert np.quantile(departure, 0.99) < 0.02


def test_a_model_that_is_not_asked_for_is_not_read(monkeypatch):
    read = []
    whole = stellar_models.read_arrays
    monkeypatch.setattr(
        stellar_models,
        "read_arrays",
        lambda file: read.append(file.name) or whole(file),
    )
    load_model.cache_clear()
    load_model("SSE")
    load_model("SSE")
    assert read == ["sse.npz"]


def test_mist_has_every_eep_up_to_the_white_dwarf():
    table = load_model("MIST")
    assert {0.0, 0.25} <= set(table.feh)
    for rows in table.rows:
        assert (np.diff(table.phase[rows]) == 1).all()
    assert table.phase.max() <= 1409


def test_tiny_steps_of_initial_mass_after_the_main_sequence_survive():
    # The whole AGB at 1 Gyr spans less than a thousandth of a solar mass.
    table = load_model("MIST")
    rows = rows_of(table, 0.0, 9.0)
    eep, mass = table.phase[rows], table.mass_initial[rows]
    agb = mass[(eep > 808) & (eep < 1400)]
    assert 0 < agb[-1] - agb[0] < 1e-2
    assert len(np.unique(agb)) > 100
