"""Ionised gas: as bright as published in each band, where it should be, and off."""

import csv
import dataclasses
import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.priors import Priors
from data_tools.schema import TRAIT_NAMES
from data_tools.stars import nebula
from data_tools.stars.cluster import ClusterMaker
from data_tools.stars.nebula import gas_light, gas_points, oldest_log_age
from data_tools.stars.population import population_of
from data_tools.tables import FILES, nebula_file
from data_tools.target import Band, Target

REFERENCES = Path(__file__).resolve().parents[4] / "shared/data/reference"
PLAIN = {
    "feh_offset": (0.0, 0.0),
    "extinction_laws": (),
    "r_v": (3.1, 3.1),
    "binary_fraction": (0.0, 0.0),
}
ALL_GAS = {"nebular_covering": (1.0, 1.0), "nebular_band_dex": 0.0}
NO_GAS = {"nebular_covering": (0.0, 0.0)}
#: Integral of F657N's throughput over its value at H alpha, in Angstrom, and the share
#: of H alpha in the light of its lines (the rest is [N II]) at solar metallicity and
#: log U = -3.
WIDTH, H_ALPHA = 122.0, 0.64


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def maker(target, **priors):
    return ClusterMaker(target, Priors(**PLAIN, **priors))


def in_bands(target, *names):
    """Return a target of these bands, at 10 pc: the gas's light needs only names."""
    bands = tuple(
        Band(name, 1.0, 1, 1e-19, 5000.0 + i, 0) for i, name in enumerate(names)
    )
    return dataclasses.replace(
        target, bands=bands, distance_mpc=1e-5, distance_uncertainty_mpc=None
    )


def log_age(myr):
    return 6 + np.log10(myr)


def test_the_hash_of_the_table_stands_in_its_provenance():
    digest = hashlib.sha256(nebula_file().read_bytes()).hexdigest()
    assert (
        digest in resources.files("data_tools.tables").joinpath("NEBULA.md").read_text()
    )


def test_every_band_of_the_tables_has_its_gas():
    known = nebula._table()["bands"].tolist()
    assert {band for held in FILES.values() for band in held} <= set(known)


@pytest.mark.parametrize(
    ("myr", "blue", "red"), [(1, 158, 530), (3.2, 50, 128), (5, 15, 24), (8, 2, 1)]
)
def test_gas_adds_to_young_stars_what_another_calculation_gives(target, myr, blue, red):
    """Per cent in F336W and F814W at solar metallicity and full covering.

    Those are beside the stars of BC03. In F814W MIST's are 0.4 mag fainter at 3.2 Myr
    and, with its supergiants, 0.5 mag brighter from 4 Myr on.
    """
    share = 100 * gas_light(target, log_age(myr), 0.0, -3.0)
    share /= population_of(target, log_age(myr)).mean_flux()
    assert share[0] == pytest.approx(blue, rel=0.2, abs=1)
    assert np.log(share[2] / red) == pytest.approx(0, abs=0.6)


@pytest.mark.shared
def test_gas_is_that_of_the_shares_published_beside_the_stars_they_are_of(target):
    """The shares times BC03's own light: a reduction of the same grids, not ours."""
    files = [REFERENCES / name for name in ("nebular_share.csv", "ssp_mags.csv")]
    if not all(file.exists() for file in files):
        pytest.skip("needs shared/data/reference beside the repository")
    lines = [x for x in files[0].read_text().splitlines() if x[0] != "#"]
    stars = {
        (float(row["Z"]) / 0.02, round(float(row["logage"]), 2)): row
        for row in csv.DictReader(files[1].read_text().splitlines())
        if row["model"].startswith("BC03")
    }
    found = []
    for row in csv.DictReader(lines):
        band, age = row["band"], log_age(float(row["age_myr"]))
        metals, log_u = float(row["metallicity_solar"]), float(row["log_u"])
        beside = stars.get((metals, round(age, 2)))
        known = beside and f"WFC3_UVIS_{band}_AB" in beside
        if not known or age > oldest_log_age():
            continue
        light = 3.631e12 * 10 ** (-0.4 * float(beside[f"WFC3_UVIS_{band}_AB"]))
        expected = (float(row["lines"]) + float(row["continuum"])) * light
        ours = gas_light(
            in_bands(target, band, "F275W"), age - 1e-9, np.log10(metals), log_u
        )
        found.append(ours[0] / expected)
    assert len(found) > 150
    # the stars are those of an age, the gas's an age bin's mean
    assert np.abs(np.log(found)).max() < 0.2
    assert np.median(found) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(
    ("myr", "low", "high"), [(1, 3.1, 3.5), (2, 3.1, 3.5), (3, 3.0, 3.4), (8, 1.2, 2.0)]
)
def test_h_alpha_is_as_strong_as_in_starbursts_of_that_age(target, myr, low, high):
    """Log EW, instantaneous, solar (Leitherer et al. 1999, ApJS 123, 3, figure 83)."""
    near = in_bands(target, "F438W", "F814W")
    stars = population_of(near, log_age(myr)).mean_flux()
    # a power law between the bands' pivots
    place = np.log(6563 / 4326.2) / np.log(8029.5 / 4326.2)
    below = np.exp((1 - place) * np.log(stars[0]) + place * np.log(stars[1]))
    k = nebula._table()["bands"].tolist().index("F657N")
    light = nebula._table()["log_light"][2, 1, :, k]
    lines, gas = (
        1e9 * np.exp(np.interp(log_age(myr), nebula._table()["log_age"], row))
        for row in light.T
    )
    assert low < np.log10(H_ALPHA * lines * WIDTH / (below + gas)) < high


def test_h_alpha_of_constant_star_formation_is_that_of_its_calibration():
    """SFR = 5.37e-42 L(H alpha), Kroupa IMF (Murphy et al. 2011, ApJ 737, 67)."""
    table = nebula._table()
    k = table["bands"].tolist().index("F657N")
    density = 1e-23 * np.exp(table["log_light"][2, 1, :, k, 0]) * 2.998e18 / 6566**2
    luminosity = H_ALPHA * density * WIDTH * 4 * np.pi * 3.0857e19**2
    ages = np.diff(10 ** (table["log_age"] + 0.05), prepend=0)
    # single stars of BC03 give more ionising light than those of Starburst99
    assert 0 < np.log10(luminosity @ ages * 5.37e-42) < 0.2


@pytest.mark.parametrize("log_mass", [3.0, 5.0])
def test_gas_of_clusters_is_that_of_their_mass_in_the_mean(target, log_mass):
    young = np.array([6.6, 0.0, log_mass, -1.0])
    with_gas, without = maker(target, **ALL_GAS), maker(target, **NO_GAS)
    n = 200 if log_mass < 4 else 10
    gas = np.array(
        [
            with_gas.draw(young, np.random.default_rng(i)).flux.sum(0)
            - without.draw(young, np.random.default_rng(i)).flux.sum(0)
            for i in range(n)
        ]
    )
    # half of the range of log U is above -2.75
    light = [gas_light(target, 6.6, 0.0, u) for u in np.linspace(-3.5, -2, 31)]
    expected = 10**log_mass * np.mean(light, axis=0)
    error = gas.std(0) / np.sqrt(n)
    assert (np.abs(gas.mean(0) - expected) < 4 * error).all()
    # few hot stars make much of it in a small cluster, many in a large one
    scatter = gas[:, 0].std() / expected[0]
    assert 0.5 < scatter < 2 if log_mass < 4 else scatter < 0.2


def test_a_cluster_without_hot_stars_has_no_gas(target):
    with_gas, without = maker(target, **ALL_GAS), maker(target, **NO_GAS)
    seen = []
    for i in range(40):
        small = np.array([6.6, 0.0, 1.5, -1.0])
        stars = without.draw(small, np.random.default_rng(i)).flux
        gas = with_gas.draw(small, np.random.default_rng(i)).flux[len(stars) :]
        seen.append(gas.sum() > 0)
    assert 0 < np.sum(seen) < 40


def lost(target, a_v, **dust):
    """Return the magnitudes (bands,) that gas and stars lose to dust."""
    makers = [maker(target, **gas, **dust) for gas in (ALL_GAS, NO_GAS)]
    found = []
    for dimmed in (0.0, a_v):
        young = np.array([6.3, dimmed, 5.0, -1.0])
        both, stars = (
            sum(one.draw(young, np.random.default_rng(i)).flux.sum(0) for i in range(9))
            for one in makers
        )
        found.append(np.array([both - stars, stars]))
    return 2.5 * np.log10(found[0] / found[1])


def test_gas_is_behind_the_dust_of_the_cluster(target):
    gas, _ = lost(target, 1.0, uneven_fraction=0.0)
    # A_band / A_V of a hot star (Cardelli, Clayton & Mathis 1989)
    assert np.allclose(gas, [1.652, 1.358, 0.619], atol=0.02)


@pytest.mark.parametrize("front", [0.0, 0.15, 0.3])
def test_as_much_of_the_gas_as_of_the_stars_is_behind_each_screen(target, front):
    """At 2 Myr nearly all light is of hot stars, as red by dust as the gas."""
    uneven = {"a_v_scatter": (0.3, 0.3), "a_v_front": (front, front)}
    gas, stars = lost(target, 3.0, uneven_fraction=1.0, **uneven)
    assert np.allclose(gas, stars, atol=0.15)


def test_gas_fades_without_a_step(target):
    bands = in_bands(target, "F336W", "F657N")
    ages = np.arange(6.9, oldest_log_age() + 0.05, 0.05)
    light = np.array([gas_light(bands, age, 0.0, -2.5) for age in ages])
    assert light[-1].max() == 0
    # from one age to the next of the light of a cluster of 1 Myr: 0.5 % at most
    change = np.abs(np.diff(light, axis=0))[2:] / gas_light(bands, 6.0, 0.0, -2.5)
    assert change.max() < 5e-3


@pytest.mark.parametrize("log_age_of", [7.45, 8.0])
def test_old_clusters_have_none(target, log_age_of):
    assert log_age_of > oldest_log_age()
    old = np.array([log_age_of, 0.3, 4.0, -1.0])
    a, b = (
        maker(target, **gas).draw(old, np.random.default_rng(1))
        for gas in (ALL_GAS, NO_GAS)
    )
    assert (a.flux == b.flux).all()


def test_without_covering_the_stars_are_the_same_and_alone(target):
    young = np.array([6.6, 0.3, 4.0, -1.0])
    a, b = (
        maker(target, **gas).draw(young, np.random.default_rng(1))
        for gas in (ALL_GAS, NO_GAS)
    )
    n = len(b.flux)
    assert n < len(a.flux)
    for name in ("x", "y", "flux"):
        assert (getattr(a, name)[:n] == getattr(b, name)).all(), name


def test_the_record_says_what_gas_was_drawn(target):
    fixed = {
        "nebular_covering": 0.25,
        "nebular_log_u": -2.75,
        "nebular_compact": 0.5,
        "nebular_radius_pc": 8.0,
    }
    ranges = {name: (value, value) for name, value in fixed.items()}
    drawn = maker(target, **ranges).draw(
        np.array([6.6, 0.0, 3.0, -1.0]), np.random.default_rng(0)
    )
    assert set(fixed) < set(TRAIT_NAMES)
    for name, value in fixed.items():
        assert drawn.traits[name] == pytest.approx(value), name


@pytest.mark.parametrize("radius", [1.0, 8.0, 30.0])
def test_gas_of_the_shell_lies_within_it_and_of_the_cluster_within_that(radius):
    rng = np.random.default_rng(3)
    for compact in (0.0, 0.4, 1.0):
        x, y, share = gas_points(radius, 0.5, compact, rng)
        assert share.sum() == pytest.approx(1)
        assert (share >= 0).all()
        distance = np.hypot(x, y)
        if compact == 0.0:
            # half as wide again on some sides, off the middle, frayed
            assert np.average(distance, weights=share) < 1.2 * radius
            assert distance.max() < 3 * radius
        if compact == 1.0:
            inside = share[distance < 0.5].sum()
            assert inside == pytest.approx(0.5, abs=0.05)


def test_a_thin_shell_is_bright_at_its_rim_and_a_sphere_in_its_middle(monkeypatch):
    """Surface brightness ~ 1 / sqrt(R^2 - r^2) and sqrt(R^2 - r^2)."""
    for name in ("_CLUMPS", "_RAGGED", "_FRAYED", "_OFF_CENTRE"):
        monkeypatch.setattr(nebula, name, 0.0)
    # half of the light of a thin shell is within sqrt(3/4) R, of a sphere within
    # sqrt(1 - 2^(-2/3)) R
    for inner, half in ((0.999, np.sqrt(0.75)), (0.0, np.sqrt(1 - 2 ** (-2 / 3)))):
        monkeypatch.setattr(nebula, "_INNER", (inner, inner))
        x, y, share = gas_points(20.0, 1.0, 0.0, np.random.default_rng(1))
        within = share[np.hypot(x, y) < half * 20].sum()
        assert within == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("radius", [3.0, 6.0, 14.0])
def test_gas_on_the_cluster_shows_no_points(radius):
    """As sharp a PSF as UVIS has, sigma 0.75 px, leaves it even at equal distance."""
    x, y, share = gas_points(1.0, radius, 1.0, np.random.default_rng(4))
    edges = np.arange(-40.5, 41)
    fine = [np.linspace(-40.5, 40.5, 5 * 81 + 1)] * 2
    image = np.histogram2d(y, x, fine, weights=share)[0]
    image = gaussian_filter(image, 5 * 0.75)[2::5, 2::5]
    distance = np.hypot(*np.meshgrid(edges[:-1] + 0.5, edges[:-1] + 0.5))
    for ring in (0.5, 1.0, 1.5):
        near = (np.abs(distance / radius - ring) < 0.6 / radius) & (image > 0)
        # what is left of the fall within the ring and of the cut into pixels
        trend = np.polyval(np.polyfit(distance[near], image[near], 1), distance[near])
        assert (image[near] / trend).std() < 0.12


@pytest.mark.parametrize(
    ("radius_px", "cluster_px", "compact"),
    [(34, 10, 0.5), (70, 30, 0.0), (130, 50, 0.0), (130, 50, 1.0), (180, 32, 0.3)],
)
def test_gas_larger_than_a_cutout_does_not_look_like_stars(
    target, radius_px, cluster_px, compact
):
    renderer = Renderer(64)
    psf = psf_spectra(target, renderer.grid, 7, np.ones(3))
    rng = np.random.default_rng(3)
    x, y, share = gas_points(radius_px, cluster_px, compact, rng)
    assert share.sum() == pytest.approx(1, abs=1e-3)
    image = renderer.draw(x + 31.5, y + 31.5, np.tile(share[:, None], 3), psf)[..., 1]
    rough = (image - gaussian_filter(image, 4))[8:-8, 8:-8]
    assert rough.std() < 0.3 * image.mean()


@pytest.mark.parametrize(("radius", "compact"), [(30.0, 0.5), (140.0, 0.5), (300, 1)])
def test_in_a_window_there_is_the_same_gas_as_without_one(radius, compact):
    window = (15.0, -40.0, 20.0)

    def inside(window):
        rng = np.random.default_rng(7)
        points = np.array(gas_points(radius, radius / 3, compact, rng, window))
        near = np.maximum(abs(points[0] - 15), abs(points[1] + 40)) < 20
        return points.shape[1], points[:, near]

    (every, whole), (some, seen) = inside(None), inside(window)
    np.testing.assert_array_equal(seen, whole)
    assert len(seen.T) > 50
    if radius > 100:
        assert some < 0.5 * every
