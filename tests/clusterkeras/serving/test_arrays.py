"""What a signature takes of what a user has."""

import numpy as np
import pytest

from clusterkeras.serving.arrays import as_array


@pytest.mark.parametrize(
    "value",
    [
        [[1, 2.5], [3, 4]],
        ([1.0, 2.5], np.array([3, 4])),
        np.array([[1, 2.5], [3, 4]]),
        np.array([[1, 2.5], [3, 4]], ">f8"),
        np.ma.array([[1, 2.5], [3, 4]]),
    ],
    ids=["lists", "rows", "float64", "of FITS", "nothing masked"],
)
def test_numbers_of_any_type_become_those_of_the_signature(value):
    found = as_array("images", value, "float32")
    assert type(found) is np.ndarray and found.dtype == np.dtype("float32")
    assert found.tolist() == [[1, 2.5], [3, 4]]
    assert found.dtype.isnative


def test_whole_numbers_become_those_of_the_signature_and_fractions_are_refused():
    assert as_array("seed", [1, 2], "int32").dtype == np.int32
    assert as_array("images", [1, 2], "float32").tolist() == [1, 2]
    with pytest.raises(ValueError, match="seed: expected numbers, int32; received fl"):
        as_array("seed", [1.0, 2.0], "int32")
    with pytest.raises(ValueError, match="seed: expected int32, from -2147483648 to"):
        as_array("seed", [1, 1 << 40], "int32")


def test_what_is_masked_is_no_data():
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    for value in (masked, [masked, masked]):
        found = as_array("images", value, "float32")
        assert type(found) is np.ndarray
        assert np.isnan(found[..., 0]).all() and (found[..., 1] == 2).all()
    with pytest.raises(ValueError, match=r"seed: .*some of them masked"):
        as_array("seed", np.ma.array([1, 2], mask=[True, False]), "int32")


def test_what_is_beyond_the_type_is_no_data():
    assert np.isinf(as_array("images", [1e39], "float32")).all()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "expected numbers, float32; received <U4"),
        ([None], "expected numbers, float32; received object"),
        ([True], "expected numbers, float32; received bool"),
        ([1j], "expected numbers, float32; received complex128"),
        ([[1], [1, 2]], "expected lists of one length"),
    ],
)
def test_other_values_are_refused_by_name(value, said):
    with pytest.raises(ValueError, match=f"images: {said}"):
        as_array("images", value, "float32")
