"""The density of clusters in the box."""

import numpy as np
import pytest

from clusterkeras.population.model import PopulationModel
from data_tools.schema import PARAMETERS

BOX = {p.name: (p.low, p.high) for p in PARAMETERS}


def population(model, **values):
    """Return a population (1, U) as it is sampled; all else is nearly flat."""
    given = {
        "mass_slope": -1.0,
        "age_slope": -1.0,
        "cutoff_mass": 1e7,
        "a_v_mean": 2.0,
        "a_v_sigma": 8.0,
        "log_half_light_radius_mean": -0.9,
        "log_half_light_radius_sigma": 2.8,
        "number": 100.0,
        **values,
    }
    return np.array(
        [
            [
                np.log10(given[u.name]) if u.logarithmic else given[u.name]
                for u in model.unknowns
            ]
        ]
    )


@pytest.mark.parametrize("cutoff", [False, True])
def test_each_distribution_is_one_in_the_box(cutoff):
    model = PopulationModel(BOX, cutoff)
    steep = population(
        model, mass_slope=-3.5, age_slope=0.5, a_v_mean=-3.0, a_v_sigma=0.5
    )
    for name, ends in BOX.items():
        x = np.linspace(*ends, 20_001)
        assert np.trapezoid(model.marginal(name, x, steep)[0], x) == pytest.approx(
            1, abs=1e-3
        )


def test_mass_and_age_go_as_powers_and_the_cutoff_cuts():
    model = PopulationModel(BOX, True)
    given = population(model, mass_slope=-2.0, age_slope=-0.5, cutoff_mass=1e5)
    mass = model.marginal("log_mass", np.array([3.0, 4.0, 5.0]), given)[0]
    # a dex of M^-2 dM is M^-1
    assert mass[0] / mass[1] == pytest.approx(10 * np.exp(-0.01 + 0.1))
    assert mass[1] / mass[2] == pytest.approx(10 * np.exp(-0.1 + 1))
    age = model.marginal("log_age", np.array([7.0, 9.0]), given)[0]
    assert age[1] / age[0] == pytest.approx(10.0)


def test_the_share_of_heavy_clusters_is_the_integral_of_the_power():
    model = PopulationModel({**BOX, "log_mass": (3.0, 6.0)})
    given = population(model, mass_slope=-2.0)
    share = (1e-4 - 1e-6) / (1e-3 - 1e-6)
    assert model.heavier(4.0, given) == pytest.approx(share)
    assert model.heavier(2.0, given) == pytest.approx(1)
    assert model.heavier(7.0, given) == 0


def test_the_ratio_to_the_flat_population_is_the_product_of_distributions():
    model = PopulationModel(BOX, True)
    given = population(model, mass_slope=-1.7, age_slope=-0.3, a_v_sigma=0.6)
    clusters = np.array([[7.0, 1.0, 4.0, -1.0], [9.5, 3.0, 5.5, -0.4]])
    ratio = model.ratio(model.statistics(clusters), given)[:, 0]
    expected = np.ones(2)
    for i, (name, (low, high)) in enumerate(BOX.items()):
        expected *= model.marginal(name, clusters[:, i], given)[0] * (high - low)
    np.testing.assert_allclose(ratio, expected)


def test_what_is_sampled_comes_back_in_units():
    model = PopulationModel(BOX)
    values = model.values(population(model, number=250.0, a_v_sigma=0.5))
    assert values["number"] == pytest.approx(250) and values["a_v_sigma"] == 0.5
    low, high = model.bounds.T
    assert (low < high).all() and len(low) == len(model.names)
