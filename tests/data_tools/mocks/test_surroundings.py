"""Young stars around: hosts of the cluster's age, others of any."""

import numpy as np
import pytest

from data_tools.mocks.surroundings import Surroundings, scattered
from data_tools.priors import Priors
from data_tools.stars.cluster import ClusterMaker
from data_tools.stars.draw import sample


@pytest.fixture(scope="module")
def clusters(m83):
    return ClusterMaker(m83, Priors(host_fraction=1.0, young_stars_fraction=0.0))


def host_of(clusters, parameters, seed):
    cluster = clusters.draw(parameters, np.random.default_rng(seed))
    rng = np.random.default_rng(seed)
    return cluster, Surroundings(clusters).draw(rng, cluster, parameters)


def test_a_host_has_the_light_of_its_mass_and_its_cluster_s_age(clusters):
    light = []
    for seed in range(40):
        parameters = np.array([7.2, 0.0, 5.0, -1.0])
        cluster, host = host_of(clusters, parameters, seed)
        assert -0.5 <= host.host_log_mass - 5.0 <= 0.5
        expected = 10**host.host_log_mass * cluster.population.mean_flux()
        light.append(host.flux.sum(0) / expected)
    error = np.std(light, axis=0) / np.sqrt(40)
    assert (np.abs(np.mean(light, axis=0) - 1) < 4 * error).all()


def test_a_host_is_loose(clusters, m83):
    # half of a Gaussian in two dimensions lies within 1.177 sigma of its middle
    pc = m83.pc_per_arcsec * m83.pixel_scale_arcsec
    sizes = []
    for seed in range(40):
        _, host = host_of(clusters, np.array([7.45, 0.0, 5.0, -1.0]), seed)
        x, y = host.x - np.median(host.x), host.y - np.median(host.y)
        sizes.append(np.median(np.hypot(x, y)) * pc / 1.177)
    assert 13 < min(sizes) < 22
    assert 33 < max(sizes) < 44


@pytest.mark.parametrize(
    ("log_age", "has_host"), [(6.5, True), (7.69, True), (7.8, False)]
)
def test_only_young_clusters_have_hosts(clusters, log_age, has_host):
    _, host = host_of(clusters, np.array([log_age, 0.5, 4.0, -1.0]), 1)
    assert (host is not None) == has_host


def test_a_young_host_has_gas_where_its_cluster_s_is_not_gone(m83):
    def host(covering):
        gas = {"nebular_covering": (covering, covering), "nebular_band_dex": 0.0}
        alone = Priors(host_fraction=1.0, young_stars_fraction=0.0, **gas)
        return host_of(ClusterMaker(m83, alone), np.array([6.4, 0.0, 4.0, -1.0]), 3)[1]

    none, full = host(0.0), host(1.0)
    n = len(none.flux)
    assert (full.flux[:n] == none.flux).all()
    gas = full.flux[n:].sum(0) / none.flux.sum(0)
    # full covering at 2.5 Myr: 0.84, 0.65 and 2.4 in F336W, F438W and F814W (BC03)
    assert (np.array([0.4, 0.3, 1.0]) < gas).all()
    assert (gas < np.array([1.3, 1.1, 4.5])).all()
    # around the host's middle, as far out as its stars
    x, y = none.x.mean() - full.x[n:], none.y.mean() - full.y[n:]
    assert np.median(np.hypot(x, y)) < 3 * none.x.std()


def test_dust_of_a_host_is_near_its_cluster_s(clusters):
    parameters = np.array([7.0, 2.0, 5.0, -1.0])
    dimming = []
    for seed in range(40):
        cluster, host = host_of(clusters, parameters, seed)
        clean = 10**host.host_log_mass * cluster.population.mean_flux()
        dimming.append(-2.5 * np.log10(host.flux.sum(0) / clean)[1] / 1.32)
    assert np.isclose(np.mean(dimming), 2.0, atol=0.3)
    assert np.ptp(dimming) > 0.8


def test_nothing_is_around_where_the_priors_say_so(m83):
    alone = ClusterMaker(m83, Priors(host_fraction=0.0, young_stars_fraction=0.0))
    for seed in range(20):
        assert host_of(alone, np.array([6.8, 0.0, 4.0, -1.0]), seed)[1] is None


def test_no_light_is_lost_in_placing(clusters):
    rng = np.random.default_rng(1)
    stars = sample(clusters.population(7.5), 1e5, 0.0, rng, 50, np.ones(3))
    flux = scattered(stars, 10.0, rng)[2]
    np.testing.assert_allclose(
        flux.sum(0), stars.flux.sum(0) + stars.faint_flux, rtol=1e-5
    )
