"""Probabilities of kinds at other shares than the training set's."""

import numpy as np
import pytest
from scipy import stats

from clusterkeras.network.presence import (
    EMPTY_PLACES,
    PRIOR_POSITIONS,
    at_share,
    at_shares,
    estimate_shares,
    or_not,
    with_empty_places,
)
from data_tools.priors import Priors
from data_tools.schema import KINDS

#: As a default set trains them: 70 % clusters, 9 % peaks of the field.
NEGATIVES = np.array([Priors().negatives[kind] for kind in KINDS[1:]])
TRAINED = np.array([0.7, *(0.3 * NEGATIVES / NEGATIVES.sum())])
#: As a finder gives them: next to all are peaks of the field.
FOUND = np.array([0.01, 0.002, 0.008, 0.003, 0.003, 0.002, 0.001, 0.001, 0.97])
BINS = np.linspace(0, 1, 11)


def classified(n, shares, trained=TRAINED, apart=2.0, seed=0):
    """Return what a perfect softmax says of rows of kinds, and each row's kind.

    Images are unit Gaussians about one place a kind, so the softmax over kinds is
    known exactly; ``field_peak`` lies nearest to ``cluster``.
    """
    rng = np.random.default_rng(seed)
    places = apart * np.eye(len(shares))
    places[-1] = 0.6 * places[0] + 0.4 * places[-1]
    kind = rng.choice(len(shares), n, p=shares)
    x = places[kind] + rng.normal(size=(n, len(shares)))
    log_density = stats.norm.logpdf(x[:, None] - places).sum(axis=-1)
    joint = trained * np.exp(log_density - log_density.max(axis=1, keepdims=True))
    return joint / joint.sum(axis=1, keepdims=True), kind


def worst_bin(p, is_so, least=50):
    """Return by how much p is wrong in the worst of ten bins of its value."""
    number = np.digitize(p, BINS[1:-1])
    off = []
    for rows in (number == i for i in range(10)):
        if rows.sum() >= least:
            off.append(abs(is_so[rows].mean() - p[rows].mean()))
    return max(off)


@pytest.mark.parametrize("shares", [FOUND, TRAINED, np.full(9, 1 / 9)])
def test_shares_of_all_kinds_are_found_from_the_probabilities_alone(shares):
    p, _ = classified(60_000, shares)
    np.testing.assert_allclose(estimate_shares(p, TRAINED), shares, atol=0.01)


@pytest.mark.parametrize("shares", [FOUND, TRAINED, np.full(9, 1 / 9)])
def test_every_kind_s_probabilities_are_right_within_five_percent_in_bins(shares):
    p, kind = classified(50_000, shares, seed=1)
    settled = at_shares(p, TRAINED, estimate_shares(p, TRAINED))
    for k in (0, KINDS.index("field_peak")):
        assert worst_bin(settled[:, k], kind == k, least=500) < 0.05


def test_peaks_of_a_finder_need_the_shares_of_all_kinds():
    # what only knows clusters and the rest takes the rest for as in training
    p, kind = classified(50_000, FOUND, seed=2)
    two = or_not(p[:, 0])
    trained = or_not(TRAINED[0])
    crude = at_shares(two, trained, estimate_shares(two, trained))[:, 0]
    settled = at_shares(p, TRAINED, estimate_shares(p, TRAINED))[:, 0]
    assert worst_bin(crude, kind == 0) > 0.1
    assert worst_bin(settled, kind == 0, least=100) < 0.05


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_share_of_clusters_is_found_where_there_are_only_two_kinds(share):
    trained = or_not(0.7)
    p, _ = classified(20_000, or_not(share), trained, apart=6.0)
    assert estimate_shares(p, trained)[0] == pytest.approx(share, abs=0.015)


def test_a_known_share_of_clusters_stays_and_the_others_share_the_rest():
    p, _ = classified(60_000, FOUND)
    shares = estimate_shares(p, TRAINED, cluster=0.05)
    assert shares[0] == pytest.approx(0.05)
    assert shares.sum() == pytest.approx(1)
    np.testing.assert_allclose(shares[1:], 0.95 * FOUND[1:] / 0.99, atol=0.03)
    np.testing.assert_allclose(
        estimate_shares(or_not([0.2, 0.9]), or_not(0.7), 0.4), [0.4, 0.6]
    )


def test_known_shares_of_the_other_kinds_stay():
    # clusters that were put there must not make what looks like them seem common
    p, _ = classified(20_000, TRAINED)
    shares = estimate_shares(p, TRAINED, cluster=0.01, others=2 * FOUND[1:])
    np.testing.assert_allclose(shares, FOUND, rtol=1e-6)
    found = estimate_shares(p, TRAINED, others=NEGATIVES)
    np.testing.assert_allclose(found, TRAINED, atol=0.01)


def test_for_each_cluster_there_are_places_with_nothing_that_nobody_names():
    weights = with_empty_places(FOUND, 1)
    assert weights.sum() == pytest.approx(1)
    assert weights[1] / weights[0] == pytest.approx(EMPTY_PLACES)
    np.testing.assert_allclose(weights[2:] / weights[0], FOUND[2:] / FOUND[0])
    np.testing.assert_allclose(with_empty_places([0.1, 0.9], 1), [0.1, 0.9])


def test_images_of_nothing_are_not_counted_as_clusters():
    # half of the clusters look like nothing, and none of the positions does
    seen = np.tile([0.98, 0.0, 0.02], (50, 1))
    peaks = np.tile([0.01, 0.0, 0.99], (950, 1))
    nothing = np.tile([0.7, 0.3, 0.0], (20, 1))
    trained = [0.6, 0.1, 0.3]
    p = np.concatenate([seen, peaks, nothing])
    without = estimate_shares(p, trained)[0]
    assert estimate_shares(p, trained, empty=1)[0] < 0.9 * without


def test_a_kind_that_was_not_trained_stays_impossible():
    trained = np.array([0.7, 0.3, 0.0])
    p = np.array([[0.6, 0.4, 0.0], [0.1, 0.9, 0.0]])
    shares = estimate_shares(p, trained)
    assert shares[2] == 0
    assert shares.sum() == pytest.approx(1)
    assert (at_shares(p, trained, shares)[:, 2] == 0).all()


def test_a_single_row_does_not_decide_the_shares():
    trained = or_not(0.7)
    assert 0.6 < estimate_shares(or_not([0.02]), trained)[0] < 0.7
    assert 0.7 < estimate_shares(or_not([0.999]), trained)[0] < 0.8
    np.testing.assert_allclose(estimate_shares(or_not([np.nan]), trained), trained)
    assert PRIOR_POSITIONS == 10


def test_the_same_share_changes_nothing_and_order_is_kept():
    p = np.array([0.0, 0.2, np.nan, 0.7, 1.0])
    assert np.allclose(at_share(p, 0.7, 0.7), p, equal_nan=True)
    lower = at_share(p, 0.7, 0.1)
    assert np.isnan(lower[2])
    assert lower[0] == 0 and lower[-1] == 1
    assert lower[1] < lower[3] < p[3]


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, np.nan])
def test_share_outside_zero_to_one_is_refused(share):
    with pytest.raises(ValueError, match=r"share: expected a share in \(0, 1\)"):
        at_share(np.array([0.5]), 0.7, share)
    with pytest.raises(ValueError, match=r"cluster: expected a share in \(0, 1\)"):
        estimate_shares(or_not([0.5]), or_not(0.7), share)


@pytest.mark.parametrize(
    ("trained", "message"),
    [([0.7, 0.2, 0.1], "each of 2 kinds"), ([0.7, 0.7], "add up"), ([2, -1], ">= 0")],
)
def test_shares_that_are_none_are_refused(trained, message):
    with pytest.raises(ValueError, match=f"trained: expected .*{message}"):
        estimate_shares(or_not([0.5]), trained)
