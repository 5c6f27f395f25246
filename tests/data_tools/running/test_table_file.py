"""Tables leave whole, with units and metadata."""

import logging
import resource

import astropy.units as u
import numpy as np
import pytest
from astropy.io.votable import parse
from astropy.table import QTable

from data_tools.running.table_file import check_table, write_table


@pytest.fixture
def table():
    table = QTable(
        {
            "log_age": u.Quantity([6.8, np.nan], "dex(yr)", subok=True),
            "cov": [0.1, 0.2] * u.dex * u.mag,
            "flags": np.array([0, 64], dtype=np.int32),
        },
        descriptions={"log_age": "log10 of the age", "cov": "of both", "flags": "bits"},
    )
    table.meta = {
        "model": "m83",
        "configuration_hash": "0123456789abcdef",
        "zero_points_ab": {"F336W": 24.7},
        "images": ["a.fits", "b.fits"],
        "long": "x" * 500,
    }
    return table


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot"])
def test_units_and_descriptions_come_back(tmp_path, table, suffix):
    write_table(table, tmp_path / f"out{suffix}")
    read = QTable.read(tmp_path / f"out{suffix}")
    for name in table.colnames:
        assert read[name].info.description == table[name].info.description
    # VOTable does not know dex: the unit comes back by its name
    assert str(read["log_age"].unit) == "dex(yr)"
    assert str(read["cov"].unit) == "dex mag"
    np.testing.assert_array_equal(np.asarray(read["flags"]), [0, 64])


def test_metadata_stay_whole_in_ecsv(tmp_path, table):
    write_table(table, tmp_path / "out.ecsv")
    meta = QTable.read(tmp_path / "out.ecsv").meta
    assert meta.pop("seal").startswith("clusterkeras-wrote-")
    assert meta == table.meta


def test_metadata_reach_a_fits_header(tmp_path, table):
    write_table(table, tmp_path / "out.fits")
    meta = QTable.read(tmp_path / "out.fits").meta
    assert meta["MODEL"] == "m83"
    assert meta["configuration_hash"] == "0123456789abcdef"
    assert meta["zero_points_ab"] == '{"F336W": 24.7}'
    assert meta["LONG"] == "x" * 500


def test_metadata_reach_a_votable(tmp_path, table):
    write_table(table, tmp_path / "out.vot")
    infos = {i.name: i.value for i in parse(tmp_path / "out.vot").resources[0].infos}
    assert infos["images"] == '["a.fits", "b.fits"]'


def test_metadata_reach_parquet(tmp_path, table):
    from pyarrow import parquet

    write_table(table, tmp_path / "out.parquet")
    header = parquet.read_schema(tmp_path / "out.parquet").metadata
    assert b"dex(yr)" in header[b"table_meta_yaml"]
    assert b"0123456789abcdef" in header[b"table_meta_yaml"]


def test_csv_says_what_it_loses(tmp_path, table, caplog):
    with caplog.at_level(logging.WARNING):
        write_table(table, tmp_path / "out.csv")
    assert "keeps no units" in caplog.text
    assert (tmp_path / "out.csv").read_text().startswith("log_age,cov,flags")


def test_writing_does_not_change_the_table(tmp_path, table):
    before = dict(table.meta)
    write_table(table, tmp_path / "out.fits")
    assert table.meta == before


def test_a_table_that_does_not_fit_is_refused(tmp_path, table):
    table["words"] = np.array([{"no": 1}, None], dtype=object)
    with pytest.raises(ValueError, match=r"out.fits: the table does not fit"):
        write_table(table, tmp_path / "out.fits")


def test_a_reader_of_the_old_file_never_sees_half_of_the_new(tmp_path, table):
    (tmp_path / "out.ecsv").write_text("the old table")
    with open(tmp_path / "out.ecsv") as old:
        write_table(table, tmp_path / "out.ecsv")
        assert old.read() == "the old table"


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"name of a table to end in .ecsv or"):
        write_table(QTable(), tmp_path / "out.doc")


def test_the_directory_is_made(tmp_path, table):
    write_table(table, tmp_path / "new" / "out.ecsv")
    assert (tmp_path / "new" / "out.ecsv").is_file()


@pytest.mark.parametrize("suffix", [".ecsv", ".fits"])
def test_a_full_temporary_directory_is_named_where_a_format_is_tried(
    tmp_path, table, suffix, monkeypatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match=rf"out{suffix} was tried. Make room") as told:
            check_table(table, tmp_path / f"out{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(told.value.filename).startswith(str(tmp_path))
