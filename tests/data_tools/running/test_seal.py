"""A file is known as this package's own, as long as nobody has changed it."""

import gzip
import io
import json

import h5py
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from matplotlib.figure import Figure

from data_tools.running.output import whole_file, whole_path
from data_tools.running.seal import BLANK, KEY, PICTURE_METADATA, is_sealed
from data_tools.running.table_file import FORMATS, write_table


def table(path):
    write_table(QTable({"x": [1.0, 2.0]}), path)


def picture(path):
    with whole_path(path) as unfinished:
        Figure().savefig(unfinished, metadata=PICTURE_METADATA)


def image(path):
    header = fits.Header({"SEAL": BLANK})
    with whole_path(path) as unfinished:
        fits.PrimaryHDU(np.zeros((3, 3)), header).writeto(unfinished)


def packed(path):
    with whole_file(path) as file, gzip.GzipFile(BLANK, "wb", fileobj=file) as inside:
        inside.write(b"1, 2, 3")


def draws(path):
    with whole_path(path) as unfinished, h5py.File(unfinished, "w") as file:
        file["draws"], file.attrs[KEY] = np.zeros((3, 4)), BLANK


def words(path):
    with whole_file(path) as file:
        file.write(json.dumps({"a": 1, KEY: BLANK}).encode())


WRITERS = {
    **{f"a{suffix}": table for suffix in FORMATS if suffix != ".csv"},
    **{"a.png": picture, "a.pdf": picture, "image.fits": image, "a.fits.gz": packed},
    **{"a.h5": draws, "a.json": words},
}


@pytest.fixture(params=WRITERS)
def sealed(request, tmp_path):
    """Return the path of a file that this package wrote."""
    path = tmp_path / request.param
    WRITERS[request.param](path)
    return path


def test_what_is_written_is_known_again(sealed, tmp_path):
    assert is_sealed(sealed)
    sealed.rename(tmp_path / "elsewhere")
    assert is_sealed(tmp_path / "elsewhere")


def test_one_byte_less_or_more_breaks_the_seal(sealed):
    whole = sealed.read_bytes()
    at = len(whole) - 20
    for changed in (whole[:at] + whole[at + 1 :], whole + b" "):
        sealed.write_bytes(changed)
        assert not is_sealed(sealed)


def test_a_sealed_picture_is_still_one(tmp_path):
    from PIL import Image

    picture(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        opened.verify()  # every checksum


def test_the_user_s_table_of_chosen_rows_keeps_the_words_but_not_the_seal(tmp_path):
    table(tmp_path / "ours.ecsv")
    read = Table.read(tmp_path / "ours.ecsv")
    read[:1].write(tmp_path / "theirs.ecsv")
    assert read.meta[KEY] in (tmp_path / "theirs.ecsv").read_text()
    assert not is_sealed(tmp_path / "theirs.ecsv")


@pytest.mark.parametrize(
    "content", [b"", b"x,y\n1,2\n", BLANK.encode(), b"\x1f\x8b no"]
)
def test_other_files_have_none(content, tmp_path):
    (tmp_path / "a").write_bytes(content)
    assert not is_sealed(tmp_path / "a")


def test_gzip_finds_what_was_packed(tmp_path):
    packed(tmp_path / "a.gz")
    assert gzip.decompress((tmp_path / "a.gz").read_bytes()) == b"1, 2, 3"
    assert io.BytesIO((tmp_path / "a.gz").read_bytes()).read(2) == b"\x1f\x8b"
