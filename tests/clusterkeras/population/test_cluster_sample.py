"""Which rows and which injected clusters a population is fitted to."""

import numpy as np
import pytest
from astropy.table import QTable
from scipy import stats

from clusterkeras.catalogue.read import Catalogue
from clusterkeras.config import PopulationConfig
from clusterkeras.population.cluster_sample import (
    FLAT_SHARE,
    sample_of_clusters,
    trust_in,
)
from clusterkeras.population.fit import fit_population
from data_tools.schema import FLAGS, PARAMETERS

OVERLAP, UNLIKE, EDGE = (FLAGS[k][0] for k in ("overlap", "unlike_mocks", "edge"))
P = [0.9, 0.8, 0.7, 0.6, 0.4, np.nan]
FLAGGED = [0, OVERLAP, UNLIKE, EDGE, 0, 0]


@pytest.fixture
def files(tmp_path, write_files):
    """Write a catalogue of six rows, and five injected clusters."""
    n, rng = len(P), np.random.default_rng(0)
    middle = np.array([(p.low + p.high) / 2 for p in PARAMETERS])
    injected = {
        "detected": [True, True, True, True, False],
        "recovered": [True, True, False, False, False],
        "flags": [0, UNLIKE, OVERLAP, 0, 0],
    }
    draws = middle + rng.normal(0, 0.1, (n, 16, 4))
    write_files(tmp_path, P, FLAGGED, draws, injected, np.tile(middle, (5, 1)))
    return tmp_path


def the_sample(files):
    catalogue = Catalogue.read(files / "catalogue.ecsv", draws_file=files / "draws.h5")
    return sample_of_clusters(catalogue, files / "completeness")


def test_rows_count_that_are_likely_and_are_neither_pieces_nor_strange(files):
    sample = the_sample(files)
    np.testing.assert_allclose(sample.p_cluster, [0.9, 0.6])
    assert sample.draws.shape == (2, 16, 4)
    assert sample.left_out == {"overlap": 1, "unlike_mocks": 1}


def test_injected_clusters_with_such_flags_are_missed(files):
    assert the_sample(files).recovered.tolist() == [True, False, False, False, False]


def test_the_flat_number_is_that_of_the_share_among_all_candidates(files):
    # of the 4 with a probability and no overlap, 1.4 are no clusters
    assert the_sample(files).flat_number == pytest.approx(0.25 / 0.75 * 1.4)


def test_draws_count_as_far_as_such_clusters_come_to_count():
    rng = np.random.default_rng(0)
    low, high = np.transpose([(p.low, p.high) for p in PARAMETERS])
    injected = rng.uniform(low, high, (4000, 4))
    # by mass alone
    share = stats.logistic.cdf(4 * (injected[:, 2] - 4.3))
    recovered = rng.random(4000) < share
    draws = np.tile((low + high) / 2, (2, 2, 1))
    draws[..., 2] = [[2.6, 3.2], [4.3, 5.9]]
    light, lightish, middle, heavy = trust_in(draws, injected, recovered).ravel()
    assert heavy == pytest.approx(1, abs=0.02) and middle == pytest.approx(1, abs=0.02)
    flat = FLAT_SHARE * share.mean()
    for found, mass in ((light, 2.6), (lightish, 3.2)):
        c = stats.logistic.cdf(4 * (mass - 4.3))
        assert found == pytest.approx(c / (c + flat), rel=0.4)


@pytest.mark.parametrize(
    ("name", "value"),
    [("images", ["b.fits"]), ("model", "other"), ("cluster_share", 0.3)],
)
def test_the_completeness_of_something_else_is_refused(files, name, value):
    path = files / "completeness" / "injected.ecsv"
    table = QTable.read(path)
    table.meta[name] = value
    table.write(path, overwrite=True)
    with pytest.raises(ValueError, match=f"of this catalogue, with {name}"):
        the_sample(files)


def test_a_survey_s_catalogue_is_refused_as_one_of_many_fields(files):
    catalogue = Catalogue.read(files / "catalogue.ecsv", draws_file=files / "draws.h5")
    del catalogue.meta["cluster_share"]
    with pytest.raises(ValueError, match="of one field, whose metadata state"):
        sample_of_clusters(catalogue, files / "completeness")


def test_a_catalogue_without_draws_or_completeness_says_what_to_do(files):
    catalogue = Catalogue.read(files / "catalogue.ecsv")
    with pytest.raises(ValueError, match="give --draws_file"):
        sample_of_clusters(catalogue, files / "completeness")
    with pytest.raises(FileNotFoundError, match="`clusterkeras completeness` puts"):
        sample_of_clusters(catalogue, files / "nothing")


def test_a_catalogue_in_which_no_row_counts_says_how_far_it_is_from_it(files):
    catalogue = Catalogue.read(files / "catalogue.ecsv", draws_file=files / "draws.h5")
    with pytest.raises(ValueError, match=r"none among 2, of which the highest is 0\.4"):
        sample_of_clusters(catalogue[4:], files / "completeness")


def test_draws_beside_a_catalogue_that_has_its_own_are_refused(files):
    catalogue = Catalogue.read(files / "catalogue.ecsv")
    draws = files / "draws.h5"
    with pytest.raises(ValueError, match=r"Catalogue.read\(path, draws_file"):
        fit_population(catalogue, files / "completeness", draws_file=draws)


def test_too_few_injected_clusters_are_refused_with_how_many_are_needed(files):
    with pytest.raises(ValueError, match=r"--completeness\.n \d+"):
        fit_population(
            files / "catalogue.ecsv",
            files / "completeness",
            config=PopulationConfig(steps=100),
            draws_file=files / "draws.h5",
            progress=False,
        )
