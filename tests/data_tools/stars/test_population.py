"""Populations: their light with and without binaries, dust and dead stars."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import quad

from data_tools.schema import STELLAR_MODELS
from data_tools.stars.evolution.isochrones import IsochroneGrid
from data_tools.stars.imf import stars_below
from data_tools.stars.population import (
    Population,
    isochrones_of,
    living_share,
    population_of,
)
from data_tools.target import Target

AGES = [6.8, 7.5, 8.5, 9.6]


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def population(target, log_age, binary_fraction=0.0):
    return population_of(target, log_age, binary_fraction)


def test_points_of_an_isochrone_stand_for_all_masses_between_them(target):
    # moments of the light, against the integral over mass with log f linear between
    for log_age in AGES:
        isochrone = isochrones_of(target).at(log_age, target.feh)
        pop = population(target, log_age)
        points = isochrone.mass_initial
        edges = np.concatenate(
            [np.linspace(*pair, 40, endpoint=False) for pair in pairwise(points)]
        )
        middle = 0.5 * (edges[1:] + edges[:-1])
        number = np.diff(stars_below(edges))
        flux = [np.interp(middle, points, np.log(band)) for band in pop.flux.T]
        flux = np.exp(flux).T
        np.testing.assert_allclose(pop.mean_flux(), number @ flux, rtol=0.003)
        covariance = (pop.flux.T * pop.number) @ pop.flux
        np.testing.assert_allclose(covariance, (flux.T * number) @ flux, rtol=0.015)


def test_extinction_reddens_by_the_law_of_each_star(target):
    pop = population(target, 8.0)
    magnitude = -2.5 * np.log10(pop.reddened(2.0) / pop.flux)
    assert np.allclose(magnitude, 2.0 * pop.extinction, rtol=1e-5)
    assert (magnitude[:, 0] > magnitude[:, 2]).all()


def test_no_binaries_is_the_default_and_changes_nothing(target):
    grid = isochrones_of(target)
    isochrone = grid.at(8.0, target.feh)
    single = Population.from_isochrone(isochrone, grid.vega_ab, target.distance_modulus)
    for pop in (population_of(target, 8.0), population(target, 8.0, 0.0)):
        np.testing.assert_array_equal(pop.number, single.number)
        np.testing.assert_array_equal(pop.flux, single.flux)
        np.testing.assert_array_equal(pop.extinction, single.extinction)


@pytest.mark.parametrize("log_age", AGES)
def test_mean_light_with_binaries_is_the_integral_over_masses_and_ratios(
    target, log_age
):
    fraction = 0.7
    isochrone = isochrones_of(target).at(log_age, target.feh)
    single = population(target, log_age)

    def light(mass):
        dark = {"left": -np.inf, "right": -np.inf}
        points = isochrone.mass_initial
        columns = np.log(single.flux).T
        return np.exp([np.interp(mass, points, x, **dark) for x in columns])

    # the steps of giants are far smaller than those of an even grid
    edges = np.union1d(np.geomspace(0.08, 120, 20_001), isochrone.mass_initial)
    edges = np.sort(np.concatenate([edges, 0.5 * (edges[1:] + edges[:-1])]))
    mass = np.sqrt(edges[1:] * edges[:-1])
    number = np.diff(stars_below(edges))
    ratios = (np.arange(500) + 0.5) / 500
    companions = np.mean([light(q * mass) for q in ratios], axis=0)
    formed = number @ (mass * (1 + fraction * ratios.mean()))
    expected = (number * (light(mass) + fraction * companions)).sum(1) / formed
    pop = population(target, log_age, fraction)
    np.testing.assert_allclose(pop.mean_flux(), expected, rtol=0.01)


def test_the_share_that_lives_falls_as_population_models_say():
    # integrals of the IMF up to the heaviest star that lives, by the lifetimes of solar
    # stars of Schaller et al. (1992, A&AS 96, 269): 9.0 Myr of 20 Msun and 12.7 of 15,
    # 0.44 Gyr of 3 and 0.2 of 4, 10 of 1
    ages, shares = living_share(0.0)

    def shape(m):
        return m**-0.3 if m < 0.5 else 0.5 * m**-1.3

    whole, _ = quad(shape, 0.08, 120, points=(0.5,))
    for log_age, turn_off in ((7.0, 18.5), (8.5, 3.4), (10.0, 1.03)):
        living, _ = quad(shape, 0.08, turn_off, points=(0.5,))
        found = 10 ** np.interp(log_age, ages, shares)
        assert np.isclose(found, living / whole, rtol=0.03)
    assert (np.diff(shares) < 1e-3).all()


def test_the_page_states_what_its_own_commands_give_for_binaries(capsys):
    page = (Path(__file__).parents[3] / "docs/how/science.md").read_text()
    code = re.search(r"```python\n(.*?)```", page.partition("## Binaries")[2], re.S)[1]
    exec(code, {})
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert set(printed) <= set(page.splitlines())


@pytest.mark.parametrize("model", STELLAR_MODELS)
@pytest.mark.parametrize(
    ("log_age", "share"),
    [
        # Bruzual & Charlot 2003, version 2016, Z = 0.02, Kroupa: mass in stars of one
        # Msun formed, remnants left out
        (6.0, 0.999),
        (6.3, 0.997),
        (6.6, 0.9525),
        (7.0, 0.872),
        (7.5, 0.794),
        (8.0, 0.731),
        (8.5, 0.663),
        (9.0, 0.602),
        (9.5, 0.521),
        (10.0, 0.4595),
    ],
)
def test_the_share_of_mass_in_living_stars_is_that_of_published_populations(
    target, model, log_age, share
):
    # the IMF here ends at 120 Msun and theirs at 100
    assert abs(population_of(target, log_age, model=model).living_mass - share) < 0.015


def test_living_mass_falls_with_age_in_pairs_too(target):
    ages = np.arange(6.0, 10.1, 0.05)
    single = [population(target, a).living_mass for a in ages]
    assert single[0] < 1
    assert (np.diff(single) < 1e-3).all()
    # companions are light and live on
    for log_age, alone in ((6.0, single[0]), (9.0, single[60])):
        pairs = population(target, log_age, 0.5).living_mass
        assert alone < pairs < alone + 0.03


def test_a_target_without_a_file_takes_the_model_asked_for(target):
    first = population_of(target, 6.75)
    np.testing.assert_array_equal(
        population_of(target, 6.75, model=STELLAR_MODELS[0]).flux, first.flux
    )
    for model in STELLAR_MODELS[1:]:
        other = population_of(target, 6.75, model=model)
        assert np.ptp(other.mean_flux() / first.mean_flux()) > 0.1
        assert isochrones_of(target, model=model) is isochrones_of(target, model=model)


def test_a_file_of_the_target_replaces_every_model(target, monkeypatch):
    file = isochrones_of(target, model="SSE")
    monkeypatch.setattr(IsochroneGrid, "from_parsec", lambda *_: file)
    own = replace(target, isochrones="any.dat", isochrones_format="parsec")
    for model in ("MIST", "PARSEC"):
        assert isochrones_of(own, model=model) is file


@pytest.mark.parametrize("model", STELLAR_MODELS)
@pytest.mark.parametrize("feh", [-0.5, 0.25])
def test_every_model_serves_every_metallicity_of_the_first(target, model, feh):
    assert (
        population_of(replace(target, feh=feh), 8.0, model=model).mean_flux().min() > 0
    )


@pytest.mark.parametrize("model", STELLAR_MODELS)
@pytest.mark.parametrize("feh", [-0.7, 0.5])
def test_a_metallicity_that_no_model_reaches_is_refused(target, model, feh):
    with pytest.raises(ValueError, match="feh must be within the grid"):
        population_of(replace(target, feh=feh), 8.0, model=model)
