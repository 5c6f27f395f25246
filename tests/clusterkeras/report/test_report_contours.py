"""Regions of a posterior as bytes."""

import numpy as np
import pytest
from matplotlib.path import Path

from clusterkeras.report.contour_lines import HOLE, PLANES, encode, window_of
from data_tools.schema import PARAMETER_NAMES, PARAMETERS

BOX = {p.name: (p.low, p.high) for p in PARAMETERS}
LOW, HIGH = np.transpose(list(BOX.values()))


def to_box(share):
    return (LOW + share * (HIGH - LOW)).astype(np.float32)


def decode(coded, window):
    """Read the bytes as the page does: {region: [(ring, is a hole)]}."""
    regions = {}
    while coded:
        number, n = coded[0], coded[1]
        axes = [PARAMETER_NAMES.index(p) for p in PLANES[number % HOLE // 2]]
        places = np.frombuffer(coded[2 : 2 + 2 * n], np.uint8).reshape(n, 2) / 255
        ring = window.low[axes] + places * (window.high - window.low)[axes]
        regions.setdefault(number % HOLE, []).append((ring, number >= HOLE))
        coded = coded[2 + 2 * n :]
    return regions


def share_inside(rings, draws):
    inside = np.zeros(len(draws), bool)
    for ring, _ in rings:
        inside ^= Path(ring).contains_points(draws)
    return inside.mean()


@pytest.fixture
def blob():
    """Return draws with age against extinction, some of it at no extinction."""
    rng = np.random.default_rng(0)
    share = rng.normal([0.4, 0.1, 0.5, 0.5], [0.08, 0.06, 0.1, 0.1], (4000, 4))
    share[:, 1] -= 0.4 * (share[:, 0] - 0.4)
    return to_box(np.abs(share))


def test_regions_hold_their_share_of_the_draws(blob):
    window = window_of(blob, BOX)
    regions = decode(encode(blob, window), window)
    assert sorted(regions) == [0, 1, 2, 3]
    for region, rings in regions.items():
        axes = [PARAMETER_NAMES.index(name) for name in PLANES[region // 2]]
        share = (0.68, 0.95)[region % 2]
        assert share_inside(rings, blob[:, axes]) == pytest.approx(share, abs=0.025)


def test_a_region_at_the_edge_of_the_box_goes_up_to_it_and_not_beyond(blob):
    window = window_of(blob, BOX)
    (ring, _), *_ = decode(encode(blob, window), window)[1]
    assert window.low[1] == 0
    assert ring[:, 1].min() == pytest.approx(0, abs=0.02)


def test_two_solutions_are_two_polygons():
    rng = np.random.default_rng(1)
    share = rng.normal(0.25, 0.03, (1000, 4))
    share[500:, 0] += 0.5
    draws = to_box(share)
    window = window_of(draws, BOX)
    assert len(decode(encode(draws, window), window)[0]) == 2


def test_a_ring_has_a_hole():
    rng = np.random.default_rng(2)
    angle, radius = rng.uniform(0, 2 * np.pi, 4000), rng.normal(0.3, 0.02, 4000)
    share = np.full((4000, 4), 0.5)
    share[:, 0] += radius * np.cos(angle)
    share[:, 1] += radius * np.sin(angle)
    share[:, 2:] += rng.normal(0, 0.05, (4000, 2))
    draws = to_box(share)
    window = window_of(draws, BOX)
    rings = decode(encode(draws, window), window)[1]
    assert [is_hole for _, is_hole in rings] == [False, True]


def test_five_thousand_clusters_contours_are_a_few_megabytes(blob):
    window = window_of(blob, BOX)
    assert len(encode(blob[:512], window)) < 1200
