"""Light of a disc: as much as its stars give, dimmed by dust, smooth where faint."""

import dataclasses

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from data_tools.fields import starlight
from data_tools.fields.disc import Disc
from data_tools.fields.starlight import OLD_AGES, Starlight
from data_tools.imaging.observation import Observation
from data_tools.stars.population import population_of

N = 64
CELL_PC = 0.86
RNG = np.random.default_rng


def flat(value=1.0):
    return np.full((N, N), value, np.float32)


def patch(old=0.0, sfr=0.0, dust=0.0, share=0.0, **maps):
    """Return an even patch of disc; `maps` replace its maps."""
    properties = {
        "old_mass_density": old,
        "sfr_density": sfr,
        "association_share": share,
    }
    maps = {"smooth": flat(), "young": flat(), "bulge": None, **maps}
    return Disc(CELL_PC, dust=flat(dust), properties=properties, **maps)


@pytest.fixture(scope="module")
def light_of(m83):
    return Starlight(m83, 0.0)


@pytest.fixture(scope="module")
def seen(m83):
    electron = np.array([b.electron_njy for b in m83.bands])
    zero = np.zeros(3)
    return Observation(
        *(electron, 100 * electron**2, zero, zero, 0, zero, np.zeros((3, 2)), zero),
        *(1e12, np.ones(3), zero),
    )


def image(drawn):
    """Return all light of a drawn patch in its cells, (bands, n, n)."""
    column, row, flux, smooth = drawn
    edges = np.arange(N + 1) - 0.5
    stars = [np.histogram2d(row, column, (edges, edges), weights=f)[0] for f in flux.T]
    return smooth + stars


def expected_light(m83, dust=0.0, **masses):
    """Return the mean light of a cell by summing over every point of every isochrone.

    `masses` are pairs of log age and Msun / pc2.
    """
    total = np.zeros(3)
    for age, density in masses["masses"]:
        population = population_of(m83, age)
        depth = 0.4 * np.log(10) * np.maximum(dust, 1e-6) * population.extinction
        flux = population.flux * -np.expm1(-depth) / depth
        total += density * CELL_PC**2 * (population.number @ flux)
    return total


def old(density):
    return [(age, share * density) for age, share in OLD_AGES]


@pytest.fixture
def nothing_placed(monkeypatch):
    monkeypatch.setattr(starlight, "_STARS_PER_PX", 0.0)


@pytest.fixture
def all_placed(monkeypatch):
    monkeypatch.setattr(starlight, "_STARS_PER_PX", np.inf)
    monkeypatch.setattr(starlight, "_EXACT_PER_PX", np.inf)
    monkeypatch.setattr(starlight, "_MIN_SNR", 0.0)


@pytest.mark.parametrize("dust", [0.0, 0.5, 3.0])
def test_smooth_light_is_that_of_all_stars_in_even_dust(
    m83, light_of, seen, nothing_placed, dust
):
    column, _, _, smooth = light_of.draw(patch(old=1e4, dust=dust), seen, RNG(0))
    assert not len(column)
    expected = expected_light(m83, dust, masses=old(1e4))
    assert np.allclose(smooth.mean((1, 2)), expected, rtol=5e-3)


def test_bulge_adds_the_light_of_old_stars_where_it_is(
    m83, light_of, seen, nothing_placed
):
    bulge = flat(0.0)
    bulge[:, : N // 2] = 1e4
    _, _, _, smooth = light_of.draw(patch(bulge=bulge), seen, RNG(0))
    assert not smooth[..., N // 2 :].any()
    light = smooth[..., : N // 2].mean((1, 2))
    assert np.allclose(light, expected_light(m83, masses=old(1e4)), rtol=0.01)


def test_young_light_is_that_of_a_constant_star_formation_rate(
    m83, light_of, seen, nothing_placed
):
    _, _, _, smooth = light_of.draw(patch(sfr=100.0), seen, RNG(0))
    # 100 Msun / yr / kpc2 for 1 Gyr, in steps finer than the field's
    edges = 10 ** np.arange(6.7, 9.01, 0.02)
    middle = [6.65, *np.log10(edges[1:] * edges[:-1]) / 2]
    formed = 1e-4 * np.diff(edges, prepend=0)
    expected = expected_light(m83, masses=zip(middle, formed, strict=True))
    assert np.allclose(smooth.mean((1, 2)), expected, rtol=0.04)


def test_associations_hold_the_share_of_light_asked_for(light_of, seen, nothing_placed):
    none, half = (
        np.mean(
            [
                light_of.draw(patch(sfr=20.0, share=share), seen, RNG(i))[3]
                for i in range(12)
            ],
            axis=(0, 2, 3),
        )
        for share in (0.0, 0.6)
    )
    assert np.allclose(half / none, 1, atol=0.1)


@pytest.mark.parametrize("dust", [0.0, 2.0])
def test_stars_placed_carry_the_light_that_smooth_light_has(
    m83, light_of, seen, all_placed, dust
):
    total = np.zeros(3)
    for i in range(8):
        _, _, flux, smooth = light_of.draw(patch(old=20.0, dust=dust), seen, RNG(i))
        assert not smooth.any()
        total += flux.sum(0) / N**2 / 8
    expected = expected_light(m83, dust, masses=old(20.0))
    assert np.allclose(total / expected, 1, atol=0.1)


@pytest.mark.parametrize(
    "disc",
    [patch(old=60.0, dust=0.5), patch(old=5.0, sfr=0.02)],
    ids=["old and dusty", "young"],
)
def test_light_is_distributed_as_that_of_stars_placed_one_by_one(
    light_of, seen, monkeypatch, disc
):
    def quantiles():
        rng = RNG(5)
        pictures = [
            gaussian_filter(image(light_of.draw(disc, seen, rng)), (0, 1.0, 1.0))
            for _ in range(30)
        ]
        return np.percentile(pictures, [2, 16, 50, 75], axis=(0, 2, 3))

    fast = quantiles()
    monkeypatch.setattr(starlight, "_STARS_PER_PX", np.inf)
    monkeypatch.setattr(starlight, "_MIN_SNR", 0.0)
    full = quantiles()
    # within half of the noise that the smoothed pictures would have
    noise = np.sqrt(seen.white_variance / (4 * np.pi))
    assert (np.abs(fast - full) < 0.04 * full + 0.5 * noise).all()


def test_young_stars_lie_on_their_own_map(light_of, seen):
    young = flat(0.0)
    young[: N // 4] = 4
    column, row, _, smooth = light_of.draw(patch(sfr=0.5, young=young), seen, RNG(0))
    # those of 100 Myr to 1 Gyr are fainter and everywhere
    inside = row < N // 4 - 0.5
    assert inside.mean() > 0.6
    assert smooth[0, : N // 4].mean() > 2 * smooth[0, N // 4 :].mean() > 0
    assert (column > -0.5).all() and (column < N - 0.5).all()


def test_associations_are_clumps_of_stars(light_of, seen):
    def clumpiness(share):
        found = []
        for i in range(24):
            disc = dataclasses.replace(patch(sfr=0.05, share=share), cell_pc=5.0)
            column, row, _, _ = light_of.draw(disc, seen, RNG(i))
            blocks, _, _ = np.histogram2d(row, column, 8, ((-0.5, N - 0.5),) * 2)
            found.append(blocks.var() / blocks.mean())
        return np.mean(found)

    assert clumpiness(0.0) < 1.3
    assert clumpiness(0.9) > 1.6


def test_faint_light_of_associations_is_where_they_are(light_of, seen, nothing_placed):
    def unevenness(share):
        disc = dataclasses.replace(patch(sfr=10.0, share=share), cell_pc=5.0)
        light = light_of.draw(disc, seen, RNG(0))[3][0]
        blocks = light.reshape(8, N // 8, 8, N // 8).mean((1, 3))
        return blocks.std() / blocks.mean()

    assert unevenness(0.9) > 3 * unevenness(0.0)


def test_stars_placed_stay_within_bounds_however_near_and_dense(m83, seen):
    near = dataclasses.replace(m83, distance_mpc=0.1, distance_uncertainty_mpc=0.01)
    dense = patch(old=1e4, sfr=10.0, share=0.5)
    column, _, _, smooth = Starlight(near, 0.0).draw(dense, seen, RNG(0))
    assert 0.5 < len(column) / (starlight._EXACT_PER_PX * N**2) < 1.5
    assert (smooth > 0).mean() > 0.99


def test_a_massive_patch_has_fewer_and_heavier_associations(light_of, monkeypatch):
    monkeypatch.setattr(starlight, "_MAX_ASSOCIATIONS", 50)
    disc = patch(sfr=1e3, share=0.5)
    found = [
        light_of._associations(disc, starlight._Places(disc.young), RNG(i))
        for i in range(30)
    ]
    assert all(20 < len(f.mass) < 100 for f in found)
    due = 0.5 * 1e3 * 1e-6 * disc.area_pc2 * 10**8.0
    assert np.isclose(np.mean([f.mass.sum() for f in found]) / due, 1, atol=0.25)
    assert np.isclose(found[0].density(N).sum(), found[0].mass.sum(), rtol=1e-4)
