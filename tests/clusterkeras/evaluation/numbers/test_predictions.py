import dataclasses

import numpy as np
import pytest

from clusterkeras.evaluation.numbers.predictions import Predictions


def test_arrays_of_different_length_are_refused(calibrated):
    with pytest.raises(ValueError, match="one number of rows"):
        dataclasses.replace(calibrated, kind=calibrated.kind[:-1])


def test_predictions_survive_the_disk(calibrated, tmp_path):
    calibrated.write(tmp_path / "predictions.npz")
    again = Predictions.read(tmp_path / "predictions.npz")
    for name, values in calibrated.arrays().items():
        np.testing.assert_array_equal(getattr(again, name), values)


def test_a_file_of_something_else_is_refused(calibrated, tmp_path):
    path = tmp_path / "predictions.npz"
    np.savez(path, truth=calibrated.truth, extra=calibrated.truth)
    with pytest.raises(ValueError, match=r"expected the arrays \['crowding'.*'extra'"):
        Predictions.read(path)


def test_a_file_whose_arrays_have_different_length_is_named(calibrated, tmp_path):
    path = tmp_path / "predictions.npz"
    np.savez(path, **calibrated.arrays() | {"kind": calibrated.kind[:-1]})
    with pytest.raises(ValueError, match=r"predictions\.npz: .*one number of rows"):
        Predictions.read(path)


@pytest.mark.parametrize("damage", ["cut", "an array alone", "empty"])
def test_a_file_that_is_no_whole_npz_is_named(calibrated, tmp_path, damage):
    path = tmp_path / "predictions.npz"
    calibrated.select(np.arange(len(calibrated)) < 10).write(path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-500])
    elif damage == "empty":
        path.write_bytes(b"")
    else:
        with path.open("wb") as file:
            np.save(file, calibrated.truth)
    with pytest.raises(ValueError, match=r"predictions\.npz: expected a whole \.npz"):
        Predictions.read(path)


def test_parts_are_joined_in_their_order(calibrated):
    rows = np.arange(len(calibrated)) < 100
    joined = Predictions.joined([calibrated.select(rows), calibrated.select(~rows)])
    np.testing.assert_array_equal(joined.draws, calibrated.draws)
