import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.stars.isochrone_files import read_parsec

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "geneva" / "make_isochrones.py"
MASSES = (20.0, 10.0, 5.0)


@pytest.fixture
def geneva(monkeypatch):
    spec = importlib.util.spec_from_file_location("geneva_isochrones", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tracks(tmp_path):
    """Write tracks whose stars live for 10^9.5 / M^2 years, and get 10 times brighter.

    Their age rises evenly from point to point, and so does log L.
    """
    lines = ["made up", "", f"  {len(MASSES)}  400", "   "]
    for mass in MASSES:
        lines += [f"  {mass:.2f} RO   ", "   "]
        for i in range(400):
            age = max(10**9.5 / mass**2 * i / 399, 1.0)
            log_l = 3.5 * np.log10(mass) + i / 399
            lines.append(
                f"{i + 1:03d}  {age:.12E}  {mass:.6f}  {log_l:.6f}  4.2 0.7 0.3"
            )
    path = tmp_path / "Z0140v40.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_stars_of_an_age_are_where_their_tracks_have_them(geneva, tracks):
    log_age = 7.4
    stars = geneva.isochrone(geneva.read_tracks(tracks), log_age)
    mass, now, log_l, log_teff, log_g, label = stars.T
    # who is older than its track has died
    assert mass[-1] == pytest.approx(10 ** ((9.5 - log_age) / 2), rel=1e-3)
    assert mass[0] == 5.0 and np.all(np.diff(mass) > 0)
    spent = 10 ** (log_age - 9.5) * mass**2
    # that of a track between two is linear in log age where it rises evenly in age
    np.testing.assert_allclose(log_l, 3.5 * np.log10(mass) + spent, atol=0.01)
    np.testing.assert_allclose(now, mass, rtol=1e-5)
    np.testing.assert_allclose(log_teff, 4.2)
    suns = np.log10(now) + 4 * (4.2 - np.log10(5772)) - log_l
    np.testing.assert_allclose(log_g, 4.438 + suns)
    # main sequence to point 110, then across, helium burning, and what follows
    point = 1 + 399 * spent
    clear = np.min(abs(point[:, None] - (110, 190, 370)), axis=1) > 3
    expected = np.select([point <= 110, point <= 190, point <= 370], [1, 3, 4], 7)
    np.testing.assert_array_equal(label[clear], expected[clear])


def test_the_file_is_read_as_one_of_parsec(geneva, tracks, tmp_path, monkeypatch):
    output = tmp_path / "geneva.dat"
    monkeypatch.setattr(geneva, "LOG_AGES", np.array([7.4, 9.0]))
    command = ["make_isochrones", str(tracks), "-o", str(output)]
    monkeypatch.setattr("sys.argv", command)
    geneva.main()
    young, old = read_parsec(output, ("F336W", "F438W", "F814W"))
    # lighter stars, and all of what is older, are MIST's
    assert young.mass_initial[0] == pytest.approx(0.1, abs=0.02)
    assert np.count_nonzero(young.mass_initial >= 5) > 100
    assert old.mass_initial[-1] < 3
    assert young.log_age == 7.4 and old.log_age == 9.0


def test_another_file_is_refused(geneva, tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("no\ntracks\n")
    with pytest.raises(ValueError, match="expected tracks as Starburst99 has them"):
        geneva.read_tracks(path)
