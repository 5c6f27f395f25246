"""Mock clusters: the parameters are what they say."""

import dataclasses

import numpy as np
import pytest

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.priors import Priors
from data_tools.schema import TRAIT_NAMES
from data_tools.stars import cluster
from data_tools.stars.cluster import (
    MAX_CLUMPS,
    MAX_FAINT_POINTS,
    MAX_STARS,
    ClusterMaker,
)
from data_tools.stars.nebula import MAX_GAS_POINTS
from data_tools.target import Target

#: Clusters of which all are alike but for the stars that they happened to get.
PLAIN = {
    "stellar_models": {"MIST": 1.0},
    "uneven_fraction": 1.0,
    "r_v": (3.1, 3.1),
    "binary_fraction": (0.0, 0.0),
    "a_v_scatter": (0.0, 0.0),
    "a_v_front": (0.0, 0.0),
    "segregation": (1.0, 1.0),
    "axis_ratio": (1.0, 1.0),
    "nebular_covering": (0.0, 0.0),
}


def maker_of(**ranges):
    """Return a maker of clusters of which one thing alone is not plain."""
    own = PLAIN | {"feh_offset": (0, 0), "extinction_laws": ("CCM89",)}
    own |= {name: (value, value) for name, value in ranges.items()}
    return ClusterMaker(Target.load("m83-wfc3-uvis"), Priors(**own))


@pytest.fixture(scope="module")
def maker():
    return ClusterMaker(Target.load("m83-wfc3-uvis"), Priors(**PLAIN))


@pytest.mark.parametrize("log_mass", [3.0, 4.5, 6.0])
def test_light_is_that_of_the_mass(maker, log_mass):
    parameters = np.array([8.0, 0.5, log_mass, -1.0])
    rng = np.random.default_rng(1)
    n = 200 if log_mass < 4 else 20
    light = np.array([maker.draw(parameters, rng).flux.sum(0) for _ in range(n)])
    expected = 10**log_mass * maker.population(8.0).mean_flux(0.5)
    error = light.std(0) / np.sqrt(n)
    assert (np.abs(light.mean(0) - expected) < 4 * error).all()


@pytest.mark.parametrize("log_radius", [-1.4, -0.6])
def test_half_of_the_light_is_inside_the_half_light_radius(maker, log_radius):
    rng = np.random.default_rng(2)
    inside = total = 0.0
    for _ in range(30):
        drawn = maker.draw(np.array([9.0, 0.0, 5.5, log_radius]), rng)
        radius = np.hypot(drawn.x, drawn.y) * maker.target.pixel_scale_arcsec
        inside += drawn.flux[radius < 10**log_radius].sum()
        total += drawn.flux.sum()
    assert np.isclose(inside / total, 0.5, atol=0.02)


@pytest.mark.parametrize(
    ("log_mass", "log_age", "log_radius"),
    [
        (3.0, 6.8, -1.0),
        (3.0, 8.5, -0.8),
        (4.0, 7.5, -0.6),
        (4.0, 9.5, -0.5),
        (5.0, 7.5, -1.4),
        (5.0, 8.5, -0.6),
        (5.48, 7.5, -0.6),
        (5.48, 9.5, -0.5),
    ],
)
def test_images_are_those_of_all_stars_within_photon_noise(
    maker, monkeypatch, log_mass, log_age, log_radius
):
    # The same seeds give the same stars, and those that are placed the same places. The
    # rest of the light is once made of clumps and smooth light, once of every star at a
    # place of its own; it may differ by no more than another draw of the places would.
    target = maker.target
    radius = 10**log_radius / target.pixel_scale_arcsec
    parameters = np.array([log_age, 0.0, log_mass, log_radius])
    priors = Priors(**PLAIN, eff_eta=(1.5, 1.5), king_fraction=0.0)
    limited = ClusterMaker(target, priors)
    renderer = Renderer(64)
    blur = np.array([np.mean(priors.blur_range(name)) for name in target.band_names])
    psf = renderer.filters(psf_spectra(target, renderer.grid, 0, blur))

    def image(x, y, flux):  # in electrons
        light = renderer.draw(x + 31.5, y + 31.5, flux, psf)
        return light * limited.electrons_per_njy

    def points(maker, seed):
        drawn = maker.draw(parameters, np.random.default_rng(seed))
        return drawn.x, drawn.y, drawn.flux

    placed, rest, every = [], [], []
    for seed in range(8):
        fast = points(limited, seed)
        with monkeypatch.context() as patch:
            patch.setattr(cluster, "MAX_STARS", 10**9)
            patch.setattr(cluster, "LEAST_ELECTRONS", 1e-30)
            stars = points(limited, seed)
        np.testing.assert_allclose(
            *(one[2].sum(0, dtype=float) for one in (fast, stars)), rtol=1e-5
        )
        n = min(len(fast[0]), len(stars[0]))
        shared = (fast[0][:n] == stars[0][:n]) & (fast[2][:n] == stars[2][:n]).all(1)
        first = int(np.argmin(shared))
        placed.append(image(*(values[:first] for values in fast)))
        rest.append(image(*(values[first:] for values in fast)))
        every.append(image(*(values[first:] for values in stars)))
    rest, every = np.array(rest), np.array(every)
    light = np.mean(placed, 0) + every.mean(0)
    sky = np.array([b.sky_electrons_s * b.exposure_s for b in target.bands])
    reads = np.array([b.n_exposures for b in target.bands])
    noise = light + sky + target.read_noise_electrons**2 * reads

    difference = rest - every
    if log_mass <= 4:
        # far below the noise: in each band's pixels together, and in any one
        chi2 = (difference**2).mean(0) / noise
        assert (chi2.mean((0, 1)) < 0.02).all()
        assert chi2.max() < 0.3
    distance = np.hypot(*(np.indices((64, 64)) - 31.5))
    for inner, outer in ((0, radius), (radius, 2 * radius), (2 * radius, 4 * radius)):
        ring = (distance >= inner) & (distance < outer)
        # mean light to 1 %, or to a third of the ring's photon noise
        off = np.abs(difference.mean(0)[ring].sum(0))
        limit = np.maximum(0.01 * light[ring].sum(0), np.sqrt(noise[ring].sum(0)) / 3)
        assert (off < limit).all()
        # variance: photons, read-out, and the places of the stars not placed
        scatter = every.var(0)[ring].mean(0)
        change = rest.var(0)[ring].mean(0) - scatter
        assert (np.abs(change) < 0.25 * (scatter + noise[ring].mean(0))).all()


def test_dust_dims_the_blue_band_most(maker):
    clean, dusty = (
        maker.draw(np.array([9.0, a_v, 5.0, -1.0]), np.random.default_rng(3)).flux.sum(
            0
        )
        for a_v in (0.0, 2.0)
    )
    dimming = -2.5 * np.log10(dusty / clean)
    # A_band = 2 x (1.6, 1.3, 0.6) mag, CCM89 at R_V = 3.1
    assert np.allclose(dimming, [3.2, 2.65, 1.19], atol=0.15)


def test_number_of_points_stays_bounded_at_any_mass(maker):
    drawn = maker.draw(np.array([7.0, 0.0, 6.0, -1.0]), np.random.default_rng(4))
    assert len(drawn.x) <= MAX_STARS + MAX_CLUMPS + MAX_FAINT_POINTS + MAX_GAS_POINTS


def test_same_seed_gives_the_same_cluster(maker):
    first, second = (
        maker.draw(np.array([7.3, 1.0, 4.0, -1.0]), np.random.default_rng(5))
        for _ in range(2)
    )
    for name in ("x", "y", "flux"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    assert first.traits == second.traits
    assert set(first.traits) == set(TRAIT_NAMES)


@pytest.mark.parametrize("r_v", [2.5, 3.1, 5.0])
def test_dust_of_another_r_v_dims_by_the_law_of_ccm89(r_v):
    # a(x) + b(x) / R_V at the bands' pivots, CCM89 (ApJ 345, 245), equations 3a and 3b
    a = [0.32999, -0.77530, 0.01979, 0.72085, -0.02427, -0.50447, 0.17699, 1.0]
    b = [-2.09002, 5.30260, -0.62251, -5.38434, 1.07233, 2.28305, 1.41338, 0.0]
    y = 1e4 / np.array([3355, 4326, 8030]) - 1.82
    expected = 2.0 * (np.polyval(a, y) + np.polyval(b, y) / r_v)
    one = maker_of(r_v=r_v)
    clean, dusty = (
        one.draw(np.array([9.0, x, 5.0, -1.0]), np.random.default_rng(3)).flux.sum(0)
        for x in (0.0, 2.0)
    )
    # bands are broad: by a few per cent
    np.testing.assert_allclose(-2.5 * np.log10(dusty / clean), expected, rtol=0.06)


def test_clusters_with_companions_hold_their_mass_in_light():
    # half of the stars in pairs dim a cluster of the same mass by 0.03 mag: companions
    # hold a fifth of its mass and give some light
    one, parameters = maker_of(binary_fraction=0.5), np.array([8.5, 0, 5, -1])
    rng = np.random.default_rng(1)
    light = [one.draw(parameters, rng).flux.sum(0) for _ in range(60)]
    expected = 1e5 * one.population(8.5).mean_flux() * 10 ** (-0.4 * 0.029)
    error = np.std(light, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(light, axis=0) - expected) < 4 * error).all()


@pytest.mark.parametrize("log_mass", [3.0, 4.5])
@pytest.mark.parametrize("log_age", [6.8, 9.0])
def test_a_v_is_the_mean_of_the_stars_by_their_light_without_dust(
    monkeypatch, log_mass, log_age
):
    # as measured on stars alone: none is left in the light of the others
    monkeypatch.setattr(cluster, "MAX_STARS", 10**9)
    monkeypatch.setattr(cluster, "LEAST_ELECTRONS", 1e-30)
    uneven, even = maker_of(a_v_scatter=0.5, a_v_front=0.3), maker_of()
    for seed, a_v in enumerate([0.1, 0.6, 2.0, 4.0]):
        parameters = np.array([log_age, a_v, log_mass, -1.0])
        one, other = (
            m.draw(parameters, np.random.default_rng(seed)) for m in (uneven, even)
        )
        # what each star's A_V is, by F438W: 1.32 mag per mag, within two per cent
        own = a_v - 2.5 * np.log10(one.flux[:, 1] / other.flux[:, 1]) / 1.32
        weight = (other.flux * 10 ** (0.4 * a_v * np.array([1.63, 1.32, 0.59]))) @ (
            even.electrons_per_njy
        )
        assert np.isclose(np.average(own, weights=weight), a_v, rtol=0.015)
        # seen is what is less dimmed
        assert one.traits["a_v_seen"] <= a_v + 1e-6
        assert own.min() >= min(a_v, 0.18) - 0.03 * a_v
        if a_v > 1:
            spread = np.sqrt(0.7 * (1 + 0.5**2) - 0.7**2) / 0.7
            factor = (own - 0.18) / (a_v - 0.18)
            assert np.isclose(np.mean(factor < 0.03), 0.3, atol=0.05)
            assert np.isclose(factor.std() / factor.mean(), spread, rtol=0.1)


@pytest.mark.parametrize("a_v", [1.0, 4.0])
def test_light_of_stars_not_placed_is_that_of_all_at_depths_of_their_own(
    monkeypatch, a_v
):
    parameters = np.array([9.6, a_v, 4.5, -1.0])
    one = maker_of(a_v_scatter=0.5, a_v_front=0.2)
    monkeypatch.setattr(cluster, "MAX_STARS", 1)
    faint = [one.draw(parameters, np.random.default_rng(i)) for i in range(8)]
    monkeypatch.setattr(cluster, "MAX_STARS", 10**9)
    monkeypatch.setattr(cluster, "LEAST_ELECTRONS", 1e-30)
    every = [one.draw(parameters, np.random.default_rng(i)) for i in range(8)]
    ratio = np.array(
        [a.flux.sum(0) / b.flux.sum(0) for a, b in zip(faint, every, strict=True)]
    )
    error = ratio.std(0) / np.sqrt(8)
    assert (np.abs(ratio.mean(0) - 1) < 0.005 + 4 * error).all()


def test_no_more_of_the_light_than_can_be_is_in_front_of_the_dust():
    # one star that has nearly all light cannot be in front: the mean would not be a_v
    one = maker_of(a_v_scatter=0.5, a_v_front=0.4)
    for seed in range(40):
        drawn = one.draw(np.array([6.7, 2.0, 2.5, -1.0]), np.random.default_rng(seed))
        assert 0.18 < drawn.traits["a_v_seen"] <= 2.0


def seen_of(drawn, maker):
    """Return radii in arcsec, and electrons, of a cluster's points."""
    radius = np.hypot(drawn.x, drawn.y) * maker.target.pixel_scale_arcsec
    return radius, drawn.flux @ maker.electrons_per_njy


@pytest.mark.parametrize("segregation", [0.5, 0.8])
@pytest.mark.parametrize("king", [0.0, 1.0])
def test_half_of_the_light_is_inside_the_label_whatever_is_inside_it(segregation, king):
    one = maker_of(segregation=segregation)
    one = ClusterMaker(one.target, dataclasses.replace(one.priors, king_fraction=king))
    rng, inside, measured = np.random.default_rng(2), [], []
    for _ in range(60):
        drawn = one.draw(np.array([7.5, 0.0, 4.5, -0.8]), rng)
        radius, light = seen_of(drawn, one)
        inside.append(light[radius < 10**-0.8].sum() / light.sum())
        measured.append(drawn.traits["log_half_light_radius_drawn"])
        # by the definition of a median: half is inside what was measured
        within = light[radius < 10 ** measured[-1]].sum() / light.sum()
        assert np.isclose(within, 0.5, atol=light.max() / light.sum() + 0.02)
        assert drawn.traits["log_half_number_radius"] > -0.8
    assert abs(np.mean(inside) - 0.5) < 4 * np.std(inside) / np.sqrt(60)
    assert abs(np.mean(measured) + 0.8) < 4 * np.std(measured) / np.sqrt(60) + 0.01


def test_the_brightest_fifth_stands_closer_to_the_middle():
    one, rng, ratio = maker_of(segregation=0.5), np.random.default_rng(3), []
    for _ in range(30):
        drawn = one.draw(np.array([7.5, 0.0, 4.0, -0.8]), rng)
        stars = int((drawn.flux @ one.electrons_per_njy > 25).sum())
        radius = np.hypot(drawn.x, drawn.y)
        fifth = stars // 5
        ratio.append(np.median(radius[:fifth]) / np.median(radius[fifth:stars]))
    assert np.isclose(np.mean(ratio), 0.5, rtol=0.1)


@pytest.mark.parametrize("axis_ratio", [0.6, 1.0])
def test_an_ellipse_of_the_axis_ratio_holds_half_of_the_light(axis_ratio):
    # moments of a flattened circle: the ratio of their roots is that of the axes; the
    # area is that of the circle, so that the ellipse's sqrt(a b) is the label
    one, rng = maker_of(axis_ratio=axis_ratio), np.random.default_rng(4)
    ratios, inside, turns = [], [], []
    for _ in range(20):
        drawn = one.draw(np.array([9.5, 0.0, 5.5, -0.8]), rng)
        weight = drawn.flux.sum(1) * (np.hypot(drawn.x, drawn.y) < 20)
        moments = np.cov(drawn.x, drawn.y, aweights=weight)
        (short, long), axes = np.linalg.eigh(moments)
        ratios.append(np.sqrt(short / long))
        turns.append(np.arctan(axes[1, 1] / axes[0, 1]))
        along = (axes[:, 1] @ [drawn.x, drawn.y]) * np.sqrt(axis_ratio)
        across = (axes[:, 0] @ [drawn.x, drawn.y]) / np.sqrt(axis_ratio)
        radius = np.hypot(along, across) * one.target.pixel_scale_arcsec
        light = drawn.flux.sum(1)
        inside.append(light[radius < 10**-0.8].sum() / light.sum())
    assert np.isclose(np.mean(ratios), axis_ratio, atol=0.07)
    assert np.isclose(np.mean(inside), 0.5, atol=0.02)
    if axis_ratio < 1:
        assert np.ptp(turns) > 1.5


def test_masses_drawn_scatter_about_the_label_and_the_living_are_fewer():
    one, rng = maker_of(), np.random.default_rng(5)
    traits = [one.draw(np.array([8.5, 0.0, 3.0, -1.0]), rng).traits for _ in range(300)]
    drawn = 10 ** np.array([t["log_mass_drawn"] for t in traits])
    assert abs(drawn.mean() - 1e3) < 4 * drawn.std() / np.sqrt(300)
    # at 0.3 Gyr stars above 3.4 Msun have died (Schaller et al. 1992, A&AS 96, 269):
    # 30 % of the mass of a Kroupa IMF
    living = 10 ** (traits[0]["log_mass_current"] - 3)
    assert 0.65 < living < 0.78


def drawn(priors, target=None, n=30):
    """Return the colours (last band less first, mag) of heavy clusters of one age."""
    target = target or Target.load("m83-wfc3-uvis")
    maker, rng = ClusterMaker(target, priors), np.random.default_rng(3)
    rows = (maker.draw(np.array([9.5, 3.0, 6.0, -1.0]), rng).flux for _ in range(n))
    flux = np.array([row.sum(0) for row in rows])
    return 2.5 * np.log10(flux[:, -1] / flux[:, 0])


def test_clusters_scatter_in_metallicity_and_law_only_as_far_as_priors_say():
    fixed = PLAIN | {"feh_offset": (0.0, 0.0), "extinction_laws": ()}
    scatter = np.std(drawn(Priors(**fixed)))
    assert np.std(drawn(Priors(**fixed | {"feh_offset": (-0.25, 0.25)}))) > 3 * scatter
    laws = Priors(**fixed | {"extinction_laws": ("CCM89", "G23")})
    assert np.std(drawn(laws)) > 2 * scatter


def test_richer_clusters_are_redder_and_the_isochrones_end_limits_them():
    poor, rich = (
        drawn(
            Priors(**PLAIN, feh_offset=(offset, offset), extinction_laws=()), n=10
        ).mean()
        for offset in (-0.25, 0.25)
    )
    assert rich > poor + 0.2
    # [Fe/H] ends at 0.25
    beyond = drawn(
        Priors(**PLAIN, feh_offset=(0.9, 0.9), extinction_laws=()), n=10
    ).mean()
    assert np.isclose(beyond, rich, atol=0.02)


@pytest.mark.parametrize("segregation", [0.3, 1.0])
@pytest.mark.parametrize("log_mass", [3.0, 5.5])
def test_expected_light_is_the_drawn_light_about_the_half_light_radius(
    log_mass, segregation
):
    maker = maker_of(segregation=segregation)
    rng = np.random.default_rng(6)
    for _ in range(5):
        drawn = maker.draw(np.array([7.5, 0.5, log_mass, -0.8]), rng)
        sought = drawn.expected
        # but for what is beyond the cutout
        np.testing.assert_allclose(sought.flux.sum(0), drawn.flux.sum(0), rtol=0.05)
        radius = np.hypot(sought.x, sought.y) * maker.target.pixel_scale_arcsec
        light = sought.flux @ maker.electrons_per_njy
        inside = (
            light[radius < 10**-0.8].sum()
            / (drawn.flux @ maker.electrons_per_njy).sum()
        )
        assert inside == pytest.approx(0.5, abs=0.02)
