import numpy as np
import pytest
from photutils.aperture import (
    ApertureStats,
    CircularAnnulus,
    CircularAperture,
    aperture_photometry,
)
from scipy.special import erf

from clusterkeras.network import backbones
from clusterkeras.network.layers.photometry import (
    RADII_PX,
    SKY_PX,
    AperturePhotometry,
    PhotometricFeatures,
    flux_error,
)
from clusterkeras.network.model import ClusterModel

PX = 64
MIDDLE = (PX - 1) / 2


def gaussian(row, column, flux=1000.0, sigma=2.5, px=PX):
    """Return a round Gaussian source, integrated over each pixel."""
    edges = np.arange(px + 1) - 0.5
    share = [
        np.diff(0.5 * erf((edges - middle) / (sigma * 2**0.5)))
        for middle in (row, column)
    ]
    return flux * np.outer(*share)


def measure(images, **options):
    """Measure images (n, px, px) or (n, px, px, bands); plain arrays."""
    images = np.asarray(images, np.float32)
    images = images if images.ndim == 4 else images[..., None]
    found = AperturePhotometry(**options)(images)
    return {name: value.numpy() for name, value in found.items()}


@pytest.fixture(scope="module")
def offsets():
    """Return centres an eighth of a pixel apart, up to 3 pixels off the middle."""
    rng = np.random.default_rng(0)
    return np.round(8 * (MIDDLE + rng.uniform(-3, 3, (40, 2)))) / 8


def test_a_gaussian_has_the_flux_of_the_closed_form_in_each_aperture(offsets):
    found = measure([gaussian(*centre) for centre in offsets])
    # pixels, and their shares of an aperture, each blur it by 1/12 px2 of variance
    share = 1 - np.exp(-0.5 * np.square(RADII_PX) / (2.5**2 + 1 / 6))
    np.testing.assert_allclose(
        found["flux"][..., 0], 1000 * np.tile(share, (40, 1)), rtol=0.01
    )
    np.testing.assert_allclose(found["centre"], offsets, atol=0.06)


def test_it_measures_what_photutils_measures_at_the_same_centre(offsets):
    rng = np.random.default_rng(1)
    images = [gaussian(*centre) + rng.normal(7, 1, (PX, PX)) for centre in offsets]
    found = measure(images, softening=3.0)
    for i, image in enumerate(images):
        x, y = np.round(8 * found["centre"][i, ::-1]) / 8
        ring = CircularAnnulus(np.round(found["centre"][i, ::-1]), *SKY_PX)
        sky = ApertureStats(image, ring, sum_method="center").median
        apertures = [CircularAperture((x, y), r) for r in RADII_PX]
        table = aperture_photometry(image - sky, apertures)
        expected = [table[f"aperture_sum_{a}"][0] for a in range(len(RADII_PX))]
        np.testing.assert_allclose(found["flux"][i, :, 0], expected, rtol=1e-4)
        assert found["sky"][i, 0] == pytest.approx(sky, rel=1e-5)


def test_sky_and_its_scatter_are_those_of_the_ring():
    rng = np.random.default_rng(2)
    found = measure(rng.normal([5, -3], [2, 0.5], (200, PX, PX, 2)))
    np.testing.assert_allclose(found["sky"].mean(axis=0), [5, -3], atol=0.03)
    np.testing.assert_allclose(found["scatter"].mean(axis=0), [2, 0.5], rtol=0.01)


def test_turning_and_mirroring_changes_no_flux():
    image = gaussian(MIDDLE + 1.3, MIDDLE - 2.1) + gaussian(60, 3, 300)
    turned = [np.rot90(i, k) for i in (image, image.T) for k in range(4)]
    flux = measure(turned)["flux"][..., 0]
    np.testing.assert_allclose(flux, np.tile(flux[:1], (8, 1)), rtol=5e-3)


def test_the_brightest_of_two_near_the_middle_is_measured():
    images = [
        gaussian(MIDDLE - 2, MIDDLE, f, 1.0) + gaussian(MIDDLE + 3, MIDDLE, 500, 1.0)
        for f in (300, 800)
    ]
    rows = measure(images)["centre"][:, 0]
    np.testing.assert_allclose(rows, [MIDDLE + 3, MIDDLE - 2], atol=0.4)


def test_a_bright_neighbour_beyond_the_search_is_left_alone():
    image = gaussian(MIDDLE, MIDDLE, 500, 1.0) + gaussian(
        MIDDLE, MIDDLE + 11, 5000, 1.0
    )
    np.testing.assert_allclose(measure([image])["centre"], [[MIDDLE, MIDDLE]], atol=0.1)


def test_an_empty_image_is_measured_as_empty():
    found = measure(np.zeros((2, PX, PX)))
    assert all(np.isfinite(value).all() for value in found.values())
    assert not found["flux"].any()


def test_errors_are_the_scatter_of_repeated_measurements():
    electron, source = 0.5, gaussian(MIDDLE, MIDDLE, 3000)
    rng = np.random.default_rng(3)
    noise = rng.normal(0, np.sqrt(4 + electron * source), (800, PX, PX))
    layer = AperturePhotometry(softening=8.0)
    found = layer(np.float32(source + noise)[..., None])
    flux, scatter = found["flux"].numpy(), found["scatter"].numpy()
    error = flux_error(flux, scatter, layer.areas, layer.sky_pixels, [electron])
    ratio = flux.std(axis=0)[:, 0] / error.mean(axis=0)[:, 0]
    # the edge of an aperture averages over parts of pixels, the more the smaller it is
    assert 0.75 < ratio[0] < 0.9
    np.testing.assert_allclose(ratio[1:], 1, atol=0.08)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"softening": 0.0}, "softening: expected a flux above 0; received 0"),
        ({"radii_px": (3, 1)}, r"radii_px: expected radii that rise .* \(3, 1\)"),
        ({"sky_px": (0, 4)}, r"sky_px: expected radii that rise from above 0"),
        ({"window_px": 0}, r"window_px: expected radii .* received \(0,\)"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        AperturePhotometry(**options)


def test_images_too_small_for_the_sky_are_refused():
    with pytest.raises(ValueError, match=r"at least \d+ pixels a side.*48, 48"):
        AperturePhotometry()(np.zeros((1, 48, 48, 2), np.float32))


def test_the_backbone_reads_what_the_layer_measures():
    images = np.stack([gaussian(MIDDLE, MIDDLE + 1, f) for f in (9, 90, 900)])
    images = np.float32(images)[..., None]
    found = PhotometricFeatures()(np.arcsinh(images / 4) / 4).numpy()
    expected = AperturePhotometry(softening=4.0)(images)
    flux = np.arcsinh(expected["flux"].numpy()[..., 0] / 4) / 4
    np.testing.assert_allclose(found[:, : len(RADII_PX)], flux, rtol=1e-4)
    assert found.shape == (3, len(RADII_PX) + 2)


def test_the_backbone_survives_the_round_trip(check_round_trip):
    backbone = backbones.build("photometry", (PX, PX, 2))
    images = np.random.default_rng(0).normal(size=(3, PX, PX, 2)).astype("f4")
    assert backbone(images).dtype == "float32"
    check_round_trip(backbone, images)


def test_a_saved_layer_keeps_its_apertures():
    layer = PhotometricFeatures((2.0, 4.0), (10.0, 12.0), 2.0)
    again = PhotometricFeatures.from_config(layer.get_config())
    assert again.apertures.radii_px == (2, 4)
    assert again.apertures.sky_px == (10, 12) and again.apertures.window_px == 2


def test_a_model_on_photometry_is_one_like_any_other(
    photometric_target, check_round_trip
):
    config = {
        "backbone": "photometry",
        "posterior": "mixture",
        "components": 2,
        "hidden": 8,
    }
    model = ClusterModel(photometric_target, config)
    images = np.random.default_rng(0).normal(size=(3, PX, PX, 2)).astype("f4")
    assert np.isfinite(model.summarise(images)["median"]).all()
    check_round_trip(model, images)
