"""An output that cannot be written is refused before the work."""

import errno
import os
import subprocess
import sys

import pytest

from data_tools.running.output import (
    check_directory,
    check_file,
    remove_partial,
    whole_directory,
    whole_file,
    whole_path,
)


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


def test_a_file_appears_when_it_is_whole(tmp_path):
    with whole_file(tmp_path / "file") as file:
        file.write(b"new")
        assert not (tmp_path / "file").exists()
    assert (tmp_path / "file").read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 1


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    with whole_file(tmp_path / "file") as one, whole_file(tmp_path / "file") as other:
        one.write(b"one")
        other.write(b"two, longer")
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"one"]


LIMITED = """
import resource, sys
from pathlib import Path
from data_tools.running.output import whole_file

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with whole_file(Path(sys.argv[1])) as file:
        file.write(bytes(100_000))
except OSError as error:
    print(error.errno, error.filename, error.strerror)
"""


def test_a_file_that_cannot_be_written_whole_is_named_and_leaves_nothing(tmp_path):
    path = tmp_path / "file"
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"{errno.EFBIG} {path} File too large while writing")
    assert "Make room, then run the same again" in done.stdout
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_not_there_is_no_lack_of_room(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"writing it\. Make its directory"),
        whole_file(tmp_path / "none" / "file"),
    ):
        pass


def test_an_error_of_something_else_stays_as_it_is(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match=r"none\.fits"),
        whole_file(tmp_path / "file"),
    ):
        (tmp_path / "none.fits").read_bytes()


@pytest.mark.parametrize("what", ["no number", "other words", "its own name"])
def test_a_full_disk_names_the_file_whatever_the_writer_makes_of_it(what, tmp_path):
    full = errno.ENOSPC, os.strerror(errno.ENOSPC)
    with (
        pytest.raises(OSError, match="No space left on device while writing") as said,
        whole_path(tmp_path / "file") as partial,
    ):
        if what == "its own name":
            raise OSError(*full, str(partial))
        if what == "no number":
            raise OSError("3 requested and 2 written")
        try:
            raise OSError(*full)
        except OSError as error:
            raise OSError("broken") from error
    assert (said.value.errno, said.value.filename) == (full[0], str(tmp_path / "file"))


def test_what_a_killed_process_left_is_removed(tmp_path):
    kept = {"file", "of_the_user.partial", "partial.ecsv", "a.12.partial.tar.gz"}
    for name in kept:
        (tmp_path / name).touch()
    # of the release before too
    for name in ("file.1f.partial", ".file.2e.partial", ".a.ecsv.2e.partial.ecsv"):
        (tmp_path / name).touch()
    (tmp_path / ".7.2e.partial/deep").mkdir(parents=True)
    remove_partial(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == kept


KILLED = """
import os, signal, sys
from pathlib import Path
from data_tools.running.output import whole_directory, whole_file, whole_path

top = Path(sys.argv[1])
with (
    whole_file(top / "file") as file,
    whole_path(top / "table.ecsv") as path,
    whole_directory(top / "1") as directory,
):
    file.write(b"half")
    path.write_text("half")
    (directory / "half").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path):
    """Return the names of what a killed process left of a file, table and directory."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    return {path.name for path in tmp_path.iterdir()}


def test_what_a_kill_leaves_is_known_as_such(killed, tmp_path):
    assert len(killed) == 3
    assert sum(name.endswith(".ecsv") for name in killed) == 1
    assert all(name.startswith(".") for name in killed)
    remove_partial(tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_of_an_output_is_removed_when_it_is_written(killed, tmp_path):
    with whole_file(tmp_path / "other") as file:
        file.write(b"of another name")
    assert killed < {path.name for path in tmp_path.iterdir()}
    with (
        whole_file(tmp_path / "file"),
        whole_path(tmp_path / "table.ecsv") as path,
        whole_directory(tmp_path / "1"),
    ):
        path.touch()
        assert not killed & {path.name for path in tmp_path.iterdir()}
    assert {p.name for p in tmp_path.iterdir()} == {"other", "file", "table.ecsv", "1"}


def test_what_is_not_of_a_dead_process_of_ours_stays(killed, tmp_path):
    (name,) = (name for name in killed if name.startswith(".file."))
    number = name.removeprefix(".file.").removesuffix(".partial")
    chance, owner, process = number[:8], number[8:16], number[16:]
    others = {
        f".file.{chance}{owner}{os.getppid():x}.partial",  # it lives
        f".file.{chance}{owner}{os.getpid():x}.partial",  # so does this one
        f".file.{chance}{owner[::-1]}{process}.partial",  # of another machine, or user
        f".file.{chance}{owner}{process * 9}.partial",  # no number of a process
        f".file.{chance}{owner}0.partial",
        ".file.2e.partial",  # of whoever
        f".file.{number}",
        f"file.{number}.partial",
        f".file.ecsv.{number}.partial",  # of another output
        f".file.{number}.partial.tar.gz",
    }
    for other in others:
        (tmp_path / other).write_text("kept")
    with whole_file(tmp_path / "file") as file:
        file.write(b"new")
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {*others, *(killed - {name}), "file"}
