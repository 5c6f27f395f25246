"""Clusters put on real mosaics."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.spatial.distance import pdist

from data_tools.mocks.injected_mosaics import STAMP_PX, InjectedMosaics, Injector
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.priors import Priors
from data_tools.target import AB_ZERO_NJY

SHAPE = (320, 400)
#: Bright and compact: log age, A_V, log mass, log half-light radius.
BRIGHT = np.array([7.0, 0.5, 5.0, -1.0])


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory, write_band, m83):
    rng = np.random.default_rng(2)
    directory = tmp_path_factory.mktemp("mosaic")
    paths = []
    for band in m83.bands:
        rate = rng.normal(0.01, 0.004, SHAPE)
        rate[:, 330:] = np.nan
        paths.append(write_band(directory / f"{band.name}.fits", rate, band))
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as opened:
        yield opened


@pytest.fixture(scope="module")
def injector(mosaics, m83):
    return Injector(m83, Priors(zero_point_mag=0.0, host_fraction=0.0), mosaics)


def added(injected, mosaics):
    whole = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    return injected.window(*whole) - mosaics.window(*whole)


def test_light_of_a_cluster_is_that_of_its_magnitude_at_its_place(injector, mosaics):
    place = np.array([[150.25, 140.75]])
    found = injector.inject(place, BRIGHT[None], np.random.default_rng(1))
    light = added(found.mosaics, mosaics)
    flux = np.nansum(light, axis=(0, 1))
    expected = AB_ZERO_NJY * 10 ** (-0.4 * found.magnitude[0])
    # a stamp leaves out the PSF's and the profile's wings
    assert np.all((flux > 0.85 * expected) & (flux < 1.05 * expected))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    near = np.hypot(x - 150.25, y - 140.75) < 6
    weight = light.sum(axis=-1)[near]
    assert np.average(x[near], weights=weight) == pytest.approx(150.25, abs=0.5)
    assert np.average(y[near], weights=weight) == pytest.approx(140.75, abs=0.5)
    assert found.log_snr[0] > 2


def test_a_cluster_fills_no_pixel_beyond_what_it_holds(mosaics, m83):
    priors = Priors(full_well=(500.0, 500.0), host_fraction=0.0)
    injector = Injector(m83, priors, mosaics)
    found = injector.inject(
        np.array([[150.0, 140.0]]), BRIGHT[None], np.random.default_rng(1)
    )
    electrons = np.array([500 * b.n_exposures for b in m83.bands])
    most = electrons * injector._seen(np.ones(3), 0).electron_njy
    light = np.nanmax(added(found.mosaics, mosaics), axis=(0, 1))
    # six times the noise of its photons
    assert np.all(light < most * (1 + 6 / np.sqrt(electrons)))
    assert np.all(light > 0.9 * most)


def test_a_cluster_has_the_noise_of_its_own_photons(injector, m83):
    seen = injector._seen(np.ones(3), 0)
    rng = np.random.default_rng(3)
    light = np.full((200, 200, 3), 500.0, np.float32)
    noise = seen.noise(light, rng)
    # summed over many pixels, so that correlation by drizzling does not count
    blocks = noise.reshape(20, 10, 20, 10, 3).sum(axis=(1, 3))
    expected = np.sqrt(100 * 500.0 * seen.electron_njy)
    np.testing.assert_allclose(blocks.std(axis=(0, 1)), expected, rtol=0.15)
    np.testing.assert_allclose(
        seen.electron_njy, [b.electron_njy for b in m83.bands], rtol=1e-3
    )


def test_the_association_a_cluster_was_born_in_comes_with_it(injector, mosaics, m83):
    born = Injector(m83, Priors(zero_point_mag=0.0, host_fraction=1.0), mosaics)
    place = np.array([[150.25, 140.75]])
    alone, with_host = (
        one.inject(place, BRIGHT[None], np.random.default_rng(1))
        for one in (injector, born)
    )
    # beside the cluster, not of it
    np.testing.assert_array_equal(with_host.magnitude, alone.magnitude)
    np.testing.assert_array_equal(with_host.log_snr, alone.log_snr)
    more = added(with_host.mosaics, mosaics) - added(alone.mosaics, mosaics)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    outside = np.hypot(x - 150.25, y - 140.75) > 15
    expected = AB_ZERO_NJY * 10 ** (-0.4 * alone.magnitude[0])
    # 0.3 to 3 times the cluster's mass, some of it beyond the stamp
    assert (np.nansum(more, axis=(0, 1)) > 0.1 * expected).all()
    assert (np.nansum(more[outside], axis=0) > 0.05 * expected).all()


def test_a_stamp_is_seen_alike_through_every_window(mosaics):
    rng = np.random.default_rng(4)
    stamps = rng.random((3, STAMP_PX, STAMP_PX, 3)).astype(np.float32)
    corners = np.array([[-40, -30], [100, 90], [250, 200]])
    injected = InjectedMosaics(mosaics, corners, stamps)
    whole = injected.window(slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    for rows, columns in (((0, 50), (0, 60)), ((90, 260), (80, 210)), ((5, 6), (0, 9))):
        part = injected.window(slice(*rows), slice(*columns))
        np.testing.assert_array_equal(part, whole[slice(*rows), slice(*columns)])
    light = added(injected, mosaics)
    assert light[10, 10].sum() == pytest.approx(stamps[0, 50, 40].sum(), rel=1e-3)
    cutout = injected.cutout(150, 160, 64)
    np.testing.assert_array_equal(
        cutout.image,
        whole[cutout.y0 : cutout.y0 + 64, cutout.x0 : cutout.x0 + 64],
    )


def test_the_mosaics_stay_as_they_are_and_open(injector, mosaics):
    whole = (slice(0, SHAPE[0]), slice(0, SHAPE[1]))
    before = mosaics.window(*whole)
    place = np.array([[100.0, 100.0]])
    with injector.inject(place, BRIGHT[None], np.random.default_rng(1)).mosaics:
        pass
    np.testing.assert_array_equal(mosaics.window(*whole), before)


def test_a_seed_gives_the_same_clusters(injector, mosaics):
    place = np.array([[100.0, 100.0], [220.0, 200.0]])
    one, again = (
        injector.inject(place, np.stack([BRIGHT] * 2), np.random.default_rng(7))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.log_snr, again.log_snr)
    np.testing.assert_array_equal(
        added(one.mosaics, mosaics), added(again.mosaics, mosaics)
    )


def test_places_have_data_and_keep_their_distance(injector):
    avoid = np.array([[150.0, 150.0]])
    places = injector.places(40, 40.0, avoid, 30.0, np.random.default_rng(5))
    assert 20 < len(places) <= 40
    assert pdist(places).min() >= 40
    assert places[:, 0].max() < 333 and places.min() > -1
    assert np.hypot(*(places - avoid).T).min() >= 30


def test_parameters_fill_the_box(injector, m83):
    drawn = injector.draw_parameters(2000, np.random.default_rng(6))
    low, high = np.transpose(list(m83.box.values()))
    np.testing.assert_allclose(drawn.mean(axis=0), (low + high) / 2, rtol=0.05)
    assert np.all((drawn >= low) & (drawn <= high))


def test_the_map_of_scatter_is_that_of_the_noise_and_has_no_gap(injector, m83):
    scatter = injector.log_scatter(64)
    assert scatter.shape == (5, 7)
    assert np.isfinite(scatter).all()
    np.testing.assert_array_equal(scatter[:, 5], scatter[:, 6])
    expected = np.log10([0.004 * b.njy_per_electron_s for b in m83.bands]).mean()
    assert np.median(scatter) == pytest.approx(expected, abs=0.1)


def test_clusters_are_put_as_deep_as_the_weights_say(tmp_path, write_band, m83):
    rng = np.random.default_rng(8)
    paths = []
    for band in m83.bands:
        path = write_band(
            tmp_path / f"{band.name}.fits", rng.normal(0.01, 0.004, (256, 256)), band
        )
        weight = np.ones((256, 256), np.float32)
        weight[:, 192:] = 0.25
        with fits.open(path, mode="append") as hdus:
            hdus.append(fits.ImageHDU(weight, name="WHT"))
        paths.append(path)
    with open_mosaics(paths, m83.band_names, m83.pixel_scale_arcsec) as mosaics:
        injector = Injector(m83, Priors(), mosaics)
        np.testing.assert_allclose(injector._depth(np.array([60.0, 100.0])), 1.0)
        np.testing.assert_allclose(injector._depth(np.array([230.0, 100.0])), 0.25)
