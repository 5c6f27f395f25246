import numpy as np
import pytest

from clusterkeras.catalogue.truth.matching import match, match_selected, reach_px

NAN = np.nan


@pytest.mark.parametrize(
    ("rows", "clusters", "reach", "pairs"),
    [
        # of a row within reach of two, and of a cluster with two rows, the nearest
        ([0.0, 1.0, 50.0, NAN], [0.9, 54.5], 4.0, [(1, 0)]),
        ([1.0], [0.0, 2.5], 4.0, [(0, 0)]),
        # what a nearer pair has taken does not keep the others from each other
        ([1.0, -3.0], [0.0, 4.5], 4.0, [(0, 0)]),
        ([1.0, 3.5], [0.0, -2.5], 4.0, [(0, 0)]),
        ([1.0, 3.5], [0.0, 0.5], 4.0, [(1, 0), (0, 1)]),
        # each cluster has its own reach, the ends count
        ([10.0, 14.0], [0.0, 18.0], [10.0, 4.0], [(0, 0), (1, 1)]),
        ([10.0], [0.0, 18.0], [9.9, 4.0], []),
        # ties: the first cluster, the first row
        ([2.0], [0.0, 4.0], 4.0, [(0, 0)]),
        ([1.0, -1.0, 1.0], [0.0], 4.0, [(0, 0)]),
        ([5.0, 5.0], [5.0, 5.0], 4.0, [(0, 0), (1, 1)]),
        # nothing there
        ([], [1.0], 4.0, []),
        ([1.0], [], 4.0, []),
        ([NAN, NAN], [1.0], 4.0, []),
        ([1.0], [NAN], 4.0, []),
        ([1.0], [NAN, 1.0], [4.0, 4.0], [(0, 1)]),
    ],
)
def test_pairs_are_of_the_nearest_and_no_row_or_cluster_is_in_two(
    rows, clusters, reach, pairs
):
    rows, clusters = np.array(rows, float), np.array(clusters, float)
    found = match(rows, 0 * rows, clusters, 0 * clusters, np.array(reach))
    assert list(zip(*map(np.ndarray.tolist, found), strict=True)) == pairs


@pytest.mark.parametrize(
    ("rows", "selected", "clusters", "r_h", "pairs", "pieces"),
    [
        # a nearer row that does not count hides none that does
        ([0.0, 3.0], "01", [0.0], [1.0], [(1, 0, True)], []),
        ([0.0, 9.0], "01", [0.0], [10.0], [(1, 0, True)], []),
        # what else counts within the cluster is a piece, what does not is nothing
        ([2.0, 9.0, 5.0], "110", [0.0], [10.0], [(0, 0, True)], [1]),
        ([2.0, 9.0], "11", [0.0], [NAN], [(0, 0, True)], []),
        # a piece of one cluster may be another cluster's own row
        ([2.0, 8.0], "11", [0.0, 9.0], [10.0, 1.0], [(0, 0, True), (1, 1, True)], []),
        # two clusters claim one row: the farther one is not taken, perhaps found
        ([1.0], "1", [0.0, 3.0], [1.0, 1.0], [(0, 0, True)], []),
        ([1.0, 4.0], "10", [0.0, 3.0], [1, 1], [(0, 0, True), (1, 1, False)], []),
        # what does not count is found within the smallest distance alone
        ([5.0], "0", [0.0], [10.0], [], []),
        ([3.0], "0", [0.0], [10.0], [(0, 0, False)], []),
        # nothing counts, nothing is there
        ([0.0, 1.0], "00", [0.0], [1.0], [(0, 0, False)], []),
        ([], "", [0.0], [1.0], [], []),
        ([0.0], "1", [], [], [], []),
        ([NAN], "1", [NAN], [NAN], [], []),
    ],
)
def test_rows_that_count_are_matched_first_and_further_ones_are_pieces(
    rows, selected, clusters, r_h, pairs, pieces
):
    rows, clusters = np.array(rows, float), np.array(clusters, float)
    found = match_selected(
        *(rows, 0 * rows, np.array([c == "1" for c in selected], bool)),
        *(clusters, 0 * clusters, 4.0, reach_px(4.0, np.array(r_h, float))),
    )
    columns = (found.row, found.cluster, found.taken)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == pairs
    assert found.piece.tolist() == pieces


def test_a_cluster_reaches_to_its_size_between_the_smallest_distance_and_a_cutout():
    reach = reach_px(4.0, np.array([0.0, NAN, 4.5, 31.0, 33.0, np.inf]))
    assert reach.tolist() == [4.0, 4.0, 4.5, 31.0, 32.0, 32.0]


def test_every_row_that_counts_is_a_cluster_a_piece_or_out_of_reach_of_all():
    rng = np.random.default_rng(3)
    x, y = rng.uniform(0, 300, (2, 500))
    true_x, true_y = rng.uniform(0, 300, (2, 60))
    reach = rng.uniform(4, 20, 60)
    selected = rng.random(500) < 0.5
    found = match_selected(x, y, selected, true_x, true_y, 4.0, reach)
    within = np.hypot(x[:, None] - true_x, y[:, None] - true_y) <= reach
    own = np.union1d(found.row[found.taken], found.piece)
    assert not np.intersect1d(found.row, found.piece).size
    np.testing.assert_array_equal(own, np.flatnonzero(selected & within.any(axis=1)))
    assert selected[own].all()
