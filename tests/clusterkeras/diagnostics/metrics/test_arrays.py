import numpy as np
import pytest

from clusterkeras.diagnostics.metrics import arrays


def test_draws_of_another_shape_than_the_truth_are_refused():
    with pytest.raises(ValueError, match=r"draws must be \(N, S, P\).*\(3, 10, 2\)"):
        arrays.as_truth_and_draws(np.zeros((3, 4)), np.zeros((3, 10, 2)))


def test_a_single_draw_is_refused():
    with pytest.raises(ValueError, match="at least 2 draws"):
        arrays.as_truth_and_draws(np.zeros((3, 4)), np.zeros((3, 1, 4)))


def test_nan_draws_are_refused_rather_than_counted_as_a_rank():
    draws = np.zeros((3, 10, 2))
    draws[1, 4, 0] = np.nan
    with pytest.raises(ValueError, match="draws must be finite; received 1 of 60"):
        arrays.as_truth_and_draws(np.zeros((3, 2)), draws)


def test_probabilities_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"p must lie in \[0, 1\]; received 2 of 3"):
        arrays.as_probabilities("p", [0.5, 1.01, np.nan])
