"""Rendering: flux kept, stars where they are, all bands at once."""

import galsim
import numpy as np
import pytest

from data_tools.imaging.psf import OVERSAMPLING, psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.priors import Priors
from data_tools.stars.cluster import ClusterMaker
from data_tools.target import Target


@pytest.fixture(scope="module")
def target():
    return Target.load("m83-wfc3-uvis")


@pytest.fixture(scope="module")
def renderer():
    return Renderer(64)


@pytest.fixture(scope="module")
def spectra(target, renderer):
    return psf_spectra(target, renderer.grid, 20, np.array([1.2, 0.8, 0.6]))


def draw_exactly(renderer, x, y, spectra):
    """One star of unit flux, by the phase of its place at every frequency."""
    n, margin = renderer.grid, renderer.margin_px
    frequency = np.fft.fftfreq(n)
    column, row = ((v + margin) * OVERSAMPLING for v in (x, y))
    phase = np.exp(
        -2j
        * np.pi
        * (frequency[:, None] * row + frequency[None, : n // 2 + 1] * column)
    )
    image = np.fft.irfft2(spectra * phase, s=(n, n))[:, ::OVERSAMPLING, ::OVERSAMPLING]
    keep = slice(margin, margin + renderer.size_px)
    return np.moveaxis(image[:, keep, keep], 0, -1)


@pytest.mark.parametrize(
    "place", [(31.5, 31.5), (31.0, 32.0), (30.77, 33.13), (5.3, 58.91)]
)
def test_star_is_drawn_as_its_exact_phase_says(renderer, spectra, place):
    drawn = renderer.draw(*np.array(place)[:, None], np.ones((1, 3)), spectra)
    exact = draw_exactly(renderer, *place, spectra)
    error = np.abs(drawn - exact).max((0, 1)) / exact.max((0, 1))
    assert (error < 5e-4).all()


@pytest.fixture(scope="module")
def galsim_psfs(spectra):
    """Return the PSFs of the spectra as GalSim takes them."""
    images = np.fft.fftshift(np.fft.irfft2(spectra), axes=(1, 2))
    # its own defaults draw the bluer bands, which fill most of the finer grid's band,
    # to 1e-3 of the peak
    accurate = galsim.GSParams(maxk_threshold=1e-4, folding_threshold=1e-3)
    return [
        # without its first row and column the PSF is centred on the middle pixel
        galsim.InterpolatedImage(
            galsim.Image(image[1:, 1:].astype(float), scale=1 / OVERSAMPLING),
            flux=float(image[1:, 1:].sum()) / OVERSAMPLING**2,
            x_interpolant="lanczos15",
            gsparams=accurate,
        )
        for image in images
    ]


def draw_with_galsim(x, y, flux, psfs, size_px=64):
    middle = (size_px - 1) / 2
    bands = []
    for psf, fluxes in zip(psfs, flux.T, strict=True):
        stars = [
            galsim.DeltaFunction(one).shift(a - middle, b - middle)
            for a, b, one in zip(x, y, fluxes, strict=True)
        ]
        scene = galsim.Convolve(galsim.Sum(stars), psf)
        image = scene.drawImage(nx=size_px, ny=size_px, scale=1, method="no_pixel")
        bands.append(image.array)
    return np.stack(bands, axis=-1)


def assert_agree(drawn, peer):
    assert (np.abs(drawn - peer).max((0, 1)) < 1e-3 * peer.max((0, 1))).all()


@pytest.mark.parametrize("place", [(31.5, 31.5), (30.77, 33.13), (2.3, 60.61)])
def test_star_is_drawn_as_galsim_draws_it(renderer, spectra, galsim_psfs, place):
    x, y = np.array(place)[:, None]
    flux = np.array([[1.0, 2.0, 0.5]])
    drawn = renderer.draw(x, y, flux, spectra)
    assert_agree(drawn, draw_with_galsim(x, y, flux, galsim_psfs))


@pytest.mark.parametrize(
    ("log_age", "log_mass", "log_radius"),
    [(6.8, 2.8, -1.4), (8.0, 4.0, -0.7), (9.5, 3.5, -0.2)],
)
def test_cluster_is_drawn_as_galsim_draws_it(
    target, renderer, spectra, galsim_psfs, log_age, log_mass, log_radius
):
    rng = np.random.default_rng(11)
    clusters = ClusterMaker(target, Priors())
    one = clusters.draw(np.array([log_age, 0.5, log_mass, log_radius]), rng)
    x, y, flux = one.x, one.y, one.flux
    # GalSim's images grow with its farthest star
    inside = np.flatnonzero(np.maximum(np.abs(x), np.abs(y)) < 44)
    x, y, flux = x[inside] + 31.5, y[inside] + 31.5, flux[inside]
    drawn = renderer.draw(x, y, flux, spectra)
    assert_agree(drawn, draw_with_galsim(x, y, flux, galsim_psfs))


def test_star_stands_where_it_is_to_a_hundredth_of_a_pixel(renderer, spectra):
    rng = np.random.default_rng(4)
    axis = np.arange(64)

    def centroid(x, y):
        image = renderer.draw(np.array([x]), np.array([y]), np.ones((1, 3)), spectra)
        weight = np.exp(-0.5 * ((axis[:, None] - y) ** 2 + (axis - x) ** 2) / 2.0**2)
        weight = image * weight[..., None]
        total = weight.sum((0, 1))
        return np.array(
            [
                (weight * axis[None, :, None]).sum((0, 1)) / total - x,
                (weight * axis[:, None, None]).sum((0, 1)) / total - y,
            ]
        )

    # a PSF has a centroid of its own, which no shift of the star may change
    offsets = np.array([centroid(*(32 + rng.uniform(-1, 1, 2))) for _ in range(30)])
    assert np.abs(offsets - offsets.mean(0)).max() < 0.01


def test_flux_is_conserved(renderer, spectra):
    rng = np.random.default_rng(5)
    x, y = 31.5 + rng.normal(0, 2, (2, 200))
    flux = rng.exponential(1, (200, 3))
    # a Gaussian PSF of 1 px lies wholly on the canvas: its transform, peak 1 / pixel
    frequency = np.fft.fftfreq(renderer.grid) * OVERSAMPLING
    damping = np.exp(-2 * (np.pi * frequency) ** 2)
    gaussian = OVERSAMPLING**2 * damping[:, None] * damping[: renderer.grid // 2 + 1]
    image = renderer.draw(x, y, flux, np.stack([gaussian] * 3))
    assert np.allclose(image.sum((0, 1)), flux.sum(0), rtol=1e-4)
    drawn = renderer.draw(x, y, flux, spectra).sum((0, 1))
    assert (drawn < flux.sum(0)).all() and (drawn > 0.97 * flux.sum(0)).all()


def test_bands_and_stars_add_up(renderer, spectra):
    rng = np.random.default_rng(6)
    x, y = rng.uniform(0, 63, (2, 40))
    flux = rng.exponential(1, (40, 3))
    whole = renderer.draw(x, y, flux, spectra)
    parts = sum(renderer.draw(x[i::4], y[i::4], flux[i::4], spectra) for i in range(4))
    assert np.allclose(whole, parts, atol=1e-4 * whole.max())
    doubled = renderer.draw(x, y, flux * [1, 2, 1], spectra)
    assert np.allclose(doubled[..., 1], 2 * whole[..., 1], atol=1e-5)
    assert np.allclose(doubled[..., ::2], whole[..., ::2], atol=1e-6)


@pytest.mark.parametrize("margin", [0, 16])
@pytest.mark.parametrize("colours", [1, 2])
def test_stars_of_few_colours_are_drawn_as_by_their_fluxes(target, margin, colours):
    rng = np.random.default_rng(8)
    patch = Renderer(64, margin)
    spectra = psf_spectra(target, patch.grid, 20, np.array([1.2, 0.8, 0.6]))
    x, y = rng.uniform(0, 63, (2, 40))
    share, colours = rng.random((40, colours)), rng.random((colours, 3))
    drawn = patch.draw(x, y, share, spectra, colours)
    by_flux = patch.draw(x, y, share @ colours, spectra)
    assert np.allclose(drawn, by_flux, atol=1e-5 * by_flux.max())


def test_star_in_the_margin_shines_into_the_image(renderer, spectra):
    near = renderer.draw(np.array([-2.0]), np.array([30.0]), np.ones((1, 3)), spectra)
    far = renderer.draw(np.array([-40.0]), np.array([30.0]), np.ones((1, 3)), spectra)
    assert near[30, 0, 0] > 1e-3
    assert (far == 0).all()


def test_star_in_the_margin_does_not_shine_in_at_the_opposite_edge(renderer, spectra):
    beyond, inside = (
        renderer.draw(np.array([x]), np.array([31.0]), np.ones((1, 3)), spectra)
        for x in (79.0, 40.0)
    )
    assert beyond[:, :8].max() < 5e-5 * inside.max()


@pytest.mark.parametrize("place", [(31.2, 33.7), (24.5, 39.9), (9.1, 53.3)])
def test_star_is_the_same_whatever_else_is_drawn(renderer, spectra, place):
    # a star without light in the margin asks for the largest canvas
    x, y = np.array([place, (-9.0, 70.0)]).T
    alone = renderer.draw(x[:1], y[:1], np.ones((1, 3)), spectra)
    both = renderer.draw(x, y, np.array([[1.0] * 3, [0.0] * 3]), spectra)
    assert np.abs(alone - both).max() < 1e-4 * both.max()


def test_image_without_stars_is_dark(renderer, spectra):
    nothing = np.empty(0)
    assert not renderer.draw(nothing, nothing, np.empty((0, 3)), spectra).any()


def test_patch_without_margin_repeats_itself(target):
    patch = Renderer(160, 0)
    spectra = psf_spectra(target, patch.grid, 20, np.array([1.2, 0.8, 0.6]))
    x, y, flux = np.array([3.27]), np.array([158.81]), np.ones((1, 3))
    edge = patch.draw(x, y, flux, spectra)
    inside = patch.draw(x + 80, y - 70, flux, spectra)
    assert np.allclose(np.roll(inside, (70, -80), (0, 1)), edge, atol=1e-5 * edge.max())
    assert np.allclose(patch.draw(x - 160, y, flux, spectra), edge)


def test_smooth_light_is_seen_like_stars_in_the_middle_of_each_pixel(renderer, spectra):
    rng = np.random.default_rng(7)
    canvas, margin = renderer.canvas_px, renderer.margin_px
    smooth = np.zeros((3, canvas, canvas), np.float32)
    row, column = rng.integers(margin, margin + 64, (2, 50))
    flux = rng.exponential(1, (50, 3))
    np.add.at(smooth.transpose(1, 2, 0), (row, column), flux)
    drawn = renderer.convolve(None, spectra, smooth)
    stars = renderer.draw(column - margin, row - margin, flux, spectra)
    assert np.abs(drawn - stars).max() < 1e-3 * stars.max()


def test_filters_made_once_draw_the_same(renderer, spectra):
    x, y, flux = np.array([31.2]), np.array([30.4]), np.ones((1, 3))
    filters = renderer.filters(spectra)
    once, again = (renderer.draw(x, y, flux, psf) for psf in (spectra, filters))
    assert (once == again).all()


def test_renderer_refuses_psfs_of_another_grid(target, renderer):
    spectra = psf_spectra(target, 192, 0, np.ones(3))
    with pytest.raises(ValueError, match="grid of 240 points; received"):
        renderer.filters(spectra)


@pytest.mark.parametrize(("size", "margin"), [(4, 16), (64, -2), (65, 16)])
def test_renderer_refuses_sizes_it_cannot_draw(size, margin):
    with pytest.raises(ValueError, match=f"received {size} and {margin}"):
        Renderer(size, margin)
