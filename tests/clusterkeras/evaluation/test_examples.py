import numpy as np
import pytest

from clusterkeras.evaluation import examples


def test_two_separated_modes_and_a_ridge_beat_needle_blob_and_flat_posterior():
    rng = np.random.default_rng(0)
    n = 4000
    mode = rng.uniform(size=n) < 0.5
    shapes = {
        "modes": (np.where(mode, 0.1, 0.7), np.where(mode, 0.7, 0.1)),
        "ridge": (ridge := rng.uniform(0.1, 0.8, n), 0.9 - ridge),
        "needle": (needle := rng.normal(0.5, 0.01, n), 1 - needle),
        "blob": rng.normal(0.5, 0.05, (2, n)),
        "flat": rng.uniform(size=(2, n)),
        "rising": (ridge, ridge),
    }
    first, second = np.swapaxes([list(s) for s in shapes.values()], 0, 1)
    found = dict(zip(shapes, examples.degeneracy(first, second), strict=True))
    order = sorted(found, key=found.get, reverse=True)
    assert order[:2] == ["modes", "ridge"]
    assert order[-1] == "rising"
    assert abs(found["flat"]) < 0.005 and abs(found["blob"]) < 0.005
    assert found["modes"] == pytest.approx(0.3**2, rel=0.05)


def test_degenerate_example_is_chosen_among_the_visible():
    chosen = examples.choose(
        log_snr=[0.2, 1.5, 1.6, 1.7, 0.8],
        log_prob=[0.0, 1.0, 2.0, 3.0, 4.0],
        degenerate=[0.2, 0.01, 0.1, 0.02, 0.15],
    )
    assert chosen["degenerate"] == 2
    assert chosen["typical"] in (1, 3)
    assert chosen["faint"] == 4


def test_typical_example_has_the_median_log_probability():
    log_prob = np.array([5.0, -50.0, 1.0, 2.0, 3.0, 90.0])
    chosen = examples.choose(np.full(6, 2.0), log_prob, [1, 0, 0, 0, 0, 0])
    assert chosen["typical"] == 3
    assert len(set(chosen.values())) == 3


def test_where_none_is_faint_the_faintest_is_taken_and_said_to_be_no_such():
    log_snr = np.array([2.0, 2.2, 1.8, 1.2, 2.1])
    chosen = examples.choose(log_snr, [1.0, 2.0, 3.0, 0.0, 5.0], [0, 1, 0, 0, 0])
    assert chosen["faint"] == 3
    said = examples.describe("faint", log_snr[chosen["faint"]])
    assert said == "faint (none left of S/N 3 to 10)"
    assert examples.describe("faint", 0.9) == "faint"
    assert examples.describe("typical", 2.0) == "typical"
    assert examples.describe("typical", 0.9).endswith("S/N above 10)")


def test_fewer_than_three_clusters_are_refused():
    with pytest.raises(ValueError, match="received 2"):
        examples.choose([1.0, 2.0], [0.0, 0.0], [0.0, 0.0])


def test_a_spread_of_examples_has_low_middle_and_high_of_every_value():
    values = np.random.default_rng(0).lognormal(size=(2000, 3))
    chosen = examples.spread(values, 10)
    assert len(set(chosen)) == 10
    ranks = np.argsort(np.argsort(values, axis=0), axis=0)[chosen] / 2000
    for third in (0, 1, 2):
        inside = (ranks >= third / 3) & (ranks < (third + 1) / 3)
        assert (inside.sum(axis=0) >= 2).all()


def test_a_spread_does_not_depend_on_the_order_of_the_objects():
    values = np.random.default_rng(0).normal(size=(300, 2))
    turned = examples.spread(values[::-1], 5)
    np.testing.assert_array_equal(examples.spread(values, 5), 299 - turned)


def test_a_spread_of_more_objects_than_there_are_is_refused():
    with pytest.raises(ValueError, match="received 3"):
        examples.spread(np.zeros((3, 2)), 4)
