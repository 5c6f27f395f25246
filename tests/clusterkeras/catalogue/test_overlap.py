"""Rows that describe the same cluster."""

import numpy as np

from clusterkeras.catalogue.overlap import overlapping


def find(rows):
    return list(overlapping(*np.transpose(np.array(rows, float))))


def test_less_likely_rows_within_two_half_light_radii_are_overlaps():
    rows = [(50, 50, 0.9, 8), (62, 50, 0.8, 8), (70, 50, 0.7, 2), (50, 40, 0.1, 3)]
    assert find(rows) == [False, True, False, True]


def test_row_next_to_a_small_cluster_is_an_overlap_only_within_three_pixels():
    rows = [(50, 50, 0.9, 0.5), (52.5, 50, 0.8, 0.5), (54, 50, 0.7, 0.5)]
    assert find(rows) == [False, True, False]


def test_an_overlap_claims_nothing_itself():
    # a chain: the second belongs to the first, the third is out of the first's reach
    rows = [(0, 0, 0.9, 5), (9, 0, 0.8, 5), (18, 0, 0.7, 5)]
    assert find(rows) == [False, True, False]


def test_what_is_no_cluster_claims_nothing():
    assert find([(0, 0, 0.4, 9), (1, 0, 0.3, 9)]) == [False, False]


def test_of_two_equal_rows_the_first_stays():
    assert find([(0, 0, 0.9, 5), (1, 0, 0.9, 5)]) == [False, True]


def test_rows_without_posterior_or_place_are_left_alone():
    nan = np.nan
    rows = [(0, 0, nan, nan), (0, 0, 0.9, 5), (nan, nan, 0.8, 5), (1, 0, 0.8, 5)]
    assert find(rows) == [False, False, False, True]
    assert find(np.empty((0, 4))) == []
