import numpy as np
import pytest
import tensorflow as tf

from clusterkeras.network.posteriors import GridPosterior, MixturePosterior
from clusterkeras.network.posteriors.equal_mixture import EnsemblePosterior
from data_tools.schema import PARAMETERS

LOW, HIGH = np.transpose([(p.low, p.high) for p in PARAMETERS])


@pytest.fixture(scope="module")
def members(flow):
    return [
        MixturePosterior(LOW, HIGH, 2),
        flow,
        MixturePosterior(LOW, HIGH, 5, stretch=[1.5, 1, 1, 0.5]),
    ]


@pytest.fixture(scope="module")
def outputs(members):
    """Return each member's outputs for 6 objects."""
    rng = np.random.default_rng(4)
    return [rng.normal(0, 0.4, (6, m.n_outputs)).astype("f4") for m in members]


#: Shares of three members.
SHARES = np.array([0.5, 0.2, 0.3])


def joined(outputs, shares=(1, 1, 1)):
    """Return the outputs of all members and the logs of their shares, of any scale."""
    logs = np.tile(np.log(np.float32(shares)) + 0.4, (len(outputs[0]), 1))
    return np.concatenate([*outputs, logs.astype("f4")], axis=1)


def test_density_is_the_mean_of_the_members_densities(members, outputs, flat):
    ensemble, points = EnsemblePosterior(members), flat(6)
    each = [
        member.distribution(part).log_prob(points)
        for member, part in zip(members, outputs, strict=True)
    ]
    expected = np.logaddexp.reduce(each) - np.log(3)
    found = ensemble.distribution(joined(outputs)).log_prob(points)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    expected = np.logaddexp.reduce(each + np.log(SHARES)[:, None])
    found = ensemble.distribution(joined(outputs, SHARES)).log_prob(points)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_uniform_number_chooses_the_member_and_goes_on_to_it(members, outputs):
    ensemble = EnsemblePosterior(members)
    rng = np.random.default_rng(5)
    own = rng.uniform(0.01, 0.99, (6, 30)).astype("f4")
    normal = rng.normal(size=(6, 30, 4)).astype("f4")
    raw = joined(outputs, SHARES)
    for k, (member, part) in enumerate(zip(members, outputs, strict=True)):
        uniform = (SHARES[:k].sum() + SHARES[k] * own).astype("f4")
        found = ensemble.carry(raw, uniform, normal).numpy()
        expected = member.carry(part, own, normal).numpy()
        # a number within rounding of a component's edge may fall on its other side
        alike = np.isclose(found, expected, atol=1e-4).all(axis=-1)
        assert alike.mean() > 0.99


def test_density_gradient_and_a_seed_s_draws_are_the_same_under_xla(flat):
    ensemble = EnsemblePosterior(
        [MixturePosterior(LOW, HIGH, 2), MixturePosterior(LOW, HIGH, 3)],
        stretch=[1.1, 1, 1, 0.9],
    )
    rng = np.random.default_rng(1)
    raw = tf.constant(rng.normal(0, 0.4, (5, ensemble.n_outputs)), tf.float32)
    seed = tf.constant([-5, 0, 7, 2**31 - 1, 7])

    def run(raw):
        with tf.GradientTape() as tape:
            tape.watch(raw)
            log_prob = ensemble.distribution(raw).log_prob(flat(5))
        slope = tape.gradient(log_prob, raw)
        return log_prob, slope, ensemble.draw(raw, seed, 64)

    for got, wanted in zip(
        tf.function(run, jit_compile=True)(raw), run(raw), strict=True
    ):
        assert got.dtype == tf.float32
        np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-4)


def test_members_without_a_density_on_the_line_are_refused():
    for members in ([], [MixturePosterior(LOW, HIGH), GridPosterior(LOW, HIGH)]):
        with pytest.raises(ValueError, match="expected members with a mixture or a"):
            EnsemblePosterior(members)


def test_members_over_different_boxes_are_refused():
    members = [MixturePosterior(LOW, HIGH), MixturePosterior(LOW, HIGH + 1)]
    with pytest.raises(ValueError, match="expected members over one box"):
        EnsemblePosterior(members)
