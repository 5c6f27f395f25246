"""No small file takes much memory: what it declares is held against what it holds."""

import bz2
import gzip
import lzma
import resource

import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from pyarrow import parquet

from data_tools.foreign import bounds
from data_tools.foreign.bounds import check_memory
from data_tools.positions.read_positions import read_positions

VOTABLE = (
    '<?xml version="1.0"?>{}<VOTABLE version="1.4"><RESOURCE><TABLE {}><FIELD name="x" '
    'datatype="{}"/><FIELD name="y" datatype="double"/><DATA>{}</DATA></TABLE>'
    "</RESOURCE></VOTABLE>"
)
ROW = "<TABLEDATA><TR><TD>1</TD><TD>2</TD></TR></TABLEDATA>"


def _repeated_numbers(path):
    columns = [pa.field(name, pa.float64()) for name in "xyabcdefgh"]
    part = pa.table([np.zeros(500_000)] * 10, schema=pa.schema(columns))
    parquet.write_table(part, path)


def _repeated_words(path):
    words = pa.array(["q" * 2000] * 5000).dictionary_encode()
    parquet.write_table(pa.table({"x": np.zeros(5000), "s": words}), path)


def _long_lists(path):
    lists = pa.array([np.zeros(1000)] * 5000)
    parquet.write_table(pa.table({"x": np.zeros(5000), "l": lists}), path)


def _packed(packer):
    def write(path):
        with packer.open(path, "wb") as file:
            file.write(b"x,y\n")
            file.write(b"0,0\n" * 1_500_000)

    return write


def _packed_words(path):
    with gzip.open(path, "wb") as file:
        file.write(b"x,y\n" + b"0,0\n" * 500_000)


def _long_word(path):
    path.write_text("x,y,s\n" + "1,2,a\n" * 20_000 + f"1,2,{'q' * 5000}\n")


def _cards(path):
    hdu = fits.BinTableHDU.from_columns([fits.Column("x", "D", array=[0.0])])
    head = hdu.header.tostring(endcard=False, padding=False)
    head += "COMMENT".ljust(80) * 100_000 + "END".ljust(80)
    head = head.ljust(-(-len(head) // 2880) * 2880)
    first = fits.PrimaryHDU().header.tostring()
    path.write_bytes((first + head).encode() + bytes(2880))


def _no_width(path):
    cards = {"XTENSION": "'BINTABLE'", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 0}
    cards |= {"NAXIS2": 10**12, "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": 1}
    cards |= {"TTYPE1": "'x       '", "TFORM1": "'0D      '"}
    head = "".join(f"{k:8}= {v!s:>20}".ljust(80) for k, v in cards.items()) + "END"
    first = fits.PrimaryHDU().header.tostring()
    path.write_bytes((first + head.ljust(2880)).encode())


def _one_array_for_all(path):
    arrays = np.array([np.zeros(1) for _ in range(2000)], object)
    columns = [fits.Column("x", "D", array=np.zeros(2000))]
    columns += [fits.Column("v", "PD()", array=arrays)]
    fits.BinTableHDU.from_columns(columns).writeto(path)
    content = bytearray(path.read_bytes())
    for row in range(2000):
        at = 5760 + 16 * row + 8
        content[at : at + 8] = (10**7).to_bytes(4, "big") + bytes(4)
    path.write_bytes(content)


def _declared(path):
    kind = [("x", "f8"), ("y", "f8")]
    with h5py.File(path, "w") as file:
        file.create_dataset("cat", (10**12,), kind, chunks=(1000,))


def _aliases(path):
    head = "# %ECSV 1.0\n# ---\n# meta:\n#   a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
    for i in range(1, 10):
        head += f"#   a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n"
    head += "# datatype:\n# - {name: x, datatype: float64}\n"
    path.write_text(f"{head}x\n1\n")


def _nested(path):
    meta = "[" * 700 + "]" * 700
    head = f"# %ECSV 1.0\n# ---\n# meta: {meta}\n# datatype:\n"
    path.write_text(f"{head}# - {{name: x, datatype: float64}}\nx\n1\n")


def _entities(path):
    more = "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">'
        for a, b in zip("abcdefghi", "bcdefghij", strict=True)
    )
    first = f'<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa">{more}]>'
    path.write_text(VOTABLE.format(first, "", "double", ROW.replace("1", "&j;")))


def _array(path):
    kind = 'double" arraysize="1000000000'
    path.write_text(VOTABLE.format("", "", kind, ROW))


def _rows(path):
    path.write_text(VOTABLE.format("", 'nrows="100000000000"', "double", ROW))


def _elsewhere(path):
    data = f'<BINARY><STREAM href="{path.parent.as_uri()}/secret"/></BINARY>'
    path.write_text(VOTABLE.format("", "", "double", data))


#: Small files, and what of them is told.
FLOODS = {
    "numbers.parquet": (_repeated_numbers, "it would need 40 MB"),
    "words.parquet": (_repeated_words, "it would need 40 MB"),
    "lists.parquet": (_long_lists, "it would need 40.* MB"),
    "t.csv.gz": (_packed(gzip), "it would need 5.* MB"),
    "t.csv.bz2": (_packed(bz2), "it would need"),
    "t.csv.xz": (_packed(lzma), "it would need"),
    "words.csv.gz": (_packed_words, "it would need 100 MB"),
    "word.csv": (_long_word, "it would need 400 MB"),
    "cards.fits": (_cards, "a header of more than 36000 cards"),
    "width.fits": (_no_width, "it would need 8 TB"),
    "one.fits": (_one_array_for_all, "it would need 160 GB"),
    "declared.hdf5": (_declared, "it would need 16 TB"),
    "aliases.ecsv": (_aliases, "its metadata unfold to more than 1000000 values"),
    "nested.ecsv": (_nested, ".*unable to parse yaml"),
    "entities.vot": (_entities, "it declares entities"),
    "array.vot": (_array, "it would need 4.1 TB"),
    "rows.vot": (_rows, "it would need 1.6 TB"),
    "elsewhere.vot": (_elsewhere, "its rows lie in another file"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_refused_before_it_comes(tmp_path, monkeypatch, name):
    monkeypatch.setattr(bounds, "ALWAYS", 4 * 2**20)
    write, why = FLOODS[name]
    path = tmp_path / name
    write(path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=f"{name}: not readable as a table: {why}"):
        read_positions(path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000  # kB


def test_a_large_file_may_take_much_memory():
    check_memory(2e9, 50_000_000)
    check_memory(2e8, 1000)
    with pytest.raises(ValueError, match=r"2 GB of memory for a file of 1 kB"):
        check_memory(2e9, 1000)


def test_a_long_run_of_one_value_is_read(tmp_path):
    n = 1_000_000
    table = pa.table({"x": np.zeros(n), "y": np.zeros(n)})
    parquet.write_table(table, tmp_path / "t.parquet")
    assert len(read_positions(tmp_path / "t.parquet")) == n
