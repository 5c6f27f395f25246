"""Columns of the page."""

import numpy as np
import pytest

from clusterkeras.catalogue.table import flag_names
from clusterkeras.report.clusters import cluster_columns
from data_tools.schema import FLAGS


def test_the_best_come_first_and_rows_without_posterior_last(catalogue):
    rows = catalogue.best_first()
    p = np.asarray(catalogue["p_cluster"])[rows]
    assert len(rows) == len(catalogue)
    assert rows[-1] == 1
    assert (np.diff(p[:-1]) <= 0).all()


def test_sizes_are_in_parsecs_at_the_distance_of_the_target(catalogue, model):
    columns = cluster_columns(catalogue, np.array([0]), model.target)
    # science notes: 1 arcsec is 21.8 pc
    arcsec = 10 ** catalogue["log_half_light_radius_median"].value[0]
    assert columns["size"][0] == pytest.approx(21.8 * arcsec, rel=2e-3)


def test_flags_are_in_words_and_doubtful_rows_marked(catalogue, model):
    columns = cluster_columns(catalogue, np.array([0, 2, 39, 1]), model.target)
    assert columns["words"] == ["", "edge, overlap", "", "no_data"]
    assert columns["marker"] == ["circle", "circle", "x", "x"]
    for name in ("opacity", "likely", "marker_px"):
        likely, _, doubtful, unknown = columns[name]
        assert likely > doubtful == unknown
    assert flag_names(sum(bit for bit, _ in FLAGS.values())) == list(FLAGS)


def test_rows_without_id_are_called_by_their_number(catalogue, model):
    table = catalogue.copy()
    table.remove_column("id")
    assert cluster_columns(table, np.array([3]), model.target)["id"] == ["3"]
