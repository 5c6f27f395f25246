"""Profiles: half of the light inside the half-light radius, and the right shape."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from data_tools.stars.profile import EFF, King, half_radii, positions, smooth_positions

PROFILES = [EFF(1.2), EFF(1.5), EFF(3.0), King(0.5), King(1.0), King(2.0)]


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_half_of_the_light_is_inside_the_half_light_radius(profile):
    assert np.isclose(profile.radius(np.array([0.5]))[0], 1, rtol=2e-3)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_the_light_inside_a_radius_and_the_radius_of_that_light_agree(profile):
    share = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(profile.inside(profile.radius(share)), share, atol=1e-3)


@pytest.mark.parametrize(("share", "ratio"), [(0.0, 0.5), (0.5, 1.0), (1.0, 0.5)])
def test_half_of_one_profile_alone_is_inside_its_own_radius(share, ratio):
    expected = ratio if share == 1 else 1.0
    assert np.isclose(half_radii(EFF(1.5), [share], ratio)[0], expected, rtol=1e-4)


def test_two_profiles_hold_half_of_their_light_where_a_quadratic_says():
    # endless with eta 2 (Plummer) r^2 / (r^2 + a^2) is inside r: half of two of equal
    # light and a = 1 and s where r^4 = s^2, whatever was cut off at 10 r_h: r = sqrt(s)
    for ratio in (0.5, 0.8):
        assert np.isclose(half_radii(EFF(2.0), [0.5], ratio)[0], ratio**0.5, rtol=5e-3)


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


def test_more_stars_leave_the_first_where_they_were():
    few, many = (
        np.array(positions(EFF(1.5), 4.0, n, np.random.default_rng(3))) for n in (9, 99)
    )
    assert np.array_equal(few, many[:, :9])


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("half_light_radius", [0.6, 4.0, 16.0])
@pytest.mark.parametrize("least_share", [1.0, 1e-2, 1e-4, 1e-6])
def test_points_of_smooth_light_follow_the_profile(
    profile, half_light_radius, least_share
):
    rng = np.random.default_rng(2)
    x, y, share = smooth_positions(
        profile, half_light_radius, least_share, 1.2, 1500, rng
    )
    assert np.isclose(share.sum(), 1)
    assert (share > 0).all()
    assert len(share) <= min(1500, max(1 / least_share, 1))
    if least_share < 0.1:
        inside = share[np.hypot(x, y) < half_light_radius].sum()
        assert np.isclose(inside, 0.5, atol=0.02)
    if least_share < 1e-3:
        assert abs(share @ x) + abs(share @ y) < 0.02 * half_light_radius


def test_points_of_smooth_light_are_no_closer_than_asked():
    x, y, share = smooth_positions(
        EFF(1.5), 16.0, 1e-5, 1.2, 10**6, np.random.default_rng(4)
    )
    separation = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)
    assert np.median(separation[0][:, 1]) > 1.2
    assert separation[0][:, 1].min() > 0.6
    assert share.max() > 1.5e-5


def test_points_of_smooth_light_scatter_less_than_drawn_ones():
    profile, rng = EFF(1.5), np.random.default_rng(2)
    smooth, drawn = [], []
    for _ in range(20):
        x, y, share = smooth_positions(profile, 4.0, 1e-4, 1.2, 500, rng)
        smooth.append(share[np.hypot(x - 2, y) < 4].sum())
        x, y = positions(profile, 4.0, len(share), rng)
        drawn.append((np.hypot(x - 2, y) < 4).mean())
    assert np.std(smooth) < 0.3 * np.std(drawn)


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
