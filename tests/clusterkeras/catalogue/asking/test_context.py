"""What the network is told beside the pixels."""

import numpy as np
import pytest

from clusterkeras.catalogue.asking import context
from clusterkeras.catalogue.asking.context import context_of, informed
from clusterkeras.catalogue.asking.settings import InferenceSettings
from clusterkeras.config import InferenceConfig
from data_tools.preparation.psf_width import PsfWidth

EXPOSED = np.array([[1000.0, 2000.0, 1500.0], [900.0, 2000.0, np.nan], [0.0, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("settings", "width", "stellar_model"),
    [
        ({}, np.nan, -1),
        ({"psf_fwhm_px": (2.1, 2.0, 1.9)}, (2.1, 2.0, 1.9), -1),
        ({"psf_fwhm_px": (2.1, None, 1.9)}, (2.1, np.nan, 1.9), -1),
        ({"stellar_model": "PARSEC"}, np.nan, 1),
    ],
)
def test_what_is_known_of_a_band_is_told(settings, width, stellar_model):
    found = context_of(EXPOSED, InferenceConfig(**settings))
    expected = np.where(EXPOSED > 0, EXPOSED, np.nan)
    np.testing.assert_array_equal(found["exposure_s"], expected)
    wide = np.broadcast_to(np.float32(width), (3, 3))
    np.testing.assert_array_equal(found["psf_fwhm_px"], wide)
    assert found["stellar_model"].tolist() == [stellar_model] * 3


def told(model, mosaics, caplog, **config):
    settings = InferenceSettings.of(model, InferenceConfig(**config))
    with caplog.at_level("INFO"):
        return informed(settings, mosaics, progress=False)


def test_widths_that_cannot_be_measured_are_unknown_and_said(mosaics, model, caplog):
    settings = told(model, mosaics, caplog)
    assert settings.config.psf_fwhm_px == (None, None, None)
    assert settings.psf_stars == (0, 0, 0)
    assert "F336W unknown (0 stars)" in caplog.text
    assert "may be given with --inference.psf_fwhm_px" in caplog.text
    asked = InferenceSettings.of(model, InferenceConfig())
    assert settings.configuration_hash == asked.configuration_hash


def test_widths_that_are_given_are_not_measured(mosaics, model, caplog):
    settings = told(model, mosaics, caplog, psf_fwhm_px=(2.3, 2.2, 9.0))
    assert settings.config.psf_fwhm_px == (2.3, 2.2, 9.0)
    assert settings.psf_stars is None
    assert "F438W 2.2 (as given); F814W 9.0 (as given)" in caplog.text
    assert "F814W: the PSF is 9.0 px wide, that of the mocks" in caplog.text
    assert "may be given" not in caplog.text


def test_widths_are_measured_on_stars(mosaics, model, caplog, monkeypatch):
    widths = [PsfWidth(2.34567, 40), PsfWidth(2.2, 30), PsfWidth(2.0, 11)]
    monkeypatch.setattr(context, "measure_psf_widths", lambda *_, **__: widths)
    settings = told(model, mosaics, caplog)
    assert settings.config.psf_fwhm_px == (2.346, 2.2, 2.0)
    assert settings.psf_stars == (40, 30, 11)
    assert "F336W 2.346 (40 stars); F438W 2.2 (30 stars)" in caplog.text


def test_a_model_that_takes_no_context_is_told_none(mosaics, plain_model, caplog):
    settings = told(plain_model, mosaics, caplog, psf_fwhm_px=(2.3, 2.2, 2.1))
    assert "takes no context and is not told" in caplog.text
    assert settings.psf_stars is None
    assert told(plain_model, mosaics, caplog).config.psf_fwhm_px is None
