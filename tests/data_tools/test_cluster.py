"""Mock clusters: the parameters are what they say."""

import numpy as np
import pytest

from data_tools.cluster import MAX_FAINT_POINTS, MAX_STARS, ClusterMaker
from data_tools.priors import Priors
from data_tools.target import Target


@pytest.fixture(scope="module")
def maker():
    return ClusterMaker(Target.load("m83-wfc3-uvis"), Priors())


@pytest.mark.parametrize("log_mass", [3.0, 4.5, 6.0])
def test_light_is_that_of_the_mass(maker, log_mass):
    parameters = np.array([8.0, 0.5, log_mass, -1.0])
    rng = np.random.default_rng(1)
    n = 200 if log_mass < 4 else 20
    light = np.array([maker.stars(parameters, rng)[2].sum(0) for _ in range(n)])
    expected = 10**log_mass * maker.population(8.0).mean_flux(0.5)
    error = light.std(0) / np.sqrt(n)
    assert (np.abs(light.mean(0) - expected) < 4 * error).all()


@pytest.mark.parametrize("log_radius", [-1.4, -0.6])
def test_half_of_the_light_is_inside_the_half_light_radius(maker, log_radius):
    rng = np.random.default_rng(2)
    inside = total = 0.0
    for _ in range(30):
        x, y, flux = maker.stars(np.array([9.0, 0.0, 5.5, log_radius]), rng)
        radius = np.hypot(x, y) * maker.target.pixel_scale_arcsec
        inside += flux[radius < 10**log_radius].sum()
        total += flux.sum()
    assert np.isclose(inside / total, 0.5, atol=0.02)


def test_dust_dims_the_blue_band_most(maker):
    clean, dusty = (
        maker.stars(np.array([9.0, a_v, 5.0, -1.0]), np.random.default_rng(3))[2].sum(0)
        for a_v in (0.0, 2.0)
    )
    dimming = -2.5 * np.log10(dusty / clean)
    # A_band = 2 x (1.6, 1.3, 0.6) mag, CCM89 at R_V = 3.1
    assert np.allclose(dimming, [3.2, 2.65, 1.19], atol=0.15)


def test_number_of_points_stays_bounded_at_any_mass(maker):
    x, _, _ = maker.stars(np.array([7.0, 0.0, 6.0, -1.0]), np.random.default_rng(4))
    assert len(x) <= MAX_STARS + MAX_FAINT_POINTS


def test_same_seed_gives_the_same_cluster(maker):
    first, second = (
        maker.stars(np.array([7.3, 1.0, 4.0, -1.0]), np.random.default_rng(5))
        for _ in range(2)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
