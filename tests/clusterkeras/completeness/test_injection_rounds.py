"""What counts as found of injected clusters, beside rows and clusters of before."""

import numpy as np
import pytest
from astropy.table import QTable

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.completeness.injection_rounds import add_matches
from clusterkeras.config import CompletenessConfig
from data_tools.schema import PARAMETER_NAMES


@pytest.mark.parametrize(
    ("rows", "p", "r_h_px", "others", "outcome", "distance"),
    [
        ([3.0], [0.9], 1, [], (True, True), 3),
        # further out than the smallest distance, but within the cluster
        ([9.0], [0.9], 10, [], (True, True), 9),
        ([9.0], [0.9], 8, [], (False, False), np.nan),
        # a nearer piece that does not count hides nothing; far out it is no candidate
        ([1.0, 9.0], [0.1, 0.9], 10, [], (True, True), 9),
        ([3.0], [0.1], 10, [], (True, False), 3),
        ([9.0], [0.1], 10, [], (False, False), np.nan),
        # the row of a cluster that was there before
        ([9.0], [0.9], 10, [8.5], (False, False), np.nan),
        ([2.0, 9.0], [0.9, 0.9], 10, [8.5], (True, True), 2),
        ([], [], 10, [8.5], (False, False), np.nan),
    ],
)
def test_a_cluster_is_recovered_by_a_row_that_counts_within_its_size(
    rows, p, r_h_px, others, outcome, distance
):
    table = QTable({"x": [100.0], "y": [50.0]})
    table["log_half_light_radius"] = np.log10([r_h_px * 0.04])
    catalogue = QTable({"x": 100 + np.array(rows), "y": np.full(len(rows), 50.0)})
    catalogue["p_cluster"] = np.array(p, float)
    for name in PARAMETER_NAMES:
        for part in ("median", "p16", "p84"):
            catalogue[f"{name}_{part}"] = np.zeros(len(rows))
    catalogue["log_snr"], catalogue["flags"] = np.zeros((2, len(rows)), int)
    there = np.array([[100 + x, 50.0] for x in others]).reshape(-1, 2)
    add_matches(
        *(table, Catalogue.of(catalogue), CompletenessConfig(), 0.04, there),
    )
    assert (table["detected"][0], table["recovered"][0]) == outcome
    np.testing.assert_allclose(table["distance"], [distance])
