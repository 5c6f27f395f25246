import json

import keras
import numpy as np
import pytest

from clusterkeras.training.optimizer import Muon


def moved(shape, gradient, name="kernel", **arguments):
    """Return the first step from zero."""
    variable = keras.Variable(np.zeros(shape, np.float32), name=name)
    optimizer = Muon(0.1, weight_decay=0.0, adam_weight_decay=0.0, **arguments)
    optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
    return -variable.numpy() / 0.1


@pytest.mark.parametrize("shape", [(24, 6), (5, 17), (3, 3, 4, 8), (1, 1, 16, 32)])
def test_a_kernel_moves_along_the_orthogonal_part_of_its_gradient(shape):
    gradient = np.random.default_rng(1).standard_normal(shape)
    # of directions in which it is large and small
    matrix = gradient.reshape(-1, shape[-1])
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = np.geomspace(1, 0.1, len(values))
    step = moved(shape, ((left * values) @ right).reshape(shape)).reshape(matrix.shape)
    along = np.diag(left.T @ step @ right.T) / (0.2 * np.sqrt(max(matrix.shape)))
    # five Newton-Schulz steps bring the values near 1, not to it
    assert np.all((along > 0.6) & (along < 1.3))
    rest = step - (left * np.diag(left.T @ step @ right.T)) @ right
    assert np.abs(rest).max() < 1e-3 * np.abs(step).max()


@pytest.mark.parametrize("shape", [(24, 6), (6, 24), (16, 16)])
@pytest.mark.parametrize("least", [1.0, 1e-2, 1e-5, 0.0])
def test_it_iterates_on_the_small_side_what_keras_does_on_the_whole(shape, least):
    left, values, right = np.linalg.svd(
        np.random.default_rng(4).standard_normal(shape), full_matrices=False
    )
    values = 3 * np.linspace(1, least, len(values)) ** 4
    matrix = keras.ops.convert_to_tensor((left * values) @ right, "float32")
    of_keras = keras.optimizers.Muon().zeropower_via_newtonschulz5(matrix, 5)
    found = Muon().zeropower_via_newtonschulz5(matrix, 5)
    np.testing.assert_allclose(found, of_keras, atol=1e-3)


def test_no_gradient_moves_no_kernel():
    np.testing.assert_array_equal(moved((3, 3, 4, 8), np.zeros((3, 3, 4, 8))), 0)


def test_a_kernel_s_step_is_as_large_as_one_of_adam():
    gradient = np.random.default_rng(2).standard_normal((3, 3, 32, 64))
    step = moved(gradient.shape, gradient)
    assert np.sqrt(np.mean(step**2)) == pytest.approx(0.2, rel=0.2)


def test_scales_and_what_is_excluded_move_as_with_adam():
    gradient = np.random.default_rng(3).standard_normal((8, 4))
    for found in (
        moved((8, 4), gradient, "head", exclude_layers=["head"]),
        moved((8,), gradient[:, 0], "gamma"),
    ):
        np.testing.assert_allclose(np.abs(found), 1, rtol=1e-3)


def test_it_survives_the_round_trip():
    optimizer = Muon(0.1, momentum=0.9, exclude_layers=["head"])
    serialised = json.dumps(keras.saving.serialize_keras_object(optimizer))
    again = keras.saving.deserialize_keras_object(json.loads(serialised))
    assert isinstance(again, Muon)
    assert again.get_config() == optimizer.get_config()
