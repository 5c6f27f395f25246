"""Synthetic fields: repeatable, crowded by stars, dimmed by dust, noisy as asked."""

import dataclasses

import numpy as np
import pytest
from astropy.stats import mad_std

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.fields.starlight import OLD_AGES
from data_tools.priors import Priors
from data_tools.schema import STELLAR_MODELS
from data_tools.stars.population import population_of
from data_tools.target import AB_ZERO_NJY, Target

SMALL = Priors(
    field_px=128,
    field_old_mass_density=(1.5, 1.5),
    field_sfr_density=(-2.0, -2.0),
    field_dust_a_v=(-1.0, -1.0),
    exposure_factor=(0.0, 0.0),
    sky_factor=(0.0, 0.0),
    read_noise_factor=(1.0, 1.0),
    noise_shift_px=(0.0, 0.0),
    sky_residual=0.0,
    sky_pedestal=(0.0, 0.0),
    transfer_loss=(0.0, 0.0),
    stellar_models={"MIST": 1.0},
    feh_offset=(0.0, 0.0),
    extinction_laws=(),
    r_v=(3.1, 3.1),
    field_old_decline=(0.0, 0.0),
    field_burst_fraction=0.0,
    field_arm_fraction=0.0,
    field_bulge_fraction=0.0,
)


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


def field(target, seed=0, **changes):
    maker = FieldMaker(target, dataclasses.replace(SMALL, **changes))
    return maker.make(np.random.default_rng(seed))


def test_same_seed_gives_the_same_field_and_another_another(target):
    first, again, other = (field(target, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
    assert first.image.shape == (128, 128, 3)
    assert np.isfinite(first.image).all()


DARK = {"field_old_mass_density": (-3.0, -3.0), "field_sfr_density": (-6.0, -6.0)}


def scatter(image):
    """Return the variance of each band, robust against stars."""
    return mad_std(image, axis=(0, 1)) ** 2


def test_empty_sky_has_the_noise_of_photons_and_read_out(target):
    empty = field(target, **DARK)
    for band, variance in zip(target.bands, scatter(empty.image), strict=True):
        electrons = (
            band.sky_electrons_s * band.exposure_s
            + band.n_exposures * target.read_noise_electrons**2
        )
        assert np.isclose(variance, electrons * band.electron_njy**2, rtol=0.12)


def test_residual_of_the_sky_is_a_share_of_it_and_differs_from_field_to_field(target):
    means = [
        field(target, seed, sky_residual=0.5, **DARK).image.mean((0, 1))
        for seed in range(12)
    ]
    sky = np.array(
        [b.sky_electrons_s * b.exposure_s * b.electron_njy for b in target.bands]
    )
    assert (np.abs(means) < 0.55 * sky).all()
    assert (np.std(means, axis=0) > 0.1 * sky).all()


def test_a_pedestal_takes_away_the_level_that_5_percent_of_the_light_is_below(target):
    # so deep that noise is nothing beside the light
    deep = {"exposure_factor": (2.0, 2.0), "field_old_mass_density": (3.0, 3.0)}
    whole, without = (field(target, sky_pedestal=(s, s), **deep) for s in (0.0, 1.0))
    taken = (whole.image - without.image).mean((0, 1))
    level = np.percentile(whole.image, 5, axis=(0, 1))
    assert np.allclose(taken, level, rtol=0.02)
    # only a constant, and the noise of its photons is remembered
    assert np.ptp(whole.image - without.image, axis=(0, 1)).max() < 1e-2
    seen, before = without.observation, whole.observation
    assert np.allclose(seen.sky_njy - before.sky_njy, taken, rtol=1e-3)
    photons = taken * seen.electron_njy
    assert np.allclose(seen.white_variance - before.white_variance, photons, rtol=1e-3)


def test_pedestals_fill_their_range_and_the_bands_have_nearly_the_same(target):
    fields = [field(target, seed, sky_pedestal=(0.0, 1.0)) for seed in range(40)]
    drawn = np.array([f.properties["sky_pedestal"] for f in fields])
    assert drawn.min() < 0.2
    assert drawn.max() > 0.8
    assert ((drawn >= 0) & (drawn <= 1)).all()


def test_a_longer_exposure_is_less_noisy(target):
    short, long = (
        scatter(field(target, exposure_factor=(f, f), **DARK).image)
        for f in (-0.3, 0.3)
    )
    assert (long < 0.5 * short).all()


def test_surface_brightness_is_that_of_the_stars_put_in(target):
    # the old disc alone, without dust: mean light = mass density x light per mass
    images = [
        field(
            target,
            seed,
            field_old_mass_density=(2.5, 2.5),
            field_sfr_density=(-6.0, -6.0),
            field_dust_a_v=(-4.0, -4.0),
            foreground_a_v=0.0,
        ).image.mean((0, 1))
        for seed in range(4)
    ]
    per_mass = sum(
        share * population_of(target, age).mean_flux() for age, share in OLD_AGES
    )
    pixel_pc2 = (target.pixel_scale_arcsec * target.pc_per_arcsec) ** 2
    expected = 10**2.5 * pixel_pc2 * per_mass
    assert np.allclose(np.mean(images, axis=0) / expected, 1, atol=0.06)


def test_dust_dims_the_blue_band_most(target):
    disc = {"field_old_mass_density": (3.0, 3.0), "field_sfr_density": (-6.0, -6.0)}
    clean, dusty = (
        field(target, field_dust_a_v=(a, a), **disc).image.mean((0, 1))
        for a in (-4.0, 0.5)
    )
    ratio = dusty / clean
    assert ratio[0] < ratio[1] < ratio[2] < 1


def test_star_formation_makes_a_field_bluer_and_more_crowded(target):
    quiet, active = (
        field(target, field_sfr_density=(s, s)).image for s in (-4.0, -1.0)
    )
    assert active[..., 0].mean() > 5 * quiet[..., 0].mean()
    assert (scatter(active) > scatter(quiet)).all()


def test_each_field_is_of_one_metallicity_law_and_history_of_its_own(target):
    wide = {
        "feh_offset": (-0.25, 0.25),
        "extinction_laws": ("CCM89", "F99", "G23"),
        "r_v": (2.5, 5.0),
        "field_old_decline": (-0.1, 0.3),
    }
    drawn = [field(target, seed, **wide).properties for seed in range(12)]
    for name in ("feh", "r_v", "old_decline"):
        assert np.ptp([d[name] for d in drawn]) > 0.2
    assert {d["extinction_law"] for d in drawn} == {0, 1, 2}
    assert {d["stellar_model"] for d in drawn} == {0}


def test_fields_are_of_models_that_have_the_giants_of_a_disc(target):
    # the tip of the red giants at [Fe/H] 0 is at M_I = -3.7 (Bellazzini et al. 2001)
    bright = 10 ** (-0.4 * (-2 + 0.428 + target.distance_modulus)) * AB_ZERO_NJY
    shares = {}
    for model in STELLAR_MODELS:
        old = population_of(target, 9.95, model=model)
        light = old.number * old.flux[:, 2]
        shares[model] = light[old.flux[:, 2] > bright].sum() / light.sum()
    all_models = dict.fromkeys(STELLAR_MODELS, 1.0)
    drawn = {
        field(target, seed, stellar_models=all_models).properties["stellar_model"]
        for seed in range(12)
    }
    assert drawn == {i for i, m in enumerate(STELLAR_MODELS) if shares[m] > 0.1}
    only = field(target, stellar_models={"SSE": 1.0}).properties["stellar_model"]
    assert STELLAR_MODELS[only] == "SSE"


def test_old_stars_rich_in_metals_are_redder_as_in_globular_clusters(target):
    # globular clusters' B-V and V-I grow by 0.159 and 0.156 mag / dex in the mean of
    # all metallicities (Barmby et al. 2000, AJ 119, 727), and faster near the Sun's
    def colour(offset):
        image = field(
            target,
            feh_offset=(offset, offset),
            zero_point_mag=0.0,
            field_old_mass_density=(3.0, 3.0),
            field_sfr_density=(-6.0, -6.0),
            field_dust_a_v=(-4.0, -4.0),
        ).image
        blue, red = image.mean((0, 1))[1:]
        return -2.5 * np.log10(blue / red)

    slope = (colour(0.25) - colour(-0.25)) / 0.5
    assert 0.25 < slope < 0.9
