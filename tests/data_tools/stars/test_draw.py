"""Stars drawn from a population: their sums scatter as those of single stars do."""

from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import ks_2samp, kurtosis

from data_tools.stars.draw import sample
from data_tools.stars.imf import stars_below
from data_tools.stars.population import (
    isochrones_of,
    population_of,
)
from data_tools.target import Target

SCATTER_AGES = [6.8, 7.5, 8.5, 9.6]


SCATTER_MASSES = [1e3, 1e4, 1e5]


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def population(target, log_age, binary_fraction=0.0):
    return population_of(target, log_age, binary_fraction)


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


@pytest.fixture(scope="module")
def sampled_light(target):
    """Return a function that samples clusters of an age and mass without dust, once.

    It returns their light, (n, bands). The relative error of a variance estimated from
    n is sqrt((k + 2) / n), with k the excess kurtosis, here sum N f^4 over the variance
    squared: n is such that 5 % are three such errors.
    """

    @lru_cache
    def sampled(log_age, mass):
        pop = population(target, log_age)
        variance = mass * pop.number @ pop.flux**2
        excess = mass * pop.number @ pop.flux**4 / variance**2
        light = np.empty((int((3 / 0.05) ** 2 * (excess.max() + 2)), 3))
        rng = np.random.default_rng(11)
        for i in range(len(light)):
            stars = sample(pop, mass, 0.0, rng, 10, np.ones(3))
            light[i] = stars.flux.sum(0) + stars.faint_flux
        return light

    return sampled


def colours_and_magnitudes(light):
    """Return magnitudes and colours of neighbouring bands, (n, 2 bands - 1)."""
    magnitude = -2.5 * np.log10(light)
    return np.hstack([magnitude, magnitude[:, :-1] - magnitude[:, 1:]])


@pytest.mark.parametrize("log_age", SCATTER_AGES)
@pytest.mark.parametrize("mass", SCATTER_MASSES)
def test_scatter_of_the_light_is_the_variance_of_the_imf_integral(
    target, sampled_light, log_age, mass
):
    # Of the sum of Poisson numbers N of stars of flux f the mean is sum N f and the
    # covariance between bands sum N f f' (Cervino & Luridiana 2006, A&A 451, 475).
    pop = population(target, log_age)
    covariance = mass * (pop.flux.T * pop.number) @ pop.flux
    deviation = np.sqrt(np.diag(covariance))
    light = sampled_light(log_age, mass)
    np.testing.assert_allclose(light.mean(0), mass * pop.mean_flux(), rtol=0.05)
    np.testing.assert_allclose(light.var(0), deviation**2, rtol=0.05)
    scale = np.outer(deviation, deviation)
    np.testing.assert_allclose(np.cov(light.T) / scale, covariance / scale, atol=0.05)


@pytest.mark.parametrize("log_age", SCATTER_AGES[1:])
def test_scatter_of_magnitude_and_colour_follows_from_it_where_it_is_small(
    target, sampled_light, log_age
):
    # to first order, var(-2.5 log10 f) = (2.5 / ln 10)^2 var(f) / mean(f)^2
    pop = population(target, log_age)
    mass = SCATTER_MASSES[-1]
    relative = pop.flux / pop.mean_flux() / np.sqrt(mass)
    steps = np.hstack([relative, relative[:, :-1] - relative[:, 1:]])
    expected = 2.5 / np.log(10) * np.sqrt(pop.number @ steps**2)
    scatter = colours_and_magnitudes(sampled_light(log_age, mass)).std(0)
    np.testing.assert_allclose(scatter, expected, rtol=0.05)


def light_star_by_star(isochrone, pop, mass, n, rng, fraction=0.0):
    """Draw clusters star by star: masses by inverting the IMF, light by interpolation.

    `pop` is of single stars; a fraction of them gets companions. Stars that give less
    than 1 % of the variance in any band are taken at their mean.
    """
    points = isochrone.mass_initial
    share = np.cumsum(pop.number[:, None] * pop.flux**2, axis=0)
    cut = points[int((share < 0.01 * share[-1]).all(1).sum())]
    log_flux = np.log(pop.flux)

    def shine(masses):
        dark = {"left": -np.inf, "right": -np.inf}
        return np.exp([np.interp(masses, points, x, **dark) for x in log_flux.T]).T

    def systems(low, high, size=400_000):
        """Return equally likely systems: their number per primary Msun, mass, light."""
        fine = np.geomspace(low, high, 100_000)
        below = stars_below(fine) - stars_below(low)
        heavy = np.interp((np.arange(size) + 0.5) / size * below[-1], below, fine)
        light = np.where(rng.random(size) < fraction, 1 - rng.random(size), 0) * heavy
        return below[-1], heavy + light, shine(heavy) + shine(light)

    few, faint_mass, faint = systems(0.08, cut)
    many, bright_mass, bright = systems(cut, 120.0)
    formed = few * faint_mass.mean() + many * bright_mass.mean()
    counts = rng.poisson(mass / formed * many, n)
    ends = np.concatenate([[0], np.cumsum(counts)])
    total = np.cumsum(bright[rng.integers(len(bright), size=ends[-1])], axis=0)
    total = np.concatenate([np.zeros((1, total.shape[1])), total])
    return np.diff(total[ends], axis=0) + mass / formed * few * faint.mean(0)


def assert_same_magnitudes_and_colours(light, other_light):
    """Check distribution and scatter, the latter to 5 % and its error."""
    light, other_light = map(colours_and_magnitudes, (light, other_light))
    for one, other in zip(light.T, other_light.T, strict=True):
        assert ks_2samp(one, other).pvalue > 1e-3
        # each scatter has an error of its own, sqrt((k + 2) / 4 n)
        error = np.sqrt((kurtosis(one) + kurtosis(other) + 4) / (4 * len(one)))
        assert abs(one.std() / other.std() - 1) < max(0.05, 4 * error)


@pytest.mark.parametrize(
    ("log_age", "mass"), [*product(SCATTER_AGES, SCATTER_MASSES[:2]), (6.8, 1e5)]
)
def test_magnitudes_and_colours_are_those_of_clusters_drawn_star_by_star(
    target, sampled_light, log_age, mass
):
    isochrone = isochrones_of(target).at(log_age, target.feh)
    pop = population(target, log_age)
    n = 7000
    direct = light_star_by_star(isochrone, pop, mass, n, np.random.default_rng(13))
    assert_same_magnitudes_and_colours(direct, sampled_light(log_age, mass)[:n])


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
        sums.append(stars.flux.sum(0, dtype=float) + stars.faint_flux)
    assert np.allclose(sums, sums[0], rtol=1e-6)


@pytest.mark.parametrize("log_age", [7.5, 9.6])
@pytest.mark.parametrize("one_by_one", [300, 1000])
def test_clusters_with_binaries_are_those_drawn_system_by_system(
    target, log_age, one_by_one
):
    fraction, mass, n = 0.6, 3e3, 4000
    isochrone = isochrones_of(target).at(log_age, target.feh)
    rng = np.random.default_rng(17)
    single = population(target, log_age)
    direct = light_star_by_star(isochrone, single, mass, n, rng, fraction)
    pop = population(target, log_age, fraction)
    draws = (sample(pop, mass, 0.0, rng, one_by_one, np.ones(3)) for _ in range(n))
    sampled = np.array([stars.flux.sum(0) + stars.faint_flux for stars in draws])
    assert_same_magnitudes_and_colours(direct, sampled)


@pytest.mark.parametrize("fraction", [0.0, 0.7])
def test_mass_is_drawn_and_lives_as_the_imf_says(target, fraction):
    pop = population(target, 7.5, fraction)
    rng, mass, n = np.random.default_rng(1), 2e3, 2000
    drawn = np.array(
        [sample(pop, mass, 0.0, rng, 30, np.ones(3)).mass for _ in range(n)]
    )
    assert abs(drawn.mean() - mass) < 4 * drawn.std() / np.sqrt(n)

    # the variance of a sum of Poisson numbers N of systems of mass m is sum N m^2
    def shape(m):
        return m**-1.3 if m < 0.5 else 0.5 * m**-2.3

    low, high = pop.mass[[0, -1]]
    whole, _ = quad(lambda m: m * shape(m), 0.08, 120, points=(0.5, 1, 10), limit=200)
    second, _ = quad(lambda m: m**2 * shape(m), low, high, points=(0.5, 1), limit=200)
    whole *= 1 + 0.5 * fraction
    # of companions in expectation at least (1 + f / 2)^2, at most 1 + f + f / 3
    expected = mass * second / whole
    least, most = (1 + 0.5 * fraction) ** 2, 1 + fraction + fraction / 3
    assert 0.9 * least < drawn.var() / expected < 1.1 * most
    # at 30 Myr stars above 9 Msun have died, a fifth of the mass (Kroupa 2001)
    living, _ = quad(lambda m: m * shape(m), 0.08, high, points=(0.5, 1), limit=200)
    assert np.isclose(pop.living_mass, living / whole * (1 + 0.5 * fraction), rtol=0.03)


@pytest.fixture(scope="module")
def with_companions(target):
    """Return the same stars alone and with companions, and dust on both."""
    pop = population(target, 8.0)

    def stars(share, a_v):
        one = replace(pop, paired=np.full(len(pop.number), share))
        return sample(one, 2e3, a_v, np.random.default_rng(4), 500, np.ones(3))

    return {(share, a_v): stars(share, a_v) for share in (0, 1) for a_v in (0, 1.5)}


def test_a_companion_makes_a_main_sequence_star_brighter_and_redder(with_companions):
    # by up to 0.75 mag, two equal stars; it stands to the red of the single stars
    alone, pairs = (with_companions[share, 0].flux[50:] for share in (0, 1))
    brighter = 2.5 * np.log10(pairs / alone)
    assert (brighter >= 0).all()
    assert (brighter < 0.7526).all()
    redder = brighter[:, 2] - brighter[:, 1]  # in F438W - F814W
    assert (redder > -1e-3).all()
    assert redder.max() > 0.05


def test_dust_dims_a_pair_as_it_dims_its_stars(with_companions):
    clean, dusty = (with_companions[1, a_v] for a_v in (0, 1.5))
    dimming = -2.5 * np.log10(dusty.flux / clean.flux) / 1.5
    # but for two giants that change places where dust reddens them
    np.testing.assert_allclose(dimming[2:], clean.extinction[2:], rtol=0.003)
    np.testing.assert_allclose(
        -2.5 * np.log10(dusty.faint_flux / clean.faint_flux) / 1.5,
        clean.faint_extinction,
        rtol=0.01,
    )
