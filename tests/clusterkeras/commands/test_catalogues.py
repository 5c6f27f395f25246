"""Options of the commands that make catalogues and measure what they miss."""

import dataclasses

import numpy as np
import pytest

from clusterkeras.commands.cli import build_parser
from data_tools.mocks.injected_mosaics import Injector
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.priors import Priors


def test_injections_ask_no_prior_that_completeness_has_no_option_for(
    tmp_path, write_band, m83
):
    asked = set()

    class Asked(Priors):
        def __getattribute__(self, name):
            asked.add(name)
            return super().__getattribute__(name)

    rng = np.random.default_rng(2)
    paths = [
        write_band(tmp_path / f"{b.name}.fits", rng.normal(0.01, 0.004, (320, 320)), b)
        for b in m83.bands
    ]
    priors = Asked(host_fraction=1.0)
    asked.clear()  # the check of its values asks for all
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        Injector(m83, priors, mosaics).inject(
            *(np.array([[150.0, 140.0]]), np.array([[6.5, 0.5, 5.0, -1.0]]), rng)
        )
    options = {action.dest for action in build_parser("completeness")._actions}
    names = {field.name for field in dataclasses.fields(Priors)}
    left_out = {name for name in names if f"priors.{name}" not in options}
    assert left_out > {"field_px", "negatives"} and "host_fraction" in asked
    assert not left_out & asked
    # and none is left that might as well go; a cluster has one profile of the two
    assert names - left_out - asked < {"eff_eta", "king_log_concentration"}


def test_a_prior_of_training_alone_is_no_option_and_is_not_proposed():
    parser = build_parser("completeness")
    wrong = ["--images", "a.fits", "-o", "out", "--priors.field_px", "128"]
    with pytest.raises(ValueError, match=r"--priors\.field_px") as refused:
        parser.parse_args(wrong)
    assert "to it: field" not in str(refused.value)
