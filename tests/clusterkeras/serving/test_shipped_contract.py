"""What docs/use/serving.md says holds, of every signature of the shipped SavedModel."""

import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.model_files.presets import saved_models_directory
from clusterkeras.serving.contract import signatures as promised

DIRECTORY = saved_models_directory() / "m83-wfc3-uvis" / "1"
ASKED = [one.name for one in promised() if one.inputs]
DRAWN = ["samples", "conditioned_samples"]

#: A row's numbers in another batch, over their size or one.
ROUNDING = 1e-5

MIDDLE = slice(30, 34)
INSIDE = MIDDLE, MIDDLE, slice(None)
BLUE, EVERYWHERE = (..., 0), (...,)

#: What is odd about a row: where, what stands there, the pixels that are no data, and
#: whether its answer is a number.
ODD = {
    "NaN": (INSIDE, np.nan, 48, True),
    "infinite": (INSIDE, np.inf, 48, True),
    "minus infinite": (INSIDE, -np.inf, 48, True),
    "beyond 1e18": (INSIDE, 1e19, 48, True),
    "far below zero": (INSIDE, -1e30, 48, True),
    "zero": (EVERYWHERE, 0, 0, True),
    "saturated": (INSIDE, 3e6, 0, True),
    "saturated everywhere": (EVERYWHERE, 3e6, 0, True),
    "a band of NaN": (BLUE, np.nan, 64 * 64, False),
    "all NaN": (EVERYWHERE, np.nan, 3 * 64 * 64, False),
    "all infinite": (EVERYWHERE, np.inf, 3 * 64 * 64, False),
    "all of 1e30": (EVERYWHERE, 1e30, 3 * 64 * 64, False),
}

#: Inputs that are refused: which, of what shape in place of its own, or of what type.
WRONG = {
    "two bands": ("images", (4, 64, 64, 2), None),
    "four bands": ("images", (4, 64, 64, 4), None),
    "no bands": ("images", (4, 64, 64), None),
    "one image without its axis of rows": ("images", (64, 64, 3), None),
    "another side": ("images", (4, 32, 64, 3), None),
    "whole images in a row": ("images", (1, 4, 64, 64, 3), None),
    "words": ("images", None, "U1"),
    "truths": ("images", None, "?"),
    "complex": ("images", None, "c8"),
    "more seeds": ("seed", (5,), None),
    "seeds in columns": ("seed", (4, 1), None),
    "seeds that are no whole numbers": ("seed", None, "f4"),
    "more parameters": ("parameters", (4, 5), None),
    "widths of two bands": ("psf_fwhm_px", (4, 2), None),
    "one exposure": ("exposure_s", (1, 3), None),
    "a model in words": ("stellar_model", None, "U1"),
}


@pytest.fixture(scope="module")
def ask(signatures, given):
    """Return a function that asks a signature about some rows, with other images."""

    def ask(name, rows, images=None):
        inputs = {key: given[key][rows] for key in signatures[name].specs["input"]}
        if images is not None:
            inputs["images"] = images
        return {k: v.numpy() for k, v in signatures[name](**inputs).items()}

    return ask


@pytest.mark.parametrize("name", ASKED)
def test_a_row_s_answer_does_not_depend_on_its_neighbours_or_their_number(ask, name):
    every = np.arange(8)
    whole = ask(name, every)
    for rows in ([5], [7, 5, 0], np.tile(every[::-1], 3)):
        for key, values in ask(name, rows).items():
            wanted = whole[key][rows]
            far = np.abs(values - wanted) / np.maximum(np.abs(wanted), 1)
            assert far.max() <= ROUNDING, (key, len(rows))


@pytest.mark.parametrize("name", DRAWN)
def test_the_same_seeds_give_the_same_draws_to_the_bit_and_others_others(ask, name):
    rows = np.arange(8)
    once, again = (ask(name, rows)["samples"] for _ in "ab")
    np.testing.assert_array_equal(once, again)
    # rows 2 and 5 of one image and nothing else but their seeds and what is told
    assert not np.allclose(once[0], once[1])


@pytest.mark.parametrize("name", ASKED)
def test_odd_rows_are_flagged_and_answered_as_documented_and_no_other_feels_them(
    ask, given, name
):
    rows = np.arange(2 * len(ODD)) % 8
    images = given["images"][rows].copy()
    whole = ask(name, rows, images.copy())
    for row, (where, value, _, _) in enumerate(ODD.values()):
        images[2 * row][where] = value
    found = ask(name, rows, images)
    bad = found.pop("bad_pixels")
    assert bad[::2].tolist() == [pixels for _, _, pixels, _ in ODD.values()]
    assert not bad[1::2].any()
    for key, values in found.items():
        np.testing.assert_array_equal(values[1::2], whole[key][1::2], err_msg=key)
        for what, row, (*_, numbers) in zip(
            ODD, values[::2], ODD.values(), strict=True
        ):
            if key == "unlike_mocks" and not numbers:
                assert row == -10, what
            else:
                assert (np.isfinite if numbers else np.isnan)(row).all(), (key, what)


@pytest.mark.parametrize("name", ASKED)
def test_any_flux_from_1e_minus_30_to_1e30_has_an_answer(ask, given, name):
    sizes = 10.0 ** np.arange(-30, 31, 4)
    sizes = np.concatenate([sizes, -sizes, [9.9e17, 1.1e18]])
    rows = np.zeros(len(sizes), int)
    # an object of that flux on the sky of a real one
    images = given["images"][rows].copy()
    images[:, 31:33, 31:33] += sizes[:, None, None, None].astype(np.float32)
    for key, values in ask(name, rows, images).items():
        assert np.isfinite(values).all(), key
    # all pixels of it, as far as they are data
    sizes = sizes[np.abs(sizes) <= 1e17]
    flat = np.ones((len(sizes), 64, 64, 3)) * sizes[:, None, None, None]
    for key, values in ask(name, rows[: len(sizes)], np.float32(flat)).items():
        assert np.isfinite(values).all(), key


@pytest.mark.parametrize(
    ("name", "case"),
    [
        (one.name, case)
        for one in promised()
        for case, (which, _, _) in WRONG.items()
        if which in [tensor.name for tensor in one.inputs]
    ],
)
def test_other_shapes_and_types_are_refused_by_name(signatures, given, name, case):
    which, shape, kind = WRONG[case]
    inputs = {key: given[key][:4] for key in signatures[name].specs["input"]}
    wrong = inputs[which] if shape is None else np.zeros(shape, inputs[which].dtype)
    inputs[which] = wrong if kind is None else np.ones(wrong.shape).astype(kind)
    with pytest.raises(ValueError, match=rf"{which}|as many rows"):
        signatures[name](**inputs)
    # in the graph itself, whoever asks
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    with pytest.raises((tf.errors.InvalidArgumentError, TypeError, ValueError)):
        signatures[name]._function(**tensors)
