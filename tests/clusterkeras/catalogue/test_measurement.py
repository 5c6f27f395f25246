"""Places on mosaics through a trained network, batch by batch."""

import threading

import numpy as np
import pytest

from clusterkeras.catalogue.asking.cutouts import cut_out
from clusterkeras.catalogue.asking.graph import compile_network
from clusterkeras.catalogue.measurement import measure_places, result_flags
from clusterkeras.config import InferenceConfig
from data_tools.schema import FLAGS
from data_tools.stars.population import living_share

BIT = {name: bit for name, (bit, _) in FLAGS.items()}
X = np.array([20.2, 50.6, 33.0, -300.0, np.nan, 62.0])
Y = np.array([40.1, 12.0, 30.5, 30.0, 20.0, 44.0])


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
