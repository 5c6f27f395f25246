"""Places on mosaics through a trained network, batch by batch."""

import dataclasses
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.catalogue import measurement
from clusterkeras.catalogue.measurement import (
    compile_network,
    context_of,
    cut_out,
    for_few,
    informed,
    measure_places,
    result_flags,
)
from clusterkeras.catalogue.table import InferenceSettings
from clusterkeras.config import InferenceConfig, ModelConfig
from clusterkeras.network.model import ClusterModel
from data_tools.mosaics.mosaic import open_mosaics, opened
from data_tools.preparation.psf_width import PsfWidth
from data_tools.schema import FLAGS, STELLAR_MODELS
from data_tools.stars.population import living_share

SHAPE = (60, 80)
PX = 16
BIT = {name: bit for name, (bit, _) in FLAGS.items()}
X = np.array([20.2, 50.6, 33.0, -300.0, np.nan, 62.0])
Y = np.array([40.1, 12.0, 30.5, 30.0, 20.0, 44.0])


@pytest.fixture(scope="module")
def model(m83):
    keras.utils.set_random_seed(5)
    target = dataclasses.replace(m83, cutout_px=PX)
    model = ClusterModel(
        target, ModelConfig("resnet_tiny", "mixture", components=2, hidden=8)
    )
    # an untrained posterior is the prior everywhere; this one depends on the image
    head = model.heads["posterior"]
    head.kernel.assign(3 * head.kernel)
    return model


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory, m83, write_band):
    rng = np.random.default_rng(8)
    directory = tmp_path_factory.mktemp("mosaics")
    paths = [
        write_band(
            directory / f"{band.name}.fits",
            0.1 + 0.02 * rng.standard_normal(SHAPE),
            band,
        )
        for band in m83.bands
    ]
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        yield mosaics


def measured(mosaics, model, draws=0, places=slice(None), **settings):
    config = InferenceConfig(**{"batch_size": 2, **settings})
    network = compile_network(model, draws)
    x, y = X[places], Y[places]
    batches = list(measure_places(mosaics, x, y, network, model.target, config, False))
    rows = np.concatenate([rows for rows, _ in batches])
    back = np.argsort(rows)
    names = batches[0][1]
    return rows, {k: np.concatenate([c[k] for _, c in batches])[back] for k in names}


def test_each_place_comes_once_from_the_mosaic_s_first_row_to_its_last(mosaics, model):
    rows, _ = measured(mosaics, model)
    assert sorted(rows) == list(range(len(X)))
    known = Y[rows][np.isfinite(Y[rows])]
    assert np.all(np.diff(known) >= 0)


def test_a_place_without_data_is_nan_and_flagged_and_not_dropped(mosaics, model):
    _, columns = measured(mosaics, model)
    np.testing.assert_array_equal(
        np.isnan(columns["median"]).all(axis=1), [0, 0, 0, 1, 1, 0]
    )
    np.testing.assert_array_equal(
        columns["flags"] & BIT["no_data"] > 0, [0, 0, 0, 1, 1, 0]
    )


def test_the_numbers_are_the_model_s_own_summary_of_the_cutouts(mosaics, model):
    good = [0, 1, 2, 5]
    _, columns = measured(mosaics, model)
    cutouts = cut_out(mosaics, X[good], Y[good], model.target, InferenceConfig())
    assert cutouts.usable.all()
    inputs = {"images": cutouts.images, **cutouts.context}
    for name, values in model.summarise(inputs).items():
        np.testing.assert_allclose(
            columns[name][good], values, rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_living_mass_is_the_initial_one_times_the_share_that_lives_at_its_age(
    mosaics, model
):
    # row by row over many draws; by quantiles of the summary's even draws to 0.05 dex
    _, columns = measured(mosaics, model, draws=2000)
    ages, shares = living_share(model.target.feh)
    for row in (0, 5):
        draws = columns["draws"][row]
        living = draws[:, 2] + np.interp(draws[:, 0], ages, shares)
        expected = np.quantile(living, [0.5, 0.16, 0.84])
        np.testing.assert_allclose(
            columns["log_mass_current"][row], expected, atol=0.15
        )
        assert columns["log_mass_current"][row, 0] < columns["median"][row, 2]
    assert np.isnan(columns["log_mass_current"][3]).all()


def test_draws_are_of_a_place_and_a_seed_alone(mosaics, model):
    _, whole = measured(mosaics, model, draws=16)
    _, part = measured(mosaics, model, draws=16, places=[5, 1], batch_size=1)
    _, other = measured(mosaics, model, draws=16, seed=1)
    assert whole["draws"].shape == (len(X), 16, 4)
    np.testing.assert_allclose(part["draws"], whole["draws"][[5, 1]], rtol=1e-4)
    assert not np.any(other["draws"][0] == whole["draws"][0])
    np.testing.assert_array_equal(other["median"], whole["median"])


def test_no_places_give_one_empty_batch(mosaics, model):
    rows, columns = measured(mosaics, model, places=[])
    assert len(rows) == 0
    assert columns["covariance"].shape == (0, 4, 4)


def flags_of(edge_share=0.0, log_snr=2.0, unlike_mocks=-0.5):
    found = {"edge_share": edge_share, "log_snr": log_snr, "unlike_mocks": unlike_mocks}
    (flags,) = result_flags(
        {name: np.array([value]) for name, value in found.items()}, InferenceConfig()
    )
    return flags


@pytest.mark.parametrize(
    ("found", "flags"),
    [
        ({}, 0),
        ({"edge_share": 0.19}, 0),
        ({"edge_share": 0.21}, BIT["outside_training"]),
        ({"log_snr": 0.5}, BIT["below_visibility"]),
        ({"unlike_mocks": -1.9}, 0),
        ({"unlike_mocks": -2.1}, BIT["unlike_mocks"]),
        ({"unlike_mocks": np.nan}, 0),
        (
            {"log_snr": 0.5, "edge_share": 0.5},
            BIT["below_visibility"] | BIT["outside_training"],
        ),
    ],
)
def test_answers_are_flagged_where_they_are_past_a_limit(found, flags):
    assert flags_of(**found) == flags


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((0.0, 0.0, 0.0), False),
        ((-0.29, 0.19, 0.0), False),
        ((0.0, -0.4, 0.0), True),
        ((0.0, 0.0, 0.3), True),
        ((np.nan, 0.0, 0.0), False),
    ],
)
def test_a_place_of_another_depth_than_the_mocks_is_flagged(
    m83, tmp_path, write_band, factors, expected
):
    target = dataclasses.replace(m83, cutout_px=PX)
    rate = np.full(SHAPE, 0.1)
    paths = [
        write_band(
            tmp_path / f"{band.name}.fits",
            rate,
            band,
            EXPTIME=None if np.isnan(factor) else band.exposure_s * 10**factor,
        )
        for band, factor in zip(m83.bands, factors, strict=True)
    ]
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        flags = cut_out(mosaics, X, Y, target, InferenceConfig()).flags
        wide = InferenceConfig(exposure_factor=(-1, 1))
        assert not (cut_out(mosaics, X, Y, target, wide).flags & BIT["depth"]).any()
    assert ((flags & BIT["depth"] > 0)[[0, 1, 2, 5]] == expected).all()


@pytest.mark.parametrize(
    ("instrument", "psf", "expected"),
    [
        ({}, {}, False),
        ({"INSTRUME": "WFC3", "DETECTOR": "UVIS"}, {}, False),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, {}, True),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, {"F814W": "acs.fits"}, False),
        ({"INSTRUME": "ACS", "DETECTOR": "WFC"}, {"F438W": "acs.fits"}, True),
    ],
)
def test_another_instrument_than_the_mocks_is_flagged_and_told(
    m83, tmp_path, write_band, instrument, psf, expected, caplog
):
    target = dataclasses.replace(m83, cutout_px=PX, psf=psf)
    paths = [
        write_band(tmp_path / f"{band.name}.fits", np.full(SHAPE, 0.1), band, **more)
        for band, more in zip(m83.bands, ({}, {}, instrument), strict=True)
    ]
    with opened(paths, target) as mosaics:
        flags = cut_out(mosaics, X, Y, target, InferenceConfig()).flags
    assert ((flags & BIT["other_instrument"] > 0) == expected).all()
    assert ("F814W was taken by ACS/WFC" in caplog.text) == expected


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


def test_usable_places_are_told_their_exposure(mosaics, model, m83):
    cutouts = cut_out(mosaics, X, Y, model.target, InferenceConfig())
    expected = np.tile([band.exposure_s for band in m83.bands], (4, 1))
    np.testing.assert_allclose(cutouts.context["exposure_s"], expected, rtol=1e-6)


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
    monkeypatch.setattr(measurement, "measure_psf_widths", lambda *_, **__: widths)
    settings = told(model, mosaics, caplog)
    assert settings.config.psf_fwhm_px == (2.346, 2.2, 2.0)
    assert settings.psf_stars == (40, 30, 11)
    assert "F336W 2.346 (40 stars); F438W 2.2 (30 stars)" in caplog.text


@pytest.fixture(scope="module")
def plain_model(m83):
    """Return a model that takes no context."""
    target = dataclasses.replace(m83, cutout_px=PX)
    shape = {"components": 2, "hidden": 8, "context": False, "kinds": False}
    return ClusterModel(target, ModelConfig("resnet_tiny", "mixture", **shape))


def test_a_model_that_takes_no_context_is_told_none(mosaics, plain_model, caplog):
    settings = told(plain_model, mosaics, caplog, psf_fwhm_px=(2.3, 2.2, 2.1))
    assert "takes no context and is not told" in caplog.text
    assert settings.psf_stars is None
    assert told(plain_model, mosaics, caplog).config.psf_fwhm_px is None


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


def test_pixels_are_looked_at_once_for_all_stellar_models(mosaics, model, monkeypatch):
    looks, look = [], type(model).look

    def counted(self, *args):
        looks.append(self)
        return look(self, *args)

    monkeypatch.setattr(type(model), "look", counted)
    cutouts = cut_out(mosaics, X[:2], Y[:2], model.target, InferenceConfig())
    network = compile_network.__wrapped__(model, 0, by_stellar_model=True)
    network(cutouts.images, cutouts.seeds, cutouts.context)
    assert len(looks) == 1


def test_ages_by_stellar_model_are_those_of_each_asked_alone(mosaics, model):
    config, good = InferenceConfig(), [0, 1, 2, 5]
    cutouts = cut_out(mosaics, X[good], Y[good], model.target, config)
    network = compile_network(model, 0, by_stellar_model=True)
    found = network(cutouts.images, cutouts.seeds, cutouts.context)["by_stellar_model"]
    assert found.shape == (4, 3, 2, 3)
    for i, name in enumerate(STELLAR_MODELS):
        alone = dataclasses.replace(config, stellar_model=name)
        cutouts = cut_out(mosaics, X[good], Y[good], model.target, alone)
        summary = model.summarise({"images": cutouts.images, **cutouts.context})
        for j, key in enumerate(("median", "lower", "upper")):
            expected = np.asarray(summary[key])[:, :2]
            np.testing.assert_allclose(
                found[:, i, :, j], expected, rtol=1e-4, atol=1e-4
            )
    assert np.ptp(found[..., 0, 0], axis=1).max() > 1e-3


def test_several_batches_are_asked_at_once_and_come_in_their_order(mosaics, model):
    """Three have to be on their way before the first is answered."""
    together, lock = threading.Barrier(3, timeout=30), threading.Lock()
    now, most = 0, 0

    def network(images, seeds, context):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1
        count = len(images)
        zeros = {"edge_share": np.zeros(count), "unlike_mocks": np.zeros(count)}
        return {**zeros, "log_snr": images.mean(axis=(1, 2, 3))}

    config, x = InferenceConfig(batch_size=1), np.linspace(20, 50, 9)
    y = np.linspace(12, 40, 9)
    how = (network, model.target, config, False)
    found = list(measure_places(mosaics, x, y, *how, in_flight=3))
    assert [rows.tolist() for rows, _ in found] == [[i] for i in range(9)]
    assert most == 3
    whole = cut_out(mosaics, x, y, model.target, config).images.mean(axis=(1, 2, 3))
    np.testing.assert_array_equal(
        np.concatenate([c["log_snr"] for _, c in found]), whole
    )


def test_no_more_batches_are_held_than_are_asked_at_once_and_one(mosaics, model):
    cut = 0

    class Counted:
        def __getattr__(self, name):
            return getattr(mosaics, name)

        def cutout(self, *where):
            nonlocal cut
            cut += 1
            return mosaics.cutout(*where)

    def network(images, seeds, context):
        zeros = np.zeros(len(images))
        return {"edge_share": zeros, "unlike_mocks": zeros, "log_snr": zeros}

    x, y = np.full(12, 30.0), np.linspace(12, 40, 12)
    how = (network, model.target, InferenceConfig(batch_size=1), False)
    answers = measure_places(Counted(), x, y, *how, in_flight=2)
    for number, _ in enumerate(answers, 1):
        assert cut <= number + 3


def test_a_network_that_fails_ends_the_run_with_its_error(mosaics, model):
    def network(images, seeds, context):
        raise ConnectionError("gone")

    how = (network, model.target, InferenceConfig(batch_size=1), False)
    with pytest.raises(ConnectionError, match="gone"):
        list(measure_places(mosaics, X[:3], Y[:3], *how, in_flight=2))


def test_few_places_leave_the_graph_as_it_is_and_the_setting_as_it_was():
    option = "disable_meta_optimizer"
    get = tf.config.optimizer.get_experimental_options
    assert for_few(lambda: get()[option])() is True
    assert not get().get(option, False)
