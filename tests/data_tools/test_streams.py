"""Streams of random numbers are repeatable, and independent of one another."""

import numpy as np
import pytest

from data_tools.streams import streams


def test_the_same_generator_gives_the_same_streams():
    once, again = (
        [s.random(4) for s in streams(np.random.default_rng(5), 3)] for _ in range(2)
    )
    np.testing.assert_array_equal(once, again)


def test_the_first_streams_are_the_same_with_more():
    few, many = (
        [s.random(4) for s in streams(np.random.default_rng(5), n)] for n in (2, 7)
    )
    np.testing.assert_array_equal(few, many[:2])


def test_streams_drawn_one_after_the_other_differ():
    rng = np.random.default_rng(5)
    first, second = (streams(rng, 1)[0].random(4) for _ in range(2))
    assert (first != second).all()


def test_what_one_stream_takes_changes_no_other():
    one, other = (streams(np.random.default_rng(5), 2) for _ in range(2))
    one[0].random(1000)
    assert one[1].random() == other[1].random()


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_streams_do_not_follow_one_another(lag):
    """Correlation of neighbours, number by number, is that of independent ones."""
    numbers = np.array(
        [s.standard_normal(1000) for s in streams(np.random.default_rng(5), 200)]
    )
    product = (numbers[1:, lag:] * numbers[:-1, : 1000 - lag]).mean(1)
    assert abs(product.mean()) < 4 / np.sqrt(199 * 1000)
    assert product.std() * np.sqrt(1000 - lag) == pytest.approx(1, abs=0.2)


def test_a_stream_gives_streams_of_its_own():
    parent = streams(np.random.default_rng(5), 1)[0]
    first, second = streams(parent, 2)
    assert first.random() != second.random()


def test_the_first_numbers_of_many_streams_are_even():
    first = [s.random() for s in streams(np.random.default_rng(5), 4000)]
    counts = np.histogram(first, 20, (0, 1))[0]
    # chi squared of 19 degrees of freedom: 43.8 in one of a thousand
    assert (np.square(counts - 200) / 200).sum() < 43.8
