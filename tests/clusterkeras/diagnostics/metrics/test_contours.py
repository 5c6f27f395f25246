"""Comparisons whose answer is known: one posterior in another, beside it, the same."""

import numpy as np
import pytest
from scipy import ndimage

from clusterkeras.diagnostics.metrics import contours
from data_tools.schema import PARAMETERS

PLANE = PARAMETERS[:2]
BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose([BOX[p.name] for p in PLANE])


def blob(x, y, width, n=4000, seed=0):
    """Draw from a round Gaussian, all in units of the box."""
    share = np.random.default_rng(seed).normal((x, y), width, (n, 2))
    return (LOW + (HIGH - LOW) * np.clip(share, 0, 1)).astype(np.float32)


def at(x, y):
    return LOW + (HIGH - LOW) * np.array([x, y])


def test_a_density_is_the_share_of_draws_in_each_part_of_the_box():
    draws = np.concatenate([blob(0.2, 0.7, 0.02, 3000), blob(0.8, 0.3, 0.02, 1000)])
    found = contours.density(draws, LOW, HIGH)
    half = contours.CELLS // 2
    assert found[:half, half:].sum() == pytest.approx(0.75, abs=0.001)
    assert found[half:, :half].sum() == pytest.approx(0.25, abs=0.001)
    assert found.sum() == pytest.approx(1)


def test_smoothing_loses_nothing_over_the_edge_of_the_box():
    flat = np.random.default_rng(1).uniform(LOW, HIGH, (40_000, 2))
    found = contours.density(flat, LOW, HIGH, cells=20)
    edge = np.concatenate([found[0], found[-1], found[:, 0], found[:, -1]])
    assert edge.mean() == pytest.approx(found.mean(), rel=0.03)


def regions(draws):
    return contours.levels(contours.density(draws, LOW, HIGH), draws, LOW, HIGH)


def test_regions_of_a_gaussian_have_the_area_they_must_have():
    found = regions(blob(0.5, 0.5, 0.1, 20_000))
    for share in contours.SHARES:
        # radius^2 = -2 ln(1 - share) sigma^2
        expected = -2 * np.log(1 - share) * np.pi * 0.1**2
        assert np.mean(found < share) == pytest.approx(expected, rel=0.05)


def test_draws_of_the_same_posterior_agree_and_each_lies_in_the_other():
    found = contours.agreement_of(
        blob(0.5, 0.5, 0.1), blob(0.5, 0.5, 0.1, seed=1), at(0.5, 0.5), LOW, HIGH
    )
    assert found.overlap > 0.93
    assert found.inside == pytest.approx(0.95, abs=0.02)
    assert found.area_ratio == pytest.approx(1, abs=0.06)
    assert max(found.first_level, found.second_level) < 0.2


def test_a_narrow_posterior_in_a_wide_one_is_inside_though_they_overlap_little():
    found = contours.agreement_of(
        blob(0.5, 0.5, 0.15), blob(0.55, 0.45, 0.02), at(0.55, 0.45), LOW, HIGH
    )
    assert found.inside == pytest.approx(1, abs=1e-6)
    assert found.overlap < 0.2
    assert found.area_ratio < 0.05


def test_posteriors_that_exclude_each_other_have_neither():
    found = contours.agreement_of(
        blob(0.2, 0.8, 0.03), blob(0.8, 0.2, 0.03), at(0.8, 0.2), LOW, HIGH
    )
    assert found.overlap < 1e-6 and found.inside < 1e-6
    assert found.first_level == pytest.approx(1) and found.second_level < 0.2


def test_one_of_two_modes_is_half_of_the_other_posterior():
    both = np.concatenate([blob(0.2, 0.8, 0.04), blob(0.8, 0.2, 0.04, seed=1)])
    found = contours.agreement_of(
        both, blob(0.2, 0.8, 0.04, seed=2), at(0.2, 0.8), LOW, HIGH
    )
    assert found.overlap == pytest.approx(0.5, abs=0.03)
    assert found.area_ratio == pytest.approx(0.5, abs=0.1)


def test_the_gap_between_two_modes_stays_empty():
    both = np.concatenate([blob(0.2, 0.8, 0.04), blob(0.8, 0.2, 0.04, seed=1)])
    middle = contours.CELLS // 2
    found = contours.density(both, LOW, HIGH)
    assert found[middle, middle] < 1e-4 * found.max()


def test_a_lone_draw_does_not_widen_the_rest():
    one = blob(0.3, 0.3, 0.03)
    draws = np.concatenate([one, at(0.9, 0.9)[None]])
    areas = [np.mean(regions(d) < 0.95) for d in (one, draws)]
    assert areas[1] == pytest.approx(areas[0], rel=0.05)


def test_half_of_the_draws_in_a_spike_leaves_the_other_half_without_islands():
    # where a kernel for all draws would make an island of every second draw
    draws = np.concatenate([blob(0.2, 0.2, 0.02), blob(0.5, 0.5, 0.15, seed=1)])
    _, islands = ndimage.label(regions(draws) < 0.95)
    assert islands < 10


def test_the_truth_is_inside_as_often_as_the_regions_say():
    rng = np.random.default_rng(2)
    found = []
    for seed in range(50):
        centre = rng.uniform(0.35, 0.65, 2)
        truth = blob(*centre, 0.06, 1, seed=1000 + seed)[0]
        first, second = (blob(*centre, 0.06, 1000, seed=s + seed) for s in (0, 500))
        found.append(contours.agreement_of(first, second, truth, LOW, HIGH))
    levels = np.array([(a.first_level, a.second_level) for a in found])
    np.testing.assert_allclose((levels < 0.68).mean(axis=0), 0.68, atol=0.18)
    np.testing.assert_allclose((levels < 0.95).mean(axis=0), 0.95, atol=0.09)


def test_draws_outside_the_box_are_refused():
    with pytest.raises(ValueError, match="draws must lie in the box from"):
        contours.density(HIGH + np.ones((10, 2)), LOW, HIGH)
