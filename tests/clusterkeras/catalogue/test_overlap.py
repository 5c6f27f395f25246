"""Rows that describe the same cluster."""

import numpy as np
import pytest

from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.catalogue.overlap import overlapping, settle_presence
from clusterkeras.config import InferenceConfig
from clusterkeras.network.presence import (
    at_share,
    at_shares,
    or_not,
    with_empty_places,
)
from data_tools.priors import NEIGHBOUR_PX
from data_tools.schema import FLAGS, KINDS


def find(rows):
    return list(overlapping(*np.transpose(np.array(rows, float))))


def test_less_likely_rows_within_two_half_light_radii_are_overlaps():
    rows = [(50, 50, 0.9, 8), (62, 50, 0.8, 8), (70, 50, 0.7, 2), (50, 40, 0.1, 3)]
    assert find(rows) == [False, True, False, True]


def test_a_row_closer_to_a_small_cluster_than_mocks_have_a_second_is_an_overlap():
    closest, _ = NEIGHBOUR_PX
    rows = [(50, 50, 0.9, 0.5), (49.5 + closest, 50, 0.8, 0.5)]
    assert find([*rows, (50, 50.5 + closest, 0.7, 0.5)]) == [False, True, False]


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


TRAINED = (0.7, *(0.3 / 8,) * 8)


@pytest.fixture
def settle(m83):
    """Return a function that settles rows far apart: their columns, and the shares."""

    def settle(kinds, two=False, step=100.0, **config):
        kinds = np.asarray(kinds, "f4")
        n = len(kinds)
        columns = {
            "p_cluster": kinds[:, 0],
            "median": np.tile(np.float32([7, 0, 4, -1]), (n, 1)),
            "flags": np.zeros(n, np.int32),
        }
        if not two:
            columns["kinds"] = kinds
        config = InferenceConfig(**config)
        settings = InferenceSettings("m", m83, TRAINED, config, "")
        place = step * np.arange(n)
        return columns, settle_presence(columns, place, np.zeros(n), settings)

    return settle


#: A cluster, a peak of the field, one that may be either, and no data.
ROWS = np.full((4, len(KINDS)), 0.01)
ROWS[[0, 1], [0, 8]] = 0.92
ROWS[2, [0, 8]] = 0.465
ROWS[3] = np.nan


def test_a_row_has_its_likeliest_other_kind_under_the_shares_of_all(settle):
    columns, shares = settle(ROWS)
    # what is like all but a cluster alike is most likely nothing: that is common
    assert columns["other_kind"].tolist() == ["empty", "field_peak", "field_peak", ""]
    assert shares.shape == (9,)
    weights = with_empty_places(shares, KINDS.index("empty"))
    expected = at_shares(ROWS, TRAINED, weights)
    np.testing.assert_allclose(columns["p_cluster"], expected[:, 0], rtol=1e-5)
    others = expected[:, 1:].max(axis=1)
    np.testing.assert_allclose(columns["p_other_kind"], others, rtol=1e-5)


def test_a_model_that_knows_only_clusters_names_no_other_kind(settle):
    columns, shares = settle(ROWS, two=True)
    assert columns["other_kind"].tolist() == [""] * 4
    assert np.isnan(columns["p_other_kind"]).all()
    np.testing.assert_allclose(shares, or_not(shares[0]))
    expected = at_share(ROWS[:, 0], 0.7, shares[0])
    np.testing.assert_allclose(columns["p_cluster"], expected, rtol=1e-5)


@pytest.mark.parametrize("two", [False, True])
def test_a_share_of_clusters_that_is_given_stays(settle, two):
    _, shares = settle(ROWS, two, cluster_share=0.05)
    assert shares[0] == pytest.approx(0.05)


def test_shares_of_other_kinds_that_are_given_stay(settle):
    others = {"field_peak": 9.0, "blend": 1.0}
    _, shares = settle(ROWS, cluster_share=0.2, other_shares=others)
    expected = dict.fromkeys(KINDS, 0.0) | {"cluster": 0.2}
    expected |= {"field_peak": 0.72, "blend": 0.08}
    np.testing.assert_allclose(shares, list(expected.values()), atol=1e-6)
    settle(ROWS, two=True, other_shares=others)


def test_pieces_of_one_cluster_do_not_count_among_the_shares(settle):
    many = np.tile(ROWS[:1], (40, 1))
    apart, shares = settle(many)
    pieces, fewer = settle(many, step=0.0)
    assert not apart["flags"].any()
    assert (pieces["flags"] & FLAGS["overlap"][0] > 0).sum() == 39
    assert fewer[0] < shares[0]


def test_images_of_nothing_are_no_clusters_though_no_finder_names_such_places(settle):
    # clusters that cannot be seen and places with nothing look the same
    nothing = np.full((3, len(KINDS)), 0.02)
    nothing[:, 0], nothing[:, KINDS.index("empty")] = 0.7, 0.16
    sure = np.full((2, len(KINDS)), 1e-4)
    sure[[0, 1], [0, 8]] = 1 - 8e-4
    seen = np.repeat(sure, [40, 400], axis=0)
    columns, shares = settle(np.concatenate([nothing, seen]))
    assert shares[KINDS.index("empty")] < 0.1
    assert (columns["p_cluster"][:3] < 0.4).all()
    assert (columns["p_cluster"][3:43] > 0.5).all()


def test_no_rows_have_the_training_s_shares(settle):
    columns, shares = settle(np.empty((0, 9)))
    np.testing.assert_allclose(shares, TRAINED)
    assert len(columns["other_kind"]) == 0
