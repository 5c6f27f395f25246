"""Compiled functions compute what they say, and are kept for the next process."""

import subprocess
import sys

import numpy as np
import pytest

from data_tools.compiled import compiled

MODULE = '''
import numpy as np
from data_tools.compiled import compiled

@compiled
def total(values):
    """Add numbers up."""
    out = 0.0
    for value in values:
        out += value
    return out

if __name__ == "__main__":
    print(total(np.arange(4.0)), sum(total._machine_code.stats.cache_hits.values()))
'''


@compiled
def running_total(values, out):
    """Add up, one after the other."""
    total = np.float32(0)
    for i in range(len(values)):
        total += values[i]
        out[i] = total


def test_a_compiled_function_adds_in_the_order_that_is_written():
    values = np.random.default_rng(1).normal(size=1000).astype(np.float32)
    out = np.empty_like(values)
    running_total(values, out)
    np.testing.assert_array_equal(out, np.add.accumulate(values))


def test_a_compiled_function_keeps_its_name_and_docstring():
    assert running_total.__name__ == "running_total"
    assert running_total.__doc__.startswith("Add up")


def test_importing_a_compiled_function_does_not_import_numba():
    code = "import sys, data_tools.imaging.render; print('numba' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "False"


def test_the_next_process_loads_what_was_compiled(tmp_path):
    path = tmp_path / "totals.py"
    path.write_text(MODULE)
    hits = []
    for _ in range(2):
        found = subprocess.run(
            [sys.executable, path], capture_output=True, text=True, check=True
        )
        total, hit = found.stdout.split()
        assert float(total) == 6.0
        hits.append(int(hit))
    assert hits == [0, 1]


def test_where_nothing_can_be_kept_it_is_compiled_all_the_same(monkeypatch):
    numba = pytest.importorskip("numba")
    make = numba.njit

    def without_a_place(function, cache=False):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return make(function)

    monkeypatch.setattr(numba, "njit", without_a_place)
    out = np.empty(3)
    compiled(running_total.__wrapped__)(np.ones(3), out)
    np.testing.assert_array_equal(out, [1, 2, 3])
