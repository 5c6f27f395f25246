"""An output that cannot be written is refused before the work."""

import os

import pytest

from data_tools.output_path import check_directory, check_file


def test_what_can_be_written_is_let_through_and_not_made(tmp_path):
    path = tmp_path / "new" / "deep" / "Table.ECSV"
    assert check_file(str(path), "table", [".ecsv"]) == path
    assert check_directory(path.parent) == path.parent
    assert list(tmp_path.iterdir()) == []


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"name of a map to end in \.fits or \.fits"):
        check_file(tmp_path / "map.png", "map", (".fits", ".fits.gz"))


def test_a_directory_in_a_file_s_place_is_refused(tmp_path):
    (tmp_path / "a.ecsv").mkdir()
    with pytest.raises(IsADirectoryError, match=r"a\.ecsv: .* a directory is there"):
        check_file(tmp_path / "a.ecsv", "table", [".ecsv"])


@pytest.mark.parametrize("below", ["file", "file/below/deeper"])
def test_a_file_in_a_directory_s_place_is_refused(below, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(NotADirectoryError, match=r"file is a file\. Name"):
        check_directory(tmp_path / below)
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc")
def test_a_place_that_cannot_be_written_is_refused():
    with pytest.raises(PermissionError, match=r"/proc/x: .*Name another output"):
        check_directory("/proc/x")
