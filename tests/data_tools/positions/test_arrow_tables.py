"""Parquet of any program is read with all that it says, and nothing is guessed."""

import datetime
from decimal import Decimal

import astropy.units as u
import numpy as np
import pyarrow as pa
import pytest
from astropy.time import Time
from pyarrow import parquet

from data_tools.positions.read_positions import read_positions

BIG = 2**53 + 1  # no float64 is it
LONG = "1.23456789012345678"  # nor this


def read(tmp_path, table):
    parquet.write_table(
        pa.table({"x": [1.0, 2.0]}).append_column(*table), tmp_path / "t.parquet"
    )
    return read_positions(tmp_path / "t.parquet")


#: What is written, and what is read: the values that are none, as None.
COLUMNS = {
    "whole": (pa.array([BIG, None]), [BIG, None]),
    "unsigned": (pa.array([2**64 - 1, None], pa.uint64()), [2**64 - 1, None]),
    "short": (pa.array([7, None], pa.int8()), [7, None]),
    "float": (pa.array([1.5, None]), [1.5, None]),
    "half": (pa.array([1.5, None], pa.float16()), [1.5, None]),
    "truth": (pa.array([True, None]), [True, None]),
    "text": (pa.array(["é", None]), ["é", None]),
    "large text": (pa.array(["a", None], pa.large_string()), ["a", None]),
    "dictionary": (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    "bytes that are text": (pa.array([b"abc", None]), ["abc", None]),
    "fixed bytes": (pa.array([b"ab", None], pa.binary(2)), ["ab", None]),
    "no value": (pa.nulls(2), [None, None]),
    "decimal": (pa.array([Decimal("1.25"), None]), [1.25, None]),
    "whole decimal": (pa.array([Decimal(BIG), None]), [BIG, None]),
    "long decimal": (pa.array([Decimal(LONG), None]), [LONG, None]),
    "time of day": (pa.array([datetime.time(1, 2, 3), None]), ["01:02:03", None]),
    "list": (pa.array([[1.0, 2.0], None]), [[1.0, 2.0], [None, None]]),
    "list with a gap": (pa.array([[BIG, None], [3, 4]]), [[BIG, None], [3, 4]]),
    "fixed list": (
        pa.array([[1, 2], [3, 4]], pa.list_(pa.float32(), 2)),
        [[1, 2], [3, 4]],
    ),
    "list of text": (pa.array([["a", "bc"], ["d", "e"]]), [["a", "bc"], ["d", "e"]]),
    "matrix": (pa.array([[[1, 2]], [[3, 4]]]), [[[1, 2]], [[3, 4]]]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_value_comes_as_it_is_and_null_is_masked(tmp_path, kind):
    column, expected = COLUMNS[kind]
    found = read(tmp_path, ("c", column))["c"]
    assert found.tolist() == expected
    if not isinstance(found, str) and column.null_count:
        assert (
            np.ma.getmaskarray(np.ma.asarray(found))[-1].any()
            or kind == "list with a gap"
        )
    if kind == "fixed list":
        assert found.dtype == np.float32


def test_lists_of_several_lengths_are_arrays(tmp_path):
    found = read(tmp_path, ("c", pa.array([[1], [2, 3]])))["c"]
    assert [list(row) for row in found] == [[1], [2, 3]]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Paris"])
def test_an_instant_is_a_time(tmp_path, unit, zone):
    instant = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    column = pa.array([instant, None], pa.timestamp(unit, "UTC")).cast(
        pa.timestamp(unit, zone)
    )
    found = read(tmp_path, ("c", column))["c"]
    assert isinstance(found, Time)
    assert found[0].isot == "2020-01-02T03:04:05.000"
    assert np.ma.is_masked(found[1]) or bool(found.mask[1])


def test_a_day_is_a_time_and_a_span_has_seconds(tmp_path):
    day = read(tmp_path, ("c", pa.array([datetime.date(2020, 1, 2)] * 2)))["c"]
    assert day[0].isot == "2020-01-02T00:00:00.000"
    span = read(tmp_path, ("c", pa.array([datetime.timedelta(minutes=2), None])))["c"]
    assert span[0] == 120 * u.s


def test_parts_of_a_structure_are_columns(tmp_path):
    table = read(tmp_path, ("c", pa.array([{"p": BIG, "q": {"r": "z"}}, None])))
    assert table.colnames == ["x", "c.p", "c.q.r"]
    assert table["c.p"].tolist() == [BIG, None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"\xff\xfe", None]),
        pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
        pa.array([[1], [None, 2]]),
    ],
    ids=["bytes", "map", "lists with gaps"],
)
def test_what_no_table_holds_is_left_out_and_told(tmp_path, caplog, column):
    assert read(tmp_path, ("c", column)).colnames == ["x"]
    assert "t.parquet: left out, as no table can hold them: c" in caplog.text


@pytest.mark.parametrize("unit", ["unit", "Unit", "units"])
def test_fields_say_unit_description_and_ucd(tmp_path, unit):
    said = {unit: "rad", "description": "along x", "ucd": "pos.eq.ra"}
    schema = pa.schema([pa.field("a", pa.float64(), metadata=said)], {"survey": "mine"})
    parquet.write_table(pa.table([[1.0]], schema=schema), tmp_path / "t.parquet")
    table = read_positions(tmp_path / "t.parquet")
    assert table["a"].unit == u.rad
    assert table["a"].info.description == "along x"
    assert table["a"].info.meta["ucd"] == "pos.eq.ra"
    assert table.meta == {"survey": "mine"}


def test_a_votable_within_says_the_same(tmp_path):
    header = (
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE>'
        '<TABLE><FIELD name="a" datatype="double" unit="rad" ucd="pos.eq.ra">'
        "<DESCRIPTION>along x</DESCRIPTION></FIELD></TABLE></RESOURCE></VOTABLE>"
    )
    table = pa.table({"a": [1.0]}).replace_schema_metadata(
        {"IVOA.VOTable-Parquet.content": header}
    )
    parquet.write_table(table, tmp_path / "t.parquet")
    found = read_positions(tmp_path / "t.parquet")["a"]
    assert (found.unit, found.info.description) == (u.rad, "along x")
    assert found.info.meta["ucd"] == "pos.eq.ra"


def test_rows_of_no_number_and_pandas_own_are_no_columns(tmp_path):
    table = pa.table({"x": pa.array([], pa.float64()), "n": pa.array([], pa.string())})
    table = table.append_column("__index_level_0__", pa.array([], pa.int64()))
    table = table.append_column("l", pa.array([], pa.list_(pa.float64())))
    parquet.write_table(table, tmp_path / "t.parquet")
    assert read_positions(tmp_path / "t.parquet").colnames == ["x", "n", "l"]


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.table([[1.0], [2.0]], names=["x", "x"])
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"t.parquet: .* two of its columns are named"):
        read_positions(tmp_path / "t.parquet")
