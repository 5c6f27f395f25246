"""Places on mosaics through a trained network, batch by batch."""

import dataclasses

import keras
import numpy as np
import pytest

from clusterkeras.catalogue.measurement import (
    compile_network,
    cut_out,
    measure_places,
    result_flags,
)
from clusterkeras.config import InferenceConfig, ModelConfig
from clusterkeras.network.model import ClusterModel
from data_tools.mosaics.mosaic import open_mosaics, opened
from data_tools.schema import FLAGS
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
    for name, values in model.summarise(cutouts.images).items():
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
