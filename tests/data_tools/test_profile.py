"""Profiles: half of the light inside the half-light radius, and the right shape."""

import numpy as np
import pytest

from data_tools.profile import EFF, King, even_positions, positions

PROFILES = [EFF(1.2), EFF(1.5), EFF(3.0), King(0.5), King(1.0), King(2.0)]


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_half_of_the_light_is_inside_the_half_light_radius(profile):
    assert np.isclose(profile.radius(np.array([0.5]))[0], 1, rtol=2e-3)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_half_of_the_drawn_stars_are_inside_the_half_light_radius(profile):
    x, y = positions(profile, 4.0, 40_000, np.random.default_rng(1))
    assert np.isclose((np.hypot(x, y) < 4.0).mean(), 0.5, atol=0.01)
    assert abs(np.median(x)) < 0.1 and abs(np.median(y)) < 0.1


def test_eff_density_falls_as_elson_fall_and_freeman_say():
    # mu ~ (1 + r^2/a^2)^-eta; for eta = 2 half of the endless light is inside r = a
    # and a tenth of a per cent of it outside 10 r_h is cut off
    eta = 2.0
    share = np.linspace(0.05, 0.95, 10)
    radius = EFF(eta).radius(share)
    enclosed = 1 - (1 + radius**2) ** (1 - eta)
    assert np.allclose(enclosed / share, 1, atol=0.02)


def test_eff_ends_at_ten_half_light_radii():
    assert np.isclose(EFF(1.2).radius(np.array([1 - 1e-12]))[0], 10, rtol=1e-3)


def test_king_density_is_that_of_king_1962():
    profile = King(1.0)
    edges = np.linspace(0.0, 0.999, 4000)
    radius = profile.radius(edges)
    # scale from half-light to core radius, by the density's own shape
    density = np.diff(edges) / (np.pi * np.diff(radius**2))
    middle = 0.5 * (radius[1:] + radius[:-1])
    core = profile.radius(np.array([1 - 1e-12]))[0] / 10
    x = middle / core
    expected = (1 / np.sqrt(1 + x**2) - 1 / np.sqrt(1 + 100)) ** 2
    use = (x > 0.1) & (x < 6)
    ratio = density[use] / expected[use]
    assert np.allclose(ratio / np.median(ratio), 1, atol=0.05)


def test_even_points_follow_the_profile_with_less_scatter_than_drawn_ones():
    profile, rng = EFF(1.5), np.random.default_rng(2)
    even = [np.hypot(*even_positions(profile, 1.0, 500, rng)) < 1 for _ in range(20)]
    drawn = [np.hypot(*positions(profile, 1.0, 500, rng)) < 1 for _ in range(20)]
    assert np.allclose(np.mean(even, axis=1), 0.5, atol=0.003)
    assert np.std(np.mean(drawn, axis=1)) > 0.01


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EFF(1.0), "eta must be > 1; received 1.0"),
        (lambda: King(0.0), "log_concentration must be > 0; received 0.0"),
    ],
)
def test_profiles_refuse_shapes_without_an_end(make, message):
    with pytest.raises(ValueError, match=message):
        make()
