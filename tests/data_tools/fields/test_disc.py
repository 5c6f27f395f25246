"""Maps of a disc: shapes are where they should be, random maps as rough as asked."""

import dataclasses

import numpy as np
import pytest

from data_tools.fields import disc as disc_module
from data_tools.fields.disc import draw_disc, gaussian_random_field
from data_tools.priors import Priors

CELL_PC = 4.0
N = 192
PLAIN = Priors(
    field_old_mass_density=(2.0, 2.0),
    field_sfr_density=(-2.0, -2.0),
    field_dust_a_v=(-0.3, -0.3),
    field_arm_fraction=0.0,
    field_bulge_fraction=0.0,
)


def drawn(seed=0, n=N, cell_pc=CELL_PC, **changes):
    priors = dataclasses.replace(PLAIN, **changes)
    return draw_disc(priors, n, cell_pc, np.random.default_rng(seed))


@pytest.fixture
def calm(monkeypatch):
    """Take clumps and gradient away, so that only shapes are left."""
    monkeypatch.setattr(disc_module, "_CLUMP_SCATTER", (0.0, 0.0))
    monkeypatch.setattr(disc_module, "_DUST_SCATTER", (0.0, 0.0))
    monkeypatch.setattr(disc_module, "_GRADIENT", 0.0)


def test_densities_have_mean_one_and_dust_has_the_median_asked_for():
    disc = drawn()
    assert np.isclose(disc.smooth.mean(), 1, atol=1e-4)
    assert np.isclose(disc.young.mean(), 1, atol=1e-4)
    medians = [np.median(drawn(seed).dust) for seed in range(20)]
    assert np.isclose(np.median(medians), 10**-0.3, rtol=0.1)
    assert disc.bulge is None
    assert np.isclose(disc.area_pc2, (N * CELL_PC) ** 2)


def test_young_stars_are_clumpier_than_old_ones():
    disc = drawn()
    assert disc.young.std() > 3 * disc.smooth.std()


def test_without_arm_and_clumps_a_disc_is_even(calm):
    disc = drawn()
    for density in (disc.smooth, disc.young, disc.dust):
        assert np.isclose(density.max(), density.min(), rtol=1e-5)


def test_arm_is_a_band_of_young_stars_and_less_so_of_old_ones(calm):
    for seed in range(8):
        disc = drawn(
            seed,
            cell_pc=30.0,
            field_arm_fraction=1.0,
            field_arm_contrast=(0.7, 0.7),
        )
        young = disc.young / disc.young.min()
        assert np.isclose(young.max(), 10**0.7, rtol=0.15)
        assert disc.properties["arm_contrast"] == pytest.approx(10**0.7)
        old = disc.smooth / disc.smooth.min()
        assert 1.05 < old.max() < 1.7
        # the brightest cells lie on a line: one of their principal axes has no width
        ridge = np.argwhere(young > 0.97 * young.max()) * 30.0
        narrow, long = np.sqrt(np.linalg.eigvalsh(np.cov(ridge.T)))
        assert narrow < 0.2 * 600 < long


def test_dust_lane_runs_along_one_side_of_the_arm(calm, monkeypatch):
    monkeypatch.setattr(disc_module, "_LANE_A_V", (6.0, 6.0))
    monkeypatch.setattr(disc_module, "_LANE_PLACE", (1.0, 1.0))
    lanes = 0
    for seed in range(12):
        disc = drawn(
            seed, cell_pc=30.0, field_arm_fraction=1.0, field_arm_contrast=(0.3, 0.3)
        )
        # the lane of an arm at the edge of a field is outside
        if disc.dust.max() > 5 * disc.dust.min():
            lanes += 1
            darkest = np.unravel_index(disc.dust.argmax(), disc.dust.shape)
            # a sigma off the ridge the arm has fallen to exp(-1/2) of its height
            height = (disc.young[darkest] - disc.young.min()) / np.ptp(disc.young)
            assert np.isclose(height, np.exp(-0.5), atol=0.12)
    assert lanes > 6


def test_bulge_falls_off_from_the_density_asked_for():
    peaks = []
    for seed in range(12):
        disc = drawn(
            seed, field_bulge_fraction=1.0, field_bulge_mass_density=(3.5, 3.5)
        )
        assert (disc.bulge > 0).all()
        assert disc.properties["bulge_mass_density"] == pytest.approx(10**3.5)
        row, column = np.unravel_index(disc.bulge.argmax(), disc.bulge.shape)
        # away from its middle it falls in every direction
        far = disc.bulge[N - 1 if row < N / 2 else 0, N - 1 if column < N / 2 else 0]
        assert far < 0.7 * disc.bulge.max()
        peaks.append(disc.bulge.max())
    assert np.isclose(max(peaks), 10**3.5, rtol=0.1)


def test_shares_of_arms_and_bulges_are_those_asked_for():
    found = [
        drawn(seed, n=16, field_arm_fraction=0.4, field_bulge_fraction=0.2)
        for seed in range(300)
    ]
    arms = np.mean([d.properties["arm_contrast"] > 1 for d in found])
    bulges = np.mean([d.bulge is not None for d in found])
    assert np.isclose(arms, 0.4, atol=0.1)
    assert np.isclose(bulges, 0.2, atol=0.08)


def test_random_map_has_zero_mean_unit_variance_and_its_slope():
    image = gaussian_random_field(256, 2.8, np.random.default_rng(0))
    assert abs(image.mean()) < 1e-4
    assert np.isclose(image.std(), 1, atol=1e-4)
    power = np.abs(np.fft.fft2(image)) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    low, high = (
        power[(frequency > f) & (frequency < 1.1 * f)].mean() for f in (0.05, 0.2)
    )
    assert np.isclose(np.log(low / high) / np.log(4), 2.8, atol=0.3)


def test_random_map_is_as_rough_along_both_axes():
    rng = np.random.default_rng(1)
    maps = [gaussian_random_field(64, 2.8, rng) for _ in range(200)]
    rows, columns = (np.var(np.mean(maps, axis=axis)) for axis in (1, 2))
    assert np.isclose(rows / columns, 1, atol=0.25)
