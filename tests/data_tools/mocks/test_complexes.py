import dataclasses

import numpy as np
import pytest
from scipy.spatial import cKDTree

from data_tools import Priors, Target
from data_tools.fields.galaxy_field import FieldMaker
from data_tools.mocks.complexes import with_complexes
from data_tools.mocks.surroundings import Surroundings
from data_tools.priors import NEIGHBOUR_PX
from data_tools.stars.cluster import ClusterMaker, Points

M83 = Target.load("m83-wfc3-uvis")
PRIORS = Priors(field_px=384).fixed_by(M83)


@pytest.fixture(scope="module")
def field():
    return FieldMaker(M83, PRIORS).make(np.random.default_rng(3))


@pytest.fixture(scope="module")
def surroundings():
    return Surroundings(ClusterMaker(M83, PRIORS))


def test_complexes_add_light_and_peaks_to_a_piece_of_the_field(field, surroundings):
    made = with_complexes(field, surroundings, np.random.default_rng(1))
    assert made.image.shape == (256, 256, 3)
    assert made.image.dtype == np.float32
    assert made.observation is field.observation
    assert made.properties is field.properties
    assert made.image.sum() > 2 * field.image.sum() * (256 / 384) ** 2
    assert len(made.peaks) > 2 * len(field.peaks)


def test_no_peak_is_one_of_the_clusters(field, surroundings, monkeypatch):
    star = Points(np.zeros(1), np.zeros(1), np.full((1, 3), 1e5))
    monkeypatch.setattr(surroundings, "complex", lambda rng, reach_px: star)
    made = with_complexes(field, surroundings, np.random.default_rng(2))
    rows, columns = np.nonzero(made.image.sum(-1) > 1e4)
    assert len(rows) >= 6
    away, _ = cKDTree(made.peaks).query(np.column_stack([rows, columns]))
    assert (away > NEIGHBOUR_PX[0] - 3).all()


def test_the_same_numbers_give_the_same_piece(field, surroundings):
    one, other = (
        with_complexes(field, surroundings, np.random.default_rng(4)) for _ in range(2)
    )
    np.testing.assert_array_equal(one.image, other.image)
    np.testing.assert_array_equal(one.peaks, other.peaks)


def test_a_field_smaller_than_the_piece_is_taken_whole(field, surroundings):
    small = dataclasses.replace(field, image=field.image[:129, :129])
    made = with_complexes(small, surroundings, np.random.default_rng(5))
    assert made.image.shape == (128, 128, 3)


def test_a_box_of_old_clusters_has_complexes_of_its_youngest():
    box = {**M83.box, "log_age": (9.0, 10.0)}
    old = dataclasses.replace(M83, box=box)
    surroundings = Surroundings(ClusterMaker(old, PRIORS))
    points = surroundings.complex(np.random.default_rng(6), 128)
    assert np.isfinite(points.flux).all()
    assert points.flux.sum() > 0
