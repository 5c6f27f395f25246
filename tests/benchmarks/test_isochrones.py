"""Isochrones of other stellar models, from what holds them to a file that is read."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.stars.evolution.isochrone_files import read_parsec
from data_tools.stars.evolution.isochrones import IsochroneGrid

FOLDER = Path(__file__).parents[2] / "benchmarks" / "isochrones"
BANDS = ("F336W", "F438W", "F814W")

#: A made-up file in FSPS's columns: the Sun with others, and a heavy star.
STARS = """# log(age) Mini Mact logl logt logg Composition Phase
{age} 0.5 0.5 -1.4 3.56 4.7 0.48 0.0
{age} 1.0 1.0 0.0 3.76134 4.438 0.48 0.0
{age} 9.0 8.9 3.8 4.3 3.9 0.48 1.0
{age} 20.0 18.0 5.1 3.9 1.3 0.48 1.0
{age} 20.5 18.0 5.2 3.6 0.1 0.48 2.0
"""


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(FOLDER)
    return importlib.import_module


@pytest.fixture
def written(module, monkeypatch, tmp_path):
    """Return a function that runs `from_fsps` on a text, and the file it writes."""

    def written(text, name="isoc_z0.0152.dat"):
        (tmp_path / name).write_text(text)
        arguments = [str(tmp_path / name), "-o", str(tmp_path / "out.dat")]
        monkeypatch.setattr(sys, "argv", ["x", *arguments])
        module("from_fsps").main()
        return tmp_path / "out.dat"

    return written


def test_a_file_of_fsps_becomes_one_that_is_read(written):
    path = written(STARS.format(age=7.0) + STARS.format(age=7.1))
    young, old = read_parsec(path, BANDS)
    assert (young.feh, young.log_age, old.log_age) == (0.0, 7.0, 7.1)
    # above 14 Msun stage 1 is the way across and helium burning
    np.testing.assert_array_equal(young.phase, [1, 1, 2, 4, 5])
    np.testing.assert_allclose(young.log_g[1], 4.438, atol=1e-3)
    # the Sun in F814W, Vega mag (Willmer 2018, ApJS 236, 47: 4.10 to 4.11)
    assert young.magnitude[1, 2] == pytest.approx(4.11, abs=0.05)
    grid = IsochroneGrid.from_parsec(path, BANDS)
    assert grid.at(7.05, 0.0).mass_initial.max() == pytest.approx(20.5)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("iso.dat", STARS.format(age=7.0), "expected a name like isoc_z0.0140.dat"),
        ("isoc_z0.02.dat", "7.0 1.0 1.0 0.0 3.7 4.4 0.0\n", "received 7"),
        ("isoc_z0.02.dat", "7.0 1.0 1.0 0.0 3.7 4.4 0.0 9\n", "a stage from 0 to 5"),
    ],
)
def test_another_file_is_refused(written, capsys, name, text, match):
    with pytest.raises(SystemExit):
        written(text, name)
    assert match in " ".join(capsys.readouterr().err.split())


@pytest.fixture
def tracks(module):
    """Return tracks on which a star of M at its row k has log L = 3 log M + k / 400.

    It lives 1e10 / M^2 years and crosses the rows evenly.
    """
    geneva = module("from_geneva")
    log_mass = np.log10([2.5, 5.0, 20.0, 120.0])
    rows = np.arange(geneva.ROWS)
    with np.errstate(divide="ignore"):
        log_age = np.log10(rows / rows[-1]) + (10 - 2 * log_mass)[:, None]
    log_l = 3 * log_mass[:, None] + rows / geneva.ROWS
    mass = np.broadcast_to(10 ** log_mass[:, None], log_l.shape)
    log_teff = np.full_like(log_l, 4.0) - rows / 1000
    return geneva, geneva.Tracks(log_mass, log_age, mass, log_l, log_teff)


def test_stars_between_tracks_are_on_their_row(tracks):
    geneva, made = tracks
    row, born, now, log_l, log_teff = geneva.geneva_isochrone(made, 7.5)
    expected = 10**7.5 / (1e10 / born**2) * (geneva.ROWS - 1)
    np.testing.assert_allclose(row, expected, atol=0.2)
    np.testing.assert_allclose(log_l, 3 * np.log10(born) + row / geneva.ROWS)
    np.testing.assert_allclose(log_teff, 4 - row / 1000)
    np.testing.assert_allclose(now, born)
    # the heaviest that lives: 1e10 / M^2 = 10^7.5
    assert born.max() == pytest.approx(10**1.25, rel=1e-6)
    assert np.all(np.diff(born) > 0) and born.min() == pytest.approx(2.5)
    assert len(row) > 300


def test_lighter_stars_are_the_other_models(tracks, module):
    geneva, made = tracks
    masses = np.array([0.5, 2.0, 3.0, 4.0])
    lighter = module("layout").StarRows(
        0.0, 7.3, np.array([1, 1, 1, 4]), masses, masses, masses, np.full(4, 3.7)
    )
    both = geneva.joined(made, 7.5, lighter)
    assert both.log_age == 7.5
    np.testing.assert_allclose(both.mass_initial[:3], [0.5, 2.0, 2.5])
    assert set(both.label) == {1, 2, 4, 7}


def test_a_mass_that_falls_is_refused(module):
    with pytest.raises(ValueError, match="a mass_initial that never falls"):
        module("layout").StarRows(0.0, 7.0, np.array([1, 1]), *np.ones((4, 2)) * [2, 1])
