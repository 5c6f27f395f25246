"""Isochrones by COSMIC, where it is installed: an environment of its own."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.stars.evolution.isochrone_files import read_parsec
from data_tools.stars.evolution.isochrones import IsochroneGrid

pytest.importorskip(
    "cosmic", reason="COSMIC has an environment of its own: benchmarks/cosmic"
)

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cosmic" / "make_isochrones.py"
BANDS = ("F336W", "F438W", "F814W")
LOG_AGES = (7.5, 9.66)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("make_isochrones", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def path(script, tmp_path_factory):
    path = tmp_path_factory.mktemp("cosmic") / "sse.dat"
    arguments = ["-o", str(path), "--feh", "0", "--log_ages", *map(str, LOG_AGES)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        script.main()
    return path


@pytest.fixture(scope="module")
def isochrones(path):
    return {iso.log_age: iso for iso in read_parsec(path, BANDS)}


def test_the_sun_is_nearly_the_sun(isochrones):
    iso = isochrones[9.66]
    # one solar luminosity, 5772 K (IAU 2015 Resolution B3); the models, which are not
    # calibrated on the Sun, are 0.07 dex fainter
    log_l, log_teff = (
        np.interp(1.0, iso.mass_initial, values) for values in (iso.log_l, iso.log_teff)
    )
    np.testing.assert_allclose(log_l, 0.0, atol=0.1)
    np.testing.assert_allclose(log_teff, np.log10(5772), atol=0.015)


def test_isochrones_are_dense_in_every_stage(isochrones, script):
    for iso in isochrones.values():
        assert np.all(np.diff(iso.mass_initial) >= 0)
        same = np.diff(iso.phase) == 0
        step = np.hypot(np.diff(iso.log_teff), np.diff(iso.log_l) / 4)[same]
        assert np.mean(step > script.GAP_DEX) < 0.02


def test_a_grid_is_made_of_them_that_has_light_in_every_band(path):
    grid = IsochroneGrid.from_parsec(path, BANDS)
    iso = grid.at(7.5, 0.0)
    assert np.isfinite(iso.magnitude).all()
    # 9 Msun live for 30 Myr (Schaller et al. 1992, A&AS 96, 269, Z = 0.02)
    assert 8 < iso.mass_initial.max() < 10


def test_metallicities_beyond_the_fits_are_refused(
    script, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(
        sys, "argv", ["x", "-o", str(tmp_path / "sse.dat"), "--feh", "0.25"]
    )
    with pytest.raises(SystemExit):
        script.main()
    assert "expected -2.3 to 0.18" in capsys.readouterr().err
