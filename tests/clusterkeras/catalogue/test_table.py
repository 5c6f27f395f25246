"""A catalogue's columns: what the schema says, and sizes in pc."""

import dataclasses

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.io.votable.ucd import check_ucd
from astropy.table import QTable
from astropy.wcs import WCS

from clusterkeras.catalogue.table import make_table, size_pc
from data_tools.running.table_file import write_table
from data_tools.schema import PARAMETERS, catalogue_columns


def numbers(n=3):
    rng = np.random.default_rng(3)
    median = np.array([[7.0, 0.5, 4.0, -0.8]] * n, "f4")
    plain = {k: rng.random(n) for k in ("covered", "p_cluster", "log_snr")}
    return {
        **plain,
        "log_snr_std": rng.random(n),
        "unlike_mocks": -rng.random(n),
        "median": median,
        "lower": median - np.float32(0.1),
        "upper": median + np.float32(0.2),
        "mean": median,
        "covariance": np.broadcast_to(np.eye(4, dtype="f4"), (n, 4, 4)),
        "flags": np.zeros(n, np.int32),
    }


@pytest.fixture
def table(m83):
    wcs = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    return make_table(np.zeros(3), np.zeros(3), wcs, numbers(), m83)


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
