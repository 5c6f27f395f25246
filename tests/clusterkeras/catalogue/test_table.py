"""A catalogue's columns: what the schema says, and sizes in pc."""

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.io.votable.ucd import check_ucd
from astropy.table import MaskedColumn, QTable
from astropy.wcs import WCS

from clusterkeras.catalogue.table import asked_again, make_table, size_pc, with_input
from clusterkeras.config import InferenceConfig
from data_tools.running.table_file import write_table
from data_tools.schema import (
    KINDS,
    PARAMETERS,
    catalogue_columns,
    stellar_model_columns,
)

SKY = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})


def numbers(n=3):
    rng = np.random.default_rng(3)
    median = np.array([[7.0, 0.5, 4.0, -0.8]] * n, "f4")
    plain = {k: rng.random(n) for k in ("covered", "p_cluster", "log_snr")}
    return {
        **plain,
        "log_snr_std": rng.random(n),
        "other_kind": np.array([*KINDS[1:n], ""]),
        "p_other_kind": np.array([*rng.random(n - 1), np.nan]),
        "unlike_mocks": -rng.random(n),
        "median": median,
        "lower": median - np.float32(0.1),
        "upper": median + np.float32(0.2),
        "mean": median,
        "log_mass_current": median[:, 2:3] + np.array([-0.1, -0.25, 0.15], "f4"),
        "covariance": np.broadcast_to(np.eye(4, dtype="f4"), (n, 4, 4)),
        "flags": np.zeros(n, np.int32),
    }


@pytest.fixture
def table(m83):
    return make_table(np.zeros(3), np.zeros(3), SKY, numbers(), m83)


def test_the_columns_are_the_schema_s(table):
    assert table.colnames == [c.name for c in catalogue_columns()]
    for column in catalogue_columns():
        info = table[column.name].info
        assert (info.unit or u.one) == u.Unit(column.unit)
        assert info.description == column.description
        assert info.meta["ucd"] == column.ucd


@pytest.mark.parametrize("column", catalogue_columns(), ids=lambda c: c.name)
def test_a_column_s_ucd_is_of_the_ivoa_s_words(column):
    assert check_ucd(column.ucd, check_controlled_vocabulary=True)


def test_every_parameter_says_what_it_is():
    assert [p.ucd for p in PARAMETERS] == [
        "time.age",
        "phys.absorption;em.opt.V",
        "phys.mass",
        "phys.angSize",
    ]


@pytest.mark.parametrize("suffix", [".vot", ".ecsv", ".fits"])
def test_ucds_can_be_read_back(table, tmp_path, suffix):
    write_table(table, tmp_path / f"t{suffix}")
    read = QTable.read(tmp_path / f"t{suffix}")
    assert read["ra"].info.meta["ucd"] == "pos.eq.ra;meta.main"
    assert read["flags"].info.meta["ucd"] == "meta.code.qual"
    if suffix == ".vot":
        fields = parse(tmp_path / "t.vot").get_first_table().fields
        assert {f.name: f.ucd for f in fields} == {
            c.name: c.ucd for c in catalogue_columns()
        }


def test_living_masses_are_the_network_s_answer(table):
    for key, expected in (("median", 3.9), ("p16", 3.75), ("p84", 4.15)):
        column = table[f"log_mass_current_{key}"]
        np.testing.assert_allclose(column.value, expected, rtol=1e-6)
        assert column.unit == u.Unit("dex(solMass)")


def test_sizes_in_pc_are_those_in_arcsec_at_the_distance(m83):
    exact = dataclasses.replace(m83, distance_uncertainty_mpc=None)
    found = size_pc(numbers(), exact)
    # 4.5 Mpc / 206265
    for key, log_r in (("median", -0.8), ("p16", -0.9), ("p84", -0.6)):
        np.testing.assert_allclose(
            found[f"half_light_radius_pc_{key}"], 10**log_r * 21.8166, rtol=1e-4
        )


def test_sizes_in_pc_carry_the_distance_s_uncertainty(m83):
    unsure = dataclasses.replace(m83, distance_uncertainty_mpc=0.45)
    found = size_pc(numbers(), unsure)
    log = {k: np.log10(v[0]) for k, v in found.items()}
    middle = log["half_light_radius_pc_median"]
    error = 0.1 / np.log(10)
    assert middle - log["half_light_radius_pc_p16"] == pytest.approx(
        np.hypot(0.1, error), rel=1e-4
    )
    assert log["half_light_radius_pc_p84"] - middle == pytest.approx(
        np.hypot(0.2, error), rel=1e-4
    )


FORMAT = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}

#: Columns of a user that have the names of results, or of what these become.
GIVEN = {
    "flags": ["good", "bad", "good"],
    "log_age_median": [6.1, 6.2, 6.3],
    "x": [0.0, 0.0, 1.0],
    "input_x": ["a", "b", "c"],
    "RA": [1.0, 2.0, 3.0],
    "ra": [4.0, 5.0, 6.0],
    "INPUT_RA": [7.0, 8.0, 9.0],
    "p_cluster": MaskedColumn([0.1, 0.2, 0.3], mask=[False, True, False]),
}


def results(target, value):
    """Return a run's results; in the second row there are none."""
    columns = numbers() | {"p_cluster": np.array([value, np.nan, value])}
    x = np.array([value, np.nan, value])
    return make_table(x, np.zeros(3), SKY, columns, target)


def test_columns_of_the_user_keep_their_values_run_after_run(m83):
    table, results_of = QTable(GIVEN), []
    for run in range(1, 4):
        results_of.append(results(m83, float(run)))
        table = with_input(table, results_of[-1])
        for column in results_of[-1].itercols():
            np.testing.assert_array_equal(table[column.info.name], column)
        for name, values in GIVEN.items():
            wanted = np.ma.asarray(values).tolist()
            assert any(
                np.ma.asarray(getattr(c, "value", c)).tolist() == wanted
                for c in table.itercols()
            ), (run, name)
        for before in results_of[:-1]:
            assert any(
                np.array_equal(
                    getattr(c, "value", c), before["x"].value, equal_nan=True
                )
                for c in table.itercols()
                if c.dtype.kind == "f"
            )
    assert {"input_flags", "input2_x", "input3_x", "RA", "input2_ra"} < {
        *table.colnames
    }
    assert len({name.lower() for name in table.colnames}) == len(table.colnames) - 1


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot"])
def test_what_a_run_finds_again_is_there_once(suffix, m83, tmp_path):
    found = results(m83, 2.0)
    write_table(found, tmp_path / f"before{suffix}")
    read = QTable.read(tmp_path / f"before{suffix}", format=FORMAT[suffix])
    assert with_input(read, found).colnames == found.colnames


@pytest.mark.parametrize(
    "given", [[2.0, 2.0, 2.0] * u.deg, MaskedColumn([0, 0, 0], mask=[0, 1, 0])]
)
def test_other_units_and_nulls_are_other_values(given, m83):
    name = "ra" if given.dtype.kind == "f" else "flags"
    found = results(m83, 2.0)
    found["ra"] = [2.0, 2.0, 2.0] * u.rad
    table = with_input(QTable({name: given}), found)
    assert f"input_{name}" in table.colnames


def test_ages_by_stellar_model_have_columns_of_their_own(m83):
    found = np.arange(3 * 3 * 2 * 3, dtype="f4").reshape(3, 3, 2, 3)
    columns = numbers() | {"by_stellar_model": found}
    table = make_table(np.zeros(3), np.zeros(3), SKY, columns, m83)
    more = stellar_model_columns()
    assert table.colnames[-len(more) :] == [c.name for c in more]
    assert len(more) == 18
    np.testing.assert_array_equal(table["log_age_median_mist"].value, found[:, 0, 0, 0])
    np.testing.assert_array_equal(table["a_v_p16_parsec"].value, found[:, 1, 1, 1])
    np.testing.assert_array_equal(table["log_age_p84_sse"].value, found[:, 2, 0, 2])
    assert table["log_age_p84_sse"].unit == u.Unit("dex(yr)")
    assert [c.name for c in more if "mocks end at log age 9" in c.description] == [
        c.name for c in more if c.name.endswith("_sse")
    ]
    for column in more:
        assert check_ucd(column.ucd, check_controlled_vocabulary=True)


def test_how_the_model_was_asked_is_read_from_metadata():
    meta = {
        "configuration": {"seed": 4, "psf_fwhm_px": None, "batch_size": 7},
        "context": {
            "psf_fwhm_px": {"F438W": 2.1, "F814W": None},
            "stellar_model": "PARSEC",
        },
    }
    expected = InferenceConfig(seed=4, psf_fwhm_px=(2.1, None), stellar_model="PARSEC")
    assert asked_again(meta) == expected
    assert asked_again({}) == InferenceConfig()
