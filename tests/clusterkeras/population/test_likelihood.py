"""What a finite number of injected clusters tells."""

import numpy as np
import pytest

from clusterkeras.population.likelihood import effective


def test_equal_weights_count_by_the_share_that_they_are_of_all():
    found = effective(np.full((300, 2), [1e-20, 7.0]), 1000)
    np.testing.assert_allclose(found, 300 / 0.7)


def test_n_eff_is_the_squared_mean_over_its_variance():
    rng = np.random.default_rng(3)
    weights = rng.exponential(size=(4000, 400)) ** 2
    weights[rng.uniform(size=weights.shape) < 0.4] = 0
    means = weights.mean(axis=0)
    expected = means.mean() ** 2 / means.var()
    found = [effective(w[w > 0][:, None], len(w))[0] for w in weights.T[:20]]
    assert np.mean(found) == pytest.approx(expected, rel=0.25)


def test_one_heavy_weight_tells_as_much_as_one_cluster():
    weights = np.array([[1.0], [1e-9], [1e-9]])
    assert effective(weights, 10**6)[0] == pytest.approx(1, rel=1e-5)
