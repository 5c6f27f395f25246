"""What an error means: the user's to mend, or a fault of ours; one line of either."""

import errno
import io
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from clusterkeras.commands import cli
from clusterkeras.commands.errors import is_told, one_line
from data_tools.foreign.reading import reading
from data_tools.target import Target


def ended(monkeypatch, work, *before):
    """Run a command whose work is a function; give the exit status."""
    command = cli.Command("", "", lambda parser: None, work, ())
    monkeypatch.setitem(cli.COMMANDS, "try", command)
    return cli.main([*before, "try"])


def decode():
    with reading("a.fits", "FITS"):
        {}["XTENSION"]


TOLD = {
    "raised on purpose": lambda: Target(name=""),
    "a library at somebody's bytes": decode,
    "a file that is not there": lambda: Path("nowhere.fits").read_bytes(),
    "a full disk": lambda: (_ for _ in ()).throw(
        OSError(errno.ENOSPC, "No space left")
    ),
    "a full disk that a library tells": lambda: (_ for _ in ()).throw(
        Exception("{{node SaveV2}} served/x; No space left on device [Op:SaveV2]")
    ),
    "no memory": lambda: np.empty(10**15),
}
FAULTS = {
    "a bug in an expression": lambda: {}["shape"],
    "a bug that a library tells": lambda: np.zeros(3) + np.zeros(2),
    "a bug of our own arithmetic": lambda: int("x"),
    "a file of a library's that nobody foresaw": lambda: np.load(io.BytesIO(b"x")),
    "endless recursion": lambda: eval("f(f)", {"f": lambda f: f(f)}),
    "a wrong call": lambda: Target(nam="a"),
}


@pytest.mark.parametrize("work", TOLD.values(), ids=TOLD)
def test_what_the_user_can_mend_is_told_in_one_line(monkeypatch, capsys, work):
    assert ended(monkeypatch, lambda args: work()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("clusterkeras try: error: ")
    assert err.count("\n") == 1
    assert "fault of the program" not in err


@pytest.mark.parametrize("work", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_ours_is_blamed_on_no_file(monkeypatch, capsys, work):
    assert ended(monkeypatch, lambda args: work()) == cli.FAULT == 70
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "fault of the program; run the same with --traceback" in err


@pytest.mark.parametrize("work", [*TOLD.values(), *FAULTS.values()])
def test_the_traceback_of_either_is_shown_where_it_is_asked_for(monkeypatch, work):
    with pytest.raises(Exception):  # noqa: B017 - any
        ended(monkeypatch, lambda args: work(), "--traceback")


def test_errors_of_other_processes_are_told_apart_too():
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        told, fault = pool.submit(Target, ""), pool.submit(int, "x")
    assert is_told(told.exception())
    assert not is_told(fault.exception())


def test_an_interruption_ends_with_130(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    assert ended(monkeypatch, interrupted) == 130
    assert capsys.readouterr().err == "clusterkeras try: interrupted\n"


def test_a_reader_that_left_ends_it_in_silence(monkeypatch, capfd):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert ended(monkeypatch, lambda args: "done") == 141
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_behind_stdout_is_told(monkeypatch, capfd):
    with open("/dev/full", "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert ended(monkeypatch, lambda args: "done") == 1
    assert "cannot write to the standard output: " in capfd.readouterr().err


def test_lines_have_a_file_and_no_words_of_python():
    assert one_line(FileNotFoundError(2, "No such file", "a.fits")) == (
        "a.fits: No such file"
    )
    full = Exception("{{node a}} served/x; No space left on device [Op:SaveV2]")
    assert one_line(full) == "served/x; No space left on device"
    assert one_line(MemoryError()) == "not enough memory."
    assert one_line(KeyError()) == "KeyError"
