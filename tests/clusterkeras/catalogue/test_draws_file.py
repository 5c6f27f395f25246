"""Test the file of draws."""

import h5py
import numpy as np
import pytest

from clusterkeras.catalogue.draws_file import read_draws, write_draws

PLACES = np.array([[1.0, 2.0], [3.0, 4.0]])


@pytest.fixture
def path(tmp_path):
    """Write a file of draws."""
    batch = (np.arange(2), {"draws": np.ones((2, 5, 4), np.float32)})
    write_draws(tmp_path / "draws.h5", [batch], (2, 5), {}, PLACES)
    return tmp_path / "draws.h5"


def test_what_was_written_is_read(path):
    places, draws = read_draws(path, PLACES)
    assert np.array_equal(places, PLACES)
    assert draws.shape == (2, 5, 4)
    assert (draws == 1).all()


@pytest.mark.parametrize(
    "content",
    [b"", b"no HDF5", b"\x89HDF\r\n\x1a\n" + bytes(1000)],
)
def test_a_file_of_something_else_is_refused_by_name(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"draws\.h5: not a file of draws: "):
        read_draws(path, PLACES)


def test_a_file_that_is_cut_short_is_refused_by_name(path):
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"draws\.h5: not a file of draws: .*truncat"):
        read_draws(path, PLACES)


@pytest.mark.parametrize("shape", [(2, 5), (2, 5, 3), (2, 5, 4, 1)])
def test_draws_of_another_shape_are_refused(path, shape):
    with h5py.File(path, "w") as file:
        file["draws"] = np.ones(shape, np.float32)
    with pytest.raises(ValueError, match="expected draws of shape"):
        read_draws(path, PLACES)
