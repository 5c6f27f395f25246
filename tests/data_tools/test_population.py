"""Populations: the IMF, its sampling, and the light of a mean cluster."""

import numpy as np
import pytest
from scipy.integrate import quad

from data_tools.population import Population, isochrones_of, sample, stars_below
from data_tools.target import Target


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def population(target, log_age):
    grid = isochrones_of(target)
    return Population.from_isochrone(
        grid.at(log_age, target.feh), grid.vega_ab, target.distance_modulus
    )


def test_imf_holds_one_solar_mass_per_solar_mass_formed():
    mass = np.geomspace(0.08, 120, 200_001)
    number = np.diff(stars_below(mass))
    middle = 0.5 * (mass[1:] + mass[:-1])
    assert np.isclose((number * middle).sum(), 1, rtol=1e-5)


def test_imf_has_the_slopes_of_kroupa_2001():
    # dN/dm ~ m^-1.3 below 0.5 Msun and m^-2.3 above (MNRAS 322, 231, equation 2)
    for low, slope in ((0.1, 1.3), (0.2, 1.3), (1.0, 2.3), (30.0, 2.3)):
        step = 1e-4
        edges = low * np.array([1, 1 + step, 2, 2 * (1 + step)])
        number = stars_below(edges)
        ratio = (number[3] - number[2]) / (number[1] - number[0]) / 2
        assert np.isclose(ratio, 2**-slope, rtol=1e-6)


def test_number_of_stars_is_the_integral_of_the_two_power_laws():
    def shape(m):
        return m**-1.3 if m < 0.5 else 0.5 * m**-2.3

    number, _ = quad(shape, 0.08, 120, points=(0.5, 1, 10), limit=200)
    mass, _ = quad(lambda m: m * shape(m), 0.08, 120, points=(0.5, 1, 10), limit=200)
    assert np.isclose(stars_below(np.array(120.0)), number / mass, rtol=1e-6)


@pytest.mark.parametrize("log_age", [6.8, 7.5, 8.5, 9.6])
def test_mean_of_many_sampled_clusters_is_the_isochrone_integral(target, log_age):
    pop = population(target, log_age)
    rng = np.random.default_rng(5)
    weight = np.ones(3)
    mass, a_v, n = 2e4, 0.7, 400
    light = []
    for _ in range(n):
        stars = sample(pop, mass, a_v, rng, 500, weight)
        light.append(stars.flux.sum(0) + stars.faint_flux)
    light = np.array(light)
    expected = mass * pop.mean_flux(a_v)
    error = light.std(0) / expected / np.sqrt(n)
    assert (np.abs(light.mean(0) / expected - 1) < 4 * error).all()
    # colour of the summed light, in mag: the bands share their fluctuations
    colour = -2.5 * np.log10(light.mean(0) / expected)
    assert np.abs(np.diff(colour)).max() < 4 * 1.086 * error.max()


@pytest.mark.parametrize("log_age", [6.8, 8.5])
def test_scatter_of_the_light_is_that_of_poisson_sampling(target, log_age):
    # variance of the sum = sum N f^2 (Cervino & Luridiana 2006, A&A 451, 475)
    pop = population(target, log_age)
    rng = np.random.default_rng(7)
    mass, n = 1e5, 1500
    light = []
    for _ in range(n):
        stars = sample(pop, mass, 0.0, rng, 100, np.ones(3))
        light.append(stars.flux.sum(0) + stars.faint_flux)
    expected = np.sqrt(mass * (pop.number @ pop.flux**2))
    assert np.allclose(np.std(light, axis=0) / expected, 1, atol=0.08)


def test_bright_stars_come_first_and_no_more_than_asked_for(target):
    pop = population(target, 7.5)
    stars = sample(pop, 1e5, 1.0, np.random.default_rng(0), 300, np.ones(3))
    brightness = stars.flux.sum(1)
    assert len(stars.flux) <= 300
    assert (np.diff(brightness) <= 0).all()
    assert (stars.faint_flux > 0).all()


def test_light_does_not_depend_on_where_the_cut_between_bright_and_faint_is(target):
    pop = population(target, 8.0)
    sums = []
    for cut in (0, 50, 10**9):
        stars = sample(pop, 1e4, 0.5, np.random.default_rng(3), cut, np.ones(3))
        sums.append(stars.flux.sum(0) + stars.faint_flux)
        sums.append(sums[-1])
    assert np.allclose(sums, sums[0], rtol=1e-6)


def test_extinction_reddens_by_the_law_of_each_star(target):
    pop = population(target, 8.0)
    magnitude = -2.5 * np.log10(pop.reddened(2.0) / pop.flux)
    assert np.allclose(magnitude, 2.0 * pop.extinction, rtol=1e-5)
    assert (magnitude[:, 0] > magnitude[:, 2]).all()
