"""What a file holds tells its format; what is in it comes out, or one line says why."""

import base64
import bz2
import gzip
import lzma
import random
import re

import astropy.units as u
import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.io.votable import from_table
from astropy.table import MaskedColumn, QTable, Table
from astropy.time import Time
from pyarrow import parquet

from data_tools.positions.columns.names import find_positions
from data_tools.positions.read_positions import read_positions

BIG = 2**53 + 1  # no float64 is it


def _fits(path):
    columns = [
        fits.Column("x", "D", unit="pixel", array=[1.5, np.nan]),
        fits.Column("id", "K", null=-99, array=[BIG, -99]),
        fits.Column("unsigned", "K", bzero=2**63, array=np.array([2**64 - 1, 3], "u8")),
        fits.Column("truth", "L", array=[True, False]),
        fits.Column("text", "5A", array=["a", ""]),
        fits.Column("vector", "2E", array=[[1, 2], [3, 4]]),
    ]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TCOMM1"] = "along x"
    hdu.header["SURVEY"] = "mine"
    hdu.writeto(path)
    # a byte that is neither T nor F: no value
    row = hdu.data.view(np.ndarray).dtype
    content = bytearray(path.read_bytes())
    content[-2880 + row.itemsize + row.fields["truth"][1]] = 0
    path.write_bytes(content)


def _table():
    table = QTable({"x": MaskedColumn([1.5, 0.0], mask=[False, True], unit="pix")})
    table["x"].info.description = "along x"
    table["id"] = MaskedColumn([BIG, 0], mask=[False, True])
    table["truth"] = MaskedColumn([True, False], mask=[False, True])
    table["text"] = MaskedColumn(["a", ""], mask=[False, True])
    table["vector"] = np.array([[1, 2], [3, 4]], np.float32)
    table.meta["SURVEY"] = "mine"
    return table


def _parquet(path):
    x = pa.field("x", pa.float64(), metadata={"unit": "pix", "description": "along x"})
    kinds = [x, pa.field("id", pa.int64()), pa.field("unsigned", pa.uint64())]
    kinds += [pa.field("truth", pa.bool_()), pa.field("text", pa.string())]
    kinds += [pa.field("vector", pa.list_(pa.float32(), 2))]
    values = [[1.5, None], [BIG, None], [2**64 - 1, 3], [True, None], ["a", None]]
    values += [[[1, 2], [3, 4]]]
    schema = pa.schema(kinds, {"SURVEY": "mine"})
    parquet.write_table(pa.table(values, schema=schema), path)


def _csv(path):
    path.write_text(
        f"x,id,unsigned,truth,text\n1.5,{BIG},{2**64 - 1},True,a\n,,3,,\n",
    )


def _votable(path):
    field = '<FIELD name="{}" datatype="{}" {}>{}</FIELD>'
    fields = (
        ("x", "double", 'unit="pix"', "<DESCRIPTION>along x</DESCRIPTION>"),
        ("id", "long", "", '<VALUES null="-99"/>'),
        ("truth", "boolean", "", ""),
        ("text", "unicodeChar", 'arraysize="*"', ""),
        ("vector", "float", 'arraysize="2"', ""),
    )
    rows = (("1.5", BIG, "T", "a", "1 2"), ("NaN", -99, "?", "", "3 4"))
    path.write_text(
        '<?xml version="1.0"?><VOTABLE version="1.4"><RESOURCE>'
        '<INFO name="SURVEY" value="mine"/><TABLE>'
        + "".join(field.format(*words) for words in fields)
        + "<DATA><TABLEDATA>"
        + "".join(
            f"<TR>{''.join(f'<TD>{value}</TD>' for value in row)}</TR>" for row in rows
        )
        + "</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
    )


def _hdf5(path):
    _table().write(path, format="hdf5", path="cat", serialize_meta=True)


#: A table of each format, from another writer than ours where there is one.
WRITERS = {
    "fits": _fits,
    "parquet": _parquet,
    "vot": _votable,
    "csv": _csv,
    "hdf5": _hdf5,
    "ecsv": lambda path: _table().write(path),
    "astropy.parquet": lambda path: _table().write(path, format="parquet"),
}


@pytest.fixture(params=WRITERS)
def file(request, tmp_path):
    path = tmp_path / f"table.{request.param}"
    WRITERS[request.param](path)
    return path


def test_values_masks_units_and_words_come_from_every_format(file):
    table = read_positions(file)
    assert table["id"][0] == BIG
    assert table["truth"][0] == True  # noqa: E712
    assert table["text"][0] == "a"
    for name in ("id", "truth"):
        assert np.ma.getmaskarray(np.ma.asarray(table[name])).tolist() == [False, True]
    pixels, _ = find_positions(_with_y(table))
    assert pixels[0].x[0] == 1.5
    assert np.isnan(pixels[0].x[1])
    if "unsigned" in table.colnames:
        assert table["unsigned"][0] == 2**64 - 1
    if file.suffix != ".csv":
        assert table["x"].unit == u.pix
        assert table["x"].info.description == "along x"
        assert table.meta["SURVEY"] == "mine"
        assert np.asarray(table["vector"]).tolist() == [[1, 2], [3, 4]]
    # neither FITS nor a VOTable tells an empty word from none
    assert not table["text"][1] or np.ma.is_masked(table["text"][1])


def _with_y(table):
    table["y"] = table["x"]
    return table


@pytest.mark.parametrize("packer", [gzip, bz2, lzma])
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_packed_files_are_read_whatever_their_name(file, packer, ending):
    packed = file.with_name(f"packed.{file.name}{ending}")
    packed.write_bytes(packer.compress(file.read_bytes()))
    assert read_positions(packed)["id"][0] == BIG


@pytest.mark.parametrize("ending", [".dat", ".cat", ""])
def test_the_name_need_not_tell_the_format(file, ending):
    other = file.rename(file.with_name(f"other{ending}"))
    assert read_positions(other)["id"][0] == BIG


def test_damaged_files_are_refused_in_one_line_that_names_them(file):
    whole = file.read_bytes()
    rng = random.Random(1)
    for _ in range(40):
        content = bytearray(whole)
        kind = rng.choice(["cut", "flip", "gap"])
        at = rng.randrange(len(content))
        if kind == "cut":
            content = content[:at]
        elif kind == "gap":
            content[at : at + 100] = bytes(50)
        else:
            for _ in range(5):
                content[rng.randrange(len(content))] = rng.randrange(256)
        file.write_bytes(content)
        try:
            read_positions(file)
        except ValueError as error:
            assert str(error).startswith(f"{file}: ")
            assert "\n" not in str(error)


def test_the_table_after_that_of_the_image_s_header_is_read(tmp_path):
    header = fits.Column("Field Header Card", "80A", array=["SIMPLE  = T"])
    objects = [fits.Column(n, "D", array=[7.0]) for n in ("X_IMAGE", "Y_IMAGE")]
    fits.HDUList(
        [
            fits.PrimaryHDU(),
            fits.BinTableHDU.from_columns([header], name="LDAC_IMHEAD"),
            fits.BinTableHDU.from_columns(objects, name="LDAC_OBJECTS"),
        ]
    ).writeto(tmp_path / "ldac.fits")
    assert read_positions(tmp_path / "ldac.fits").colnames == ["X_IMAGE", "Y_IMAGE"]


def _several(path):
    tables = [Table({"a": [1]}), Table({"x": [1.0], "y": [2.0]}), Table({"b": [3]})]
    names = ["notes", "places", "more"]
    if path.suffix == ".fits":
        hdus = [
            fits.table_to_hdu(t, name=n) for t, n in zip(tables, names, strict=True)
        ]
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(path)
    elif path.suffix == ".hdf5":
        for table, name in zip(tables, names, strict=True):
            table.write(path, path=name, append=True)
    else:
        from astropy.io.votable.tree import Resource, TableElement, VOTableFile

        file = VOTableFile()
        file.resources.append(Resource())
        for table, name in zip(tables, names, strict=True):
            element = TableElement.from_table(file, table)
            element.name = name
            file.resources[0].tables.append(element)
        file.to_xml(str(path))


@pytest.mark.parametrize("ending", ["fits", "vot", "hdf5"])
def test_of_several_tables_the_first_with_positions_is_read(tmp_path, caplog, ending):
    path = tmp_path / f"several.{ending}"
    _several(path)
    assert read_positions(path).colnames == ["x", "y"]
    assert re.search(
        r"of its 3 tables .*places\S* is read; the others", caplog.text.lower()
    )


def test_words_for_no_value_in_a_fits_table_of_text_are_masked(tmp_path):
    columns = [fits.Column("x", "F8.3", unit="pixel", array=[1.5, 2.5])]
    columns += [fits.Column("n", "I8", null="-9", array=[5, -9])]
    fits.TableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    table = read_positions(tmp_path / "t.fits")
    assert table["n"].tolist() == [5, None]
    assert table["x"].unit == u.pix


def test_the_null_of_scaled_numbers_is_masked(tmp_path):
    columns = [fits.Column("x", "I", null=-32768, array=np.array([3, -32768], "i2"))]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TSCAL1"], hdu.header["TZERO1"] = 0.5, 10.0
    hdu.writeto(tmp_path / "t.fits")
    assert read_positions(tmp_path / "t.fits")["x"].tolist() == [11.5, None]


def test_a_fits_column_s_ucd_tells_what_it_is(tmp_path):
    columns = [fits.Column(n, "D", array=[7.0]) for n in ("lon", "lat")]
    hdu = fits.BinTableHDU.from_columns(columns)
    hdu.header["TUCD1"], hdu.header["TUCD2"] = "pos.eq.ra", "pos.eq.dec"
    hdu.writeto(tmp_path / "t.fits")
    _, sky = find_positions(read_positions(tmp_path / "t.fits"))
    assert sky.ra.tolist() == [7.0]


@pytest.mark.parametrize("word", ["unit", "units", "UNIT", "Units"])
def test_columns_as_single_data_sets_are_a_table(tmp_path, word):
    with h5py.File(tmp_path / "t.hdf5", "w") as file:
        file["cat/x"] = [1.0, 2.0]
        file["cat/x"].attrs[word] = "pix"
        file["cat/name"] = ["é", "b"]
    table = read_positions(tmp_path / "t.hdf5")
    assert table["x"].unit == u.pix
    assert sorted(table["name"]) == ["b", "é"]


def test_times_come_back_from_our_own_fits_files(tmp_path):
    times = Time(["2020-01-01T00:00:00", "2020-01-02T00:00:00"])
    QTable({"x": [1.0, 2.0], "t": times}).write(tmp_path / "t.fits")
    assert read_positions(tmp_path / "t.fits")["t"].isot.tolist() == times.isot.tolist()


#: First bytes of files that are no tables, or none that are read.
OTHERS = {
    "spreadsheet": (b"PK\x03\x04 xl/workbook.xml", "save it as CSV"),
    "old spreadsheet": (b"\xd0\xcf\x11\xe0\xa1", "save it as CSV"),
    "pdf": (b"%PDF-1.4 \xff", "a PDF"),
    "numpy": (b"\x93NUMPY\x01\x00", "an array of numpy"),
    "feather": (b"ARROW1\x00\x00", "save it as Parquet"),
    "pickle": (b"\x80\x04\x95\x00", "a pickle"),
    "picture": (b"\x89PNG\r\n\x1a\n\x00\x00", "neither text nor a format"),
    "nothing": (b"", "it is empty"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_kind_of_file_is_named(tmp_path, what):
    content, why = OTHERS[what]
    (tmp_path / "t.dat").write_bytes(content)
    with pytest.raises(ValueError, match=rf"t.dat: not readable as a table: .*{why}"):
        read_positions(tmp_path / "t.dat")


@pytest.mark.parametrize("ending", ["fits", "parquet", "vot", "hdf5", "ecsv"])
def test_a_name_that_promises_another_format_is_refused(tmp_path, ending):
    (tmp_path / f"t.{ending}").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match=r"it is no \w+ file"):
        read_positions(tmp_path / f"t.{ending}")


@pytest.mark.parametrize("length", [100, 1000, 2880 + 79, 2880 + 800])
def test_a_fits_table_that_is_cut_in_a_header_is_told(tmp_path, length):
    path = tmp_path / "t.fits"
    Table({"x": [1.0, 2.0], "y": [1.0, 2.0]}).write(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(
        ValueError, match=r"t.fits: not .*: the file is cut short in a header"
    ):
        read_positions(path)


def test_a_file_of_images_alone_has_no_table(tmp_path):
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(ValueError, match="there is no table in it"):
        read_positions(tmp_path / "image.fits")


@pytest.mark.parametrize("layout", ["tabledata", "binary", "binary2"])
def test_a_votable_without_all_its_rows_is_refused(tmp_path, layout):
    path = tmp_path / "t.vot"
    from_table(Table({"x": [1.0] * 90, "y": [2.0] * 90})).to_xml(
        str(path), tabledata_format=layout
    )
    text = path.read_text()
    path.write_text(text.replace("<TABLE>", '<TABLE nrows="90">'))
    assert len(read_positions(path)) == 90
    path.write_text(text.replace("<TABLE>", '<TABLE nrows="91">'))
    with pytest.raises(ValueError, match="91 rows expected, 90 found"):
        read_positions(path)


@pytest.mark.parametrize("layout", ["binary", "binary2"])
@pytest.mark.parametrize("has_words", [False, True])
@pytest.mark.parametrize("lost", [1, 5, 703])
def test_binary_rows_of_a_votable_that_are_cut_short_are_refused(
    tmp_path, layout, has_words, lost
):
    path = tmp_path / "t.vot"
    table = Table({"x": [1.0] * 90, "y": [2.0] * 90})
    if has_words:
        table["name"] = np.array(["a", "bcd", ""] * 30, object)
    from_table(table).to_xml(str(path), tabledata_format=layout)
    text = path.read_text()
    assert len(read_positions(path)) == 90
    start = text.index(">", text.index("<STREAM")) + 1
    end = text.index("<", start)
    stream = base64.b64decode(text[start:end])
    part = base64.b64encode(stream[:-lost]).decode()
    path.write_text(f"{text[:start]}{part}{text[end:]}")
    with pytest.raises(ValueError, match="its binary rows are cut short: after"):
        read_positions(path)


def test_a_votable_s_base64_that_ends_too_early_is_refused(tmp_path):
    path = tmp_path / "t.vot"
    from_table(Table({"x": [1.0] * 90, "y": [2.0] * 90})).to_xml(
        str(path), tabledata_format="binary"
    )
    text = path.read_text()
    end = text.index("</STREAM")
    path.write_text(text[:end].rstrip()[:-6] + text[end:])
    with pytest.raises(ValueError, match="its binary rows are cut short"):
        read_positions(path)


@pytest.mark.parametrize("begin", ["<![CDATA[", "<!-- rows\n<TABLE> -->", "\n\t"])
def test_a_votable_s_rows_in_marks_of_xml_are_read(tmp_path, begin):
    path = tmp_path / "t.vot"
    from_table(Table({"x": [1.0] * 3, "y": [2.0] * 3})).to_xml(
        str(path), tabledata_format="binary"
    )
    text = path.read_text()
    end = "]]>" if "CDATA" in begin else ""
    text = text.replace("</STREAM", f"{end}</STREAM")
    path.write_text(text.replace('encoding="base64">', f'encoding="base64">{begin}'))
    assert len(read_positions(path)) == 3


def test_a_votable_with_text_rows_beside_binary_ones_is_read(tmp_path):
    path = tmp_path / "t.vot"
    texts = []
    for layout in ("tabledata", "binary"):
        table = Table({"x": [1.0] * 3, "y": [2.0] * 3})
        from_table(table).to_xml(str(path), tabledata_format=layout)
        texts.append(path.read_text())
    start, end = (texts[1].index(tag) for tag in ("<TABLE", "</RESOURCE>"))
    path.write_text(texts[0].replace("<TABLE", texts[1][start:end] + "<TABLE", 1))
    assert len(read_positions(path)) == 3


@pytest.mark.parametrize("layout", ["binary", "binary2"])
def test_rows_of_a_votable_that_are_no_base64_are_refused(tmp_path, layout):
    path = tmp_path / "t.vot"
    from_table(Table({"x": [1.0] * 90, "y": [2.0] * 90})).to_xml(
        str(path), tabledata_format=layout
    )
    text = path.read_text()
    assert len(read_positions(path)) == 90
    at = text.index("<", text.index("<STREAM") + 1) - 100
    path.write_text(f"{text[:at]}!{text[at + 1 :]}")
    with pytest.raises(ValueError, match="damaged: no base64"):
        read_positions(path)
