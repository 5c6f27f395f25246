"""What is drawn white, orange and blue."""

import numpy as np
import pytest

from data_tools.pictures.colours import (
    Scale,
    as_rgb,
    colour_planes,
    say_colours,
    scale_of,
)
from data_tools.tables import load_tables
from data_tools.target import ab_to_njy

BANDS = ("F336W", "F438W", "F814W")
PIVOTS = load_tables(BANDS).pivot
#: Vega magnitudes in BANDS less that in F814W. Vega itself; stars of type O5 V and M0 V
#: (Johnson-Cousins colours U-B, B-V, V-I of Pickles 1998); an old globular cluster,
#: (U-B)0, (B-V)0, (V-I)0 = 0.3, 0.7, 0.9.
VEGA, HOT, COOL, OLD = (0, 0, 0), (-1.9, -0.7, 0), (4.4, 3.2, 0), (1.9, 1.6, 0)


def picture(colour, bands=BANDS, mag=18.0, noise=0.0, px=32, seed=1):
    """Return planes of a source of Vega colours in the middle, and the picture."""
    tables = load_tables(bands)
    njy = ab_to_njy(mag + np.array(colour) + tables.vega_ab)
    away = np.arange(px) - (px - 1) / 2
    light = np.exp(-(away[:, None] ** 2 + away**2) / 8) / (8 * np.pi)
    sky = np.random.default_rng(seed).normal(50, 1, (px, px, len(bands)))
    images = (light[..., None] * njy + 50 + noise * (sky - 50))[None]
    planes = colour_planes(images, tables.pivot)
    return planes, as_rgb(planes, scale_of(planes[0]))[0].astype(int)


@pytest.mark.parametrize(
    "bands",
    [BANDS, BANDS[::-1], ("F438W", "F814W"), ("F275W", "F336W", "F475W", "F814W")],
)
@pytest.mark.parametrize("mag", [15.0, 19.0, 23.0])
def test_a_star_of_zero_colour_is_white_at_any_brightness(bands, mag):
    _, rgb = picture([0] * len(bands), bands, mag)
    assert np.ptp(rgb, axis=-1).max() <= 1
    assert rgb[16, 16].min() > 230


def test_a_band_that_is_in_no_table_has_vega_interpolated():
    # ACS's F606W at 5922 A: Vega is 0.085 AB mag bright (ACS zero points)
    magnitude = np.array([0.085, load_tables(("F814W",)).vega_ab[0]])
    images = np.zeros((1, 3, 3, 2)) + np.eye(3)[None, ..., None] * ab_to_njy(magnitude)
    red, _, blue = colour_planes(images, [5922.0, PIVOTS[-1]]).max(axis=(0, 1, 2))
    assert blue / red == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("colour", "order"), [(HOT, (2, 1, 0)), (OLD, (0, 1, 2)), (COOL, (0, 1, 2))]
)
def test_hot_stars_are_blue_and_old_clusters_orange(colour, order):
    _, rgb = picture(colour)
    high, middle, low = rgb[16, 16][list(order)]
    assert high > middle > low


@pytest.mark.parametrize("colour", [HOT, OLD, COOL])
def test_nothing_is_drawn_in_one_colour_alone(colour):
    _, rgb = picture(colour)
    assert rgb[16, 16].max() > 230
    assert rgb[16, 16].min() > 40


def test_an_old_cluster_is_no_red_lamp():
    _, rgb = picture(OLD)
    assert rgb[16, 16][1] > 100


def test_the_hue_is_the_same_at_any_brightness():
    planes, _ = picture(OLD)
    rgb = as_rgb(planes, Scale(1.0, float(planes.max())))[0].astype(float)
    bright, faint = rgb[16, 16], rgb[16, 21]
    assert faint.max() < bright.max() - 20
    np.testing.assert_allclose(faint / faint.max(), bright / bright.max(), atol=0.03)


def test_a_faint_cluster_beside_a_bright_star_is_seen():
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:64, :64] - 31.5
    images = rng.normal(0, 1, (1, 64, 64, 3))
    # three times the noise in the middle, and a star a thousand times as bright
    images[0] += 3 * np.exp(-(x**2 + y**2) / 50)[..., None]
    images[0] += 3000 * np.exp(-((x - 20) ** 2 + y**2) / 4)[..., None]
    planes = colour_planes(images, PIVOTS)
    light = as_rgb(planes, scale_of(planes[0], 0.3))[0].mean(axis=-1)
    sky = light[:16]
    assert light[29:35, 29:35].mean() > sky.mean() + 2 * sky.std()
    assert light[29:35, 29:35].mean() > 60


def test_places_without_data_are_black_and_change_nothing_else():
    planes, rgb = picture(OLD, noise=1.0)
    scale = scale_of(planes[0])
    planes[0, :5] = np.nan
    holed = as_rgb(planes, scale)[0]
    assert not holed[:5].any()
    np.testing.assert_array_equal(holed[5:], rgb[5:])


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_an_image_of_nothing_is_drawn(value):
    planes = colour_planes(np.full((2, 8, 8, 3), value), PIVOTS)
    rgb = as_rgb(planes, scale_of(planes[0]))
    assert rgb.shape == (2, 8, 8, 3)
    assert np.ptp(rgb) == 0


def test_white_is_given_as_surface_brightness():
    # 3631 Jy in a square arcsecond are magnitude zero
    assert Scale(1.0, 3631e9 * 0.04**2).white_mag(0.04) == pytest.approx(0)
    assert Scale(1.0, 3631e7 * 0.04**2).white_mag(0.04) == pytest.approx(5)


@pytest.mark.parametrize(
    ("bands", "words"),
    [
        (BANDS, "red F814W, green F438W + F814W, blue F336W"),
        (BANDS[::-1], "red F814W, green F438W + F814W, blue F336W"),
        (BANDS[::2], "red F814W, green F336W + F814W, blue F336W"),
        (BANDS[:1], "red F336W, green F336W, blue F336W"),
    ],
)
def test_the_bands_of_each_colour_are_named(bands, words):
    assert say_colours(bands, load_tables(bands).pivot) == words
