"""What goes into a table's file comes out, or is refused before anything is written."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Column, MaskedColumn, QTable
from astropy.time import Time
from astropy.utils.masked import Masked

from data_tools.positions.read_positions import read_positions
from data_tools.running.kept_columns import as_text, from_text, read_back, same
from data_tools.running.table_file import FORMATS, check_table, write_table

SECOND = [False, True, False]
BIG = 2**53 + 1

#: Columns of users, by what is special.
COLUMNS = {
    "float": [1.5, np.nan, -2.0],
    "float32": np.array([1.5, np.nan, 3], "f4"),
    "float16": np.array([1.5, np.nan, 3], "f2"),
    "big endian": np.array([1, 2, 3], ">f8"),
    "masked float": MaskedColumn([1.0, 2.0, 3.0], mask=SECOND),
    "int64": np.array([BIG, -BIG, 0]),
    "masked int64": MaskedColumn([BIG, 7, -BIG], mask=SECOND),
    "int8": np.array([1, -2, 3], "i1"),
    "masked int8": MaskedColumn(np.array([1, -2, 3], "i1"), mask=SECOND),
    "uint8": np.array([1, 200, 3], "u1"),
    "uint16": np.array([1, 60_000, 3], "u2"),
    "uint32": np.array([1, 2**32 - 1, 3], "u4"),
    "uint64 below 2^63": np.array([2**62 + 1, 2, 3], "u8"),
    "uint64": np.array([2**64 - 1, 2, 3], "u8"),
    "masked uint64": MaskedColumn(np.array([2**64 - 1, 2, 3], "u8"), mask=SECOND),
    "bool": [True, False, True],
    "masked bool": MaskedColumn([True, False, True], mask=SECOND),
    "words": ["a", 'b, "c"', "None"],
    "masked words": MaskedColumn(["a", "b", "c"], mask=SECOND),
    "no words": ["", "", ""],
    "Greek words": ["β 1", "b", "c"],
    "lines": ["a\nb", "c", "d"],
    "words of digits": ["001", "1e5", "nan"],
    "bytes": np.array([b"a", b"bc", b""]),
    "quantity": [1.0, 2.0, 3.0] * u.mag,
    "masked quantity": Masked([1.0, 2.0, 3.0] * u.deg, mask=SECOND),
    "magnitude": [1.0, 2.0, 3.0] * u.ABmag,
    "dex": u.Quantity([1.0, 2.0, 3.0], "dex(yr)", subok=True),
    "masked dex": MaskedColumn([1.0, 2.0, 3.0], mask=SECOND, unit="dex(yr)"),
    "own unit": Column([1.0, 2, 3], unit=u.Unit("furlongs", parse_strict="silent")),
    "vector": np.arange(6.0).reshape(3, 2),
    "masked vector": MaskedColumn(
        np.arange(6.0).reshape(3, 2), mask=[[0, 1], [0, 0], [0, 0]]
    ),
    "vector of words": np.array([["a", "b"], ["c", "d"], ["e", "ff"]]),
    "vector of units": np.arange(6.0).reshape(3, 2) * u.mag,
    "cube": np.arange(12.0).reshape(3, 2, 2),
    "objects": np.array([{"a": 1}, None, "x"], object),
    "place": SkyCoord([1, 2, 3], [4, 5, 6], unit="deg", frame="galactic"),
    "time": Time(["2020-01-01", "2020-01-02", "2020-01-03T01:02:03.123456789"]),
    "instant": np.array(["2020-01-01", "NaT", "2020-01-03"], "M8[s]"),
    "complex": np.array([1 + 2j, 3, 4]),
}

#: What a format has no place for.
REFUSED = {
    ".ecsv": set(),
    ".fits": {"masked bool", "Greek words", "objects"},
    ".vot": {"uint64", "masked uint64", "vector of words", "objects"},
    ".parquet": {"objects", "complex"},
    ".csv": {
        *("objects", "vector", "masked vector", "vector of words", "vector of units"),
        "cube",
    },
}

#: What becomes words, or columns of numbers, where a format has no such kind.
CHANGED = {
    ".fits": {"time", "instant"},
    ".vot": {"time", "instant", "place"},
    ".parquet": {"instant"},
}


def table_of(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of masked dex
        table = QTable({name: COLUMNS[name]})
    table[name].info.description = "what it is"
    table["number"] = [1, 2, 3]
    return table


@pytest.mark.parametrize("suffix", REFUSED)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_refused_before_anything_is_written(name, suffix, tmp_path):
    path, table = tmp_path / f"a{suffix}", table_of(name)
    if name in REFUSED[suffix]:
        with pytest.raises(ValueError, match=rf"a{suffix}: the column '{name}' does"):
            check_table(table, path)
    else:
        check_table(table, path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".parquet"])
@pytest.mark.parametrize("name", COLUMNS)
def test_the_others_come_back(name, suffix, tmp_path):
    if name in REFUSED[suffix] | CHANGED.get(suffix, set()):
        return
    path, table = tmp_path / f"a{suffix}", table_of(name)
    write_table(table, path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = read_positions(path).columns[0]
    if name == "masked dex":  # astropy reads none
        np.testing.assert_array_equal(read.value, [1, np.nan, 3])
    else:
        assert same(table[name], read)
    assert read.info.description == "what it is"


@pytest.mark.parametrize("name", COLUMNS)
def test_parquet_has_nulls_where_a_column_is_masked(name, tmp_path):
    from pyarrow import parquet

    if name in REFUSED[".parquet"] | {"place", "time", "masked dex"}:
        return
    table = table_of(name)
    write_table(table, tmp_path / "a.parquet")
    read = parquet.read_table(tmp_path / "a.parquet")
    assert read.column_names == [name, "number"]
    values = np.ma.MaskedArray(
        getattr(table[name], "unmasked", table[name]),
        mask=getattr(table[name], "mask", False),
    )
    wanted = [None if v is np.datetime64("NaT") else v for v in values.tolist()]
    wanted = [v.decode() if isinstance(v, bytes) else v for v in wanted]
    np.testing.assert_equal(read[name].to_pylist(), wanted)
    header = read.schema.metadata[b"table_meta_yaml"].decode()
    assert "what it is" in header
    if unit := getattr(table[name], "unit", None):
        assert f"unit: {unit}" in header.replace("!astropy.units.Unit ", "")


def test_what_is_masked_is_in_no_parquet_file(tmp_path):
    table = QTable({"name": MaskedColumn(["shown", "secret"], mask=[False, True])})
    write_table(table, tmp_path / "a.parquet")
    content = (tmp_path / "a.parquet").read_bytes()
    assert b"shown" in content
    assert b"secret" not in content


def test_places_and_times_become_what_the_format_has(tmp_path):
    table = QTable({name: COLUMNS[name] for name in ("place", "time", "instant")})
    write_table(table, tmp_path / "a.vot")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = read_back(tmp_path / "a.vot")
    assert read.colnames == ["place.l", "place.b", "time", "instant"]
    assert list(read["place.b"].filled(np.nan).value) == [4, 5, 6]
    assert read["place.b"].info.description == "b of place, galactic"
    assert read["time"][2] == "2020-01-03T01:02:03.123456789"
    assert read["time"].info.description == "UTC"
    assert list(read["instant"]) == ["2020-01-01T00:00:00", "", "2020-01-03T00:00:00"]


@pytest.mark.parametrize("suffix", [".ecsv", ".fits", ".vot", ".parquet"])
def test_objects_that_are_plain_are_taken_for_that(suffix, tmp_path):
    given = {"i": [BIG, None], "s": ["a", None], "f": [1, 2.5], "b": [True, False]}
    table = QTable({name: np.array(v, object) for name, v in given.items()})
    check_table(table, tmp_path / f"a{suffix}")
    write_table(table, tmp_path / f"a{suffix}")
    assert table["i"].dtype.kind == "O"
    if suffix != ".parquet":
        read = read_back(tmp_path / f"a{suffix}")
        assert [read[n].dtype.kind for n in given] in (list("iUfb"), list("iSfb"))
        assert read["i"].tolist() == [BIG, None]


def test_fits_tells_names_apart_that_differ_in_case_alone(tmp_path):
    table = QTable({"RA": [1.0], "Ra": [2.0], "ra": [3.0], "input_ra": [4.0]})
    check_table(table, tmp_path / "a.fits")
    write_table(table, tmp_path / "a.fits")
    read = read_back(tmp_path / "a.fits")
    assert read.colnames == ["input2_RA", "input3_Ra", "ra", "input_ra"]
    assert [float(c[0]) for c in read.itercols()] == [1, 2, 3, 4]
    assert table.colnames == ["RA", "Ra", "ra", "input_ra"]


@pytest.mark.parametrize(
    ("name", "suffixes"),
    {"β": [".fits"], "x" * 70: [".fits"], "a\nb": [".fits", ".ecsv", ".csv"]}.items(),
)
def test_a_name_that_a_format_cannot_hold_is_refused(name, suffixes, tmp_path):
    for suffix in FORMATS:
        table = QTable({name: [1.0, 2.0]})
        if suffix in suffixes:
            with pytest.raises(ValueError, match=rf"a{suffix}: the column '"):
                check_table(table, tmp_path / f"a{suffix}")
        else:
            check_table(table, tmp_path / f"a{suffix}")


def test_words_are_tried_to_the_last_row(tmp_path):
    table = QTable({"name": ["a"] * 3000 + ["β"], "x": np.zeros(3001)})
    with pytest.raises(ValueError, match="the column 'name' does not fit"):
        check_table(table, tmp_path / "a.fits")


@pytest.mark.parametrize("kind", ["fits", "votable"])
@pytest.mark.parametrize(
    "value",
    [
        *(1, 1.5, True, None, "1", "null", "β", "a\nb", "", "{x", "m83", float("inf")),
        *({"a": [1, None]}, ["a", "b"], [], '{"a": 1}', "NaN"),
    ],
)
def test_metadata_come_back_as_they_were(value, kind):
    text = as_text(value, kind)
    if kind == "votable":
        assert isinstance(text, str)
        text = str(text)
    assert from_text(text) == value
    assert type(from_text(text)) is type(value)
    assert not isinstance(text, str) or text.isascii()
