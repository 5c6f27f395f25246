"""FITS files of others: damaged, cut short, or declared to be what they are not."""

import bz2
import gzip
import logging
import lzma
import re
import zipfile

import numpy as np
import pytest
from astropy.io import fits

from data_tools.mosaics.band_image import BandImage
from data_tools.mosaics.stored.fits_file import open_fits

SHAPE = (60, 80)


@pytest.fixture
def plain(tmp_path, write_band):
    noise = np.random.default_rng(1).normal(0.1, 0.02, SHAPE)
    return write_band(tmp_path / "plain.fits", noise)


@pytest.fixture
def tiles(plain, tmp_path):
    pixels, header = fits.getdata(plain, header=True)
    path = tmp_path / "tiles.fits.fz"
    fits.CompImageHDU(pixels, header, name="SCI").writeto(path)
    return path


def with_cards(path, **cards):
    """Write values over those of a file's header, byte by byte."""
    data = path.read_bytes()
    for key, value in cards.items():
        at = data.index(f"{key:<8}=".encode())
        card = f"{key:<8}= {value:>20}".ljust(80).encode()
        data = data[:at] + card + data[at + 80 :]
    path.write_bytes(data)
    return path


def refused(path, words):
    with pytest.raises(ValueError, match=words) as caught:
        image = BandImage(path)
        try:
            image.read(slice(0, 50), slice(0, 80))
        finally:
            image.close()
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"NAXIS1": 10**9}, "cut short: .* bytes expected"),
        ({"NAXIS1": 10**18, "NAXIS2": 10**18}, "cut short"),
        ({"NAXIS1": -80}, "expected NAXIS1 to be a whole number of at least 0"),
        ({"NAXIS1": 80.5}, "NAXIS1 .* received 80.5"),
        ({"NAXIS1": "'abc'"}, "NAXIS1 .* received 'abc'"),
        ({"NAXIS1": "T"}, "NAXIS1 .* received True"),
        ({"NAXIS": 3}, "NAXIS3 .* received None"),
        ({"NAXIS": -1}, "expected NAXIS to be"),
        ({"NAXIS": 10**9}, "expected NAXIS to be at most 999"),
        ({"BITPIX": 7}, "expected BITPIX to be one of"),
        ({"BITPIX": "'x'"}, "expected BITPIX to be one of"),
    ],
)
def test_lengths_that_cannot_be_are_refused(plain, cards, words):
    refused(with_cards(plain, **cards), words)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"ZNAXIS1": 10**9}, "750000000 tiles, and 60 are there"),
        ({"ZNAXIS2": 10**9}, "1000000000 tiles, and 60 are there"),
        ({"ZNAXIS1": 10**9, "ZTILE1": 10**9}, "no image of the sky compresses so well"),
        ({"ZNAXIS1": -5}, "expected ZNAXIS1 to be a whole number of at least 1"),
        ({"ZTILE1": 0}, "expected ZTILE1"),
        ({"ZBITPIX": 7}, "expected ZBITPIX to be one of"),
        ({"ZCMPTYPE": "'FOO'"}, "not readable as FITS"),
        ({"ZVAL1": "'x'"}, "not readable as FITS"),
        ({"PCOUNT": -1000}, "expected PCOUNT"),
        ({"PCOUNT": 10**15}, "cut short"),
        ({"TFIELDS": 9}, "not readable as FITS"),
    ],
)
def test_tiles_that_are_not_what_they_are_declared_to_be_are_refused(
    tiles, cards, words
):
    refused(with_cards(tiles, **cards), words)


@pytest.mark.parametrize("part", ["table", "heap"])
@pytest.mark.parametrize("seed", range(4))
def test_damaged_tiles_are_refused(tiles, part, seed):
    with fits.open(tiles, disable_image_compression=True) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
        heap = start + hdus[1].header["NAXIS1"] * hdus[1].header["NAXIS2"]
        end = start + hdus[1].size
    data = bytearray(tiles.read_bytes())
    rng = np.random.default_rng(seed)
    for at in rng.integers(*((start, heap) if part == "table" else (heap, end)), 100):
        data[at] = rng.integers(256)
    tiles.write_bytes(data)
    refused(tiles, "not readable as FITS")


@pytest.mark.parametrize("card", ["HISTORY {}", "K{:07d}= 1"])
@pytest.mark.parametrize("ends", [True, False])
def test_a_header_without_an_end_in_sight_is_refused_at_once(plain, card, ends):
    data = plain.read_bytes()
    end = data.index(b"END ".ljust(80))
    cards = b"".join(card.format(i).ljust(80).encode() for i in range(40_000))
    header = data[:end] + cards + (b"END".ljust(80) if ends else b"")
    plain.write_bytes(header.ljust(-(-len(header) // 2880) * 2880) + data[2880:])
    refused(plain, "a header of more than 36000 cards")


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("suffix", ["", *PACK])
@pytest.mark.parametrize("kind", [*PACK, ".zip"])
def test_compression_is_told_by_the_content_not_by_the_name(
    plain, tmp_path, kind, suffix, caplog
):
    packed = tmp_path / f"packed.fits{suffix}"
    if kind == ".zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(plain, "plain.fits")
    else:
        packed.write_bytes(PACK[kind](plain.read_bytes()))
    with caplog.at_level(logging.WARNING):
        image, original = BandImage(packed), BandImage(plain)
    rectangle = slice(3, 50), slice(0, 80)
    np.testing.assert_array_equal(image.read(*rectangle), original.read(*rectangle))
    assert "compressed as a whole" in caplog.text
    image.close()
    original.close()


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("cut", ["before", "after", "damage"])
def test_a_damaged_or_short_compressed_file_is_refused(plain, tmp_path, kind, cut):
    data, packed = plain.read_bytes(), tmp_path / f"packed.fits{kind}"
    if cut == "before":
        data = data[:10000]
    data = bytearray(PACK[kind](data))
    if cut == "after":
        data = data[:-3000]
    if cut == "damage":
        data[len(data) // 2] ^= 255
    packed.write_bytes(data)
    refused(packed, "cut short")


@pytest.mark.parametrize("kind", [".gz", ".xz"])
def test_what_would_fill_the_memory_is_refused_before_it_is_read(
    plain, tmp_path, kind, monkeypatch
):
    monkeypatch.setattr("data_tools.mosaics.stored.fits_file._ALWAYS_OPENED", 2**20)
    header = fits.getheader(plain)
    packed = tmp_path / f"large.fits{kind}"
    fits.PrimaryHDU(np.zeros((1000, 1000), "f4"), header).writeto(tmp_path / "l.fits")
    packed.write_bytes(PACK[kind]((tmp_path / "l.fits").read_bytes()))
    refused(packed, "no image of the sky compresses so well")


def test_a_large_mosaic_of_noise_opens(plain, tmp_path, monkeypatch):
    monkeypatch.setattr("data_tools.mosaics.stored.fits_file._ALWAYS_OPENED", 0)
    packed = tmp_path / "large.fits.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    open_fits(packed).hdus.close()


@pytest.mark.parametrize("fill", [b"\0", b" ", b"K = 1".ljust(80)])
def test_a_little_after_the_last_part_is_no_concern_and_much_is_refused(plain, fill):
    data = plain.read_bytes()
    plain.write_bytes(data + fill * 100)
    open_fits(plain).hdus.close()
    plain.write_bytes(data + fill * 1_010_000)
    refused(plain, "after its 1 parts more than 1000000 bytes follow that are no FITS")


def test_a_file_of_very_many_parts_is_refused(plain):
    part = fits.ImageHDU().header.tostring().encode()
    plain.write_bytes(plain.read_bytes() + part * 1001)
    refused(plain, "more than 1000 parts")


def test_a_part_of_a_header_is_refused(plain):
    plain.write_bytes(plain.read_bytes()[:800])
    assert re.search("cut short in a header", refused(plain, "cut short"))


@pytest.mark.parametrize("value", ["F", "1", "'T'", "? T", ""])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_not_said_to_be_fits_is_refused_and_not_read_for_ever(
    plain, tmp_path, value, packed
):
    # of such a part astropy does not know the end, in a packed file not at all
    with_cards(plain, SIMPLE=value)
    if packed:
        zipped = tmp_path / "plain.fits.gz"
        zipped.write_bytes(gzip.compress(plain.read_bytes()))
        plain = zipped
    refused(plain, "SIMPLE")


@pytest.mark.parametrize("shift", [-80, -3, 5, 80])
def test_maps_behind_lost_bytes_are_not_left_out_in_silence(plain, tmp_path, shift):
    pixels, header = fits.getdata(plain, header=True)
    path = tmp_path / "drizzled.fits"
    parts = [fits.PrimaryHDU(), fits.ImageHDU(pixels, header, name="SCI")]
    parts += [fits.ImageHDU(np.ones(SHAPE, np.float32), name="WHT")]
    fits.HDUList(parts).writeto(path)
    data = path.read_bytes()
    at = data.rindex(b"XTENSION=") - 9000
    lost = data[at + max(0, -shift) :] if shift < 0 else bytes(shift) + data[at:]
    path.write_bytes(data[:at] + lost)
    refused(path, "another begins where none can")
