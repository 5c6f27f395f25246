"""What a model cannot be asked is refused."""

import pytest

from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.config import InferenceConfig


@pytest.mark.parametrize(
    "asked", [{"stellar_model": "SSE"}, {"by_stellar_model": True}]
)
def test_a_stellar_model_is_asked_of_models_that_know_them(plain_model, asked):
    (name,) = asked
    with pytest.raises(ValueError, match=f"inference.{name}: expected a model that"):
        InferenceSettings.of(plain_model, InferenceConfig(**asked))


@pytest.mark.parametrize("widths", [(2.0,), (2.0, 2.0, 2.0, None), ()])
def test_widths_of_other_bands_are_refused(model, widths):
    with pytest.raises(ValueError, match="psf_fwhm_px: expected 3 numbers, one a band"):
        InferenceSettings.of(model, InferenceConfig(psf_fwhm_px=widths))
