"""The targets that ship, and any choice of bands, from YAML to a step of training."""

import dataclasses
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import yaml

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.mocks.mock import MockMaker
from data_tools.priors import Priors
from data_tools.records.finished_set import read_configuration
from data_tools.schema import FEATURES, FIELD_TRAIT_NAMES, KINDS
from data_tools.stars.cluster import ClusterMaker
from data_tools.stars.evolution.isochrones import IsochroneGrid
from data_tools.tables import load_tables, table_files
from data_tools.tables.stellar_models import model_file
from data_tools.target import Target

NAMES = sorted(
    Path(file.name).stem
    for file in resources.files("data_tools.targets").iterdir()
    if file.name.endswith(".yaml")
)
QUICK = Priors(field_px=128, mocks_per_field=8)


@pytest.fixture(params=NAMES)
def shipped(request):
    return Target.load(request.param)


def test_the_worked_examples_ship():
    assert NAMES == [
        "m33-wfc3-uvis",
        "m83-f438w-f814w",
        "m83-wfc3-uvis",
        "m83-wfc3-uvis-halpha",
        "ngc628-wfc3-uvis",
    ]


def test_a_target_is_called_as_its_file(request, shipped):
    assert shipped.name == request.node.callspec.params["shipped"]


@pytest.mark.parametrize(
    ("name", "modulus", "pc_per_arcsec"),
    [
        # 5 log10(d / 10 pc) and d / 206265
        ("m83-wfc3-uvis", 28.27, 21.8),
        ("ngc628-wfc3-uvis", 29.96, 47.5),
        ("m33-wfc3-uvis", 24.67, 4.17),
    ],
)
def test_a_target_is_as_far_as_its_sources_say(name, modulus, pc_per_arcsec):
    target = Target.load(name)
    assert target.distance_modulus == pytest.approx(modulus, abs=0.01)
    assert target.pc_per_arcsec == pytest.approx(pc_per_arcsec, rel=5e-3)


def test_bands_are_calibrated_as_their_throughput_says(shipped):
    tables = load_tables(shipped.band_names)
    for k, band in enumerate(shipped.bands):
        assert band.photplam == pytest.approx(tables.pivot[k], abs=3)
        # the detector's sensitivity changes by a few per cent over the years
        assert band.photflam / tables.photflam[k] == pytest.approx(1, abs=0.03)


def test_the_sky_is_zodiacal_light_with_the_colours_of_the_sun(shipped):
    # V = 22.7 mag/arcsec2 (WFC3 Instrument Handbook, section 9.7), the Sun's M_V = 4.81
    # (Willmer 2018, ApJS 236, 47), and 0.002 e-/s of dark current
    tables = load_tables(shipped.band_names)
    for k, band in enumerate(shipped.bands):
        ab = 22.7 + tables.sun_vega[k] - 4.81 + tables.vega_ab[k]
        njy = 3.631e12 * 10 ** (-0.4 * ab) * shipped.pixel_scale_arcsec**2
        expected = njy / band.njy_per_electron_s + 0.002
        assert band.sky_electrons_s == pytest.approx(expected, abs=3e-4, rel=0.02)


def test_the_box_lies_within_the_isochrones_and_the_cutout(shipped):
    grid = IsochroneGrid.from_tables(shipped.band_names)
    low, high = shipped.box["log_age"]
    assert grid.log_ages[0] <= low
    assert high <= grid.log_ages[-1]
    assert grid.fehs[0] <= shipped.feh <= grid.fehs[-1]
    smallest, largest = 10 ** np.array(shipped.box["log_half_light_radius"])
    assert smallest > 0.3 * shipped.pixel_scale_arcsec
    assert 2 * largest < 0.7 * shipped.cutout_px * shipped.pixel_scale_arcsec


def test_the_largest_clusters_are_a_few_parsecs_at_every_distance(shipped):
    largest = 10 ** shipped.box["log_half_light_radius"][1] * shipped.pc_per_arcsec
    assert 5 < largest < 16


def test_mocks_can_be_drawn(shipped):
    maker = MockMaker(shipped, QUICK)
    rng = np.random.default_rng(5)
    field = maker.make_field(rng)
    px, bands = shipped.cutout_px, len(shipped.bands)
    assert field.image.shape == (QUICK.field_px, QUICK.field_px, bands)
    mocks = list(maker.mocks(field, 16, rng, 0, 0))
    for mock in mocks:
        for feature in FEATURES:
            if feature.name in mock and feature.shape:
                size = np.shape(mock[feature.name])
                assert size == feature.sizes(px, bands), feature.name
        for name in ("cluster", "background_variance"):
            assert np.isfinite(mock[name]).all(), name
        # gaps and edges have no data
        missing = mock["field_traits"][FIELD_TRAIT_NAMES.index("missing")]
        found = np.isnan(mock["background"]).mean()
        assert found == pytest.approx(np.nan_to_num(missing), abs=0.01)
    seen = [mock["log_snr"] for mock in mocks if KINDS[mock["kind"]] == "cluster"]
    assert 0 < max(seen) < 5


def test_the_same_cluster_dims_with_the_square_of_the_distance():
    far, near = Target.load("ngc628-wfc3-uvis"), Target.load("m83-wfc3-uvis")
    shared = [far.band_names.index(name) for name in near.band_names]
    flux = [ClusterMaker(t, QUICK).population(7.5).mean_flux(0.3) for t in (far, near)]
    ratio = (near.distance_mpc / far.distance_mpc) ** 2
    np.testing.assert_allclose(flux[0][shared] / flux[1], ratio, rtol=1e-6)


@pytest.mark.parametrize(
    ("myr", "continuum", "low", "high"),
    [(1, 1.67, 3.3, 3.75), (3, 0.5, 3.2, 3.7), (8, 0.01, 1.4, 2.0)],
)
def test_h_alpha_shows_how_young_a_cluster_is(myr, continuum, low, high):
    """Log EW of H alpha, 3.2 to 3.4 at 1 to 3 Myr, and [N II], half of it more.

    Leitherer et al. 1999, ApJS 123, 3, figure 83. `continuum` is the gas's over the
    stars' in F657N.
    """
    target = Target.load("m83-wfc3-uvis-halpha")
    known = {"nebular_covering": (1.0, 1.0), "nebular_band_dex": 0.0}
    known |= {"nebular_log_u": (-3.0, -3.0), "feh_offset": (0.0, 0.0)}
    known |= {"stellar_models": {"MIST": 1.0}, "binary_fraction": (0.0, 0.0)}
    cluster = np.array([6 + np.log10(myr), 0.0, 6.0, -1.0])
    light = [
        ClusterMaker(target, dataclasses.replace(QUICK, **known | gas))
        .draw(cluster, np.random.default_rng(1))
        .flux.sum(0)
        for gas in ({}, {"nebular_covering": (0.0, 0.0)})
    ]
    # the band is 122 Angstrom wide at H alpha
    width = 122 * ((light[0] / light[1])[2] / (1 + continuum) - 1)
    assert low < np.log10(width) < high


def pixels_with_half_the_light(target):
    """Count the fewest pixels that hold half of a cluster of 3000 Msun and 100 Myr."""
    radius = np.log10(3.0 / target.pc_per_arcsec)
    rng = np.random.default_rng(2)
    one = ClusterMaker(target, QUICK).draw(np.array([8.0, 0.2, 3.5, radius]), rng)
    renderer = Renderer(target.cutout_px)
    spectra = psf_spectra(target, renderer.grid, 7, np.full(len(target.bands), 0.8))
    middle = (target.cutout_px - 1) / 2
    light = renderer.draw(one.x + middle, one.y + middle, one.flux, spectra)[..., -1]
    ordered = np.sort(light, axis=None)[::-1]
    return np.searchsorted(np.cumsum(ordered), ordered.sum() / 2)


def test_a_cluster_of_m33_is_spread_over_far_more_pixels_than_one_of_ngc628():
    far, near = Target.load("ngc628-wfc3-uvis"), Target.load("m33-wfc3-uvis")
    assert pixels_with_half_the_light(near) > 3 * pixels_with_half_the_light(far)


@pytest.mark.parametrize(
    "bands",
    [
        ("F814W", "F438W"),
        ("F555W", "F275W", "F814W", "F475W"),
        ("F336W", "F657N", "F814W"),
    ],
    ids="-".join,
)
def test_any_bands_in_any_order_go_from_yaml_to_a_step_of_training(bands, tmp_path):
    import keras

    from clusterkeras.network.model import ClusterModel
    from data_tools.records.dataset import make_dataset
    from data_tools.records.plan import MockSet
    from data_tools.records.simulate import simulate

    known = {b.name: b for name in NAMES for b in Target.load(name).bands}
    m83 = Target.load("m83-f438w-f814w")
    chosen = tuple(known[name] for name in bands)
    wanted = dataclasses.replace(m83, name="mine", bands=chosen, cutout_px=16)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(wanted.to_dict()))
    target = Target.load(path)
    assert target.band_names == bands

    mocks = MockSet(n_train=24, n_validation=0, n_test=0, shard_size=24)
    output = simulate(tmp_path / "set", target, QUICK, mocks, workers=1, progress=False)
    used = {file.name for file in table_files(bands)}
    used |= {model_file(name).name for name in QUICK.stellar_models} | {"nebula.npz"}
    assert set(read_configuration(output)["tables"]) == used
    data = make_dataset(output, "train", 8, training=True)
    images, labels = next(iter(data))
    assert images.shape == (8, 16, 16, len(bands))
    assert np.isfinite(images).all()

    model = ClusterModel(
        target,
        {
            "backbone": "resnet_tiny",
            "posterior": "mixture",
            "components": 2,
            "hidden": 8,
        },
    )
    model.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    before = model.get_weights()
    assert np.isfinite(model.train_on_batch(images, labels)).all()
    after = model.get_weights()
    assert any((a != b).any() for a, b in zip(after, before, strict=True))
    assert model.target.band_names == bands
