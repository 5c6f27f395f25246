import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
from astropy.table import Table

from data_tools.mocks.mock import MockMaker
from data_tools.mocks.mock_mosaic import make_mosaic
from data_tools.mocks.mosaic_config import MosaicConfig
from data_tools.mosaics.mosaic import open_mosaics
from data_tools.priors import Priors
from data_tools.schema import PARAMETER_NAMES
from data_tools.target import ab_to_njy

CONFIG = MosaicConfig(size_px=256, n=5, min_separation_px=70, edge_px=40, seed=4)
#: What is seen of a cluster is what its parameters say.
PLAIN = Priors(
    zero_point_mag=0.0,
    transfer_loss=(0.0, 0.0),
    feh_offset=(0.0, 0.0),
    extinction_laws=(),
    r_v=(3.1, 3.1),
    binary_fraction=(0.0, 0.0),
)
MAKE_MOSAIC = """
import sys
import numpy as np
from data_tools import Target, make_mosaic
galaxy = make_mosaic(Target.load("m83-wfc3-uvis"), size_px=256, n=9, seed=4)
np.save(sys.argv[1], [image.data for image in galaxy.images])
"""


@pytest.fixture(scope="module")
def bright(m83):
    """Make a target whose clusters are all massive, compact and hardly reddened."""
    box = {
        "log_age": (8.0, 8.1),
        "a_v": (0.0, 0.1),
        "log_mass": (5.4, 5.5),
        "log_half_light_radius": (-1.2, -1.1),
    }
    return dataclasses.replace(m83, box=box)


@pytest.fixture(scope="module")
def mosaic(bright, tmp_path_factory):
    directory = tmp_path_factory.mktemp("mosaic")
    truth = make_mosaic(bright, PLAIN, CONFIG, directory).truth
    return directory, truth


def paths(directory, target):
    return [directory / f"{name}.fits" for name in target.band_names]


def test_the_mosaics_open_as_real_ones_and_the_truth_is_on_their_grid(bright, mosaic):
    directory, truth = mosaic
    opened = open_mosaics(
        paths(directory, bright), bright.band_names, bright.pixel_scale_arcsec
    )
    with opened:
        assert opened.shape == (256, 256)
        x, y = opened.wcs.all_world2pix(truth["ra"], truth["dec"], 0)
    np.testing.assert_allclose(x, truth["x"], atol=1e-3)
    np.testing.assert_allclose(y, truth["y"], atol=1e-3)


def test_each_cluster_shines_where_and_as_the_truth_says(bright, mosaic):
    """A 300,000 Msun cluster's light is the isochrone's, in every band, to 25 %."""
    directory, truth = mosaic
    maker = MockMaker(bright, Priors())
    opened = open_mosaics(
        paths(directory, bright), bright.band_names, bright.pixel_scale_arcsec
    )
    with opened:
        for row in truth:
            image = opened.cutout(row["x"], row["y"], 64).image
            image = image - np.median(image, axis=(0, 1))
            peak = np.unravel_index(image.sum(-1).argmax(), (64, 64))
            assert np.hypot(peak[0] - 31.5, peak[1] - 31.5) < 3
            expected = 10 ** row["log_mass"] * maker.clusters.population(
                row["log_age"]
            ).mean_flux(row["a_v"])
            said = [row[f"mag_{band}"] for band in bright.band_names]
            np.testing.assert_allclose(ab_to_njy(np.array(said)), expected, rtol=0.2)
            # 0.6 arcsec hold most of the light of such a cluster
            r = np.hypot(*(np.indices((64, 64)) - 31.5)) < 15
            np.testing.assert_allclose(image[r].sum(axis=0), expected, rtol=0.25)


def test_the_truth_is_in_the_box_with_units_and_visibility(bright, mosaic):
    directory, truth = mosaic
    read = Table.read(directory / "truth.ecsv")
    assert read.colnames == truth.colnames
    for name in PARAMETER_NAMES:
        low, high = bright.box[name]
        assert np.all((read[name] >= low) & (read[name] <= high))
        assert read[name].unit is not None
        assert read[name].description
    assert np.all(read["log_snr"] > 2)
    assert [read[f"mag_{band}"].unit for band in bright.band_names] == ["mag"] * 3


def test_young_clusters_bring_their_associations_and_the_truth_stays(bright):
    young = dataclasses.replace(bright, box={**bright.box, "log_age": (7.0, 7.1)})
    priors = [Priors(host_fraction=fraction) for fraction in (0.0, 1.0)]
    alone, born = (make_mosaic(young, p, size_px=256, n=4, seed=2) for p in priors)
    for name in alone.truth.colnames:
        np.testing.assert_array_equal(alone.truth[name], born.truth[name])
    light = [[image.data.sum() for image in made.images] for made in (alone, born)]
    assert (light[1][0] > light[0][0]) and (light[1][-1] > light[0][-1])


def test_clusters_keep_their_distance(mosaic):
    _, truth = mosaic
    x, y = np.asarray(truth["x"]), np.asarray(truth["y"])
    distance = np.hypot(x[:, None] - x, y[:, None] - y)[np.triu_indices(len(x), 1)]
    assert distance.min() >= CONFIG.min_separation_px
    assert min(x.min(), y.min()) >= CONFIG.edge_px


def test_a_seed_gives_the_same_bytes(bright, mosaic, tmp_path):
    directory, _ = mosaic
    make_mosaic(bright, PLAIN, CONFIG, tmp_path)
    for path in [*paths(directory, bright), directory / "truth.ecsv"]:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_other_clusters_may_lie_on_the_same_field(m83):
    faint = dataclasses.replace(m83, box={**m83.box, "log_mass": (2.5, 2.6)})
    one, other, elsewhere = (
        make_mosaic(faint, size_px=128, n=1, seed=seed, field_seed=field)
        for seed, field in ((1, 7), (2, 7), (2, 8))
    )
    assert one.truth["x"][0] != other.truth["x"][0]
    assert one.truth.meta["field"] == other.truth.meta["field"]
    pixels, same, another = (
        made.images[0].data.astype(float) for made in (one, other, elsewhere)
    )
    assert np.median(np.abs(pixels - same)) < 0.05 * pixels.std()
    assert np.median(np.abs(pixels - another)) > 0.2 * pixels.std()


def test_clusters_are_as_many_of_a_mass_and_an_age_as_powers_of_them_say(bright):
    config = MosaicConfig(size_px=128, n=4, min_separation_px=8, edge_px=8, seed=4)
    box = {**bright.box, "log_mass": (4.0, 6.0), "log_age": (7.0, 9.0)}
    target = dataclasses.replace(bright, box=box)
    flat = make_mosaic(target, PLAIN, config).truth
    powers = make_mosaic(target, PLAIN, config, mass_slope=-2.0, age_slope=-0.5).truth
    for name, power in (("log_mass", -1.0), ("log_age", 0.5)):
        low, high = (10 ** (power * end) for end in box[name])
        share = (10 ** (power * np.asarray(powers[name])) - low) / (high - low)
        even = (np.asarray(flat[name]) - box[name][0]) / 2
        np.testing.assert_allclose(share, even, rtol=1e-9)
    np.testing.assert_array_equal(powers["a_v"], flat["a_v"])


def test_too_many_clusters_are_refused(m83, tmp_path):
    full = MosaicConfig(size_px=128, n=50, min_separation_px=60, edge_px=0)
    with pytest.raises(ValueError, match="of 50 clusters fit on 128 px"):
        make_mosaic(m83, Priors(), full, tmp_path)


def test_a_name_in_place_of_a_target_is_refused():
    with pytest.raises(TypeError, match=r"expected a Target.*received 'm83'"):
        make_mosaic("m83")


def test_another_processor_s_kernels_give_the_same_mosaic_but_for_rounding(
    other_kernels, tmp_path
):
    pixels = {}
    for name, kernels in {"these": {}, "others": other_kernels}.items():
        subprocess.run(
            [sys.executable, "-c", MAKE_MOSAIC, str(tmp_path / name)],
            env={**os.environ, **kernels},
            check=True,
        )
        pixels[name] = np.load(tmp_path / f"{name}.npy")
    difference = np.abs(pixels["others"] - pixels["these"])
    assert np.all(difference.max((1, 2)) < 0.01 * pixels["these"].std((1, 2)))
