"""Rendering: flux kept, stars where they are, all bands at once."""

import numpy as np
import pytest

from data_tools.psf import OVERSAMPLING, psf_spectra
from data_tools.render import Renderer
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
    assert (error < 1e-3).all()


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


def test_star_in_the_margin_shines_into_the_image(renderer, spectra):
    near = renderer.draw(np.array([-2.0]), np.array([30.0]), np.ones((1, 3)), spectra)
    far = renderer.draw(np.array([-40.0]), np.array([30.0]), np.ones((1, 3)), spectra)
    assert near[30, 0, 0] > 1e-3
    assert (far == 0).all()


@pytest.mark.parametrize(("size", "margin"), [(4, 16), (64, 2), (65, 16)])
def test_renderer_refuses_sizes_it_cannot_draw(size, margin):
    with pytest.raises(ValueError, match=f"received {size} and {margin}"):
        Renderer(size, margin)
