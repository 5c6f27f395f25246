"""Look-alikes: each kind is drawn, as visible as asked, and what it says it is."""

import dataclasses

import numpy as np
import pytest

from data_tools.imaging.field_spectrum import FieldSpectrum
from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.imaging.visibility import visibility
from data_tools.mocks.negatives import NegativeMaker
from data_tools.priors import Priors
from data_tools.schema import KINDS
from data_tools.stars.cluster import ClusterMaker
from data_tools.target import Target

SPECTRUM, ELECTRON = FieldSpectrum.white(np.full(3, 4.0), 64), np.full(3, 0.2)


@pytest.fixture(scope="module")
def draw():
    target = Target.load("m83-wfc3-uvis")
    renderer = Renderer(target.cutout_px)
    no_gas = Priors(nebular_covering=(0.0, 0.0))
    maker = NegativeMaker(ClusterMaker(target, no_gas), renderer)
    spectra = psf_spectra(target, renderer.grid, 7, np.array([1.2, 0.8, 0.6]))
    rng = np.random.default_rng(8)

    def one(kind, centre=(0.0, 0.0)):
        return maker.draw(kind, np.array(centre), spectra, SPECTRUM, ELECTRON, rng)

    def with_expected(kind, seed):
        rng = np.random.default_rng(seed)
        return maker.with_expected(kind, np.zeros(2), spectra, SPECTRUM, ELECTRON, rng)

    one.kinds = maker.kinds
    one.with_expected = with_expected
    return one


def half_light_radius_px(light):
    image = light.sum(-1)
    axis = np.arange(64) - 31.5
    radius = np.hypot(*np.meshgrid(axis, axis)).ravel()
    order = np.argsort(radius)
    cumulative = np.cumsum(image.ravel()[order])
    return radius[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])]


def test_every_kind_of_the_schema_can_be_drawn_and_has_a_share_by_default(draw):
    assert set(Priors().negatives) == set(draw.kinds) == set(KINDS[1:])


def test_empty_is_empty(draw):
    assert not draw("empty").any()


@pytest.mark.parametrize(
    "kind", ["bright_star", "blend", "background_galaxy", "dust_edge"]
)
def test_visibility_is_spread_over_the_range_of_clusters(draw, kind):
    found = [visibility(draw(kind), SPECTRUM, ELECTRON) for _ in range(40)]
    assert 0.2 - 0.05 < min(found) < 1.2
    assert 2.2 < max(found) < 3.2 + 0.05


def test_star_is_as_narrow_as_the_psf_and_in_the_middle(draw):
    for _ in range(5):
        light = draw("bright_star", (0.0, 0.0))
        assert half_light_radius_px(light) < 2.5
        row, column = np.unravel_index(light.sum(-1).argmax(), (64, 64))
        assert {int(row), int(column)} <= {31, 32}


def test_a_hot_star_alone_may_lie_in_gas():
    young = {**Target.load("m83-wfc3-uvis").box, "log_age": (6.0, 6.4)}
    target = dataclasses.replace(Target.load("m83-wfc3-uvis"), box=young)
    renderer = Renderer(target.cutout_px)
    spectra = psf_spectra(target, renderer.grid, 7, np.array([1.2, 0.8, 0.6]))

    def radii(covering):
        gas = {"nebular_covering": (covering,) * 2, "nebular_compact": (0.0, 0.0)}
        gas["nebular_radius_pc"] = (10.0, 12.0)
        maker = NegativeMaker(ClusterMaker(target, Priors(**gas)), renderer)
        rng = np.random.default_rng(8)
        stars = [
            maker.draw("bright_star", np.zeros(2), spectra, SPECTRUM, ELECTRON, rng)
            for _ in range(30)
        ]
        return np.array([half_light_radius_px(light) for light in stars])

    alone, in_gas = radii(0.0), radii(1.0)
    assert (alone < 2.5).all()
    assert 0 < (in_gas > 4).mean() < 0.9


def test_blend_is_wider_than_a_star_and_narrower_than_an_association(draw):
    radii = {
        kind: np.median([half_light_radius_px(draw(kind)) for _ in range(30)])
        for kind in ("bright_star", "blend", "association")
    }
    assert radii["bright_star"] < radii["blend"] < radii["association"]


def test_stars_of_an_association_are_expected_all_over_it(draw):
    """As of a cluster: its S/N is not that of stars whose places are known."""
    pairs = [draw.with_expected("association", seed) for seed in range(20)]
    share = [sought.sum() / light.sum() for light, sought in pairs]
    assert np.median(share) == pytest.approx(1, abs=0.3)
    known, expected = (
        [visibility(light, SPECTRUM, ELECTRON) for light in lights]
        for lights in zip(*pairs, strict=True)
    )
    assert np.median(np.subtract(known, expected)) > 0.15
    for _, sought in pairs:
        assert abs(np.diff(sought, axis=0)).max() < 0.1 * sought.max()


@pytest.mark.parametrize("kind", ["bright_star", "blend", "background_galaxy"])
def test_all_others_are_expected_as_they_are(draw, kind):
    light, sought = draw.with_expected(kind, 0)
    assert sought is light


def test_background_galaxy_is_redder_band_by_band(draw):
    for _ in range(10):
        flux = draw("background_galaxy").sum((0, 1))
        assert flux[0] < flux[1] < flux[2]


def test_background_galaxy_is_red_in_whatever_order_the_bands_come():
    target = Target.load("m83-wfc3-uvis")
    target = dataclasses.replace(target, bands=target.bands[::-1])
    renderer = Renderer(target.cutout_px)
    maker = NegativeMaker(ClusterMaker(target, Priors()), renderer)
    spectra = psf_spectra(target, renderer.grid, 7, np.array([0.6, 0.8, 1.2]))
    rng = np.random.default_rng(8)
    for _ in range(5):
        light = maker.draw(
            "background_galaxy", np.zeros(2), spectra, SPECTRUM, ELECTRON, rng
        )
        flux = light.sum((0, 1))
        assert flux[0] > flux[1] > flux[2]


def test_dust_edge_is_light_that_falls_off_through_the_middle(draw):
    steps = []
    for _ in range(30):
        light = draw("dust_edge")
        assert light.min() == 0
        image = light.sum(-1)
        steepness = np.hypot(*np.gradient(image))
        near = steepness[24:40, 24:40].mean()
        steps.append(near / steepness.mean())
    assert np.median(steps) > 1.15


def test_dust_edge_is_reddest_where_it_is_darkest(draw):
    """The ratio of bright to dark is largest in the bluest band."""
    for _ in range(10):
        # the minimum has been taken off: compare contrast in shape, half-way up
        light = draw("dust_edge")
        relative = light / light.max((0, 1))
        middle = relative[(relative[..., 2] > 0.3) & (relative[..., 2] < 0.7)]
        assert middle[:, 0].mean() < middle[:, 1].mean() < middle[:, 2].mean()


def test_artefact_is_in_one_band_only(draw):
    for _ in range(10):
        light = draw("artefact")
        assert (light.sum((0, 1)) > 0).sum() == 1
        assert 1 <= (light > 0).sum() <= 8
