"""What a stretch does to a posterior on the line."""

import keras
import numpy as np
import pytest

from clusterkeras.network.posteriors import FlowPosterior, MixturePosterior
from clusterkeras.network.posteriors.equal_mixture import EnsemblePosterior
from clusterkeras.network.posteriors.transforms import box_to_line, line_to_box

LOW, HIGH = np.float32([6.0, -1.0]), np.float32([9.0, 3.0])
STRETCH = (1.3, 0.6)


def make(kind, stretch=None):
    """Make a posterior of two parameters that a grid of points resolves."""
    keras.utils.set_random_seed(0)
    mixture = MixturePosterior(LOW, HIGH, 3, stretch=stretch)
    flow = FlowPosterior(LOW, HIGH, depth=2, bins=4, width=8, stretch=stretch)
    rng = np.random.default_rng(1)
    for coupling in flow.couplings:
        shape = coupling.last.kernel.shape
        coupling.last.kernel.assign(rng.normal(0, 0.1, shape))
    if kind == "ensemble":
        plain = [make("mixture"), make("flow")]
        return EnsemblePosterior(plain, stretch=stretch)
    return {"mixture": mixture, "flow": flow}[kind]


@pytest.fixture(scope="module", params=["mixture", "flow", "ensemble"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def raw(kind):
    """Return outputs for 3 objects, of posteriors that do not pile up at the edges."""
    raw = np.random.default_rng(2).normal(0, 0.4, (3, make(kind).n_outputs))
    # diagonals of the Cholesky factors
    of_mixture, of_flow = np.array([9, 11, 12, 14, 15, 17]), np.array([2, 4])
    raw[:, {"flow": of_flow}.get(kind, of_mixture)] -= 1
    if kind == "ensemble":
        raw[:, 18 + of_flow] -= 1
    return raw.astype("f4")


def on_grid(posterior, raw):
    """Return points of an even grid on the line and the probability of their cells."""
    axis, step = np.linspace(-7, 7, 241, retstep=True)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2).astype("f4")
    log_prob = posterior.line(raw).log_prob(points[:, None]).numpy()
    return points, np.exp(log_prob.astype(float)) * step**2


def test_a_stretched_density_integrates_to_one(kind, raw):
    _, probability = on_grid(make(kind, STRETCH), raw)
    np.testing.assert_allclose(probability.sum(axis=0), 1, atol=3e-3)


def test_draws_of_a_stretched_density_follow_it(kind, raw):
    posterior = make(kind, STRETCH)
    points, probability = on_grid(posterior, raw)
    points = line_to_box(points, LOW, HIGH).numpy()
    draws = posterior.draw(raw, np.arange(3), 20_000).numpy()
    for row in range(3):
        weights = probability[:, row] / probability[:, row].sum()
        for power in (1, 2):
            expected = weights @ points**power
            spread = np.sqrt(weights @ points ** (2 * power) - expected**2)
            found = (draws[row] ** power).mean(axis=0)
            assert np.all(np.abs(found - expected) < 5 * spread / np.sqrt(20_000))


def test_a_stretch_keeps_the_mean_on_the_line_and_widens_about_it(kind, raw):
    plain, stretched = make(kind), make(kind, STRETCH)
    numbers = plain.summary_numbers(3)
    before = plain.carry_line(raw, *numbers).numpy()
    after = stretched.carry_line(raw, *numbers).numpy()
    centre = plain.centre(raw).numpy()
    np.testing.assert_allclose(centre, before.mean(axis=1), atol=0.02)
    np.testing.assert_allclose(
        after.std(axis=1) / before.std(axis=1), [STRETCH] * 3, 1e-4
    )
    expected = centre[:, None] + STRETCH * (before - centre[:, None])
    np.testing.assert_allclose(after, expected, atol=1e-4)


def test_even_draws_are_carried_once_and_stretched_as_all_others(
    kind, raw, monkeypatch
):
    stretched = make(kind, STRETCH)
    expected = stretched.carry(raw, *stretched.summary_numbers(3))
    carried, carry = [], stretched.plain_carry

    def counted(*numbers):
        carried.append(numbers)
        return carry(*numbers)

    monkeypatch.setattr(stretched, "plain_carry", counted)
    draws, weights = stretched.even_draws(raw)
    assert len(carried) == 1
    np.testing.assert_array_equal(draws, expected)
    np.testing.assert_allclose(weights, 1 / weights.shape[1])


def test_a_stretch_of_one_changes_nothing(kind, raw):
    points = np.random.default_rng(0).uniform(LOW, HIGH, (3, 2)).astype("f4")
    found, expected = (
        make(kind, stretch).distribution(raw).log_prob(points)
        for stretch in ((1, 1), None)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_stretched_normal_is_the_wider_normal():
    posterior = MixturePosterior([0.0], [1.0], 1, stretch=[2.0])
    raw = np.float32([[0, 0.7, -1.0]])
    line = MixturePosterior([0.0], [1.0], 1).plain_line(raw)
    mean, scale = float(line.mean()[0, 0]), float(line.stddev()[0, 0])
    x = np.float32([[0.2], [0.5], [0.9]])
    u = box_to_line(x, 0.0, 1.0).numpy()[:, 0]
    z = (u - mean) / (2 * scale)
    # density in the box: that on the line over the slope of the way back
    expected = -0.5 * z**2 - np.log(2 * scale) + 0.5 * u**2
    found = posterior.distribution(np.repeat(raw, 3, axis=0)).log_prob(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("stretch", [(1.0,), (1.0, 0.0), (1.0, np.nan)])
def test_factors_that_stretch_nothing_are_refused(stretch):
    with pytest.raises(ValueError, match="expected 2 factors above 0; received"):
        MixturePosterior(LOW, HIGH, stretch=stretch)
