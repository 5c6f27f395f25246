import numpy as np
import pytest

from clusterkeras.evaluation.competitors import ring_photometry
from clusterkeras.network.layers.photometry import RADII_PX
from data_tools.priors import Priors
from data_tools.records.dataset import make_dataset
from data_tools.stars.population import population_of


@pytest.fixture(scope="module")
def measured(photometric_mock_set):
    return ring_photometry.measure_rings(photometric_mock_set, "train")


def test_clusters_and_only_they_are_measured_in_their_order(
    measured, photometric_mock_set
):
    ids = [
        labels["mock_id"].numpy()[labels["is_cluster"].numpy() > 0]
        for _, labels in make_dataset(photometric_mock_set, "train", 64, training=False)
    ]
    np.testing.assert_array_equal(measured.truth["mock_id"], np.concatenate(ids))
    assert measured.truth["is_cluster"].all()
    assert measured.flux.shape == (len(measured.truth["truth"]), 2 * len(RADII_PX))


def test_the_light_of_a_visible_cluster_is_that_without_noise(measured):
    seen = measured.truth["log_snr"] > 1.7
    assert seen.sum() > 20
    # disc of 3 px: the two inner of four rings, in each band
    total, alone = (
        flux[seen].reshape(seen.sum(), 4, 2)[:, :2].sum(axis=1)
        for flux in (measured.flux, measured.noise_free)
    )
    ratio = np.median(total / alone, axis=0)
    np.testing.assert_allclose(ratio, 1, atol=0.1)


def test_errors_are_stated_too_small_by_crowding_and_shared_noise(measured):
    correlation = ring_photometry.error_correlation(measured)
    np.testing.assert_allclose(correlation, correlation.T)
    assert (np.linalg.eigvalsh(correlation) > 0).all()
    assert (np.diag(correlation) > 1).all()


def test_models_have_the_light_of_their_population_less_what_the_psf_spreads(
    photometric_target, measured
):
    priors = Priors(
        stellar_models={"MIST": 1.0},
        r_v=(3.1, 3.1),
        a_v_scatter=(0.0, 0.0),
        a_v_front=(0.0, 0.0),
        nebular_covering=(0.0, 0.0),
        transfer_loss=(0.0, 0.0),
    )
    parameters, flux = ring_photometry.draw_models(photometric_target, priors, 150, 1)
    assert flux.shape == (150, measured.flux.shape[1])
    # where sampling matters little and 16 px hold most of the light
    rows = (parameters[:, 2] > 5) & (parameters[:, 3] < -1)
    total = flux[rows].reshape(-1, 4, 2).sum(axis=1)
    expected = [
        10**log_mass * population_of(photometric_target, log_age).mean_flux(a_v)
        for log_age, a_v, log_mass, _ in parameters[rows]
    ]
    assert rows.sum() > 10
    np.testing.assert_allclose(np.median(total / expected, axis=0), 0.9, atol=0.15)


def test_the_same_seed_draws_the_same_models(photometric_target):
    priors = Priors()
    one, two, other = (
        ring_photometry.draw_models(photometric_target, priors, 6, seed)[1]
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, two)
    assert not np.allclose(one, other)
