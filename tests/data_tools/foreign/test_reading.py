"""An error of a library at somebody's file names the file; others stay as they are."""

import errno
import struct
import zlib

import pytest

from data_tools.foreign.reading import read_text, reading


@pytest.mark.parametrize(
    "error",
    [
        ValueError("odd"),
        TypeError("NoneType"),
        KeyError("shape"),
        IndexError(),
        AttributeError("x"),
        OverflowError("too large"),
        EOFError(),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError("Unable to allocate 7.3 EiB"),
        struct.error("unpack"),
        zlib.error("Error -3"),
        AssertionError(),
        OSError("Can't read data"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_library_raises_names_the_file(error):
    with (
        pytest.raises(ValueError, match=r"^a\.fits: not a mosaic: .*damaged") as told,
        reading("a.fits", "a mosaic"),
    ):
        raise error
    assert told.value.__cause__ is error
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file", "a.fits"),
        OSError(errno.ENOSPC, "No space left on device"),
        KeyboardInterrupt(),
        ValueError("a.fits: expected an image"),
    ],
    ids=str,
)
def test_what_is_no_fault_of_its_bytes_stays(error):
    with pytest.raises(type(error)) as told, reading("a.fits", "a mosaic"):
        raise error
    assert told.value is error


@pytest.mark.parametrize(
    "encoded",
    ["é".encode(), b"\xef\xbb\xbf\xc3\xa9", "é".encode("utf-16"), b"\xfe\xff\x00\xe9"],
)
def test_text_is_read_with_any_mark(tmp_path, encoded):
    path = tmp_path / "a.yaml"
    path.write_bytes(encoded)
    assert read_text(path, 100) == "é"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: M83\xe9", r"a\.yaml: expected text in UTF-8; byte 9 is none"),
        (101 * b"a", r"a\.yaml: expected at most 0\.0001 MB"),
    ],
)
def test_other_text_is_refused(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_text(path, 100)
