"""No attribute of a configuration takes what makes no sense: refused by its name."""

import dataclasses
import math
import typing

import pytest

from clusterkeras import config
from data_tools.fields.backgrounds import Backgrounds
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.preparation.star_selection import StarSelection
from data_tools.priors import Priors
from data_tools.records.plan import MockSet
from data_tools.target import Band, Target

M83 = Target.load("m83-wfc3-uvis")
CONFIGURATIONS = [
    config.ModelConfig(),
    config.TrainingConfig(),
    config.DetectionConfig(),
    config.InferenceConfig(),
    config.ReportConfig(),
    config.CompletenessConfig(),
    config.PopulationConfig(),
    config.ServeConfig(),
    MosaicConfig(),
    StarSelection(),
    Backgrounds(),
    MockSet(),
    Priors(),
    M83,
    M83.bands[0],
]
ATTRIBUTES = [
    pytest.param(whole, field.name, id=f"{type(whole).__name__}.{field.name}")
    for whole in CONFIGURATIONS
    for field in dataclasses.fields(whole)
]


def absurd(kind, value):
    """Return values of the wrong type and size for an attribute."""
    words = [] if kind is str or str in typing.get_args(kind) else ["words", ""]
    none = [] if type(None) in typing.get_args(kind) else [None]
    whole = [1.5, 10**30] if kind in (int, int | None) else []
    lists = [[1], ["a", 5], [math.nan, 1.0], [0.0, math.inf], [1.0, -1e300, 1.0]]
    pairs = {"F336W": math.nan, "log_age": [1], 5: 5, "F814W": [math.nan, 1.0]}
    mappings = [{key: pair} for key, pair in pairs.items()]
    numbers = [math.nan, math.inf, -math.inf, 1e300, -1e300, -(10**400)]
    return [*numbers, *words, *none, *whole, *lists, *mappings, object(), b"x", "a\nb"]


def test_no_configuration_is_left_out():
    there = {
        kind
        for kind in vars(config).values()
        if dataclasses.is_dataclass(kind) and isinstance(kind, type)
    }
    assert there <= {type(whole) for whole in CONFIGURATIONS}
    assert Band in {type(whole) for whole in CONFIGURATIONS}


@pytest.mark.parametrize(("whole", "name"), ATTRIBUTES)
def test_an_absurd_value_is_refused_by_the_attribute_s_name(whole, name):
    kind = typing.get_type_hints(type(whole))[name]
    for value in absurd(kind, getattr(whole, name)):
        with pytest.raises(ValueError, match=name) as refused:
            dataclasses.replace(whole, **{name: value})
        assert len(str(refused.value)) < 1200, value
        assert "\n" not in str(refused.value), value


@pytest.mark.parametrize(("whole", "name"), ATTRIBUTES)
def test_true_and_false_are_no_numbers(whole, name):
    if isinstance(getattr(whole, name), bool):
        return
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(whole, **{name: True})


@pytest.mark.parametrize(
    ("whole", "name", "value"),
    [
        (config.TrainingConfig(), "batch_size", 10**9),
        (config.TrainingConfig(), "learning_rate", 0.0),
        (config.TrainingConfig(), "seed", -1),
        (config.TrainingConfig(), "decay", 0.98),
        (config.InferenceConfig(), "draws", 10**9),
        (config.InferenceConfig(), "origin", 2),
        (config.InferenceConfig(), "psf_fwhm_px", (2.0, 0.0)),
        (config.InferenceConfig(), "other_shares", {"cluster": 1.0}),
        (config.InferenceConfig(), "other_shares", {"blend": 0.0}),
        (config.InferenceConfig(), "psf_fwhm_px", 2.0),
        (config.InferenceConfig(), "stellar_model", "BaSTI"),
        (config.InferenceConfig(), "stellar_model", None),
        (config.InferenceConfig(), "by_stellar_model", 1),
        (config.InferenceConfig(), "exposure_factor", (1.0, 1.0)),
        (config.DetectionConfig(), "box_px", 10**9),
        (config.DetectionConfig(), "fwhm_px", 1e6),
        (config.ReportConfig(), "map_px", 10**9),
        (config.CompletenessConfig(), "spacing_px", 2.0),
        (MosaicConfig(), "size_px", 1_000_000_000),
        (StarSelection(), "max_stars", 0),
        (Priors(), "field_px", 16 * 10**8),
        (M83, "cutout_px", 8 * 10**8),
        (M83, "distance_mpc", 0),
        (M83, "distance_uncertainty_mpc", 5.0),
        (M83, "feh", -40),
        (M83, "name", "a/b"),
        (M83, "name", ".."),
        (M83, "name", 101 * "a"),
        (M83.bands[0], "name", "../F336W"),
        (M83.bands[0], "photflam", 1e300),
        (M83.bands[0], "exposure_s", 0),
        (M83.bands[0], "n_exposures", -3),
    ],
)
def test_what_no_machine_holds_or_no_sky_has_is_refused(whole, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be .*; received"):
        dataclasses.replace(whole, **{name: value})


@pytest.mark.parametrize("name", ["parsec", "PARSEC", "Parsec"])
def test_a_stellar_model_is_known_in_any_letters(name):
    assert config.InferenceConfig(stellar_model=name).stellar_model == "PARSEC"
    assert config.InferenceConfig(stellar_model="ANY").stellar_model == "any"
