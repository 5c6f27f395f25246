"""What is heard of TensorFlow as it comes in, which is another program here."""

import os
import subprocess
import sys

import pytest

#: Writes as native code does, past `sys.stderr`.
TENSORFLOW = """
import os
os.write(2, b"I0000 port.cc: custom operations are on\\n")

class config:
    @staticmethod
    def list_physical_devices():
        os.write(2, b"I0000 devices\\n")
"""
IMPORT = "import clusterkeras, tensorflow, os; os.write(2, b'heard later')"
#: Imports it in a command and in a process that the command starts.
COMMAND = f"""
import subprocess, sys
from clusterkeras.commands import cli

def work(args):
    import tensorflow
    assert tensorflow.__spec__.loader is tensorflow.__loader__
    subprocess.run([sys.executable, "-c", {IMPORT!r}], check=True)
    return "done"

cli.COMMANDS["presets"] = cli.Command("", "", lambda parser: None, work, ())
assert cli.main(["presets"]) == 0
assert not any("Quiet" in type(f).__name__ for f in sys.meta_path)
"""


@pytest.fixture
def heard(tmp_path):
    """Return what runs a program and gives what it writes to stderr."""
    (tmp_path / "tensorflow.py").write_text(TENSORFLOW)
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])

    def run(program, level):
        environment = {**os.environ, "PYTHONPATH": path}
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
        if level is not None:
            environment["TF_CPP_MIN_LOG_LEVEL"] = level
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stderr

    return run


@pytest.mark.parametrize(("level", "times"), [(None, 0), ("3", 0), ("0", 2)])
def test_a_command_and_what_it_starts_are_quiet_unless_the_user_wants_to_hear(
    heard, level, times
):
    found = heard(COMMAND, level)
    assert found.count("custom operations") == times
    assert "devices" not in found
    assert found.endswith("heard later")


@pytest.mark.parametrize(
    ("level", "is_heard"), [(None, True), ("1", True), ("2", False)]
)
def test_in_python_it_is_heard_unless_its_level_says_otherwise(heard, level, is_heard):
    assert ("custom operations" in heard(IMPORT, level)) == is_heard
