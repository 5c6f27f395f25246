"""Mock clusters: the parameters are what they say."""

import numpy as np
import pytest

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.priors import Priors
from data_tools.schema import TRAIT_NAMES
from data_tools.stars import cluster
from data_tools.stars.cluster import (
    MAX_CLUMPS,
    MAX_FAINT_POINTS,
    MAX_STARS,
    ClusterMaker,
)
from data_tools.target import Target

#: Clusters of which all are alike but for the stars that they happened to get.
PLAIN = {"r_v": (3.1, 3.1), "binary_fraction": (0.0, 0.0)}


@pytest.fixture(scope="module")
def maker():
    return ClusterMaker(Target.load("m83-wfc3-uvis"), Priors(**PLAIN))


@pytest.mark.parametrize("log_mass", [3.0, 4.5, 6.0])
def test_light_is_that_of_the_mass(maker, log_mass):
    parameters = np.array([8.0, 0.5, log_mass, -1.0])
    rng = np.random.default_rng(1)
    n = 200 if log_mass < 4 else 20
    light = np.array([maker.draw(parameters, rng).flux.sum(0) for _ in range(n)])
    expected = 10**log_mass * maker.population(8.0).mean_flux(0.5)
    error = light.std(0) / np.sqrt(n)
    assert (np.abs(light.mean(0) - expected) < 4 * error).all()


@pytest.mark.parametrize("log_radius", [-1.4, -0.6])
def test_half_of_the_light_is_inside_the_half_light_radius(maker, log_radius):
    rng = np.random.default_rng(2)
    inside = total = 0.0
    for _ in range(30):
        drawn = maker.draw(np.array([9.0, 0.0, 5.5, log_radius]), rng)
        radius = np.hypot(drawn.x, drawn.y) * maker.target.pixel_scale_arcsec
        inside += drawn.flux[radius < 10**log_radius].sum()
        total += drawn.flux.sum()
    assert np.isclose(inside / total, 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("log_mass", "log_age", "log_radius"),
    [
        (3.0, 6.8, -1.0),
        (3.0, 8.5, -0.8),
        (4.0, 7.5, -0.6),
        (4.0, 9.5, -0.5),
        (5.0, 7.5, -1.4),
        (5.0, 8.5, -0.6),
        (5.48, 7.5, -0.6),
        (5.48, 9.5, -0.5),
    ],
)
def test_images_are_those_of_all_stars_within_photon_noise(
    maker, monkeypatch, log_mass, log_age, log_radius
):
    # The same seeds give the same stars, and those that are placed the same places. The
    # rest of the light is once made of clumps and smooth light, once of every star at a
    # place of its own; it may differ by no more than another draw of the places would.
    target = maker.target
    radius = 10**log_radius / target.pixel_scale_arcsec
    parameters = np.array([log_age, 0.0, log_mass, log_radius])
    priors = Priors(**PLAIN, eff_eta=(1.5, 1.5), king_fraction=0.0)
    limited = ClusterMaker(target, priors)
    renderer = Renderer(64)
    blur = np.array([np.mean(priors.blur_range(name)) for name in target.band_names])
    psf = renderer.filters(psf_spectra(target, renderer.grid, 0, blur))

    def image(x, y, flux):  # in electrons
        light = renderer.draw(x + 31.5, y + 31.5, flux, psf)
        return light * limited.electrons_per_njy

    def points(maker, seed):
        drawn = maker.draw(parameters, np.random.default_rng(seed))
        return drawn.x, drawn.y, drawn.flux

    placed, rest, every = [], [], []
    for seed in range(8):
        fast = points(limited, seed)
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "MAX_STARS", 10**9)
            patch.setattr(cluster, "LEAST_ELECTRONS", 1e-30)
            stars = points(limited, seed)
        np.testing.assert_allclose(
            *(one[2].sum(0, dtype=float) for one in (fast, stars)), rtol=1e-5
        )
        n = min(len(fast[0]), len(stars[0]))
        shared = (fast[0][:n] == stars[0][:n]) & (fast[2][:n] == stars[2][:n]).all(1)
        first = int(np.argmin(shared))
        placed.append(image(*(values[:first] for values in fast)))
        rest.append(image(*(values[first:] for values in fast)))
        every.append(image(*(values[first:] for values in stars)))
    rest, every = np.array(rest), np.array(every)
    light = np.mean(placed, 0) + every.mean(0)
    sky = np.array([b.sky_electrons_s * b.exposure_s for b in target.bands])
    reads = np.array([b.n_exposures for b in target.bands])
    noise = light + sky + target.read_noise_electrons**2 * reads

    difference = rest - every
    if log_mass <= 4:
        # far below the noise: in each band's pixels together, and in any one
        chi2 = (difference**2).mean(0) / noise
        assert (chi2.mean((0, 1)) < 0.02).all()
        assert chi2.max() < 0.3
    distance = np.hypot(*(np.indices((64, 64)) - 31.5))
    for inner, outer in ((0, radius), (radius, 2 * radius), (2 * radius, 4 * radius)):
        ring = (distance >= inner) & (distance < outer)
        # mean light to 1 %, or to a third of the ring's photon noise
        off = np.abs(difference.mean(0)[ring].sum(0))
        limit = np.maximum(0.01 * light[ring].sum(0), np.sqrt(noise[ring].sum(0)) / 3)
        assert (off < limit).all()
        # variance: photons, read-out, and the places of the stars not placed
        scatter = every.var(0)[ring].mean(0)
        change = rest.var(0)[ring].mean(0) - scatter
        assert (np.abs(change) < 0.25 * (scatter + noise[ring].mean(0))).all()


def test_dust_dims_the_blue_band_most(maker):
    clean, dusty = (
        maker.draw(np.array([9.0, a_v, 5.0, -1.0]), np.random.default_rng(3)).flux.sum(
            0
        )
        for a_v in (0.0, 2.0)
    )
    dimming = -2.5 * np.log10(dusty / clean)
    # A_band = 2 x (1.6, 1.3, 0.6) mag, CCM89 at R_V = 3.1
    assert np.allclose(dimming, [3.2, 2.65, 1.19], atol=0.15)


def test_number_of_points_stays_bounded_at_any_mass(maker):
    drawn = maker.draw(np.array([7.0, 0.0, 6.0, -1.0]), np.random.default_rng(4))
    assert len(drawn.x) <= MAX_STARS + MAX_CLUMPS + MAX_FAINT_POINTS


def test_same_seed_gives_the_same_cluster(maker):
    first, second = (
        maker.draw(np.array([7.3, 1.0, 4.0, -1.0]), np.random.default_rng(5))
        for _ in range(2)
    )
    for name in ("x", "y", "flux"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert first.traits == second.traits
    assert list(first.traits) == list(TRAIT_NAMES)


@pytest.mark.parametrize("r_v", [2.5, 3.1, 5.0])
def test_dust_of_another_r_v_dims_by_the_law_of_ccm89(r_v):
    # a(x) + b(x) / R_V at the bands' pivots, CCM89 (ApJ 345, 245), equations 3a and 3b
    a = [0.32999, -0.77530, 0.01979, 0.72085, -0.02427, -0.50447, 0.17699, 1.0]
    b = [-2.09002, 5.30260, -0.62251, -5.38434, 1.07233, 2.28305, 1.41338, 0.0]
    y = 1e4 / np.array([3355, 4326, 8030]) - 1.82
    expected = 2.0 * (np.polyval(a, y) + np.polyval(b, y) / r_v)
    priors = Priors(**PLAIN | {"r_v": (r_v, r_v)}, extinction_laws=("CCM89",))
    one = ClusterMaker(Target.load("m83-wfc3-uvis"), priors)
    clean, dusty = (
        one.draw(np.array([9.0, x, 5.0, -1.0]), np.random.default_rng(3)).flux.sum(0)
        for x in (0.0, 2.0)
    )
    # bands are broad: by a few per cent
    np.testing.assert_allclose(-2.5 * np.log10(dusty / clean), expected, rtol=0.06)


def test_clusters_with_companions_hold_their_mass_in_light():
    # half of the stars in pairs dim a cluster of the same mass by 0.03 mag: companions
    # hold a fifth of its mass and give some light
    priors = Priors(**PLAIN | {"binary_fraction": (0.5, 0.5)}, feh_offset=(0, 0))
    one, parameters = (
        ClusterMaker(Target.load("m83-wfc3-uvis"), priors),
        [8.5, 0, 5, -1],
    )
    rng = np.random.default_rng(1)
    light = [one.draw(np.array(parameters), rng).flux.sum(0) for _ in range(60)]
    expected = 1e5 * one.population(8.5).mean_flux() * 10 ** (-0.4 * 0.029)
    error = np.std(light, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(light, axis=0) - expected) < 4 * error).all()


def drawn(priors, target=None, n=30):
    """Return the colours (last band less first, mag) of heavy clusters of one age."""
    target = target or Target.load("m83-wfc3-uvis")
    maker, rng = ClusterMaker(target, priors), np.random.default_rng(3)
    rows = (maker.draw(np.array([9.5, 3.0, 6.0, -1.0]), rng).flux for _ in range(n))
    flux = np.array([row.sum(0) for row in rows])
    return 2.5 * np.log10(flux[:, -1] / flux[:, 0])


def test_clusters_scatter_in_metallicity_and_law_only_as_far_as_priors_say():
    fixed = PLAIN | {"feh_offset": (0.0, 0.0), "extinction_laws": ()}
    scatter = np.std(drawn(Priors(**fixed)))
    assert np.std(drawn(Priors(**fixed | {"feh_offset": (-0.25, 0.25)}))) > 3 * scatter
    laws = Priors(**fixed | {"extinction_laws": ("CCM89", "G23")})
    assert np.std(drawn(laws)) > 2 * scatter


def test_richer_clusters_are_redder_and_the_isochrones_end_limits_them():
    poor, rich = (
        drawn(
            Priors(**PLAIN, feh_offset=(offset, offset), extinction_laws=()), n=10
        ).mean()
        for offset in (-0.25, 0.25)
    )
    assert rich > poor + 0.2
    # [Fe/H] ends at 0.25
    beyond = drawn(
        Priors(**PLAIN, feh_offset=(0.9, 0.9), extinction_laws=()), n=10
    ).mean()
    assert np.isclose(beyond, rich, atol=0.02)
