"""Ionised gas of fields: as much as young stars make, where they are, and off."""

import dataclasses

import numpy as np
import pytest

from data_tools.fields.disc import Disc
from data_tools.fields.galaxy_field import FieldMaker
from data_tools.fields.history import YOUNG_AGES, history_of
from data_tools.fields.ionised_gas import IonisedGas
from data_tools.priors import Priors
from data_tools.stars.nebula import gas_light
from data_tools.stars.population import population_of
from data_tools.stars.traits import draw_traits

N = 64
RNG = np.random.default_rng
NOBODY = (*np.empty((3, 0)), np.empty(0, int))


def patch(sfr=1.0, share=0.0):
    properties = {"sfr_density": sfr, "association_share": share}
    even = np.ones((N, N), np.float32)
    return Disc(2.0, even, even, None, 0 * even, properties)


@pytest.fixture(scope="module")
def gas(m83):
    priors = Priors(
        nebular_covering=(0.5, 0.5), nebular_log_u=(-3, -3), feh_offset=(0, 0)
    )
    traits = draw_traits(m83, priors, RNG(0), 6.65)
    return IonisedGas(m83, traits, history_of(), population_of(m83, 6.65), 0.0)


def test_gas_is_that_of_a_constant_star_formation_rate(m83, gas):
    density, colour = gas.draw(patch(sfr=1.0), NOBODY, RNG(0))
    found = density.sum(dtype=float) * colour
    # half of it is taken up; 1 Msun / yr / kpc2, in steps finer than the field's
    years = np.linspace(0, 10**7.1, 2000)[1:]
    light = np.array([gas_light(m83, a, 0.0, -3.0) for a in np.log10(years)])
    expected = 0.5 * 1e-6 * (2 * N) ** 2 * np.trapezoid(light, years, axis=0)
    assert np.allclose(found, expected, rtol=0.04)


def test_associations_have_the_gas_of_their_mass_in_the_mean(gas):
    column, row = RNG(1).uniform(0, N, (2, 400))
    mass = np.full(400, 3000.0)
    nothing = patch(sfr=0.0)
    for age in (0, 2):
        groups = (column, row, mass, np.full(400, age))
        density, colour = gas.draw(nothing, groups, RNG(2))
        until = np.append(0.0, 10 ** (YOUNG_AGES + 0.05))[age : age + 2]
        light = gas.light_of(np.linspace(*until, 200)).mean(0)
        found = density.sum(dtype=float) * colour
        assert np.allclose(found, mass.sum() * light, rtol=0.15)
        assert (density >= 0).all()


def test_gas_of_an_association_is_about_it(gas):
    groups = (np.array([40.0]), np.array([20.0]), np.array([1e4]), np.array([0]))
    cell = dataclasses.replace(patch(sfr=0.0), cell_pc=10.0)
    seen = sum(gas.draw(cell, groups, RNG(i))[0] for i in range(40))
    row, column = np.indices((N, N))
    assert np.average(column, weights=seen) == pytest.approx(40, abs=1)
    assert np.average(row, weights=seen) == pytest.approx(20, abs=1)
    # sigma of 5 to 50 pc, even in the logarithm, and holes that widen it
    spread = np.sqrt(np.average((row - 20.0) ** 2, weights=seen)) * 10
    assert 15 < spread < 50


def test_old_associations_have_none(gas):
    groups = (np.array([4.0]), np.array([2.0]), np.array([1e4]), np.array([9]))
    assert not gas.draw(patch(sfr=0.0), groups, RNG(0))[0].any()


def test_gas_adds_light_to_a_field_and_moves_no_star(m83):
    def field(covering):
        priors = Priors(
            field_nebular_covering=(covering, covering),
            field_px=128,
            field_sfr_density=(-0.7, -0.7),
            field_dust_a_v=(-4.0, -4.0),
            sky_pedestal=(0.0, 0.0),
        )
        return FieldMaker(m83, priors).make(RNG(3))

    none, full = field(0.0), field(1.0)
    assert none.properties["nebular_covering"] == 0
    assert full.properties["nebular_covering"] == 1
    more = (full.image - none.image).mean((0, 1))
    assert (more > 0).all()
    # stars, which noise hides least, are the same
    bright = none.image[..., 2] > np.percentile(none.image[..., 2], 99)
    assert np.corrcoef(none.image[bright, 2], full.image[bright, 2])[0, 1] > 0.95
