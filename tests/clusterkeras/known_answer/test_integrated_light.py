"""A cluster of known place, PSF and size, seen by its integrated light alone.

Age, extinction and mass are unknown. An image is the known profile times the cluster's
flux in each band, plus white noise, so that the three fluxes a matched filter measures
say all that the pixels do. The posterior is summed exactly on a grid.
"""

import functools

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.stars.population import population_of
from data_tools.stars.profile import EFF, positions
from data_tools.target import Target

#: log age, A_V, log mass: beyond the ages whose few red supergiants make colours jump.
LOW, HIGH = np.array([7.5, 0.0, 3.0]), np.array([9.5, 2.0, 4.5])

#: Nodes in age and A_V between which log flux is linear, here and in the answer.
NODES = (81, 21)

#: Cells of the grid on which the answer is summed; the cells' middles count.
GRID = (40, 30, 30)

#: Half-light radius in arcsec, and noise of a pixel in nJy.
SIZE, PIXEL_NOISE = 0.1, 70.0

#: Scatter of a flux about the mean of its population, as few bright stars make it; it
#: also keeps the posteriors of the brightest clusters wider than the cells.
SCATTER = 0.3


@functools.cache
def target():
    return Target.load("m83-wfc3-uvis")


@functools.cache
def profile():
    """Return the image of a flux of one in each band, (32, 32, 3)."""
    renderer = Renderer(32)
    spectra = psf_spectra(target(), renderer.grid, 0, np.array([1.2, 0.8, 0.6]))
    rng = np.random.default_rng(0)
    radius = SIZE / target().pixel_scale_arcsec
    x, y = positions(EFF(1.5), radius, 20_000, rng)
    return renderer.draw(x + 15.5, y + 15.5, np.full((len(x), 3), 1 / len(x)), spectra)


@functools.cache
def light():
    """Return log flux in nJy of one solar mass at the nodes, (ages, A_V, bands)."""
    ages, a_v = (
        np.linspace(low, high, n)
        for low, high, n in zip(LOW, HIGH, NODES, strict=False)
    )
    populations = [population_of(target(), age) for age in ages]
    return np.log([[p.mean_flux(v) for v in a_v] for p in populations])


def flux(parameters):
    """Return the mean flux of clusters in nJy, (n, 3)."""
    share = (parameters - LOW) / (HIGH - LOW)
    place = share[:, :2].T * (np.array(NODES) - 1)[:, None]
    log_flux = [
        map_coordinates(light()[..., band], place, order=1) for band in (0, 1, 2)
    ]
    return np.exp(np.transpose(log_flux)) * 10 ** parameters[:, 2:]


def noise():
    """Return the noise of the fluxes that the matched filter measures, (3,) in nJy."""
    return PIXEL_NOISE / np.sqrt((profile() ** 2).sum(axis=(0, 1)))


def simulate(n, seed):
    rng = np.random.default_rng(seed)
    parameters = rng.uniform(LOW, HIGH, (n, 3))
    mean = flux(parameters)
    scatter = np.hypot(noise(), SCATTER * mean)
    return mean + scatter * rng.normal(size=mean.shape), parameters


def seen(measured):
    """Return what the network gets: brightness and two colours, of order unity."""
    brightness = np.arcsinh(measured / noise())
    return np.column_stack(
        [
            brightness.mean(axis=1) / 2 - 0.5,
            brightness[:, 0] - brightness[:, 1],
            brightness[:, 1] - brightness[:, 2],
        ]
    ).astype("f4")


def terms(parameters):
    """Return (7, n): times (m^2, m, 1) of measured m, summed, the log likelihood."""
    mean = flux(parameters)
    variance = noise() ** 2 + (SCATTER * mean) ** 2
    constant = -0.5 * (mean**2 / variance + np.log(2 * np.pi * variance)).sum(axis=1)
    return np.concatenate([-0.5 / variance.T, (mean / variance).T, constant[None]])


def powers(measured):
    return np.column_stack([measured**2, measured, np.ones(len(measured))])


def exact_log_prob(measured, parameters):
    """Return the log of the exact posterior: likelihood over its mean over the box."""
    middles = [(np.arange(n) + 0.5) / n for n in GRID]
    share = np.stack(np.meshgrid(*middles, indexing="ij"), axis=-1).reshape(-1, 3)
    cells = terms(LOW + (HIGH - LOW) * share).astype("f4")
    evidence = []
    for some in np.array_split(powers(measured).astype("f4"), len(measured) // 200):
        log_likelihood = some @ cells
        highest = log_likelihood.max(axis=1)
        mean = np.exp(log_likelihood - highest[:, None]).mean(axis=1)
        evidence.append(highest + np.log(mean))
    likelihood = (powers(measured) * terms(parameters).T).sum(axis=1)
    return likelihood - np.concatenate(evidence) - np.log(HIGH - LOW).sum()


def test_the_matched_filter_s_fluxes_say_all_that_the_pixels_do():
    rng = np.random.default_rng(4)
    fluxes = rng.uniform(1e3, 1e4, (5, 3))
    image = fluxes[0] * profile() + PIXEL_NOISE * rng.normal(size=profile().shape)
    measured = (image * profile()).sum(axis=(0, 1)) / (profile() ** 2).sum(axis=(0, 1))
    of_pixels = [
        -0.5 * np.sum((image - each * profile()) ** 2) / PIXEL_NOISE**2
        for each in fluxes
    ]
    of_fluxes = -0.5 * (((measured - fluxes) / noise()) ** 2).sum(axis=1)
    np.testing.assert_allclose(
        np.subtract(of_pixels, of_pixels[0]), of_fluxes - of_fluxes[0], rtol=1e-3
    )


@pytest.mark.parametrize("name", ["mixture", "flow"])
def test_a_short_training_comes_close_to_the_exact_posterior(
    name, learn, check_divergence
):
    measured, parameters = simulate(2000 * 512, seed=1)
    learned = learn(name, LOW, HIGH, seen(measured), parameters.astype("f4"), batch=512)
    measured, parameters = simulate(10_000, seed=2)
    exact = exact_log_prob(measured, parameters)
    # the light tells something, and far from all
    assert 1 < exact.mean() + np.log(HIGH - LOW).sum() < 3
    check_divergence(name, *learned, seen(measured), parameters.astype("f4"), exact)
