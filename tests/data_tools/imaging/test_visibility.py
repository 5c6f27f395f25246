"""Visibility is the S/N of the matched filter, depth where a star has five."""

import dataclasses

import numpy as np
import pytest
import scipy.fft

from data_tools.fields.galaxy_field import FieldMaker
from data_tools.imaging.field_spectrum import FieldSpectrum, measure_spectrum, rings
from data_tools.imaging.psf import psf_spectra
from data_tools.imaging.render import Renderer
from data_tools.imaging.visibility import (
    _taper,
    brightness_at,
    depth,
    signal,
    visibility,
)
from data_tools.priors import Priors
from data_tools.stars.cluster import ClusterMaker
from data_tools.target import ab_to_njy

PX = 64


def blob(sigma, colour=(1.0,), centre=(31.5, 31.5)):
    """Return a Gaussian of unit flux times a colour."""
    row, column = np.mgrid[:PX, :PX]
    square = (row - centre[0]) ** 2 + (column - centre[1]) ** 2
    light = np.exp(-square / (2 * sigma**2))
    return (light / light.sum())[..., None] * np.array(colour)


def snr(*args):
    return 10 ** visibility(*args)


def test_a_faint_object_in_independent_noise_has_the_s_n_of_its_pixels():
    """Horne (1986), for an object much smaller than the cutout."""
    light = blob(1.5, (3.0, 4.0))
    spectrum = FieldSpectrum.white([4.0, 16.0], PX)
    expected = np.sqrt((light**2 / [4.0, 16.0]).sum())
    assert snr(light, spectrum, np.zeros(2)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.0])
def test_the_s_n_of_a_bright_object_is_the_root_of_its_electrons(sigma):
    light, electron = blob(sigma, (1e7, 3e7)), np.array([0.25, 0.5])
    electrons = (light.sum(axis=(0, 1)) / electron).sum()
    found = snr(light, FieldSpectrum.white([1.0, 1.0], PX), electron)
    assert found == pytest.approx(np.sqrt(electrons), rel=0.04)


@pytest.mark.parametrize("flux", [10, 100, 1000, 1e4])
def test_between_both_it_is_near_the_best_that_can_be_had(flux):
    """Of all filters the best has S/N^2 = sum c^2 / (variance + c e) in white noise."""
    light, electron = blob(2.0, (flux,)), 0.5
    best = np.sqrt((light**2 / (1 + light * electron)).sum())
    found = snr(light, FieldSpectrum.white([1.0], PX), np.array([electron]))
    assert 0.85 * best < found < 1.05 * best


def test_dark_light_has_no_photons_and_still_counts():
    light, spectrum = blob(1.5, (5.0,)), FieldSpectrum.white([1.0], PX)
    found = snr(-light, spectrum, np.array([100.0]))
    assert found == pytest.approx(snr(light, spectrum, np.zeros(1)))


def test_an_empty_cutout_has_no_visibility():
    spectrum = FieldSpectrum.white(np.ones(3), PX)
    assert np.isnan(visibility(np.zeros((PX, PX, 3)), spectrum, np.ones(3)))


def test_even_light_cannot_be_told_from_a_level():
    """What is left of it is the taper's slope over the whole cutout."""
    spectrum = FieldSpectrum.white([1.0], PX)
    even = np.full((PX, PX, 1), 1 / PX**2)
    assert snr(even, spectrum, np.zeros(1)) < 0.1 * snr(
        blob(1.5), spectrum, np.zeros(1)
    )


@pytest.mark.parametrize("coefficient", [0.0, 0.5, 0.9])
def test_what_bands_have_in_common_counts_once(coefficient):
    """(c1, c2) C^-1 (c1, c2) for two bands of unit variance."""
    power = np.array([[1, coefficient], [coefficient, 1]])
    spectrum = FieldSpectrum(PX, np.tile(power, (len(rings(PX).first), 1, 1)))
    for colour in ((1, 1), (1, 0), (1, -1), (2, 1)):
        expected = np.array(colour) @ np.linalg.solve(power, colour)
        found = snr(blob(1.5, colour), spectrum, np.zeros(2))
        alone = snr(blob(1.5), FieldSpectrum.white([1.0], PX), np.zeros(1))
        assert (found / alone) ** 2 == pytest.approx(expected)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_many_bands_are_whitened_as_by_the_inverse_matrix(bands):
    rng = np.random.default_rng(bands)
    root = rng.standard_normal((len(rings(PX).first), bands, bands)) + np.eye(bands)
    spectrum = FieldSpectrum(PX, root @ root.swapaxes(1, 2) + 0.3 * np.eye(bands))
    light = rng.standard_normal((PX, PX, bands))
    there = signal(light, np.zeros(bands))
    expected = np.einsum("rij,rji->", np.linalg.inv(spectrum.power), there.power)
    assert 10 ** (2 * there.log_snr(spectrum)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("log_snr", [0.2, 1.0, 2.0, 3.2])
def test_light_is_made_as_bright_as_asked(log_snr):
    light, electron = blob(1.5, (3.0, 1.0)), np.array([0.2, 0.2])
    spectrum = FieldSpectrum.white([4.0, 4.0], PX)
    factor = brightness_at(log_snr, light, spectrum, electron)
    assert visibility(factor * light, spectrum, electron) == pytest.approx(
        log_snr, abs=0.02
    )


def matched_filter(light, spectrum):
    """Return the filter (px, px, bands) whose output has unit scatter."""
    ring = rings(PX)
    number = np.repeat(
        np.arange(len(ring.first)), np.diff(ring.first, append=len(ring.order))
    )
    modes = scipy.fft.rfft2(np.moveaxis(light, -1, 0) * _taper(PX))
    flat = modes.reshape(len(modes), -1)
    out = np.zeros_like(flat)
    inverse = np.linalg.inv(spectrum.power)[number]
    out[:, ring.order] = np.einsum("mab,bm->am", inverse, flat[:, ring.order])
    image = scipy.fft.irfft2(out.reshape(modes.shape), (PX, PX))
    return np.moveaxis(image, 0, -1) / snr(light, spectrum, np.zeros(light.shape[-1]))


@pytest.fixture(scope="module")
def fields(m83):
    maker = FieldMaker(m83, dataclasses.replace(Priors(), field_px=512))
    return [maker.make(np.random.default_rng(seed)) for seed in range(20)]


def drawn(radius_px, seen, maker):
    """Return the light of a drawn cluster where it is expected."""
    target, rng = maker.target, np.random.default_rng(radius_px)
    log_radius = np.log10(radius_px * target.pixel_scale_arcsec)
    cluster = maker.draw(np.array([7.5, 0.5, 4.0, log_radius]), rng)
    x, y, flux = cluster.expected.x, cluster.expected.y, cluster.expected.flux
    renderer = Renderer(PX)
    return renderer.draw(x + 31.5, y + 31.5, flux, seen.psf(target, renderer.grid))


def scatter(fields, target, radius_px, spectrum_of):
    """Return half the middle 68 % of filters' output at random places."""
    maker, found = ClusterMaker(target, Priors()), []
    for field in fields:
        light = drawn(radius_px, field.observation, maker)
        weights = matched_filter(light, spectrum_of(field))
        places = np.random.default_rng(radius_px).integers(0, 512 - PX + 1, (300, 2))
        output = [
            np.vdot(weights, field.image[r : r + PX, c : c + PX]) for r, c in places
        ]
        found.append(output - np.median(output))
    low, high = np.percentile(found, (15.87, 84.13))
    return (high - low) / 2


@pytest.mark.parametrize("radius_px", [1, 2, 4, 8, 14])
def test_at_random_places_the_filter_scatters_by_one(m83, fields, radius_px):
    found = scatter(
        fields, m83, radius_px, lambda field: measure_spectrum(field.image, PX)
    )
    assert found == pytest.approx(1, abs=0.1)


def test_a_few_stars_of_a_wide_cluster_are_not_known_beforehand(m83, fields):
    """Its S/N is that of its light spread over the profile, not of each star's PSF."""
    maker, seen = ClusterMaker(m83, Priors()), fields[0].observation
    log_radius = np.log10(14 * m83.pixel_scale_arcsec)
    spectrum = measure_spectrum(fields[0].image, PX)
    renderer, known, expected = Renderer(PX), [], []
    psf = renderer.filters(seen.psf(m83, renderer.grid))
    for seed in range(9):
        rng = np.random.default_rng(seed)
        cluster = maker.draw(np.array([7.0, 0.5, 4.0, log_radius]), rng)
        for points, found in ((cluster, known), (cluster.expected, expected)):
            light = renderer.draw(points.x + 31.5, points.y + 31.5, points.flux, psf)
            found.append(visibility(light, spectrum, seen.electron_njy))
    assert np.median(np.subtract(known, expected)) > 0.4


@pytest.mark.parametrize(("radius_px", "least"), [(1, 3), (14, 8)])
def test_as_if_pixels_were_independent_it_would_not(m83, fields, radius_px, least):
    def independent(field):
        return FieldSpectrum.white(field.observation.pixel_variance(field.image), PX)

    assert scatter(fields, m83, radius_px, independent) > least


def test_a_star_at_the_depth_has_a_signal_to_noise_of_five(m83):
    variance, blur = np.array([2.0, 1.0, 0.5]), np.array([1.2, 0.8, 0.6])
    flux = ab_to_njy(depth(m83, variance, blur))
    renderer = Renderer(64, 16)
    spectra = psf_spectra(m83, renderer.grid, 28, blur)
    rng = np.random.default_rng(9)
    snr = []
    for _ in range(100):
        x, y = 31.5 + rng.uniform(-0.5, 0.5, (2, 1))
        star = renderer.draw(x, y, flux[None], spectra)
        snr.append(np.sqrt((star.astype(float) ** 2).sum((0, 1)) / variance))
    np.testing.assert_allclose(np.mean(snr, axis=0), 5, rtol=0.01)
