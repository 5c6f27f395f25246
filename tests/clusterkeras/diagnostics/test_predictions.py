import dataclasses

import numpy as np
import pytest

from clusterkeras.diagnostics.predictions import Predictions


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


def test_parts_are_joined_in_their_order(calibrated):
    rows = np.arange(len(calibrated)) < 100
    joined = Predictions.joined([calibrated.select(rows), calibrated.select(~rows)])
    np.testing.assert_array_equal(joined.draws, calibrated.draws)
