"""A command's options as they are written."""

import pytest

from clusterkeras.commands.parsing.settings_parser import SettingsParser
from clusterkeras.config import InferenceConfig


def parsed(*words):
    parser = SettingsParser(exit_on_error=False)
    parser.add_class_arguments(InferenceConfig, "inference")
    parser.add_argument("--images", nargs="+")
    return parser.parse_args(words)


@pytest.mark.parametrize(
    ("words", "widths"),
    [
        (["2.1", "2.0", "1.9"], [2.1, 2.0, 1.9]),
        (["[2.1, 2.0, 1.9]"], [2.1, 2.0, 1.9]),
        (["2.1", "null", "1.9"], [2.1, None, 1.9]),
        (["null", "null"], [None, None]),
        (["2.1"], [2.1]),
        (["null"], None),
    ],
)
def test_numbers_of_a_list_may_be_words_of_their_own(words, widths):
    found = parsed("--inference.psf_fwhm_px", *words, "--inference.seed", "3")
    given = found.inference.psf_fwhm_px
    assert (given if given is None else list(given)) == widths
    assert found.inference.seed == 3


def test_a_range_may_begin_below_zero():
    found = parsed("--inference.exposure_factor", "-0.5", "0.5", "--images", "1", "2")
    assert list(found.inference.exposure_factor) == [-0.5, 0.5]
    assert found.images == ["1", "2"]


@pytest.mark.parametrize("words", [["2.1", "wide"], ["[2.1, wide]"]])
def test_what_is_no_number_of_a_list_is_refused(words):
    with pytest.raises(ValueError, match="psf_fwhm_px"):
        parsed("--inference.psf_fwhm_px", *words)
