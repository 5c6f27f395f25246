"""Where on a mosaic the network sees clusters."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from clusterkeras.detection.probability_map import MAP_SHARE, draw_map
from clusterkeras.network.loading import load_model
from clusterkeras.network.presence import at_share
from data_tools.mosaics.mosaic import open_mosaics

SHAPE = (70, 101)


@pytest.fixture(scope="module")
def model(finished_run):
    """Return a network trained for four steps."""
    return load_model(finished_run)


@pytest.fixture(scope="module")
def images(model, tmp_path_factory, write_band):
    directory = tmp_path_factory.mktemp("mosaic")
    rng = np.random.default_rng(2)
    paths = []
    for band in model.target.bands:
        rate = 0.01 + rng.normal(0, 0.004, SHAPE)
        rate[30:34, 50:54] = 3
        rate[:40, 80:] = np.nan
        paths.append(write_band(directory / f"{band.name}.fits", rate, band))
    return paths


@pytest.fixture(scope="module")
def drawn(model, images, tmp_path_factory):
    path = tmp_path_factory.mktemp("map") / "map.fits"
    draw_map(images, path, model, 6, progress=False)
    with fits.open(path) as hdus:
        yield {hdu.name: (hdu.data.copy(), hdu.header.copy()) for hdu in hdus[1:]}


def test_a_pixel_is_what_the_network_says_of_the_cutout_there(drawn, model, images):
    p, header = drawn["P_CLUSTER"]
    log_snr, _ = drawn["LOG_SNR"]
    assert p.shape == (12, 17)
    target = model.target
    with open_mosaics(images, target.band_names, target.pixel_scale_arcsec) as mosaics:
        for row, column in ((0, 0), (5, 8), (11, 16), (6, 13), (4, 12)):
            x, y = 6 * column + 2.5, 6 * row + 2.5
            cutout = mosaics.cutout(x, y, target.cutout_px)
            assert cutout.usable
            known = {"exposure_s": mosaics.exposure(x, y)}
            found = model.summarise({"images": cutout.filled()[None], **known})
            trained = found["p_cluster"].numpy()
            expected = at_share(trained, model.cluster_share, MAP_SHARE)
            assert p[row, column] == pytest.approx(expected[0], abs=1e-5)
            assert log_snr[row, column] == pytest.approx(
                float(found["log_snr"][0]), abs=1e-4
            )
    assert header["SHARE"] == MAP_SHARE


def test_places_without_data_have_no_value(drawn):
    p, _ = drawn["P_CLUSTER"]
    assert np.isnan(p[:6, 14:]).all()
    assert np.isfinite(p[8:]).all() and np.isfinite(p[:, :13]).all()


def test_its_coordinates_are_those_of_the_mosaic(drawn, images):
    there = WCS(drawn["P_CLUSTER"][1])
    ra, dec = WCS(fits.getheader(images[0])).all_pix2world([50.5, 2.5], [32.5, 68.5], 0)
    x, y = there.all_world2pix(ra, dec, 0)
    np.testing.assert_allclose(x, [8, 0], atol=1e-3)
    np.testing.assert_allclose(y, [5, 11], atol=1e-3)


def test_a_zipped_map_is_the_same(drawn, model, images, tmp_path):
    draw_map(images, tmp_path / "map.fits.gz", model, 6, progress=False)
    assert (tmp_path / "map.fits.gz").read_bytes()[:2] == b"\x1f\x8b"
    p = fits.getdata(tmp_path / "map.fits.gz", "P_CLUSTER")
    np.testing.assert_array_equal(p, drawn["P_CLUSTER"][0])
    assert [path.name for path in tmp_path.iterdir()] == ["map.fits.gz"]


def test_bad_requests_are_refused_before_the_work(model, images, tmp_path):
    with pytest.raises(ValueError, match=r"name of a map to end in \.fits"):
        draw_map(images, tmp_path / "map.png", model)
    with pytest.raises(ValueError, match="stride_px: expected at least 1; received 0"):
        draw_map(images, tmp_path / "map.fits", model, 0)
