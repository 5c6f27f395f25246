"""Isochrones on shared phases, and what lies between two of them."""

import numpy as np
import pytest

from data_tools.stars.evolution.phases import lay, parsec_stages, resampled

MASS = np.array([1.0, 1.5, 1.75, 2.0])
REST = np.column_stack([np.ones(4), [5.0, 4.0, 1.0, 0.0]])


@pytest.fixture
def tracks():
    """Return one that lacks the last two of six phases, and one that does not."""
    young = lay(6, np.arange(4), MASS, REST)
    old = lay(6, np.arange(6), np.linspace(0.8, 1.6, 6), np.ones((6, 2)))
    return young, old


def test_a_phase_without_stars_holds_no_mass(tracks):
    young, old = tracks
    assert young.extent == (0, 4)
    assert old.extent == (0, 6)
    np.testing.assert_array_equal(young.span[4:], 0)
    assert young.span.sum() == pytest.approx(MASS[-1] - MASS[0])


def test_between_two_the_mass_in_each_phase_is_the_weighted_mean(tracks):
    young, old = tracks
    between = young.towards(old, 0.25)
    np.testing.assert_allclose(between.span, 0.75 * young.span + 0.25 * old.span)
    np.testing.assert_allclose(between.mass, 0.75 * young.mass + 0.25 * old.mass)
    # a phase that only one of them has looks like that one's
    np.testing.assert_allclose(between.rest[:, 4:], old.rest[:, 4:], rtol=1e-6)


def test_the_light_of_the_stars_between_two_is_the_weighted_sum(tracks):
    young, old = tracks
    between = young.towards(old, 0.4)
    light = [float(t.span @ t.rest[1]) for t in (young, between, old)]
    assert light[1] == pytest.approx(0.6 * light[0] + 0.4 * light[2], rel=1e-6)


def test_points_of_a_stage_are_equally_far_along_its_path():
    position = np.array([[0.0, 4.0], [0.1, 4.0], [1.0, 4.0]])
    mass, rest = resampled(np.array([1.0, 1.1, 2.0]), position, position, 11)
    np.testing.assert_allclose(np.diff(rest[:, 0]), 0.1, atol=1e-6)
    np.testing.assert_allclose(np.diff(mass), 0.1, atol=1e-6)


@pytest.mark.parametrize(
    ("label", "mass", "stage"),
    [
        # CMD 3.7, solar, log age 7.20, 7.00, 7.15 and 6.00: label at these masses
        (
            [0, 1, 1, 2, 3, 4, 5, 6, 7],
            [1.0, 2.7, 12, 12.93, 12.94, 13.0, 13.3, 13.4, 13.6],
            [0, 1, 1, 2, 3, 4, 5, 6, 7],
        ),
        (
            [0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3],
            [2.6, 3.2, 10, 13.8, 17.0, 18.07, 18.4, 18.8, 18.9, 19.1, 19.3],
            [0, 1, 1, 1, 1, 4, 4, 5, 5, 6, 6],
        ),
        (
            [0, 1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 2, 2, 3, 3],
            [1, 3, 5, *np.linspace(13.93, 14.7, 12)],
            [0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 6, 6],
        ),
        ([0, 1, 1, 0, 0, 3], [1, 7, 11, 13, 300, 350], [0, 1, 1, 1, 1, 6]),
        # one odd row, and one that goes back
        ([1, 2, 1, 1, 3, 3, 2], [1, 2, 3, 4, 5, 6, 7], [1, 1, 1, 1, 3, 3, 3]),
    ],
)
def test_stages_of_parsec_rise_and_mean_the_same_above_fourteen_suns(
    label, mass, stage
):
    found = parsec_stages(np.array(label), np.array(mass, float))
    np.testing.assert_array_equal(found, stage)
