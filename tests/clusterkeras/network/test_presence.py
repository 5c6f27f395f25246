"""Probabilities of a cluster at another share of clusters than the training set's."""

import numpy as np
import pytest
from scipy import stats

from clusterkeras.network.presence import at_share, estimate_share


def probabilities(n, share, trained, seed=0):
    """Return what a classifier says of rows from two unit Gaussians 2 apart."""
    rng = np.random.default_rng(seed)
    is_cluster = rng.random(n) < share
    x = rng.normal(2.0 * is_cluster, 1.0)
    cluster, other = (stats.norm.pdf(x, m) for m in (2.0, 0.0))
    p = trained * cluster / (trained * cluster + (1 - trained) * other)
    return p, is_cluster


def test_probabilities_at_the_true_share_are_calibrated():
    p, is_cluster = probabilities(200_000, 0.05, 0.7)
    corrected = at_share(p, 0.7, 0.05)
    for low in (0.0, 0.2, 0.5, 0.8):
        rows = (corrected >= low) & (corrected < low + 0.2)
        error = 4 * np.sqrt(0.25 / rows.sum())
        assert is_cluster[rows].mean() == pytest.approx(
            corrected[rows].mean(), abs=error
        )
    assert p.mean() > 3 * is_cluster.mean()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_share_of_clusters_is_found_from_the_probabilities_alone(share):
    p, _ = probabilities(20_000, share, 0.7)
    assert estimate_share(p, 0.7) == pytest.approx(share, abs=0.015)


def test_a_single_row_does_not_decide_the_share():
    assert 0.6 < estimate_share(np.array([0.02]), 0.7) < 0.7
    assert 0.7 < estimate_share(np.array([0.999]), 0.7) < 0.8
    assert estimate_share(np.array([np.nan]), 0.7) == pytest.approx(0.7)


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
