"""Clusters that are deterministic populations, of known noise and size by index."""

import numpy as np
import pytest

from clusterkeras.evaluation.competitors.ring_photometry import Measured
from clusterkeras.evaluation.competitors.ssp_fit import (
    STEPS,
    Populations,
    Settings,
    SspFit,
    cells,
    concentration,
    describe,
    fit_populations,
)
from clusterkeras.evaluation.numbers.posterior import posterior_report, score_clusters
from data_tools.stars.population import population_of
from data_tools.target import Target

BOX = {
    "log_age": (6.6, 8.6),
    "a_v": (0.0, 2.0),
    "log_mass": (3.0, 5.0),
    "log_half_light_radius": (-1.6, -0.2),
}
LOW, HIGH = np.transpose(list(BOX.values()))
#: Shares of the light in the rings, from the smallest cluster to the largest.
SMALL, LARGE = np.array([0.5, 0.3, 0.1, 0.1]), np.array([0.1, 0.3, 0.3, 0.3])


def colours(log_age, a_v):
    """Return the light of one Msun in three bands: red with both, but not alike."""
    age = np.asarray(log_age)[..., None] - 6.6
    dust = np.asarray(a_v)[..., None]
    return 10 ** (-0.4 * (age * [3.0, 1.5, 1.0] + dust * [1.5, 1.3, 0.6]))


@pytest.fixture(scope="module")
def populations():
    ages, a_vs = cells(6.6, 8.6, STEPS[0]), cells(0, 2, STEPS[1])
    return Populations(ages, a_vs, colours(*np.meshgrid(ages, a_vs, indexing="ij")))


def observe(n, seed, noise=0.1):
    """Draw clusters: all of their light is in the rings, with errors in each band."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(LOW, HIGH, (n, 4))
    light = colours(truth[:, 0], truth[:, 1]) * 10 ** truth[:, 2:3]
    place = ((truth[:, 3] - LOW[3]) / (HIGH[3] - LOW[3]))[:, None]
    rings = (1 - place) * SMALL + place * LARGE
    alone = (rings[:, :, None] * light[:, None]).reshape(n, -1)
    error = noise * alone
    return Measured(
        flux=alone + error * rng.standard_normal(alone.shape),
        error=error,
        noise_free=alone,
        truth={
            "truth": truth.astype(np.float32),
            "is_cluster": np.ones(n, bool),
            "has_object": np.ones(n, bool),
            "kind": np.zeros(n, np.int64),
            "mock_id": np.arange(n),
            "field_id": np.arange(n) // 10,
            "log_snr": np.full(n, 1.5),
            "crowding": np.full(n, 0.5),
        },
    )


@pytest.fixture(scope="module")
def mocks():
    return observe(2000, seed=1)


def make(populations, mocks, best_only=False, by_index=True, floor=0.0, share=0.01):
    settings = Settings(3, by_index, floor, share)
    return SspFit(populations, mocks, BOX, settings, best_only)


def test_cells_fill_a_range_evenly():
    np.testing.assert_allclose(cells(0, 1, 0.3), [0.125, 0.375, 0.625, 0.875])
    assert len(cells(6.6, 10.1, 0.05)) == 70


def test_populations_have_the_light_of_a_targets_stars():
    target = Target.load("m83-wfc3-uvis")
    found = Populations.of(target)
    assert found.flux.shape == (len(found.log_age), len(found.a_v), 3)
    expected = population_of(target, found.log_age[20]).mean_flux(found.a_v[7])
    np.testing.assert_allclose(found.flux[20, 7], expected)


def test_the_index_is_of_the_middle_band_and_unknown_without_light():
    flux = np.array([[9.0, 1.0, 9, 9, 3.0, 9], [9, -1.0, 9, 9, 3.0, 9]])
    found = concentration(flux, 3)
    assert found[0] == pytest.approx(2.5 * np.log10(4))
    assert np.isnan(found[1])


@pytest.mark.parametrize("by_index", [False, True])
def test_the_aperture_is_brought_to_all_light(populations, mocks, by_index):
    objects = observe(500, seed=2, noise=1e-3)
    flux, _ = make(populations, mocks, by_index=by_index).photometry(objects)
    total = objects.noise_free.reshape(500, 4, 3).sum(axis=1)
    off = np.log10(flux / total)
    assert abs(np.median(off)) < 0.01
    # one correction for all is wrong for those that are small or large
    assert (off.std() < 0.02) == by_index


def test_the_best_population_of_a_cluster_without_noise_is_its_own(populations, mocks):
    fit = make(populations, mocks)
    chosen = populations.flux[11, 6] * 10 ** fit.log_mass[23]
    chi2 = fit.chi2(chosen, 0.01 * chosen)
    assert np.unravel_index(np.argmin(chi2), chi2.shape) == (11, 6, 23)
    assert chi2.min() == pytest.approx(0, abs=1e-6)
    # 1 % brighter in one band is one sigma
    chi2 = fit.chi2(chosen * [1.01, 1, 1], 0.01 * chosen)
    assert chi2[11, 6, 23] == pytest.approx(1)


@pytest.mark.parametrize("best_only", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.2])
def test_draws_have_the_density_that_is_stated(populations, mocks, best_only, share):
    fit = make(populations, mocks, best_only, share=share, floor=0.3)
    posterior = next(fit.posteriors(observe(1, seed=5)))
    draws = posterior.draw(40_000, np.random.default_rng(3))
    assert ((draws >= LOW) & (draws <= HIGH)).all()
    # the density summed over the whole box is one: so is the prior's mean of it
    flat = np.random.default_rng(4).uniform(LOW, HIGH, (400_000, 4))
    density = np.exp(posterior.log_prob(flat)) * np.prod(HIGH - LOW)
    assert density.mean() == pytest.approx(1, abs=0.05)
    # and a mean over draws is that over the box, weighted
    np.testing.assert_allclose(
        draws.mean(axis=0), (density @ flat) / density.sum(), atol=0.05
    )


def test_the_likelihood_is_calibrated_where_its_assumptions_hold(populations, mocks):
    found = make(populations, mocks).predict(observe(300, seed=6), draws=200)
    scored = score_clusters(found, BOX)
    report = posterior_report(found, scored, BOX)["overall"]["parameters"]
    for name in ("log_age", "a_v", "log_mass"):
        assert 0.6 < report[name]["coverage_68"] < 0.77, name


def test_settings_are_those_that_give_the_truth_more(populations, mocks):
    held_out = observe(120, seed=7)
    bad = make(populations, mocks, by_index=False, floor=0.5, share=0.5)
    good = fit_populations(populations, mocks, held_out, BOX, False, n_choose=60)
    assert good.settings.by_index
    assert good.settings.floor < 0.3
    objects = observe(100, seed=8)
    gain = good.predict(objects, 16).log_prob - bad.predict(objects, 16).log_prob
    assert gain.mean() > 0.3
    assert "by concentration index" in describe(good.settings)


def test_a_cluster_without_an_index_gets_the_flat_prior_of_size(populations, mocks):
    one = observe(1, seed=9)
    one.flux[0, 1] = -1.0
    posterior = next(make(populations, mocks).posteriors(one))
    size = posterior.draw(4000, np.random.default_rng(0))[:, 3]
    assert size.std() == pytest.approx((HIGH - LOW)[3] / np.sqrt(12), rel=0.05)
